"""The views over a small ledger: what each page says, and that it renders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import START, Book, make_farm, sha

from pybots.farm.home import Farm
from pybots.farm.views import (
    api,
    breakagepage,
    breakages,
    commitpage,
    flow,
    front,
    lanes,
    mailpages,
    projects,
    statistics,
    treepage,
    words,
    workers,
)
from pybots.farm.views.common import Missing, Visit
from pybots.farm.views.front import Asked
from pybots.farm.views.reports import Digests
from pybots.store import Store
from pybots_status import render
from pybots_status.text import clock

VISIT = Visit()
PHASES = [
    {"phase": "interpreter", "ok": True, "ended": "exit", "exit_code": 0, "wall_seconds": 1.0,
     "started": START, "state": "ok"},
    {"phase": "test", "ok": False, "ended": "signal", "signal": 11, "wall_seconds": 2.0,
     "started": START + 1, "state": "failed", "failure": {"type": "", "message": "it crashed"}},
]  # fmt: skip


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = make_farm(tmp_path)
    yield made
    made.ledger.close()


@pytest.fixture
def book(farm: Farm) -> Book:
    return Book(farm)


def render_all(farm: Farm) -> None:
    """Every list page of a farm renders, whatever is in its ledger."""
    for page in (
        front.console(farm, VISIT, Asked()),
        flow.waterfall(farm, VISIT),
        projects.projects(farm, VISIT),
        workers.workers(farm, VISIT),
        mailpages.archive(farm, VISIT),
        breakages.page(farm, VISIT),
        statistics.page(farm, VISIT),
        treepage.page(farm, VISIT),
        words.legend(farm, VISIT),
        words.join(farm, VISIT),
        words.error(farm, VISIT, 404, "nothing here"),
    ):
        assert render(page).startswith("<!doctype html>")


# An empty ledger, a silent master --------------------------------------------------------------------------------


@pytest.mark.deep
def test_an_empty_ledger_has_all_its_pages(farm: Farm) -> None:
    render_all(farm)
    page = front.console(farm, VISIT, Asked())
    assert page.frame.banner.text == "main: not built yet; no lanes yet"
    assert page.frame.banner.state == "unknown"


def test_a_silent_master_is_called_down(farm: Farm, book: Book) -> None:
    book.note("master", {}, START - 31)
    frame = front.console(farm, VISIT, Asked()).frame
    assert (frame.master_alive, frame.master_seen) == (False, START - 31)


def test_a_fresh_heartbeat_is_alive(farm: Farm, book: Book) -> None:
    book.note("master", {}, START - 29)
    assert front.console(farm, VISIT, Asked()).frame.master_alive


def test_a_full_store_is_said_on_every_page(farm: Farm) -> None:
    assert [line.label for line in front.console(farm, VISIT, Asked()).frame.announce] == ["Farm"]
    full = replace(farm, store=Store(farm.folder.store, reserve=1 << 60))
    trouble = front.console(full, VISIT, Asked()).frame.announce[-1]
    assert (trouble.label, "kept free" in trouble.note) == ("Trouble", True)
    render_all(full)


# The other pages -------------------------------------------------------------------------------------------------


def test_a_commit_shows_its_interpreters_and_the_runs_that_speak_for_it(
    farm: Farm, book: Book
) -> None:
    book.history(1, 5)
    lane = book.lane("django")
    book.run(lane, 1)
    run = book.run(lane, 5, "new_failure")
    number = book.breakage(run, {lane: ["t"]}, good_position=1)
    book.mail(1, breakage_id=number)
    page = commitpage.commit(farm, VISIT, sha(3)[:9])
    render(page)
    assert page.sha == sha(3) and [row.id for row in page.runs] == [run]
    assert [row.id for row in page.breakages] == [number]
    assert page.mails[0].to == ("pybots@localhost", "a…@example.org")
    assert (
        page.newer
        and page.newer.title == "Commit 4"
        and page.older
        and page.older.title == "Commit 2"
    )
    assert page.upstream.endswith(f"/cpython/commit/{sha(3)}")


def test_a_commit_is_found_by_a_unique_prefix_only(farm: Farm, book: Book) -> None:
    book.commit(1, sha="abcdef1" + "0" * 33)
    book.commit(2, sha="abcdef1" + "1" * 33)
    assert commitpage.commit(farm, VISIT, "ABCDEF10").sha == "abcdef1" + "0" * 33
    for wrong in ("abcdef1", "abcdef", "abcdef2", "x" * 40, "%" * 8, "0" * 41):
        with pytest.raises(Missing):
            commitpage.commit(farm, VISIT, wrong)


@pytest.mark.deep
def test_a_lane_is_found_by_slug_and_by_id(farm: Farm, book: Book) -> None:
    book.history(1, 60)
    number = book.lane("django")
    for position in range(1, 61):
        book.run(number, position)
    page = lanes.lane(farm, VISIT, "django.release.main.release.linux-x86_64")
    render(page)
    assert page.lane.slug == lanes.lane(farm, VISIT, str(number)).lane.slug
    assert len(page.runs) == lanes.PAGE and page.older.endswith("?before=11")
    assert len(lanes.lane(farm, VISIT, str(number), before=11).runs) == 10
    with pytest.raises(Missing):
        lanes.lane(farm, VISIT, "nope.nope")


def test_an_interpreter_has_a_lane_page_too(farm: Farm, book: Book) -> None:
    book.history(1, 2)
    book.build(1)
    book.build(2, "new_failure")
    page = lanes.lane(farm, VISIT, "python.main.release.linux-x86_64")
    render(page)
    assert [row.state for row in page.runs] == ["new_failure", "passed"]


def test_a_project_without_lanes_or_file_is_missing(farm: Farm, book: Book) -> None:
    with pytest.raises(Missing):
        projects.project(farm, VISIT, "nobody")
    book.commit(1)
    lane = book.lane("django")
    run = book.run(lane, 1, "new_failure")
    book.breakage(run, {lane: ["t"]})
    page = projects.project(farm, VISIT, "django")
    render(page)
    assert page.lanes[0].since == START and page.breakages and page.runs[0].id == run
    assert projects.projects(farm, VISIT).rows[0].summary == "no longer registered"


def test_a_breakage_has_its_range_lanes_and_mail(farm: Farm, book: Book) -> None:
    book.history(1, 9)
    lane = book.lane("django")
    run = book.run(lane, 8, "new_failure", summary="TypeError: no")
    number = book.breakage(run, {lane: ["t1", "t2"]}, good_position=5, bad_position=8)
    book.mail(1, breakage_id=number)
    page = breakagepage.breakage(farm, VISIT, number, Digests(farm.store))
    render(page)
    assert [line.title for line in page.commits] == ["Commit 8", "Commit 7", "Commit 6"]
    assert page.culprit is None and page.good and page.good.title == "Commit 5"
    assert page.tests == ("t1", "t2") and len(page.mails) == 1 and page.lanes[0].project == "django"
    single = book.breakage(run, {0: ["release.linux-x86_64"]}, good_position=7, bad_position=8)
    alone = breakagepage.breakage(farm, VISIT, single, Digests(farm.store))
    render(alone)
    assert alone.culprit and alone.culprit.title == "Commit 8"


def test_workers_show_no_address_and_no_credential(farm: Farm, book: Book) -> None:
    book.commit(1)
    book.worker()
    book.worker("shed", connected=False)
    run = book.run(book.lane("django"), 1, None, state="running")
    book.attempt(run)
    pages = [workers.workers(farm, VISIT), workers.worker(farm, VISIT, "attic")]
    for page in pages:
        html = render(page)
        assert "bob@example.org" not in html and "very-secret" not in html
    assert [row.state for row in pages[0].rows] == ["busy", "offline"]  # type: ignore[union-attr]


def test_mail_of_the_farms_own_people_is_private(farm: Farm, book: Book) -> None:
    public, private = book.mail(1), book.mail(2, audience="admin", subject="disk full")
    page = mailpages.archive(farm, VISIT)
    assert [row.id for row in page.rows] == [public]
    shown = mailpages.message(farm, VISIT, public)
    assert shown.body == "Body 1\n" and "ann@" not in render(shown)
    with pytest.raises(Missing):
        mailpages.message(farm, VISIT, private)


def test_the_waterfall_has_lanes_runs_and_phases(farm: Farm, book: Book) -> None:
    book.history(1, 3)
    lane = book.lane("django")
    book.build(1)
    for position in (1, 2):
        book.attempt(book.run(lane, position), state="recorded", phases=PHASES)
    running = book.run(lane, 3, None, state="running")
    book.attempt(running, phases=[{"phase": "install", "state": "running", "started": START + 5}])
    genshi = book.lane("genshi")
    book.run(genshi, 1)
    book.run(genshi, 2, None, state="wanted")
    page = flow.waterfall(farm, VISIT)
    render(page)
    assert [head.lines[0] for head in page.lanes] == ["python", "django", "genshi"]
    assert (
        page.lanes[1].activity == f"install since {clock(START + 5)[:5]}" and page.lanes[1].active
    )
    assert page.lanes[2].activity == "its workers are away" and not page.lanes[2].active
    assert len(page.runs) == 5 and page.runs[0].id == running
    only = flow.waterfall(farm, VISIT, project="genshi")
    assert {head.lines[0] for head in only.lanes} == {"python", "genshi"}


def test_a_big_waterfall_shows_the_lanes_that_ran_last(farm: Farm, book: Book) -> None:
    book.commit(1)
    made = [book.lane(f"p{number:03}") for number in range(flow.MAX_LANES + 5)]
    book.run(made[-1], 1)
    page = flow.waterfall(farm, VISIT)
    render(page)
    assert (
        len(page.lanes) == flow.MAX_LANES + 1 and page.lanes[-1].lines[0] == f"p{len(made) - 1:03}"
    )
    assert "5 more" in page.frame.notices[-1].text


def test_the_json_says_the_same(farm: Farm, book: Book) -> None:
    book.history(1, 2)
    run = book.run(book.lane("django"), 2, "flaky", counts={"passed": 3, "flaky": 1})
    summary = api.lanes_summary(farm, "")
    assert summary["tally"] == {"passing": 1, "new": 0, "failing": 0, "unknown": 0}
    assert summary["lanes"][0]["verdict"] == "flaky" and summary["commit"] == sha(2)
    assert api.run(farm, run)["counts"] == {"passed": 3, "flaky": 1}
    assert [item["id"] for item in api.commit(farm, sha(2))["runs"]] == [run]


@pytest.mark.deep
def test_a_page_costs_the_same_few_queries_however_long_the_history_is(
    farm: Farm, book: Book
) -> None:
    counts = []
    for size in (3, 40):
        book.history(max(book.commits, default=("main", 0))[1] + 1, size)
        lane = book.lane(f"p{size}")
        for position in range(1, size + 1):
            book.run(lane, position)
        counts.append(queries(farm))
    assert counts[0] == counts[1] <= 20


def queries(farm: Farm) -> int:
    from sqlalchemy import event

    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT"):
            seen.append(statement)

    event.listen(farm.ledger.engine, "before_cursor_execute", note)
    front.console(farm, VISIT, Asked())
    event.remove(farm.ledger.engine, "before_cursor_execute", note)
    return len(seen)
