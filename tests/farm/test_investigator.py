"""The unattended farm: a commit among many breaks a project; the farm finds it, proves it and says it once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pybots.ledger import schema
from tests.hard import farm_yard
from tests.hard.farm_yard import Yard

PATIENCE = 240.0
BEFORE = ("good-lib-change", "good-c-change", "docs-only", "good-lib-change", "good-c-change")
AFTER = ("good-lib-change", "docs-only", "good-c-change", "good-lib-change")


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    made = farm_yard.make(
        tmp_path_factory.mktemp("investigator"), ("anchor",), cpython__poll_seconds=3600,
        investigator__probes_per_day=500,
    )  # fmt: skip
    for name, owner in (("second", "Bob"), ("third", "Cem")):
        made.hire(name, owner)
    with farm_yard.running(made):
        made.start("second", "third")
        yield made


def test_a_commit_among_many_is_found_proved_and_told(yard: Yard) -> None:
    """Only the head was run; the workers in between are idle, and go and look."""
    for kind in BEFORE:
        yard.world.commit(kind)
    culprit = yard.world.commit("break-anchor")
    for kind in AFTER:
        head = yard.world.commit(kind)
    yard.wake()
    assert yard.verdict(head, "anchor").verdict == "new_failure"
    (found,) = yard.wait(
        lambda: yard.rows(schema.investigations, schema.investigations.c.state == "done"),
        "the answer", PATIENCE,
    )  # fmt: skip
    assert (found.status, found.axis, found.last) == ("confirmed", "interpreter", culprit), found
    assert found.confidence >= 0.97
    (breakage,) = yard.rows(schema.breakages)
    assert (breakage.axis, breakage.blamed) == ("cpython", culprit)
    assert breakage.bad_position - breakage.good_position == 1
    made = yard.rows(schema.probes)
    owners = {one.owner for one in made}
    assert len(owners) > 1, "a second owner's worker has seen it"
    assert all(one.outcome for one in made), "nothing was left over"
    runs = {run.id: run for run in yard.rows(schema.runs)}
    assert all(runs[one.run_id].only == list(found.only) for one in made), (
        "only the tests concerned"
    )
