"""A page's pieces, as its event stream knows them, are the page's own elements."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from status_html import Element, parse

from pybots_status import assets, live
from pybots_status.pages import Console
from pybots_status.render import render
from pybots_status.samples import SAMPLES

CONSOLES = [name for name, page in SAMPLES.items() if isinstance(page, Console)]
FULL = max(CONSOLES, key=lambda name: len(SAMPLES[name].rows))  # type: ignore[union-attr]


def pieces_of(element: Element) -> dict[str, str]:
    """id -> text of every element marked as live, found by a real parser."""
    return {
        one.attributes["id"]: one.words() for one in element.walk() if "data-live" in one.attributes
    }


@pytest.mark.parametrize("name", [FULL, *list(SAMPLES)[::9]])
def test_pieces_are_whole_elements_and_none_is_forgotten(name: str) -> None:
    html = render(SAMPLES[name])
    found = live.picture(html).pieces
    wanted = pieces_of(parse(html))
    assert found.keys() == wanted.keys() and found
    for one, text in found.items():
        assert parse(text).children[0].words() == wanted[one]


def test_a_changed_banner_changes_its_piece_and_nothing_else() -> None:
    page = SAMPLES[FULL]
    banner = replace(page.frame.banner, text="main does not build <b>")
    before, after = (
        live.picture(render(one))
        for one in (page, replace(page, frame=replace(page.frame, banner=banner)))
    )
    changed = {name for name in before.pieces if before.pieces[name] != after.pieces[name]}
    assert changed == {"banner"}
    assert "main does not build &lt;b&gt;" in after.pieces["banner"]
    assert (after.rest, after.rows) == (before.rest, before.rows)


def test_rows_come_and_go_without_touching_the_rest() -> None:
    page = SAMPLES[FULL]
    assert isinstance(page, Console) and len(page.rows) > 2
    before, after = (
        live.picture(render(page)),
        live.picture(render(replace(page, rows=page.rows[1:]))),
    )
    assert before.rows[1:] == after.rows and after.rest == before.rest


def test_another_heading_is_no_piece() -> None:
    page = SAMPLES[FULL]
    other = replace(page, frame=replace(page.frame, title="Another"))
    assert live.picture(render(other)).rest != live.picture(render(page)).rest


def test_only_a_page_that_knows_an_event_has_a_stream() -> None:
    page = SAMPLES[FULL]
    frame = replace(page.frame, event=17, refresh=60, here="/?who=Ada&rows=60")
    html = render(replace(page, frame=frame))
    assert live.picture(html).event == 17
    assert parse(html).all("html")[0].attributes["data-stream"] == (
        "/events?view=%2F%3Fwho%3DAda%26rows%3D60"
    )
    for silent in (replace(frame, event=0), replace(frame, refresh=0)):
        html = render(replace(page, frame=silent))
        assert "data-stream" not in html and live.picture(html).event == 0


def test_a_patch_is_one_line() -> None:
    told = live.patch({"a": "<p>\nä</p>"}, None)
    assert "\n" not in told and json.loads(told) == {"put": {"a": "<p>\nä</p>"}}
    assert json.loads(live.patch({}, ("r-1",))) == {"rows": ["r-1"]}


def test_the_script_is_small_and_alone() -> None:
    body = assets.script().body
    assert len(body) <= 8 * 1024
    for word in (b"http:", b"https:", b"import ", b"eval(", b"new Function", b".style."):
        assert word not in body
