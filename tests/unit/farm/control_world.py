"""A farm without a master whose runs can be made again: controls, and what follows from them."""

from __future__ import annotations

from typing import Any

from lane_world import World, make_report, make_test, replace_struct
from sqlalchemy import Row

from pybots.farm import dispatch
from pybots.farm.record import Recorded
from pybots.ledger import schema
from pybots_worker import contract

A, B = "tests/test_it.py::test_a", "tests/test_it.py::test_b"
GOOD = [make_test(A), make_test(B)]
BAD = [GOOD[0], make_test(B, "failed", "TypeError: unhashable type")]
WORSE = [make_test(A, "failed", "ValueError: no such thing"), BAD[1]]
LOCK = (contract.Locked(name="leaf", version="1.2"), contract.Locked(name="Anchor", version="1.0"))
REVISION = {"kind": "git", "url": "https://example.org/x.git", "commit": "a" * 40}


class Farm(World):
    """A world whose interpreters and reports are in the store, so that runs can be made again."""

    def interpreter(
        self, position: int, flavour: str = "release", state: str = "published", **changes: Any
    ) -> int:
        blob = self.farm.store.put(b"an interpreter")
        return super().interpreter(
            position, flavour, state, **{"blob": blob.sha256, "size": blob.size, **changes}
        )

    def run(self, position: int, *, lane: int | None = None, **changes: Any) -> int:  # type: ignore[override]
        return super().run(
            position, lane=lane, **{"revision": REVISION if lane else None, **changes}
        )

    def seen(self, position: int, tests: Any = (), *, report: Any = None, **more: Any) -> Recorded:
        report = replace_struct(report or make_report(tests), lock=LOCK)
        return self.go(position, report=report, **more)

    def control(self) -> Row[Any]:
        (run,) = self.rows(
            schema.runs, schema.runs.c.purpose == "control", schema.runs.c.state == "wanted"
        )
        return run

    def answer(self, tests: Any = (), *, report: Any = None) -> Recorded:
        run = self.control()
        self.attempt(run.id)
        return self.record(run.id, report or make_report(tests))

    def once_more(self) -> Row[Any]:
        """The new combination that is wanted again, after a green control."""
        (run,) = self.rows(
            schema.runs, schema.runs.c.purpose == "retry", schema.runs.c.state == "wanted"
        )
        return run

    def again(self, tests: Any = (), *, report: Any = None) -> Recorded:
        run = self.once_more()
        self.attempt(run.id)
        return self.record(run.id, report or make_report(tests))

    def confirm(self) -> None:
        """What failed in B passes in the control and fails once more: it is no chance."""
        self.answer([make_test(B)])
        self.again([BAD[1]])

    def breakages(self) -> list[Row[Any]]:
        return self.rows(schema.breakages)

    def breakage(self) -> Row[Any]:
        (row,) = self.breakages()
        return row

    def cell(self, position: int) -> Row[Any]:
        (row,) = self.rows(schema.cells, schema.cells.c.position == position)
        return row


def in_leaf(name: str = B) -> contract.TestOutcome:
    """A test that fails in its dependency's own frames."""
    detail = (
        "Traceback (most recent call last):\n"
        '  File "/pybots/source/tests/test_it.py", line 7, in test_b\n    leaf.grow()\n'
        '  File "/pybots/venv/lib/python3.15/site-packages/leaf/core.py", line 3, in grow\n    hash(x)\n'
        "TypeError: unhashable type: 'array.array'\n"
    )
    failure = contract.Failure(
        type="TypeError", message="unhashable type: 'array.array'", detail=detail
    )
    return make_test(name, "failed", failure=failure)


def wanted_runs(world: Farm) -> list[Any]:
    """What dispatching chooses from."""
    with world.farm.ledger.read() as connection:
        return dispatch._wanted(world.farm, connection)
