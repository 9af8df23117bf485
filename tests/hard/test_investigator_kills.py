"""kill -9 of master and workers at random points of an investigation: the same answer, one thread, no mail twice."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.hard import farm_yard
from tests.hard.farm_yard import Yard

from pybots.farm import cycle
from pybots.ledger import schema

PATIENCE = 300.0
KILLS = 6
SEED = 20260105


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with farm_yard.investigating(tmp_path_factory.mktemp("investigated")) as made:
        yield made


def test_whoever_is_killed_the_answer_is_the_same_and_told_once(yard: Yard) -> None:
    chance = random.Random(SEED)
    kinds = ["good-lib-change"] * 5 + ["break-anchor"] + ["good-lib-change"] * 3
    culprit = [yard.world.commit(kind) for kind in kinds][5]
    yard.wake()
    yard.wait(lambda: yard.rows(schema.probes), "the first probe", PATIENCE)
    killed = Counter[str]()
    for _ in range(KILLS):
        if done(yard):
            break
        name = chance.choice(("master", "master", "worker", "second", "third"))
        time.sleep(chance.uniform(0.2, 3.0))  # the point is that nobody chose the moment
        yard.restart(name)
        killed[name] += 1
    assert killed, "the answer came before anybody was killed"
    (found,) = yard.wait(lambda: done(yard), "the answer", PATIENCE)
    assert (found.status, found.axis, found.last) == ("confirmed", "interpreter", culprit), found
    (breakage,) = yard.rows(schema.breakages)
    assert (breakage.axis, breakage.blamed) == ("cpython", culprit)
    yard.calm(PATIENCE)
    letters = yard.public()
    assert [str(one["References"] or "") for one in letters[1:]] == [
        letters[0]["Message-ID"] for _ in letters[1:]
    ]
    assert len(letters) == 2, [str(one["Subject"]) for one in letters]
    assert culprit[:12] in str(letters[1]["Subject"])
    ids = Counter(one["Message-ID"] for one in yard.letters())
    assert set(ids.values()) == {1}
    late = schema.runs.c.purpose == "probe", schema.runs.c.state.in_(cycle.UNDER_WAY)
    yard.wait(lambda: not yard.rows(schema.runs, *late), "the end of late probes", PATIENCE)
    runs = {run.id: run for run in yard.rows(schema.runs)}
    for probe in yard.rows(schema.probes):
        assert probe.outcome in ("good", "bad", "skip") or runs[probe.run_id].state == "dropped"


def done(yard: Yard) -> list[object]:
    return yard.rows(schema.investigations, schema.investigations.c.state == "done")
