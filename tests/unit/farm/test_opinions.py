"""Second opinions: drawn by chance, given by another owner's worker, told when they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from tests.unit.farm.artifact_builder import make_artifact
from tests.unit.farm.lane_world import PLATFORM, World, make_report, make_test, make_world

from pybots.core.model import Worker
from pybots.farm import dispatch, opinions, tokens, workers
from pybots.farm.dispatch import Slot
from pybots.ledger import schema
from pybots_worker import contract

GOOD = [make_test(f"tests/test_it.py::test_{n}") for n in range(20)]
BAD = [make_test("tests/test_it.py::test_0", "failed", "ValueError: no"), *GOOD[1:]]
REVISION = {"kind": "sdist", "name": "anchor", "version": "1", "blob": {"url": "https://index.example/x", "sha256": "0" * 64, "size": 1}}  # fmt: skip


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Ada's attic has the work; Grace's cellar could do it as well."""
    made = make_world(tmp_path)
    tokens.make_key(made.farm.folder.secrets)
    monkeypatch.setattr(opinions, "chance", lambda: 0.0)
    for name, owner in (("attic", "Ada"), ("study", "Ada"), ("cellar", "Grace")):
        fit = Worker(name=name, platform=PLATFORM, abi="debian-12-x86_64", slots=1, owner=owner)
        workers.enrol(made.farm, fit)
    return made


def result(world: World, position: int, tests: list[contract.TestOutcome]) -> int:
    """A routine run of attic's, recorded."""
    blob = world.farm.store.put(make_artifact())
    made = world.interpreter(position, blob=blob.sha256, size=blob.size)
    return world.go(position, tests, interpreter=made, revision=REVISION).run


def asked(world: World) -> list[Any]:
    return world.rows(schema.opinions)


def give(world: World, tests: list[contract.TestOutcome]) -> Any:
    """The only opinion, given by cellar with these outcomes."""
    run = asked(world)[0].run_id
    attempt = world.attempt(run)
    with world.farm.ledger.write() as connection:
        mine = schema.attempts.c.id == attempt
        connection.execute(update(schema.attempts).where(mine).values(worker="cellar"))
    world.record(run, make_report(tests))
    return asked(world)[0]


def test_another_owners_worker_is_asked_and_none_of_the_same(world: World) -> None:
    run = result(world, 1, GOOD)
    (one,) = asked(world)
    assert (one.subject, one.worker, one.owner, one.opinion) == (run, "attic", "Ada", "")
    mine = [Slot(builder="b", worker=name) for name in ("attic", "study")]
    assert dispatch.next_dispatches(world.farm, mine) == []
    (made,) = dispatch.next_dispatches(world.farm, [Slot(builder="b", worker="cellar")])
    assert made.run == one.run_id
    job = dispatch.start_attempt(world.farm, made.attempt, "")
    assert job is not None and job.purpose == "retry", "the worker is not told that it is asked"


def test_agreement_is_counted_and_nobody_is_told(world: World) -> None:
    run = result(world, 1, GOOD)
    lane = world.one(schema.lanes, world.lane())
    one = give(world, GOOD)
    assert (one.opinion, one.second, one.words) == (
        "agrees",
        "cellar",
        "20 tests are the same on both",
    )
    assert world.letters() == [] and asked(world) == [one], "an opinion is not asked about again"
    assert world.one(schema.lanes, lane.id) == lane, "it leaves the lane alone"
    with world.farm.ledger.read() as connection:
        for name in ("attic", "cellar"):
            said = opinions.words_of(opinions.of_worker(connection, name), name)
            assert said == "1 of 1 results agree with another owner's worker"
        assert f"agrees with run {one.run_id} on cellar" in opinions.of_run(connection, run)


def test_disagreement_is_shown_and_the_admin_is_told_once(world: World) -> None:
    run = result(world, 1, GOOD)
    one = give(world, BAD)
    assert (one.opinion, one.tests) == ("differs", ["tests/test_it.py::test_0"])
    (letter,) = world.letters()
    assert (letter.audience, letter.topic) == ("admin", "differs")
    assert letter.subject == "[Pybots] a result of worker attic is not what another worker found"
    for words in ("cellar", "tests/test_it.py::test_0", f"/run/{run}", "1 test is good on one"):
        assert words in letter.message
    assert world.rows(schema.breakages) == [], "nobody's code is accused"
    with world.farm.ledger.read() as connection:
        assert f"differs with run {run} on attic" in opinions.of_run(connection, one.run_id)
        said = opinions.words_of(opinions.of_worker(connection, "attic"), "attic")
    assert f"not run {run} and run {one.run_id} (with cellar: 1 test is good" in said


def test_what_chance_explains_is_no_disagreement(world: World) -> None:
    flaky = make_test(BAD[0].id, "failed", "ValueError: no", retried=("passed",))
    result(world, 1, GOOD)
    assert give(world, [flaky, *GOOD[1:]]).opinion == "agrees"


def test_tests_that_vanish_are_a_disagreement_unless_they_are_few(world: World) -> None:
    result(world, 1, GOOD)
    assert give(world, GOOD[:10]).opinion == "differs"


@pytest.mark.parametrize("why", ["chance", "nobody", "none wanted"])
def test_mostly_nobody_is_asked(world: World, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    match why:
        case "chance":
            monkeypatch.setattr(opinions, "chance", lambda: 0.011)
        case "nobody":
            workers.set_state(world.farm, "cellar", "paused")
        case _:
            monkeypatch.setattr(opinions, "MOST_WAITING", 0)
    result(world, 1, GOOD)
    assert asked(world) == []


def test_a_worker_that_is_renamed_keeps_its_opinions(world: World) -> None:
    result(world, 1, GOOD)
    give(world, GOOD)
    workers.rename(world.farm, "cellar", "vault")
    workers.rename(world.farm, "attic", "loft")
    assert [(row.worker, row.second) for row in asked(world)] == [("loft", "vault")]
