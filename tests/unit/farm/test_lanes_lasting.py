"""Lanes over time in the ledger: flaky tests, dependencies, lanes that end, commits that share a run, and what pages say of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from control_world import BAD, GOOD, WORSE, A, B, Farm, in_leaf
from lane_world import make_report, make_test, make_world
from sqlalchemy import select, update

from pybots.core.model import IndexSource
from pybots.farm import dispatch, plan
from pybots.farm.plan import Branch
from pybots.farm.views import api, breakagepage
from pybots.farm.views import lanes as lanes_view
from pybots.farm.views.common import Missing, Visit
from pybots.farm.views.reports import Digests
from pybots.ledger import schema
from pybots_worker import contract


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(make_world(tmp_path).farm)
    yield made
    made.farm.ledger.close()


# Flaky ------------------------------------------------------------------------


def flaky() -> list[contract.TestOutcome]:
    return [GOOD[0], make_test(B, "failed", "TypeError: x", retried=("passed", "passed"))]


@pytest.mark.deep
def test_a_learned_flaky_test_that_fails_throughout_is_judged_by_its_rate(world: Farm) -> None:
    for position in range(1, 40):
        world.seen(position, flaky() if position % 4 == 0 else GOOD)
    always = [GOOD[0], make_test(B, "failed", "TypeError: x", retried=("failed", "failed"))]
    assert world.seen(40, always).verdict == "flaky"
    assert world.rows(schema.breakages) == []
    assert world.seen(41, GOOD).verdict == "passed"
    verdicts = [world.seen(position, always).verdict for position in range(42, 48)]
    assert verdicts[0] == "flaky"
    assert "new_failure" in verdicts
    assert (world.breakage().good_position, world.breakage().bad_position) == (41, 42), (
        "where the failures in a row began, not where chance no longer explained them"
    )
    assert world.control().position == 41, "at the head the test failed already"


@pytest.mark.deep
def test_a_rate_that_rises_opens_a_breakage_and_a_quiet_test_closes_it(world: Farm) -> None:
    position = 0
    for _ in range(60):
        position += 1
        world.seen(position, GOOD)
    for n in range(14):
        position += 1
        recorded = world.seen(position, flaky() if n % 2 else GOOD)
        assert recorded.verdict in ("flaky", "passed")
    breakage = world.breakage()
    assert (breakage.axis, breakage.state, breakage.control) == ("flaky", "open", "none")
    assert B in breakage.title
    for _ in range(29):
        position += 1
        world.seen(position, GOOD)
    assert world.breakage().state == "open"
    for _ in range(2):
        position += 1
        world.seen(position, GOOD)
    assert world.breakage().state == "fixed"


# Dependencies -----------------------------------------------------------------


def test_a_dependency_that_fails_in_two_projects_is_one_breakage_about_it(world: Farm) -> None:
    lanes = [world.lane(name) for name in ("anchor", "buoy")]
    for lane in lanes:
        world.seen(1, GOOD, lane=lane)
    world.seen(2, [GOOD[0], in_leaf()], lane=lanes[0])
    assert world.breakage().axis == "", "a single caller may be wrong itself"
    world.seen(2, [GOOD[0], in_leaf()], lane=lanes[1])
    assert (world.breakage().axis, world.breakage().blamed) == ("dependency", "leaf")
    assert {part.lane_id for part in world.rows(schema.breakage_lanes)} == set(lanes)


def test_who_depends_on_a_project_that_is_red_is_blocked(world: Farm) -> None:
    leaf = replace(
        world.farm.projects["anchor"], name="trees", sources={"release": IndexSource(name="leaf")}
    )
    world.farm.projects["trees"] = leaf
    for lane in (world.lane("anchor"), world.lane("trees")):
        world.seen(1, GOOD, lane=lane)
    world.seen(2, BAD, lane=world.lane("trees"))
    assert world.seen(2, [GOOD[0], in_leaf()], lane=world.lane("anchor")).verdict == "blocked"


# Lanes that are run no more ------------------------------------------------------


def test_a_lane_of_a_project_that_has_gone_is_retired(world: Farm) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    control = world.control().id
    waiting = world.run(3, lane=world.lane(), state="wanted")
    del world.farm.projects["anchor"]
    with world.farm.ledger.write() as connection:
        plan.plan(world.farm, connection, Branch(name="main", version=(3, 15)), 5.0)
    lane = world.one(schema.lanes, world.lane())
    assert (lane.state, lane.reason) == ("retired", "project 'anchor' is no longer registered")
    for run in (control, waiting):
        row = world.one(schema.runs, run)
        assert (row.state, row.verdict, row.summary) == ("done", "unknown", lane.reason)
    assert world.breakage().state == "fixed"


def test_a_build_that_starts_after_its_project_has_gone_is_unknown(world: Farm) -> None:
    run = world.run(1, lane=world.lane(), state="wanted")
    attempt = world.attempt(run)
    with world.farm.ledger.write() as connection:
        table = schema.attempts
        connection.execute(update(table).where(table.c.id == attempt).values(state="dispatched"))
    del world.farm.projects["anchor"]
    assert dispatch.start_attempt(world.farm, attempt, "http://x/") is None
    row = world.one(schema.runs, run)
    assert (row.state, row.verdict, row.lost) == ("done", "unknown", 0)
    assert "no longer registered" in row.summary
    assert world.last_attempt(run).state == "refused"


def test_a_commit_that_shares_a_run_shows_no_news(world: Farm) -> None:
    """A documentation-only commit above the culprit: still failing, not a second culprit with nothing new."""
    lane = world.lane()
    world.seen(1, GOOD)
    run = world.run(2, lane=lane)
    shared = world.commit(3)
    with world.farm.ledger.write() as connection:
        connection.execute(
            schema.cells.insert().values(
                lane_id=lane, commit_id=shared, branch="main", position=3, run_id=run,
                state="running", count=0,
            )
        )  # fmt: skip
    world.record(run, make_report(BAD))
    assert (world.cell(2).state, world.cell(2)._mapping["count"]) == ("new_failure", 1)
    assert (world.cell(3).state, world.cell(3)._mapping["count"]) == ("still_failing", 0)
    with world.farm.ledger.read() as connection:
        found = connection.scalars(select(schema.cells.c.state).order_by(schema.cells.c.position))
        assert list(found) == ["passed", "new_failure", "still_failing"]


# What the pages and the JSON say ---------------------------------------------------


@pytest.mark.deep
def test_since_when_it_fails_what_changed_and_how_flaky_it_is(world: Farm) -> None:
    name = "tests/test_it.py::test_c"
    well, ill = make_test(name), make_test(name, "failed", "TypeError: x", retried=("passed",))
    first = world.seen(1, [*GOOD, ill])
    second = world.seen(2, [*GOOD, well])
    third = world.seen(3, [WORSE[0], GOOD[1], well])
    fourth = world.seen(4, [*WORSE, well])
    lane = world.one(schema.lanes, world.lane())
    told = api.lane(world.farm, lane.slug)
    assert told == api.lane(world.farm, str(lane.id))
    assert told["failing"] == 2
    assert told["tests"] == [
        {"test": A, "since_run": third.run, "since_position": 3},
        {"test": B, "since_run": fourth.run, "since_position": 4},
    ]
    (one,) = told["flaky"]
    assert (one["test"], one["events"], one["runs"], one["quiet"]) == (name, 1, 4, 3)
    changed = api.changes(world.farm, fourth.run)
    assert (changed["since"], changed["total"]) == (third.run, 1)
    assert changed["changes"] == [
        {"test": B, "before": "passed", "after": "failed", "differs": False}
    ]
    both = api.changes(world.farm, fourth.run, second.run)
    assert [one["test"] for one in both["changes"]] == [A, B]
    assert api.changes(world.farm, second.run, fourth.run) == both
    assert api.changes(world.farm, first.run)["since"] is None
    with pytest.raises(Missing):
        api.changes(world.farm, world.breakages()[0].control_run)
    page = lanes_view.lane(world.farm, Visit(), lane.slug)
    assert [(row.test, row.run) for row in page.failing] == [(A, third.run), (B, fourth.run)]
    assert [row.percent for row in page.flaky] == ["25 %"]


def test_the_page_of_a_breakage_says_what_its_control_said(world: Farm) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    number = world.breakage().id

    def page() -> Any:
        return breakagepage.breakage(world.farm, Visit(), number, Digests(world.farm.store))

    assert (page().row.state, page().culprit) == ("suspected", None)
    world.answer([BAD[1]])
    shown = page()
    assert (shown.row.state, shown.axis, shown.culprit) == ("closed", "the environment", None)
    assert "fails as well now" in {fact.name: fact.value for fact in shown.facts}["Control run"]
