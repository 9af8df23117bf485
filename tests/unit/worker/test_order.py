"""Which tests are run before those that failed, to meet them in order."""

from __future__ import annotations

from typing import Any

import pytest

from pybots_worker import contract
from pybots_worker.runners import order
from pybots_worker.runners.results import Results

NAMES = [f"t/test_{module}.py::test_{n}" for module in "ab" for n in range(4)]
A0, A1, A2, A3, B0, B1, B2, B3 = NAMES


def run(*failed: str, seconds: float = 1.0, **others: Any) -> dict[str, contract.TestOutcome]:
    """A first run in which these failed; `crashed=[…]`: outcomes of others."""
    outcomes = dict.fromkeys(failed, "failed") | {
        name: outcome for outcome, names in others.items() for name in names
    }
    return {
        name: contract.TestOutcome(id=name, outcome=outcomes.get(name, "passed"), seconds=seconds)  # type: ignore[arg-type]
        for name in NAMES
    }


@pytest.mark.parametrize(
    ("failed", "alone", "chosen"),
    [
        ([B1], [B1], [A0, A1, A2, A3, B0, B1]),
        ([B1], [], [B0, B1]),
        ([A1, B1], [A1], [A0, A1, B0, B1]),
        ([A1, B2], [B2], [A0, A1, A2, A3, B0, B1, B2]),
        ([A0], [A0], [A0]),
        ([], [A0], []),
    ],
)
def test_what_passed_alone_is_met_after_everything(
    failed: list[str], alone: list[str], chosen: list[str]
) -> None:
    assert order.predecessors(run(*failed), failed, alone, 1000.0) == tuple(chosen)


def test_without_time_for_everything_it_is_the_own_module() -> None:
    assert order.predecessors(run(B1), [B1], [B1], 10.0) == (B0, B1)
    assert order.predecessors(run(B1), [B1], [B1], 6.0) == ()


def test_what_fails_alone_must_not_cost_much() -> None:
    slow = run(B3, seconds=100.0)
    assert order.predecessors(slow, [B3], [], 10_000.0) == ()
    assert order.predecessors(slow, [B3], [B3], 10_000.0) == tuple(NAMES)


def test_a_crash_is_not_tried_again_among_others() -> None:
    assert order.predecessors(run(B1, crashed=[A1]), [B1], [B1], 1000.0) == (A0, A2, A3, B0, B1)


def test_what_passed_is_read_from_the_retries() -> None:
    again = Results(
        tests={
            A0: contract.TestOutcome(id=A0, outcome="passed"),
            A1: contract.TestOutcome(id=A1, outcome="failed"),
        }
    )
    assert order.passed([((A0, A1, A2), again)]) == {A0}


@pytest.mark.parametrize(
    ("name", "module"),
    [("t/a.py::C::test_b[x::y]", "t/a.py"), ("a.b.C.test_d", "a.b.C"), ("a.C.test[1.5]", "a.C"), ("make", "make")],
)  # fmt: skip
def test_modules(name: str, module: str) -> None:
    assert order.module(name) == module


def test_what_was_not_reached_is_tried_once_more_and_what_hung_is_not() -> None:
    tests = run(A0, timed_out=[A1], crashed=[A2], not_run=[A3])
    results = Results(tests=tests)
    assert order.again((A0, A1, A2, A3, B0, "gone"), results) == (A0, A2, A3)
    assert order.hung([((A0, A1, A2), results)]) == {A1}
