"""The console and its banner over a small ledger: columns, cells, bullets, filters, pages of commits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders import START, Book, make_farm, sha

from pybots.farm.home import Farm
from pybots.farm.views import (
    front,
)
from pybots.farm.views.common import Missing, Visit
from pybots.farm.views.front import Asked
from pybots_status import render

VISIT = Visit()


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = make_farm(tmp_path)
    yield made
    made.ledger.close()


@pytest.fixture
def book(farm: Farm) -> Book:
    return Book(farm)


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


@pytest.mark.deep
def test_without_workers_the_page_says_why_nothing_happens(farm: Farm, book: Book) -> None:
    def said() -> list[str]:
        return [one.text for one in front.console(farm, VISIT, Asked()).frame.notices]

    assert said() == ["No worker has joined: nothing can be built. How to join"]
    book.worker("attic", connected=False)
    assert said() == ["No worker is online: nothing is built until one comes back."]
    book.worker("cellar")
    assert said() == []


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
