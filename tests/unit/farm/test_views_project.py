"""A project's page: the history of one test, controls, who is told, the badge; and what waits for a worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import START, Book, make_farm, sha
from lane_world import make_project
from sqlalchemy import insert

from pybots.farm.home import Farm
from pybots.farm.views import projects, tails, workers
from pybots.farm.views.common import Visit
from pybots.ledger import schema
from pybots_status import render
from pybots_worker.phases import context

NAME = "tests/test_x.py::test_<b>"


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = make_farm(tmp_path)
    yield made
    made.ledger.close()


@pytest.fixture
def book(farm: Farm) -> Book:
    return Book(farm)


def span(farm: Farm, lane: int, run: int, position: int, outcome: str, **values: Any) -> None:
    bad = outcome in ("failed", "error")
    with farm.ledger.write() as connection:
        connection.execute(
            insert(schema.spans).values(
                lane_id=lane, test_id=1, outcome=outcome, signature="s" * 64 if bad else None,
                from_run=run, from_position=position, **values,
            )
        )  # fmt: skip


def know(farm: Farm) -> None:
    with farm.ledger.write() as connection:
        connection.execute(insert(schema.tests).values(id=1, name=NAME))


def test_a_log_s_headings_are_the_kits_remarks() -> None:
    assert tails.HEADING == context.PYBOTS


def test_a_tests_history_is_shown_lane_by_lane(farm: Farm, book: Book) -> None:
    book.history(1, 6)
    one, two = book.lane("django"), book.lane("django", flavour="debug")
    good, bad, other = book.run(one, 2), book.run(one, 5, "new_failure"), book.run(two, 3)
    know(farm)
    span(farm, one, good, 2, "passed", until_run=bad, until_position=5)
    span(farm, one, bad, 5, "failed")
    span(farm, two, other, 3, "skipped")
    page = projects.project(farm, Visit(), "django", test=NAME)
    assert page.history is not None and page.history.known
    shown = [(row.state, row.run, row.sha, row.until_run) for row in page.history.spans]
    assert shown == [
        ("new_failure", bad, sha(5), 0), ("passed", good, sha(2), bad), ("none", other, sha(3), 0),
    ]  # fmt: skip
    html = render(page)
    assert "test_&lt;b&gt;" in html and "skipped" in html
    assert projects.project(farm, Visit(), "django").history is None


def test_a_half_remembered_name_finds_what_fails(farm: Farm, book: Book) -> None:
    book.history(1, 2)
    lane = book.lane("django")
    run = book.run(lane, 2, "new_failure")
    know(farm)
    span(farm, lane, run, 2, "failed")
    page = projects.project(farm, Visit(), "django", test="TEST_X")
    assert page.history is not None
    assert (page.history.known, page.history.alike) == (False, (NAME,))
    assert "?test=tests%2Ftest_x.py" in render(page)
    nothing = projects.project(farm, Visit(), "django", test="zebra").history
    assert nothing is not None and nothing.alike == ()


def test_another_projects_test_of_the_same_name_is_not_shown(farm: Farm, book: Book) -> None:
    book.history(1, 2)
    book.run(book.lane("django"), 1)
    other = book.lane("six")
    run = book.run(other, 2)
    know(farm)
    span(farm, other, run, 2, "passed")
    history = projects.project(farm, Visit(), "django", test=NAME).history
    assert history is not None and not history.spans


def test_controls_badge_and_masked_maintainers(farm: Farm, book: Book) -> None:
    book.history(1, 6)
    known = make_project("sprout", notify=("team@sprout.example",), title="Sp]rout")
    farm = replace(farm, projects={"sprout": known})
    lane = book.lane("sprout")
    bad = book.run(lane, 5, "new_failure")
    control = book.run(lane, 4, "passed", purpose="control")
    book.breakage(bad, {lane: ["t"]}, control_run=control)
    page = projects.project(farm, Visit(), "sprout")
    html = render(page)
    assert [row.id for row in page.controls] == [control]
    assert page.maintainers == ("t…@sprout.example",) and "team@" not in html
    assert page.badge_text.startswith("[![Sprout on CPython](http")


def test_a_workers_queue_is_what_its_platform_and_owner_allow(farm: Farm, book: Book) -> None:
    book.history(1, 4)
    book.worker("attic", projects=["six"])
    book.worker("shed", platform="mac-arm64")
    mine, build = book.run(book.lane("six"), 2, None), book.build(3, None, state="wanted")
    book.run(book.lane("django"), 2, None)
    book.run(book.lane("six", flavour="debug"), 2)
    page = workers.worker(farm, Visit(), "attic")
    assert [row.id for row in page.queue] == [mine, build]
    assert "What waits for it" in render(page)
    assert workers.worker(farm, Visit(), "shed").queue == ()
    assert page.row.last_seen == START
