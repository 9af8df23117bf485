"""Controls in the ledger: wanted, judged, given up, and what becomes of runs, lanes and cells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from control_world import BAD, GOOD, LOCK, WORSE, A, B, Farm, wanted_runs
from lane_world import make_failure, make_phase, make_report, make_test, make_world
from sqlalchemy import update

from pybots.farm import controls, dispatch
from pybots.ledger import schema
from pybots_worker import contract


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(make_world(tmp_path).farm)
    yield made
    made.farm.ledger.close()


def test_a_new_failure_is_suspected_and_wants_the_last_good_run_again(world: Farm) -> None:
    good = world.seen(1, GOOD)
    bad = world.seen(2, BAD)
    breakage, control = world.breakage(), world.control()
    assert bad.verdict == "new_failure"
    assert (breakage.state, breakage.control, breakage.control_run) == (
        "suspected",
        "wanted",
        control.id,
    )
    assert (breakage.good_run, breakage.confirmed) == (good.run, None)
    assert (control.subject, control.good_run, control.only) == (bad.run, good.run, [B])
    before = world.one(schema.runs, good.run)
    assert (control.interpreter_id, control.revision, control.position) == (
        before.interpreter_id, before.revision, 1,
    )  # fmt: skip
    assert world.subjects() == [], "nobody hears of it before the control has answered"


def test_a_green_control_and_a_second_failure_confirm(world: Farm) -> None:
    world.seen(1, GOOD)
    bad = world.seen(2, BAD)
    answer = world.answer([make_test(B)])
    assert answer.verdict == "passed"
    assert (world.breakage().state, world.breakage().control) == ("suspected", "green")
    assert world.subjects() == [], "a test that fails alone may have failed by chance"
    assert world.again([BAD[1]]).verdict == "still_failing"
    breakage = world.breakage()
    assert (breakage.state, breakage.control, breakage.axis) == ("open", "green", "")
    assert breakage.confirmed is not None
    assert world.verdict(bad.run) == "new_failure"
    assert world.cell(2).state == "new_failure"


@pytest.mark.deep
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tests/test_it.py", "collection"),
        ("(collection)", "collection"),
        ("setUpClass (tests.test_it.T)", "test"),
    ],
)
def test_what_could_not_be_collected_is_controlled_and_mended(
    world: Farm, name: str, kind: str
) -> None:
    """It has an id only while it fails: its end is a fix, not a test that has vanished."""
    world.seen(1, GOOD)
    trouble = make_test(name, "error", "SyntaxError: invalid syntax")
    bad = world.seen(2, [trouble] if kind == "collection" else [GOOD[0], trouble])
    assert (bad.verdict, world.breakage().kind) == ("new_failure", kind)
    if kind == "collection":
        assert world.control().only is None, "the whole suite"
        assert world.answer(GOOD).verdict == "passed"
        assert (world.breakage().state, world.breakage().control) == ("open", "green")
    assert world.seen(3, GOOD).verdict == "fixed"
    assert [row.state for row in world.breakages()] == ["fixed"]
    assert world.seen(4, GOOD).verdict == "passed"


@pytest.mark.deep
def test_a_red_control_blocks_the_run_and_what_follows(world: Farm) -> None:
    world.seen(1, GOOD)
    bad = world.seen(2, BAD)
    answer = world.answer([BAD[1]])
    assert answer.verdict == "still_failing"
    breakage = world.breakage()
    assert (breakage.state, breakage.control, breakage.axis) == ("dismissed", "red", "environment")
    assert world.verdict(bad.run) == "blocked"
    assert world.one(schema.runs, bad.run).summary.startswith(f"blocked: environment: {B}")
    assert (world.cell(2).state, world.cell(2)._mapping["count"]) == ("blocked", 0)
    assert world.one(schema.lanes, world.lane()).verdict == "blocked"
    assert world.seen(3, BAD).verdict == "blocked"
    assert world.seen(4, WORSE).verdict == "new_failure", "something new beside what is blocked"
    assert world.subjects() == []


def hours(world: Farm, number: float) -> None:
    world.later(3600 * number)


@pytest.mark.deep
def test_what_was_dismissed_and_lasts_is_asked_about_again(world: Farm) -> None:
    """The index was down when the control ran. It came back, and the failure stayed: somebody must hear of it."""
    world.seen(1, GOOD)
    world.seen(2, BAD)
    world.answer([BAD[1]])
    assert world.seen(3, BAD).verdict == "blocked"
    controls_made = schema.runs.c.purpose == "control"
    assert len(world.rows(schema.runs, controls_made)) == 1, "not at once"
    hours(world, 1)
    last = world.seen(4, BAD)
    assert (last.verdict, world.control().subject) == ("blocked", last.run)
    assert world.control().only == [B]
    assert world.answer([make_test(B)]).summary == "control: it was no matter of the environment"
    breakage = world.breakage()
    assert (breakage.state, breakage.control, breakage.axis) == ("open", "green", "")
    assert (breakage.good_position, breakage.bad_position) == (1, 2)
    assert (world.verdict(last.run), world.cell(4).state) == ("still_failing", "still_failing")
    assert world.one(schema.runs, last.run).summary.startswith(f"still: {B}: TypeError")
    assert world.one(schema.lanes, world.lane()).verdict == "still_failing"
    assert len(world.subjects()) == 1
    assert world.seen(5, BAD).verdict == "still_failing"
    assert world.seen(6, GOOD).verdict == "fixed"


@pytest.mark.deep
def test_what_is_dismissed_again_is_asked_about_less_and_less_often(world: Farm) -> None:
    world.seen(1, GOOD)
    asked = []
    for hour in range(8):
        world.seen(2 + hour, BAD)
        hours(world, 1)
        wanted = world.rows(
            schema.runs, schema.runs.c.purpose == "control", schema.runs.c.state == "wanted"
        )
        if wanted:
            asked.append(hour)
            world.answer([BAD[1]])
    assert world.breakage().state == "dismissed"
    assert asked == [0, 2, 6]
    assert world.subjects() == []


def test_another_machine_says_nothing_of_what_the_first_suffers_from(world: Farm) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    world.answer([BAD[1]])
    hours(world, 1)
    world.seen(3, BAD)
    run = world.control()
    attempt = world.attempt(run.id)
    with world.farm.ledger.write() as connection:
        table = schema.attempts
        connection.execute(update(table).where(table.c.id == attempt).values(worker="cellar"))
    world.record(run.id, make_report([make_test(B)]))
    assert world.breakage().state == "dismissed"


def test_what_was_dismissed_ends_without_a_word(world: Farm) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    world.answer([BAD[1]])
    assert world.seen(3, GOOD).verdict == "fixed"
    assert world.breakage().state == "fixed"
    assert world.subjects() == []


@pytest.mark.deep
def test_a_dismissed_failure_in_another_lane_is_suspected_again(world: Farm) -> None:
    for lane in (world.lane(), world.lane(flavour="debug")):
        world.seen(1, GOOD, lane=lane)
    world.seen(2, BAD)
    world.answer([BAD[1]])
    world.seen(2, BAD, lane=world.lane(flavour="debug"))
    assert (world.breakage().state, world.breakage().control) == ("suspected", "wanted")
    world.answer([make_test(B)])
    assert world.breakage().state == "open"


@pytest.mark.deep
def test_a_red_control_is_asked_for_again_in_a_lane_that_joined(world: Farm) -> None:
    """One worker's trouble must not dismiss what another lane has found meanwhile."""
    lanes = [world.lane(), world.lane(flavour="debug")]
    for lane in lanes:
        world.seen(1, GOOD, lane=lane)
    first = world.seen(2, BAD, lane=lanes[0])
    second = world.seen(2, BAD, lane=lanes[1])
    assert world.control().subject == first.run
    world.answer([BAD[1]])
    assert world.breakage().state == "suspected"
    assert (world.control().subject, world.control().only) == (second.run, [B])
    world.answer([BAD[1]])
    assert world.breakage().state == "dismissed"
    assert [world.verdict(one.run) for one in (first, second)] == ["blocked", "blocked"]


@pytest.mark.deep
def test_a_green_control_in_a_lane_that_joined_confirms(world: Farm) -> None:
    lanes = [world.lane(), world.lane(flavour="debug")]
    for lane in lanes:
        world.seen(1, GOOD, lane=lane)
    runs = [world.seen(2, BAD, lane=lane).run for lane in lanes]
    world.answer([BAD[1]])
    world.answer([make_test(B)])
    assert world.breakage().state == "open"
    assert [world.verdict(run) for run in runs] == ["new_failure", "new_failure"]


def test_one_control_serves_all_new_failures_of_a_run(world: Farm) -> None:
    world.seen(1, GOOD)
    bad = world.seen(2, WORSE)
    assert world.control().only == [A, B]
    world.answer([make_test(A), BAD[1]])
    assert world.once_more().only == [A], "of what the control has dismissed nothing more is asked"
    world.again([WORSE[0]])
    states = {row.title: row.state for row in world.rows(schema.breakages)}
    assert states == {
        "ValueError: no such thing": "open",
        "TypeError: unhashable type": "dismissed",
    }
    assert world.verdict(bad.run) == "new_failure"


def test_a_silent_control_is_none(world: Farm) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    world.answer([make_test(B, "skipped")])
    assert (world.breakage().state, world.breakage().control) == ("suspected", "none")
    world.again([BAD[1]])
    assert (world.breakage().state, world.breakage().control) == ("open", "none")


def test_a_control_lost_three_times_is_none(world: Farm) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    control = world.control().id
    for again in (True, True, False):
        attempt = world.attempt(control)
        dispatch.attempt_lost(world.farm, attempt, "the worker went away")
        assert world.breakage().state == ("suspected" if again else "open")
    assert world.breakage().control == "none"


def test_a_control_is_given_up_after_an_hour(world: Farm) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    control = world.control()
    assert controls.expire(world.farm) == []
    world.later(3600)
    assert controls.expire(world.farm) == [control.id]
    assert controls.expire(world.farm) == []
    assert (world.breakage().state, world.breakage().control) == ("open", "none")
    assert world.one(schema.runs, control.id).state == "dropped"


def test_a_late_answer_changes_nothing(world: Farm) -> None:
    world.seen(1, GOOD)
    bad = world.seen(2, BAD)
    control = world.control().id
    world.attempt(control)
    world.later(3600)
    controls.expire(world.farm)
    world.record(control, make_report([BAD[1]]))
    assert world.breakage().state == "open"
    assert world.verdict(bad.run) == "new_failure"


def test_without_anything_good_to_run_again_it_is_opened_at_once(world: Farm) -> None:
    good = world.seen(1, GOOD)
    with world.farm.ledger.write() as connection:
        connection.execute(
            update(schema.runs).where(schema.runs.c.id == good.run).values(report=None)
        )
    world.seen(2, BAD)
    assert (world.breakage().state, world.breakage().control) == ("open", "none")


def test_a_test_that_the_good_run_did_not_know_has_no_control(world: Farm) -> None:
    world.seen(1, GOOD)
    world.seen(2, [*GOOD, make_test("tests/test_it.py::test_new", "failed", "TypeError: x")])
    assert (world.breakage().state, world.breakage().control) == ("open", "none")


def not_installed() -> contract.Report:
    failed = make_phase(
        "install", ok=False, failure=make_failure("uv: exit 1", "SyntaxError: invalid syntax")
    )
    return make_report(phases=[make_phase("interpreter"), make_phase("source"), failed])


def test_an_installation_is_controlled_as_a_whole(world: Farm) -> None:
    world.seen(1, GOOD)
    bad = world.seen(2, report=not_installed())
    assert world.control().only is None
    world.answer(report=not_installed())
    assert world.verdict(bad.run) == "blocked"


def test_what_hid_behind_a_failed_installation_may_be_as_old_as_that(world: Farm) -> None:
    """Nobody saw the tests meanwhile: the range begins where they were seen last, and that is what the control makes."""
    world.seen(1, GOOD)
    for position in (2, 3):
        world.seen(position, report=not_installed())
        if position == 2:
            world.answer(GOOD)
    world.seen(4, BAD)
    (found,) = [one for one in world.breakages() if one.kind == "test"]
    assert (found.good_position, found.bad_position) == (1, 4)
    assert world.control().position == 1


def test_a_lost_extension_is_controlled(world: Farm) -> None:
    with_it = make_report(GOOD, modules=["m._c"])
    world.seen(1, report=with_it)
    world.seen(2, GOOD)
    world.answer(report=with_it)
    assert (world.breakage().kind, world.breakage().state) == ("hollow", "open")


def test_what_passes_again_before_the_control_comes_is_over(world: Farm) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    world.seen(3, GOOD)
    assert world.breakage().state == "fixed"
    (control,) = world.rows(schema.runs, schema.runs.c.purpose == "control")
    assert control.state == "dropped"
    assert world.subjects() == []


@pytest.mark.deep
def test_a_breakage_that_comes_back_is_suspected_again_and_counted(world: Farm) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    world.confirm()
    world.seen(3, GOOD)
    world.seen(4, BAD)
    assert (world.breakage().state, world.breakage().reopened) == ("suspected", 1)
    world.confirm()
    assert world.breakage().state == "open"


def test_the_job_of_a_control_has_the_lock_and_the_tests(world: Farm, monkeypatch: Any) -> None:
    world.seen(1, GOOD)
    world.seen(2, BAD)
    control = world.control()
    (wanted,) = [one for one in wanted_runs(world) if one.run == control.id]
    assert (wanted.routine, wanted.ready, wanted.prefer) == (False, True, frozenset({"attic"}))
    with world.farm.ledger.read() as connection:
        row = dispatch._run(connection, control.id)
    monkeypatch.setattr("pybots.farm.tokens.load_key", lambda _: b"k" * 32)
    job = dispatch.JobMaker(world.farm, row, world.last_attempt(1)).make(None)
    assert isinstance(job.work, contract.ProjectWork)
    assert job.purpose == "control"
    assert job.work.install.lock == (LOCK[0],), "everything but the project itself"
    assert job.work.test.only == (B,)
