"""The new combination once more: wanted after a green control, judged, given up, and what becomes of what was chance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from control_world import BAD, GOOD, LOCK, A, B, Farm, in_leaf, wanted_runs
from lane_world import make_test, make_world

from pybots.farm import controls, dispatch
from pybots.farm.views import api, breakagepage
from pybots.farm.views.common import Visit
from pybots.farm.views.reports import Digests
from pybots.ledger import schema
from pybots_worker import contract


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(make_world(tmp_path).farm)
    yield made
    made.farm.ledger.close()


@pytest.mark.deep
def test_what_passes_once_more_was_chance_and_nobody_hears_of_it(world: Farm) -> None:
    world.seen(1, GOOD)
    bad = world.seen(2, BAD)
    world.answer([make_test(B)])
    assert world.again([make_test(B)]).verdict == "passed"
    breakage = world.breakage()
    assert (breakage.state, breakage.axis, breakage.confirmed) == ("dismissed", "flaky", None)
    row = world.one(schema.runs, bad.run)
    assert (row.verdict, row.failure_kind) == ("flaky", None)
    assert row.summary == f"flaky: {B} failed, and passed when all was run once more"
    assert (world.cell(2).state, world.cell(2)._mapping["count"]) == ("flaky", 0)
    assert world.one(schema.lanes, world.lane()).verdict == "flaky"
    assert world.subjects() == []
    page = breakagepage.breakage(world.farm, Visit(), breakage.id, Digests(world.farm.store))
    assert (page.row.state, page.axis, page.culprit) == ("closed", "nothing: it was chance", None)
    facts = {fact.name: fact.value for fact in page.facts}
    assert facts["The same once more"] == "it passed"
    told = api.lane(world.farm, str(world.lane()))
    assert (told["failing"], [one["test"] for one in told["flaky"]]) == (0, [B])
    assert world.seen(3, GOOD).verdict == "passed", "nothing was broken, so nothing is fixed"


@pytest.mark.deep
def test_the_new_combination_once_more_is_the_very_same(world: Farm, monkeypatch: Any) -> None:
    world.seen(1, GOOD)
    bad = world.seen(2, BAD)
    control = world.control()
    world.answer([make_test(B)])
    run, subject = world.once_more(), world.one(schema.runs, bad.run)
    assert (run.interpreter_id, run.revision, run.position, run.only) == (
        subject.interpreter_id, subject.revision, 2, [B],
    )  # fmt: skip
    assert (run.subject, run.created) == (bad.run, control.created), "one hour for both"
    (wanted,) = [one for one in wanted_runs(world) if one.run == run.id]
    assert (wanted.routine, wanted.ready, wanted.prefer) == (False, True, frozenset({"attic"}))
    with world.farm.ledger.read() as connection:
        row = dispatch._run(connection, run.id)
    monkeypatch.setattr("pybots.farm.tokens.load_key", lambda _: b"k" * 32)
    job = dispatch.JobMaker(world.farm, row, world.last_attempt(1)).make(None)
    assert isinstance(job.work, contract.ProjectWork)
    assert (job.purpose, job.work.install.lock, job.work.test.only) == ("retry", (LOCK[0],), (B,))


def test_what_failed_in_another_way_before_may_fail_by_chance_now(world: Farm) -> None:
    """The control of a red that turned into another red says nothing: it shows the first one."""
    other = [GOOD[0], make_test(B, "failed", "ValueError: the first")]
    world.seen(1, GOOD)
    world.seen(2, other)
    world.answer([make_test(B)])
    world.again(other)
    world.seen(3, BAD)
    world.answer(other)
    first, second = world.breakages()
    assert (first.state, second.state, second.control) == ("open", "suspected", "none")
    world.again([make_test(B)])
    first, second = world.breakages()
    assert (second.state, second.axis, second.confirmed) == ("dismissed", "flaky", None)
    assert world.one(schema.lanes, world.lane()).verdict == "flaky"


def test_a_silent_control_and_no_second_answer_within_the_hour_is_believed(world: Farm) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    world.answer([make_test(B, "skipped")])
    world.later(3700.0)
    assert controls.expire(world.farm)
    assert (world.breakage().state, world.breakage().control) == ("open", "none")


def test_a_test_that_fails_only_after_others_is_run_with_all_of_them(world: Farm) -> None:
    """Alone it would pass in every control, and once more as well."""
    after = make_test(B, "failed", "TypeError: x", retried=("passed", "failed"))
    world.seen(1, GOOD)
    world.seen(2, [GOOD[0], after])
    assert world.control().only is None
    world.answer(GOOD)
    assert world.once_more().only is None
    world.again([GOOD[0], after])
    assert world.breakage().state == "open"


@pytest.mark.deep
def test_what_other_tests_or_lanes_show_as_well_is_no_chance(world: Farm) -> None:
    names = [f"tests/test_it.py::test_{letter}" for letter in "abcd"]
    world.seen(1, [make_test(name) for name in names])
    world.seen(2, [make_test(name, "failed", "TypeError: x") for name in names])
    world.answer([make_test(name) for name in names])
    assert {row.state for row in world.breakages()} == {"open"}


def test_chance_beside_what_a_commit_breaks_is_still_chance(world: Farm) -> None:
    names = [f"tests/test_it.py::test_{letter}" for letter in "acdef"]
    broken = [make_test(name, "failed", "RuntimeError: the lock is gone") for name in names]
    world.seen(1, [make_test(name) for name in [*names, B]])
    world.seen(2, [*broken, make_test(B, "failed", "ValueError: took 5.1 seconds of 5")])
    world.answer([make_test(name) for name in [*names, B]])
    assert world.once_more().only == [B]
    world.again([make_test(B)])
    states = {row.title: row.state for row in world.breakages()}
    assert states["ValueError: took 5.1 seconds of 5"] == "dismissed"
    assert states["RuntimeError: the lock is gone"] == "open"


@pytest.mark.deep
def test_what_two_lanes_show_is_no_chance(world: Farm) -> None:
    dep = in_leaf()
    for lane in (world.lane("anchor"), world.lane("buoy")):
        world.seen(1, GOOD, lane=lane)
    for lane in (world.lane("anchor"), world.lane("buoy")):
        world.seen(2, [GOOD[0], dep], lane=lane)
    world.answer([make_test(B)])
    assert world.breakage().state == "open"


@pytest.mark.deep
@pytest.mark.parametrize("outcome", ["crashed", "timed_out"])
def test_crashes_and_timeouts_are_never_explained_away(world: Farm, outcome: str) -> None:
    world.seen(1, GOOD)
    world.seen(2, [GOOD[0], make_test(B, outcome, "Crash: killed by signal 11")])
    world.answer([make_test(B)])
    assert world.breakage().state == "open"


def test_a_newer_run_that_fails_as_well_is_the_second_failure(world: Farm) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    world.seen(3, BAD)
    world.answer([make_test(B)])
    assert world.breakage().state == "open"


@pytest.mark.deep
def test_a_newer_run_that_fails_meanwhile_counts_for_more_than_passing_once(world: Farm) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    world.answer([make_test(B)])
    world.seen(3, BAD)
    world.again([make_test(B)])
    assert world.breakage().state == "open"


def test_what_passes_again_is_not_run_once_more(world: Farm) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    world.answer([make_test(B)])
    run = world.once_more().id
    world.seen(3, GOOD)
    assert world.breakage().state == "fixed"
    assert world.one(schema.runs, run).state == "dropped"


@pytest.mark.deep
def test_chance_explains_two_runs_in_a_row_and_not_a_third(world: Farm) -> None:
    """What fails in every routine run and passes in every other is broken, whatever the reason."""
    world.seen(1, GOOD)
    for position in (2, 3):
        assert world.seen(position, BAD).verdict == "new_failure"
        assert world.control().position == 1, "at the head the test failed already"
        world.answer([make_test(B)])
        world.again([make_test(B)])
    assert world.seen(4, BAD).verdict == "new_failure"
    world.answer([make_test(B)])
    assert world.breakage().state == "open"
    assert (world.breakage().good_position, world.breakage().bad_position) == (1, 2)


@pytest.mark.deep
def test_what_its_rate_alone_explained_before_is_run_once_more(world: Farm) -> None:
    """A test that fails by chance in one run of four, retries and all, twice in a row: rare, and still chance."""
    by_chance = [GOOD[0], make_test(B, "failed", "TypeError: x", retried=("passed", "passed"))]
    throughout = [GOOD[0], make_test(B, "failed", "TypeError: x", retried=("failed", "failed"))]
    position = 0
    for position in range(1, 40):
        world.seen(position, by_chance if position % 4 == 0 else GOOD)
    verdict = "flaky"
    while verdict == "flaky":
        position += 1
        verdict = world.seen(position, throughout).verdict
    assert verdict == "new_failure"
    world.answer([make_test(B)])
    assert world.once_more().position == position
    world.again([make_test(B)])
    assert (world.breakage().state, world.breakage().confirmed) == ("dismissed", None)


@pytest.mark.deep
@pytest.mark.parametrize("silence", ["skipped", "not reached", "late", "lost"])
def test_without_an_answer_a_failure_is_believed(world: Farm, silence: str) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    world.answer([make_test(B)])
    run = world.once_more().id
    if silence in ("skipped", "not reached"):
        world.again([make_test(B, "skipped")] if silence == "skipped" else [make_test(A)])
    elif silence == "late":
        world.later(3600)
        controls.expire(world.farm)
        assert world.one(schema.runs, run).state == "dropped"
    else:
        for _ in range(3):
            dispatch.attempt_lost(world.farm, world.attempt(run), "the worker went away")
    assert (world.breakage().state, world.breakage().control) == ("open", "green")


@pytest.mark.deep
def test_a_second_opinion_that_is_lost_believes_nothing(world: Farm) -> None:
    """It has a subject as well, but nobody's news wait for it."""
    world.seen(1, GOOD)
    bad = world.seen(2, BAD)
    world.answer([make_test(B)])
    opinion = world.run(2, lane=world.lane(), purpose="opinion", subject=bad.run)
    with world.farm.ledger.write() as connection:
        row = controls.run_of(connection, opinion)
        assert row is not None
        controls.lost(world.farm, connection, row, "the worker went away", 1.0)
    assert world.breakage().state == "suspected"


@pytest.mark.deep
def test_chance_in_a_lane_that_is_red_already_leaves_the_rest(world: Farm) -> None:
    red = make_test("tests/test_it.py::test_c", "failed", "KeyError: 'c'")
    world.seen(1, [*GOOD, red])
    bad = world.seen(2, [*BAD, red])
    world.answer([make_test(B)])
    world.again([make_test(B)])
    assert (world.verdict(bad.run), world.cell(2).state) == ("still_failing", "still_failing")
    assert world.seen(3, [*GOOD, red]).verdict == "still_failing"
