"""The preview's pages in a real Chromium: nothing sticks out of the window, nothing complains, on desk and phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pybots_status import preview
from pybots_status.samples import SAMPLES

WIDTHS = {"desk": 1280, "phone": 360}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("preview")
    preview.write(out)
    return out


@pytest.fixture(scope="module", params=list(WIDTHS.values()), ids=list(WIDTHS))
def tab(request: pytest.FixtureRequest, browser: Any) -> Iterator[Any]:
    """One tab per width; `tab.complaints` collects what the console and the page's scripts say."""
    context = browser.new_context(viewport={"width": request.param, "height": 800})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda asked: complaints.append(f"failed: {asked.url}"))
    page.complaints = complaints
    yield page
    context.close()


@pytest.mark.parametrize("name", ["index", *SAMPLES])
def test_a_page_fits_its_window_and_is_silent(tab: Any, folder: Path, name: str) -> None:
    tab.complaints.clear()
    tab.goto((folder / f"{name}.html").as_uri())
    wide = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"{wide} pixels stick out"
    assert tab.complaints == []


@pytest.mark.parametrize("tab", [1047], ids=["A4 landscape"], indirect=True)
@pytest.mark.parametrize("name", ["console", "breakage", "run"])
def test_paper_is_light_keeps_the_colours_and_has_nothing_to_press(
    tab: Any, folder: Path, name: str
) -> None:
    tab.emulate_media(media="print", color_scheme="dark")
    tab.goto((folder / f"{name}.html").as_uri())
    script = """[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).printColorAdjust,
        [...document.querySelectorAll('button, .tools')].filter(one => one.offsetParent).length,
        document.documentElement.scrollWidth - innerWidth]"""
    paper, colours, pressed, wide = tab.evaluate(script)
    tab.emulate_media(media="screen", color_scheme="dark")
    screen = tab.evaluate(script)[0]
    assert (paper, colours, pressed) == ("rgb(255, 255, 255)", "exact", 0)
    assert wide <= 0, f"{wide} pixels stick out"
    assert screen != paper, "dark on the screen"


def test_boxes_are_big_enough_to_hit(tab: Any, folder: Path) -> None:
    """24 CSS pixels, WCAG 2.2's target size."""
    tab.goto((folder / "console.html").as_uri())
    script = """[...document.querySelectorAll('.console td a.box')].map(a => a.getBoundingClientRect())
        .filter(r => r.width).map(r => Math.min(r.width, r.height))"""
    sizes = tab.evaluate(script)
    assert sizes
    assert min(sizes) >= 24


@pytest.mark.parametrize("tab", [WIDTHS["desk"]], ids=["desk"], indirect=True)
def test_a_pillar_has_no_gap(tab: Any, folder: Path) -> None:
    """Joined boxes of neighbouring rows touch, whatever the height of their rows."""
    tab.goto((folder / "console.html").as_uri())
    script = """[...document.querySelectorAll('.console td.jb')].flatMap(td => {
        const next = td.closest('tbody').nextElementSibling;
        if (!next || td.closest('tr').nextElementSibling) return [];  // bullets stand between
        const below = next.rows[0].cells[td.cellIndex];
        return [below.firstElementChild.getBoundingClientRect().top
                - td.firstElementChild.getBoundingClientRect().bottom];
    })"""
    gaps = tab.evaluate(script)
    assert gaps
    assert max(gaps) <= 0.5


def test_the_keyboard_reaches_the_content_first(tab: Any, folder: Path) -> None:
    tab.goto((folder / "console.html").as_uri())
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the content"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "content"


def test_the_script_refreshes_the_page_and_keeps_what_the_reader_opened(
    tab: Any, folder: Path
) -> None:
    """The page is fetched again and replaced in place; an opened traceback stays open."""
    before = (
        (folder / "run.html").read_text("utf-8").replace('data-refresh="0"', 'data-refresh="1"')
    )
    after = before.replace("3 new failures in", "4 new failures in")
    answers = iter([before])

    def serve(route: Any) -> None:
        path = route.request.url.removeprefix("http://farm.test/")
        if path.startswith("static/"):
            kind = "text/css" if path.endswith(".css") else "text/javascript"
            route.fulfill(body=(folder / path).read_bytes(), content_type=kind)
        else:
            route.fulfill(body=next(answers, after), content_type="text/html; charset=utf-8")

    tab.route("http://farm.test/**", serve)
    tab.goto("http://farm.test/run.html")
    tab.evaluate("document.querySelector('.failure details').open = true")
    tab.get_by_text("4 new failures in").first.wait_for(timeout=8000)
    assert tab.evaluate("document.querySelector('.failure details').open")
    tab.unroute("http://farm.test/**")


def test_arrows_walk_from_box_to_box(tab: Any, folder: Path) -> None:
    tab.goto((folder / "console.html").as_uri())
    place = """(() => { const it = document.activeElement;
        return [it.closest("tbody").id, it.closest("td").cellIndex]; })()"""
    tab.keyboard.press("n")
    row, column = tab.evaluate(place)
    tab.keyboard.press("ArrowUp")
    above = tab.evaluate(place)
    assert above[0] != row and above[1] == column
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate(place) == [row, column]
    tab.keyboard.press("ArrowLeft")
    assert tab.evaluate(place)[1] < column
