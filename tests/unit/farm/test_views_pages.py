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
    runpage,
    statistics,
    treepage,
    words,
    workers,
)
from pybots.farm.views.common import Missing, Visit
from pybots.farm.views.front import Asked
from pybots.farm.views.reports import Digests
from pybots.farm.views.runpage import AskedLog
from pybots.store import Store
from pybots_status import render
from pybots_worker import contract

VISIT = Visit()


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


def run_page(farm: Farm, number: int, asked: AskedLog | None = None) -> Any:
    page = runpage.run(farm, VISIT, number, asked or AskedLog(), Digests(farm.store))
    assert render(page).startswith("<!doctype html>")
    return page


# An empty ledger, a silent master --------------------------------------------------------------------------------


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


# Banner ----------------------------------------------------------------------------------------------------------


def test_the_banner_counts_projects_and_never_takes_unknown_for_green(
    farm: Farm, book: Book
) -> None:
    book.history(1, 3)
    for name in ("django", "genshi"):
        book.run(book.lane(name), 3)
    book.lane("twisted", state="no_worker", reason="no approved worker")
    book.build(3)
    banner = front.console(farm, VISIT, Asked()).frame.banner
    assert banner.text == "main builds; 2 of 3 projects pass; 1 lane unknown"
    assert banner.state == "passed"
    book.run(book.lane("idna", state="no_worker", reason="its worker has left"), 3)
    banner = front.console(farm, VISIT, Asked()).frame.banner
    assert banner.text == "main builds; 2 of 4 projects pass; 2 lanes unknown", (
        "green once, run by nobody now"
    )
    book.run(book.lane("django", slug="django.debug", flavour="debug"), 3, "still_failing")
    banner = front.console(farm, VISIT, Asked()).frame.banner
    assert banner.text == (
        "main builds; 1 of 4 projects pass; 1 lane still failing; 2 lanes unknown"
    )


def test_a_full_store_is_said_on_every_page(farm: Farm) -> None:
    assert [line.label for line in front.console(farm, VISIT, Asked()).frame.announce] == ["Farm"]
    full = replace(farm, store=Store(farm.folder.store, reserve=1 << 60))
    trouble = front.console(full, VISIT, Asked()).frame.announce[-1]
    assert (trouble.label, "kept free" in trouble.note) == ("Trouble", True)
    render_all(full)


def test_a_trunk_that_does_not_build_is_said_first(farm: Farm, book: Book) -> None:
    book.history(1, 3)
    book.run(book.lane("django"), 2)
    run = book.build(3, "new_failure")
    banner = front.console(farm, VISIT, Asked()).frame.banner
    assert banner.text.startswith("main does not build: release on linux-x86_64; ")
    assert (banner.state, banner.href) == ("new_failure", f"/run/{run}")


# Console ---------------------------------------------------------------------------------------------------------


def test_the_console_has_one_cell_per_column_and_a_bullet_for_a_new_failure(
    farm: Farm, book: Book
) -> None:
    book.history(1, 6)
    lane, other = book.lane("django"), book.lane("django", flavour="debug")
    book.run(lane, 2)
    bad = book.run(lane, 5, "new_failure", count=2, summary="new: 2 tests: TypeError: no")
    book.run(other, 5)
    page = front.console(farm, VISIT, Asked())
    render(page)
    assert [column.short for group in page.groups for column in group.columns] == ["rel", "dbg"]
    assert [row.cells[0].state for row in page.rows] == [
        "none", "new_failure", "new_failure", "new_failure", "passed", "none",
    ]  # fmt: skip
    assert page.rows[1].bullets[0].text == "2 tests: TypeError: no"
    assert page.rows[1].cells[0].href == f"/run/{bad}"
    assert not page.rows[2].bullets
    assert page.groups[0].columns[0].now.state == "new_failure"
    assert [cell.state for cell in page.strips[0].cells] == ["new_failure", "passed"]


def test_a_commit_whose_interpreter_fails_is_a_failure_in_its_column(
    farm: Farm, book: Book
) -> None:
    book.history(1, 4)
    lane = book.lane("django")
    book.run(lane, 1)
    book.build(1)
    book.build(3, "new_failure")
    book.run(lane, 3, "unknown")
    page = front.console(farm, VISIT, Asked())
    assert [row.cells[0].state for row in page.rows] == [
        "none",
        "new_failure",
        "new_failure",
        "passed",
    ]
    now = page.groups[0].columns[0].now
    assert now.state == "new_failure", "the lane's green is of an older commit"
    assert "the interpreter does not build" in now.title


def test_a_failure_in_several_columns_is_one_bullet(farm: Farm, book: Book) -> None:
    book.commit(1)
    lanes = [book.lane("django", flavour=name) for name in ("release", "debug")]
    numbers = [book.run(lane, 1, "new_failure", summary="new: t: no") for lane in lanes]
    (bullet,) = front.console(farm, VISIT, Asked()).rows[0].bullets
    assert (bullet.where, bullet.text) == ("django", "t: no")
    assert [link.href for link in bullet.links] == [f"/run/{number}" for number in numbers]


def test_first_runs_under_way_are_neither_green_nor_unknown_for_good(
    farm: Farm, book: Book
) -> None:
    book.commit(1)
    lane = book.lane("django")
    book.build(1)
    assert front.console(farm, VISIT, Asked()).frame.banner.state == "unknown"
    book.run(lane, 1, None, state="running")
    assert front.console(farm, VISIT, Asked()).frame.banner.state == "running"


def test_the_console_pages_by_commit(farm: Farm, book: Book) -> None:
    book.history(1, 9)
    first = front.console(farm, VISIT, Asked(rows=4))
    assert [row.title for row in first.rows] == [f"Commit {n}" for n in (9, 8, 7, 6)]
    assert not first.newer and first.older == f"/?branch=main&rows=4&before={sha(6)}"
    assert first.permalink == f"/?branch=main&rows=4&at={sha(9)}"
    second = front.console(farm, VISIT, Asked(rows=4, before=sha(6)))
    assert [row.title for row in second.rows] == [f"Commit {n}" for n in (5, 4, 3, 2)]
    back = front.console(farm, VISIT, Asked(rows=4, after=sha(5)))
    assert [row.title for row in back.rows] == [f"Commit {n}" for n in (9, 8, 7, 6)]
    frozen = front.console(farm, VISIT, Asked(rows=2, at=sha(7)))
    assert [row.title for row in frozen.rows] == ["Commit 7", "Commit 6"]


def test_an_older_page_shows_the_run_that_contains_its_commits(farm: Farm, book: Book) -> None:
    book.history(1, 9)
    lane = book.lane("django")
    book.run(lane, 1)
    book.run(lane, 9, "new_failure")
    page = front.console(farm, VISIT, Asked(rows=3, before=sha(6)))
    assert [row.cells[0].state for row in page.rows] == ["new_failure"] * 3


def test_only_bad_and_who_filter_rows_and_go_on_behind_what_was_searched(
    farm: Farm, book: Book
) -> None:
    book.history(1, 30)
    book.commit(31, author="Grace")
    lane = book.lane("django")
    book.run(lane, 30)
    book.run(lane, 31, "new_failure")
    bad = front.console(farm, VISIT, Asked(only_bad=True, rows=3))
    assert [row.title for row in bad.rows] == ["Commit 31"]
    assert bad.older.endswith(f"before={sha(20)}")
    mine = front.console(farm, VISIT, Asked(who="grace"))
    assert [(row.title, row.mine) for row in mine.rows] == [("Commit 31", True)]
    none = front.console(farm, VISIT, Asked(who="nobody", rows=3))
    assert not none.rows and none.older


def test_filters_choose_columns(farm: Farm, book: Book) -> None:
    book.commit(1)
    for flavour in ("release", "debug"):
        book.run(book.lane("django", flavour=flavour), 1)
        book.run(book.lane("genshi", flavour=flavour), 1, "still_failing")
    page = front.console(farm, VISIT, Asked(project="django", flavour="debug"))
    assert [cell.state for cell in page.rows[0].cells] == ["passed"]
    assert page.filters.projects == ("django", "genshi")


def test_a_documentation_commit_shares_the_run_of_its_neighbour(farm: Farm, book: Book) -> None:
    book.commit(1)
    book.commit(2, content_key=f"{1:064x}")
    lane = book.lane("django")
    run = book.run(lane, 1)
    book.cell(lane, 2, run, "passed")
    page = front.console(farm, VISIT, Asked())
    assert page.rows[0].cells[0].joined_below and page.rows[1].cells[0].joined_above


def test_what_waits_for_workers_that_are_all_away_is_offline(farm: Farm, book: Book) -> None:
    book.commit(1)
    book.worker(connected=False)
    book.run(book.lane("django"), 1, None)
    page = front.console(farm, VISIT, Asked())
    assert page.rows[0].cells[0].state == page.groups[0].columns[0].now.state == "offline"
    book.worker("shed")
    page = front.console(farm, VISIT, Asked())
    assert page.rows[0].cells[0].state == page.groups[0].columns[0].now.state == "queued"


def test_the_console_says_what_runs_right_now(farm: Farm, book: Book) -> None:
    book.history(1, 2)
    lane = book.lane("django")
    book.run(lane, 1, phase_seconds={"test": 48})
    run = book.run(lane, 2, None, state="running")
    book.attempt(run, phases=[{"phase": "test", "state": "running", "started": START}])
    [fact] = front.console(farm, VISIT, Asked()).progress
    assert (fact.name, fact.href) == ("django on main release", f"/run/{run}")
    assert fact.value.startswith("test since ") and "last time 48 s" in fact.value


def test_unknown_branches_and_anchors_are_missing(farm: Farm, book: Book) -> None:
    book.history(1, 2)
    for visit, asked in (
        (replace(VISIT, branch="nope"), Asked()),
        (VISIT, Asked(at="0" * 40)),
        (VISIT, Asked(before="zz")),
    ):
        with pytest.raises(Missing):
            front.console(farm, visit, asked)


# Run -------------------------------------------------------------------------------------------------------------


def report(run: int, *, tests: tuple[contract.TestOutcome, ...] = ()) -> bytes:
    environment = contract.Environment(
        worker="attic", platform="linux-x86_64", abi="debian-12-x86_64", rung="cgroup v2"
    )
    return contract.encode(
        contract.Report(
            contract=1, run=run, attempt=1, kind="project", started=START, finished=START,
            environment=environment, phases=(), tests=tests,
            lock=(contract.Locked(name="six", version="1.16"),),
        )
    )  # fmt: skip


def failing(name: str) -> contract.TestOutcome:
    return contract.TestOutcome(
        id=name, outcome="failed", failure=contract.Failure(type="TypeError", message="no")
    )


PHASES = [
    {"phase": "interpreter", "ok": True, "ended": "exit", "exit_code": 0, "wall_seconds": 1.0,
     "started": START, "state": "ok"},
    {"phase": "test", "ok": False, "ended": "signal", "signal": 11, "wall_seconds": 2.0,
     "started": START + 1, "state": "failed", "failure": {"type": "", "message": "it crashed"}},
]  # fmt: skip


def test_a_run_shows_new_failures_first_and_the_failing_phases_log(farm: Farm, book: Book) -> None:
    book.history(4, 5)
    lane = book.lane("django")
    book.run(lane, 4, phase_seconds={"test": 7.5})
    run = book.run(lane, 5, "new_failure")
    stored = farm.store.put(report(run, tests=(failing("test_old"), failing("test_new"))))
    with farm.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE runs SET report = ? WHERE id = ?", (stored.sha256, run))
    attempt = book.attempt(run, state="recorded", phases=PHASES)
    book.log(attempt, "test", "one\ntwo\n")
    number = book.breakage(run, {lane: ["test_new"]})
    page = run_page(farm, run)
    assert [(item.id, item.state, item.breakage) for item in page.failures] == [
        ("test_new", "new_failure", number),
        ("test_old", "still_failing", 0),
    ]
    test = next(phase for phase in page.phases if phase.name == "test")
    assert (test.meaning, test.usual, test.error) == ("killed by SIGSEGV", 7.5, "it crashed")
    assert test.log is not None and [line.text for line in test.log.lines] == ["one", "two"]
    assert [phase.state for phase in page.phases] == [
        "passed",
        "none",
        "none",
        "new_failure",
        "passed",
    ]
    assert page.lock[0].value == "1.16" and page.previous
    assert page.reproduce == f"./pybots try django --source release --commit {sha(5)}"


def test_a_running_run_shows_the_live_tail(farm: Farm, book: Book) -> None:
    book.commit(1)
    run = book.run(book.lane("django"), 1, None, state="running")
    attempt = book.attempt(run, phases=[{"phase": "source", "state": "running", "started": START}])
    live = farm.store.live(attempt, "source")
    live.parent.mkdir(parents=True)
    live.write_text("unpacking\n")
    page = run_page(farm, run)
    source = next(phase for phase in page.phases if phase.name == "source")
    assert source.log is not None and source.log.live and source.log.lines[0].text == "unpacking"
    assert page.frame.refresh == runpage.LIVE_REFRESH


def test_what_ran_when_the_worker_was_lost_runs_no_more(farm: Farm, book: Book) -> None:
    """Also while the run waits for its next attempt."""
    book.commit(1)
    run = book.run(book.lane("django"), 1, None, state="wanted", tries=1)
    cut = [{"phase": "source", "state": "running", "started": START}]
    book.attempt(run, state="lost", reason="the worker was lost", phases=cut)
    page = run_page(farm, run)
    render(page)
    source = next(phase for phase in page.phases if phase.name == "source")
    assert (source.state, source.meaning) == ("infra", "the attempt ended here")
    assert page.row.state == "queued" and page.attempts[0].href == f"/run/{run}?attempt=1"


def test_a_log_is_paged_by_lines(farm: Farm, book: Book) -> None:
    book.commit(1)
    run = book.run(book.lane("django"), 1)
    attempt = book.attempt(run, state="recorded", phases=PHASES[:1])
    book.log(attempt, "interpreter", "".join(f"line {n}\n" for n in range(1, 2001)))
    log = run_page(farm, run).phases[0].log
    assert (log.lines[0].number, log.lines[-1].text, log.left_out) == (1601, "line 2000", 1600)
    log = run_page(farm, run, AskedLog(phase="interpreter", start=700)).phases[0].log
    assert (log.lines[0].text, log.lines[-1].number, log.left_out) == ("line 700", 1099, 699)
    assert log.earlier.endswith("phase=interpreter&from=300")
    assert log.later.endswith("phase=interpreter&from=1100")
    beyond = run_page(farm, run, AskedLog(phase="interpreter", start=9999)).phases[0].log
    assert not beyond.lines


def test_a_report_that_is_gone_or_no_report_leaves_the_page_whole(farm: Farm, book: Book) -> None:
    book.commit(1)
    lane = book.lane("django")
    junk = farm.store.put(b"not a report")
    for blob in ("0" * 64, junk.sha256):
        run = book.run(lane, 1, report=blob) if blob[0] == "0" else None
        if run is None:
            with farm.ledger.write() as connection:
                connection.exec_driver_sql("UPDATE runs SET report = ?", (blob,))
            run = 1
        assert run_page(farm, run).failures == ()


def test_a_build_that_failed_has_a_page(farm: Farm, book: Book) -> None:
    book.commit(3)
    book.interpreter(3, state="failed", failure={"message": "error: ; expected", "detail": "x.c:3"})
    run = book.build(3, "new_failure", summary="compile failed")
    page = run_page(farm, run)
    assert page.row.kind == "interpreter" and page.reproduce.startswith("git checkout ")
    assert page.interpreter.error == "error: ; expected\nx.c:3"


def test_a_run_that_is_not_there_is_missing(farm: Farm) -> None:
    with pytest.raises(Missing):
        run_page(farm, 77)


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
    book.run(book.lane("genshi"), 1)
    page = flow.waterfall(farm, VISIT)
    render(page)
    assert [head.lines[0] for head in page.lanes] == ["python", "django", "genshi"]
    assert page.lanes[1].activity == "install" and page.lanes[1].active
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
    assert "5 more" in page.frame.notices[0].text


def test_the_json_says_the_same(farm: Farm, book: Book) -> None:
    book.history(1, 2)
    run = book.run(book.lane("django"), 2, "flaky", counts={"passed": 3, "flaky": 1})
    summary = api.lanes_summary(farm, "")
    assert summary["tally"] == {"passing": 1, "new": 0, "failing": 0, "unknown": 0}
    assert summary["lanes"][0]["verdict"] == "flaky" and summary["commit"] == sha(2)
    assert api.run(farm, run)["counts"] == {"passed": 3, "flaky": 1}
    assert [item["id"] for item in api.commit(farm, sha(2))["runs"]] == [run]


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
