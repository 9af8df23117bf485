"""A page's pieces, as its event stream knows them, are the page's own elements."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from status_html import Element, parse

from pybots_status import assets, live
from pybots_status.pages import (
    Console,
    Lane,
    LogLine,
    Page,
    Run,
    Waterfall,
    WaterfallRun,
    Worker,
    Workers,
)
from pybots_status.render import render
from pybots_status.samples import SAMPLES

CONSOLES = [name for name, page in SAMPLES.items() if isinstance(page, Console)]
FULL = max(CONSOLES, key=lambda name: len(SAMPLES[name].rows))  # type: ignore[union-attr]


def pieces_of(element: Element) -> dict[str, str]:
    """id -> text of every element marked as live, found by a real parser."""
    return {
        one.attributes["id"]: one.words()
        for one in element.walk()
        if {"data-live", "data-row"} & one.attributes.keys()
    }


def test_a_page_has_one_place_for_rows() -> None:
    for name in (
        "console",
        "waterfall",
        "lane",
        "worker",
        "workers",
        "projects",
        "project",
        "run",
        "run-live",
    ):
        html = render(SAMPLES[name])
        places = html.count(" data-rows>")
        assert places <= 1, name
        assert places or not live.picture(html).rows, name


@pytest.mark.deep
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


def changed(before: Page, after: Page) -> tuple[set[str], set[str]]:
    """(pieces told, rows that came) of a page that became another one; nothing else in it may have changed."""
    old, new = live.picture(render(before)), live.picture(render(after))
    assert new.rest == old.rest
    told = {name for name, html in new.pieces.items() if old.pieces.get(name) != html}
    return told - set(new.rows), set(new.rows) - set(old.rows)


def test_a_growing_log_comes_line_by_line() -> None:
    page = SAMPLES["run-live"]
    assert isinstance(page, Run)
    (phase,) = [phase for phase in page.phases if phase.log and phase.log.live]
    assert phase.log is not None
    before = replace(phase.log, left_out=76)
    more = LogLine(number=before.lines[-1].number + 1, text="one more")
    after = replace(before, lines=(*before.lines[1:], more), left_out=77)
    old, new = (replace(page, phases=(replace(phase, log=log),)) for log in (before, after))
    assert changed(old, new) == ({"earlier"}, {f"{phase.name}-{more.number}"})


def test_a_phase_that_ends_changes_its_table_and_the_runs_facts() -> None:
    page = SAMPLES["run-live"]
    assert isinstance(page, Run)
    ended = tuple(replace(phase, seconds=12.5) for phase in page.phases)
    row = replace(page.row, seconds=99.0, state="passed")
    assert changed(page, replace(page, row=row, phases=ended)) == (
        {"state", "facts", "phases"},
        set(),
    )


def test_a_waterfall_gets_rows_on_top() -> None:
    page = SAMPLES["waterfall"]
    assert isinstance(page, Waterfall)
    newest = max(run.started for run in page.runs) + 3000
    begun = WaterfallRun(lane=1, id=999_999, state="running", started=newest)
    heads = tuple(replace(lane, activity="starting", active=True) for lane in page.lanes)
    pieces, rows = changed(page, replace(page, runs=(*page.runs, begun), lanes=heads))
    assert pieces == {"heads"}
    assert len(rows) == 2, "its start, and what runs since"


def test_a_run_that_begins_is_a_row_of_its_lane_and_of_its_worker() -> None:
    for name in ("lane", "worker"):
        page = SAMPLES[name]
        assert isinstance(page, Lane | Worker)
        begun = replace(page.runs[0], id=999_999, state="running")
        assert changed(page, replace(page, runs=(begun, *page.runs))) == (set(), {"r-999999"})


def test_a_worker_that_goes_changes_its_row() -> None:
    page = SAMPLES["workers"]
    assert isinstance(page, Workers)
    rows = (replace(page.rows[0], state="offline", slots=9), *page.rows[1:])
    old, new = live.picture(render(page)), live.picture(render(replace(page, rows=rows)))
    told = {name for name, html in new.pieces.items() if old.pieces[name] != html}
    assert told == {f"r-{page.rows[0].name}", "caption"} and new.rest == old.rest


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
