"""A run's page over a small ledger: failures first, phases, logs and their parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import START, Book, make_farm, sha

from pybots.farm.home import Farm
from pybots.farm.views import (
    runpage,
)
from pybots.farm.views.common import Missing, Visit
from pybots.farm.views.reports import Digests
from pybots.farm.views.runpage import AskedLog
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


def run_page(farm: Farm, number: int, asked: AskedLog | None = None) -> Any:
    page = runpage.run(farm, VISIT, number, asked or AskedLog(), Digests(farm.store))
    assert render(page).startswith("<!doctype html>")
    return page


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
