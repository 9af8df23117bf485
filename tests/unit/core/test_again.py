"""When a failure is run once more before it is believed, and what the answer means."""

from __future__ import annotations

import pytest

from pybots.core.again import BELIEVED, CHANCE, UNANSWERED, alone, judge
from pybots.core.control import Concern, Judgement
from pybots.core.model import Counts
from pybots.core.outcomes import INSTALL, TESTS, Bad, Observed, State
from pybots_worker.contract import Failure

A, B = "t.py::a", "t.py::b"
OK: State = ("passed", None)


def bad(name: str, signature: str = "s") -> Bad:
    return Bad(
        id=name, outcome="failed", kind="test", signature=signature, failure=Failure(message="no")
    )


def seen(states: dict[str, State], *found: Bad, **more: str) -> Observed:
    return Observed(
        states=states | {one.id: ("failed", one.signature) for one in found},
        bad={one.id: one for one in found}, flaky={}, counts=Counts(), complete=True, **more,
    )  # fmt: skip


ANSWERS = {
    "they pass": (seen({A: OK, B: OK}), CHANCE),
    "they pass when retried": (seen({A: OK, B: ("flaky", None)}), CHANCE),
    "they fail": (seen({}, bad(A), bad(B)), BELIEVED),
    "one of them fails": (seen({A: OK}, bad(B)), BELIEVED),
    "they fail otherwise": (seen({A: OK}, bad(B, "other")), BELIEVED),
    "one is skipped": (seen({A: OK, B: ("skipped", None)}), UNANSWERED),
    "one was not reached": (seen({A: OK}), UNANSWERED),
    "it does not install": (seen({}, bad(INSTALL)), UNANSWERED),
    "the worker is full": (seen({}, farm_fault="disk"), UNANSWERED),
    "the source has gone": (seen({}, no_source="gone"), UNANSWERED),
}


@pytest.mark.parametrize(("observed", "judged"), ANSWERS.values(), ids=ANSWERS.keys())
def test_the_answers(observed: Observed, judged: Judgement) -> None:
    concern = Concern(kind="test", signature="s", ids=(A, B))
    assert judge(concern, observed) is judged
    assert judged.control == "green"


@pytest.mark.parametrize(
    ("kind", "ids", "lanes", "failing", "expected"),
    [
        ("test", [A], 1, 1, True),
        ("test", [A, B], 1, 3, True),
        ("test", [A], 1, 4, False),
        ("test", [A], 2, 1, False),
        ("test", [TESTS], 1, 1, False),
        ("test", [], 1, 0, False),
        ("crash", [A], 1, 1, False),
        ("timeout", [A], 1, 1, False),
        ("memory", [A], 1, 1, False),
        ("hollow", [A], 1, 1, False),
        ("collection", ["t.py"], 1, 1, False),
    ],
)
def test_only_a_few_tests_of_one_lane_may_be_chance(
    kind: str, ids: list[str], lanes: int, failing: int, expected: bool
) -> None:
    assert alone(kind, ids, lanes=lanes, failing=failing) is expected
