"""Recording an interpreter's build: published, or a verdict on its commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from artifact_builder import make_artifact
from lane_world import World, make_phase, make_test, make_world, replace_struct

from pybots.farm import builds
from pybots.farm.record import RecordError
from pybots.ledger import schema
from pybots_worker import contract


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.farm.ledger.close()


def test_a_good_build_publishes_the_interpreter(world: World) -> None:
    recorded = world.build(1)
    assert recorded.verdict == "passed"
    (row,) = world.rows(schema.interpreters)
    assert (row.state, row.python) == ("published", "3.15.0a1+")
    assert world.farm.store.read(row.blob) == make_artifact()


def test_the_commit_that_breaks_the_build_is_accused(world: World) -> None:
    world.build(1)
    recorded = world.build(4, ok=False)
    assert recorded.verdict == "new_failure"
    assert recorded.summary == "new: the interpreter does not build: x.c: unknown type name 'foo'"
    (breakage,) = world.rows(schema.breakages)
    assert (breakage.kind, breakage.good_position, breakage.bad_position) == ("interpreter", 1, 4)
    (part,) = world.rows(schema.breakage_lanes)
    assert (part.lane_id, part.tests) == (0, ["release.linux-x86_64"])
    (letter,) = world.rows(schema.outbox)
    assert letter.recipients == ["pybots@localhost"]
    assert letter.subject.startswith("[Pybots] CPython: does not build on main at 000000000000")
    row = world.rows(schema.interpreters)[-1]
    assert row.state == "failed"
    assert row.failure["phase"] == "compile"
    assert "unknown type name" in row.failure["detail"]


def test_the_next_commit_that_does_not_build_either_is_no_news(world: World) -> None:
    world.build(1)
    world.build(2, ok=False)
    assert world.build(3, ok=False, said="Other.c:1:1: error: else").verdict == "still_failing"
    assert len(world.subjects()) == len(world.rows(schema.breakages)) == 1


def test_a_build_that_works_again_closes_the_thread(world: World) -> None:
    world.build(1)
    world.build(2, ok=False)
    recorded = world.build(5)
    assert recorded.verdict == "fixed"
    assert world.rows(schema.breakages)[0].state == "fixed"
    first, second = world.rows(schema.outbox)
    assert second.thread == first.message_id
    assert "builds again" in second.subject


def test_the_first_interpreter_of_its_kind_accuses_nobody(world: World) -> None:
    recorded = world.build(1, ok=False)
    assert recorded.verdict == "still_failing"
    assert world.rows(schema.breakages) == []
    (letter,) = world.rows(schema.outbox)
    assert letter.recipients == ["root@localhost"]
    assert world.build(2, ok=False).verdict == "still_failing"
    assert len(world.subjects()) == 1


@pytest.mark.deep
def test_two_flavours_that_break_alike_are_one_breakage_and_one_letter(world: World) -> None:
    for flavour in ("release", "debug"):
        world.build(1, flavour=flavour)
    for flavour in ("release", "debug"):
        world.build(2, ok=False, flavour=flavour)
    (part,) = world.rows(schema.breakage_lanes)
    assert part.tests == ["release.linux-x86_64", "debug.linux-x86_64"]
    world.build(3, flavour="release")
    assert world.rows(schema.breakages)[0].state == "open"
    assert len(world.subjects()) == 1
    world.build(3, flavour="debug")
    assert world.rows(schema.breakages)[0].state == "fixed"
    assert len(world.subjects()) == 2


def test_an_older_build_that_fails_late_is_old_news(world: World) -> None:
    world.build(1)
    world.build(9)
    assert world.build(5, ok=False).verdict == "new_failure"
    assert world.rows(schema.breakages) == []
    assert world.subjects() == []


def test_runs_that_waited_for_a_failed_build_end_as_unknown(world: World) -> None:
    world.build(1)
    interpreter = world.interpreter(2, state="wanted")
    waiting = world.run(2, lane=world.lane(), interpreter=interpreter, state="wanted", started=None)
    build = world.run(2, interpreter=interpreter)
    world.record(build, world.build_report(ok=False, said="x.c:1:1: error: no"))
    row = world.one(schema.runs, waiting)
    assert (row.state, row.verdict) == ("done", "unknown")
    assert row.summary == "the interpreter does not build: x.c: no"
    assert world.rows(schema.cells)[0].state == "unknown"


def test_a_build_that_the_farm_failed_is_made_again(world: World) -> None:
    run = world.run(1, interpreter=world.interpreter(1, state="wanted"))
    report = replace_struct(
        world.build_report(), phases=(make_phase("source", ok=False, ended="farm_error"),)
    )
    assert world.record(run, report).again
    assert world.one(schema.runs, run).state == "wanted"
    assert world.rows(schema.interpreters)[0].state == "wanted"


@pytest.mark.parametrize("what", ["missing", "size", "none", "phases"])
def test_a_build_that_promises_what_is_not_there_is_refused(world: World, what: str) -> None:
    good = world.build_report()
    assert good.artifact
    changes: dict[str, dict[str, object]] = {
        "missing": {"artifact": contract.Artifact(sha256="0" * 64, size=3)},
        "size": {"artifact": contract.Artifact(sha256=good.artifact.sha256, size=3)},
        "none": {"artifact": None},
        "phases": {"phases": good.phases[:3]},
    }
    run = world.run(1, interpreter=world.interpreter(1, state="wanted"))
    with pytest.raises(RecordError):
        world.record(run, replace_struct(good, **changes[what]))
    assert world.rows(schema.interpreters)[0].state == "wanted"
    assert world.one(schema.runs, run).state == "running"


@pytest.mark.deep
def test_a_projects_failure_and_an_interpreters_do_not_mix(world: World) -> None:
    """A lane's fix doesn't close the interpreter's breakage."""
    world.build(1)
    world.build(9, ok=False)
    bad = make_test("t.py::a", "failed", "TypeError: x")
    world.go(1, [make_test("t.py::a")])
    world.go(3, [bad])
    world.go(4, [make_test("t.py::a")])
    assert [row.state for row in world.rows(schema.breakages)] == ["open", "fixed"]


def test_a_revert_closes_the_breakage_though_nothing_is_built(world: World) -> None:
    """The content was built before the trouble: the first project that runs on it shows that it builds."""
    world.build(1)
    world.build(2, ok=False)
    world.commit(3, content_key=f"{1:064x}")
    world.go(3, [make_test("t.py::a")], interpreter=world.interpreter(1))
    assert world.rows(schema.breakages)[0].state == "fixed"
    assert world.subjects()[-1].startswith("[Pybots] CPython: builds again on main at 0000")


def test_the_commit_after_a_revert_is_accused_again(world: World) -> None:
    """Its parent's interpreter was built for an older commit, but it is published."""
    world.build(1)
    world.build(2, ok=False)
    world.commit(3, content_key=f"{1:064x}")
    assert world.build(4, ok=False, said="y.c:1:1: error: other").verdict == "new_failure"
    assert world.rows(schema.breakages)[-1].good_position == 3


def test_an_older_build_that_succeeds_late_closes_nothing(world: World) -> None:
    world.build(1)
    world.build(9, ok=False)
    world.build(5)
    assert world.rows(schema.breakages)[0].state == "open"


def due(world: World, position: int, later: float = 0.0) -> bool:
    (row,) = world.rows(
        schema.interpreters, schema.interpreters.c.content_key == f"{position:064x}"
    )
    with world.farm.ledger.read() as connection:
        return builds.plain_due(connection, row, world.farm.clock() + later)


def test_once_a_day_an_interpreter_is_installed_as_users_do(world: World) -> None:
    world.build(1)
    assert due(world, 1), "none was so far"
    world.build(2, plain=True)
    assert not due(world, 2)
    world.build(3)
    assert not due(world, 3)
    assert due(world, 3, later=builds.PLAIN_EVERY + 1)


@pytest.mark.deep
def test_after_a_plain_install_that_failed_all_are_plain_until_one_passes(world: World) -> None:
    world.build(1, plain=True)
    world.build(2, plain=True, ok=False, phase="install", said="error: no ensurepip")
    assert due(world, 2)
    world.build(3)  # dispatched before that was known: it says nothing about a plain install
    assert [row.state for row in world.rows(schema.breakages)] == ["open"]
    assert due(world, 3)
    world.build(4, plain=True)
    assert [row.state for row in world.rows(schema.breakages)] == ["fixed"]
    assert not due(world, 4)


def test_a_plain_install_is_compared_with_the_last_plain_one(world: World) -> None:
    """The commits between were installed without what fails now: none of them is cleared by that."""
    world.build(1, plain=True)
    world.build(5)
    recorded = world.build(9, plain=True, ok=False, phase="install", said="error: no ensurepip")
    assert recorded.verdict == "new_failure"
    (breakage,) = world.rows(schema.breakages)
    assert (breakage.good_position, breakage.bad_position) == (1, 9)
