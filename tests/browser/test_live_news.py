"""Views of a real farm beside the console hear of news by their streams: the run's, its lane's, its worker's and the
waterfall's new rows come while the pages are open, and the pages themselves are not fetched again."""

from __future__ import annotations

import re
from typing import Any

from tests.browser.conftest import Opener, Yard
from tests.browser.tab import Tab

from pybots.ledger import schema
from pybots_status.pages import STATES

PATIENCE = 240_000


def watched(tab: Tab, path: str) -> list[str]:
    """Open a page; what it asks for from now on beside its stream."""
    tab.open(path)
    asked: list[str] = []

    def note(request: Any) -> None:
        if request.resource_type != "eventsource":
            asked.append(request.url.removeprefix(tab.base))

    tab.page.on("request", note)
    return asked


def test_a_new_run_appears_in_every_view_that_shows_it(yard: Yard, open_tab: Opener) -> None:
    yard.broken()
    (lane,) = yard.live.rows(schema.lanes, schema.lanes.c.project == "husk")
    views = {
        path: open_tab(yard.url) for path in (f"/lane/{lane.slug}", "/worker/local", "/waterfall")
    }
    asked = {path: watched(tab, path) for path, tab in views.items()}
    before = views["/waterfall"].page.locator("tbody tr").count()
    sha = yard.live.commit("fix-compile" if yard.unbuilt else "good-lib-change")
    done = yard.live.verdict(sha, "husk")
    run, css = int(done.id), STATES[done.verdict].css
    for path in (f"/lane/{lane.slug}", "/worker/local"):
        row = views[path].page.locator(f"#r-{run}")
        row.locator(f".{css}").wait_for(timeout=PATIENCE)
    assert asked["/worker/local"] == [], "its rows came by the stream"
    yard.live.calm()
    views["/waterfall"].page.locator(f".step[href='/run/{run}']").first.wait_for(timeout=PATIENCE)
    assert views["/waterfall"].page.locator("tbody tr").count() > before


def test_a_log_grows_line_by_line_and_tells_its_streams_apart(yard: Yard, open_tab: Opener) -> None:
    run = yard.run(yard.broken(), "anchor")
    tab = open_tab(yard.url)
    tab.open(f"/run/{run}?phase=test")
    line = tab.page.locator(".log .stderr").first
    assert re.search(r"\w", line.inner_text())
    raw = tab.page.request.get(f"{yard.url}/run/{run}/log/test")
    _, _, words = line.inner_text().strip().partition(" ")
    assert words.strip() in raw.text() and "\x0e" not in raw.text()
