"""Which tests to run before those that failed, so that they are met in order and not alone. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from pybots_worker.contract import TestOutcome
from pybots_worker.runners.results import RETRIED, Results

Asked = tuple[tuple[str, ...], Results]
"""A retry: the ids that were asked for, and what came."""

EXPLAINED: Final = frozenset({"failed", "error"})
"""Outcomes that chance or order may explain. A crash is not tried among others: it would take them along."""
ONCE_MORE: Final = RETRIED - {"timed_out"} | {"not_run"}
SLACK_SECONDS: Final = 5.0
SLOWER: Final = 1.5
CHEAP_SECONDS: Final = 60.0
CHEAP: Final = 0.25
"""A share of the first run."""


def again(asked: Iterable[str], results: Results) -> tuple[str, ...]:
    """What to try once more after a retry of these: what failed, and what was not reached because another one hung or
    crashed. What hung would hang again."""
    return tuple(
        name for name in asked if name in results.tests and results.tests[name].outcome in ONCE_MORE
    )


def passed(retries: Iterable[Asked]) -> frozenset[str]:
    """The ids that passed in one of these retries."""
    return _came_to("passed", retries)


def hung(retries: Iterable[Asked]) -> frozenset[str]:
    """The ids that did not end in one of these retries."""
    return _came_to("timed_out", retries)


def _came_to(outcome: str, retries: Iterable[Asked]) -> frozenset[str]:
    return frozenset(
        name
        for asked, results in retries
        for name in asked
        if name in results.tests and results.tests[name].outcome == outcome
    )


def predecessors(
    first: Mapping[str, TestOutcome], failed: Collection[str], alone: Collection[str], left: float
) -> tuple[str, ...]:
    """The tests to run again, in the first run's order, for these that failed; (): there is no time for it.

    For what passed `alone` that is everything before it: any of it may be why. For the others it is what is before
    them in their own module. When `left` seconds are not enough, it is their own modules for all. Where nothing passed
    alone, little can be learnt (a test may need others before it), and it must not cost much."""
    if not failed:
        return ()
    suspects = frozenset(alone) & frozenset(failed)
    if not suspects:
        left = min(left, max(CHEAP_SECONDS, CHEAP * sum(test.seconds for test in first.values())))
    for whole in (suspects, frozenset[str]()):
        chosen = _chosen(first, failed, whole)
        if sum(first[name].seconds for name in chosen) * SLOWER + SLACK_SECONDS <= left:
            return chosen
    return ()


def _chosen(
    first: Mapping[str, TestOutcome], failed: Collection[str], whole: Collection[str]
) -> tuple[str, ...]:
    names = [name for name, test in first.items() if name in failed or _harmless(test)]
    last: dict[str, int] = {}  # module -> place of its last failed test; "": of everything's
    for place, name in enumerate(names):
        if name in failed:
            last[module(name)] = place
        if name in whole:
            last[""] = place
    return tuple(
        name
        for place, name in enumerate(names)
        if place <= max(last.get("", -1), last.get(module(name), -1))
    )


def _harmless(test: TestOutcome) -> bool:
    """Whether it ran, and to its end."""
    return test.outcome not in ("crashed", "timed_out", "not_run")


def module(name: str) -> str:
    """What a test shares with its neighbours: `tests/test_a.py` of `tests/test_a.py::test_b`, `a.B` of `a.B.test_c`."""
    head, mark, _ = name.partition("::")
    return head if mark else name.split("[", 1)[0].rpartition(".")[0] or name
