"""`/stats`: what is counted, and in which day it falls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import START, Book, make_farm
from sqlalchemy import insert, select, update

from pybots.core.days import SECONDS, Day, Ended, Usual, days_of, middle, together
from pybots.farm import days as sums
from pybots.farm.home import Farm
from pybots.farm.views import statistics
from pybots.farm.views.common import Visit
from pybots.farm.views.statistics import charts, rates
from pybots.ledger import schema
from pybots_status import render

TODAY = int(START // SECONDS)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = make_farm(tmp_path)
    yield made
    made.ledger.close()


def ended(
    verdict: str, *, day: int = TODAY, waited: float = 60.0, project: str = "django"
) -> Ended:
    return Ended(
        project=project, at=day * SECONDS + 5.0, verdict=verdict, waited=waited, took=waited
    )


def test_verdicts_are_counted_in_the_day_they_came_out() -> None:
    found = [ended("passed"), ended("flaky"), ended("new_failure", day=TODAY - 1), ended("blocked")]
    found.append(ended("passed", day=TODAY - 9))
    days = days_of(found)
    bars, _ = charts(TODAY - 1, [days[TODAY - 1], days[TODAY]])
    assert {one.name: one.values for one in bars.series} == {
        "passed": (0, 2), "newly failing": (1, 0), "still failing": (0, 0),
        "infrastructure": (0, 0), "other": (0, 1),
    }  # fmt: skip


def test_cycle_times_are_medians_and_a_day_without_runs_is_a_gap() -> None:
    found = [ended("passed", waited=60.0 * n) for n in (1, 2, 3, 4, 90)]
    _, lines = charts(TODAY - 1, [Day(), days_of(found)[TODAY]])
    assert lines.series[0].values == (None, 3.0)
    assert lines.series[1].values == (None, pytest.approx(55.6))
    _, few = charts(TODAY, [days_of(found[:2])[TODAY]])
    assert few.series[1].values == (None,), "two runs have no nine of ten"


def test_the_reddest_project_is_first_and_what_says_nothing_is_not_counted() -> None:
    found = [
        ended("passed"),
        ended("still_failing", day=TODAY - 1),
        ended("infra"),
        ended("passed", project="six"),
    ]
    made = rates(together(days_of(found).values()))
    assert [(row.project, row.percent, row.runs, row.infra) for row in made] == [
        ("django", "50.0 %", 2, 1),
        ("six", "0.0 %", 1, 0),
    ]


def test_a_usual_length_of_many_days_is_their_medians_each_as_heavy_as_its_runs() -> None:
    found = [ended("passed", waited=10.0)]
    found += [ended("passed", day=TODAY - 1, waited=seconds) for seconds in (20.0, 40.0, 60.0)]
    took = together(days_of(found).values()).projects["django"].took
    assert took == Usual(seconds=40.0, number=4)
    assert middle([]) is None


def test_the_page_of_a_farm(farm: Farm) -> None:
    book = Book(farm)
    book.history(1, 3)
    lane = book.lane("django")
    first = book.run(lane, 1, finished=START - 60, started=START - 100, phase_seconds={"test": 8})
    book.run(lane, 2, "new_failure", finished=START - 40, started=START - 50)
    book.run(lane, 3, "passed", finished=START - 40 * SECONDS, started=START - 41 * SECONDS)
    with farm.ledger.write() as connection:
        connection.execute(insert(schema.tests).values(id=1, name="t.py::net"))
        for nth in (1, 2):
            connection.execute(
                insert(schema.flakes).values(
                    lane_id=lane, test_id=1, run_id=first, outcome="failed", at=START - nth, nth=nth
                )
            )
    page = statistics.page(farm, Visit())
    assert "t.py::net" in render(page)
    assert [fact.value for fact in page.facts[:3]] == ["2", "50.0 % of 2 conclusive ones", "0"]
    assert [(row.test, row.events, row.last) for row in page.chances] == [
        ("t.py::net", 2, START - 1)
    ]
    assert page.charts[2].labels == ("test",) and page.charts[2].series[0].values == (8.0,)
    assert len(page.charts[0].labels) == 14
    assert not statistics.page(farm, Visit(branch="3.14")).charts


def test_what_is_left_out_is_said(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book(farm)
    book.history(1, 3)
    lane = book.lane("django")
    for position in (1, 2, 3):
        book.run(lane, position, finished=START - position)
    monkeypatch.setattr(sums, "MAX_RUNS", 2)
    page = statistics.page(farm, Visit())
    assert (page.left_out, page.facts[0].value) == (1, "2")


def test_a_day_that_is_over_is_counted_once_and_its_runs_are_read_no_more(farm: Farm) -> None:
    book = Book(farm)
    book.history(1, 4)
    lane = book.lane("django")
    yesterday = START - SECONDS
    run = book.run(lane, 1, "new_failure", finished=yesterday, started=yesterday - 7)
    book.run(lane, 2, finished=START - 1, started=START - 3)
    before = statistics.page(farm, Visit())
    assert sums.count(farm) == sums.KEPT_DAYS + sums.AGAIN_DAYS
    after = statistics.page(farm, Visit())
    assert (after.facts, after.charts, after.rates) == (before.facts, before.charts, before.rates)
    with farm.ledger.write() as connection:
        assert connection.scalars(select(schema.days.c.day)).all() == [TODAY - 1]
        connection.execute(
            update(schema.runs).where(schema.runs.c.id == run).values(verdict="blocked")
        )
    assert statistics.page(farm, Visit()).facts == before.facts, "the sums are read, not the runs"
    assert sums.count(farm) == sums.AGAIN_DAYS, "a verdict may change after its day"
    assert statistics.page(farm, Visit()).facts[1].value == "0.0 % of 1 conclusive ones"
    later = replace(farm, clock=lambda: START + 2 * SECONDS)
    assert statistics.page(later, Visit()).facts[0].value == "2", "a master that is away"
    sums.count(later)
    assert statistics.page(later, Visit(), days=3).facts[0].value == "1"


def test_it_is_counted_again_after_a_minute_and_for_each_branch_by_itself(farm: Farm) -> None:
    book, recent = Book(farm), statistics.Recent()
    book.history(1, 3)
    lane = book.lane("django")
    book.run(lane, 1, finished=START - 1)

    def runs(seconds: float, **asked: Any) -> str:
        later = replace(farm, clock=lambda: START + seconds)
        branch = asked.pop("branch", "main")
        page = statistics.page(later, Visit(branch=branch), recent=recent, **asked)
        return page.facts[0].value

    assert runs(0) == "1"
    book.run(lane, 2, finished=START)
    assert runs(statistics.KEPT_SECONDS - 1) == "1"
    assert runs(1, days=7) == "2", "another stretch was not counted yet"
    assert runs(1, branch="3.14") == "0"
    assert runs(statistics.KEPT_SECONDS) == "2"
    for days in range(1, statistics.KEPT + 3):
        runs(0, days=days)
    assert len(recent._known) == statistics.KEPT
