"""The lines of evidence of an investigation: what was run, and what it rules out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pybots.core import bisect, crossover
from pybots.core.crossover import Case
from pybots.core.inquiry import Change

HAS: Final = "has the failure"
LACKS: Final = "has not got it"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the evidence: what was run, how often it passed and failed, on whose workers, what that rules out."""

    what: str
    passed: int
    failed: int
    skipped: int = 0
    owners: tuple[str, ...] = ()
    says: str = ""


def of_case(case: Case) -> tuple[Line, ...]:
    """What the crossover's trials came to so far."""
    return of_trials(crossover.evidence(case))


def of_trials(trials: Sequence[crossover.Evidence]) -> tuple[Line, ...]:
    return tuple(map(_line, trials))


def _line(one: crossover.Evidence) -> Line:
    return Line(
        what=one.what, passed=one.passed, failed=one.failed, skipped=one.skipped,
        says=f"rules out {one.rules_out}",
    )  # fmt: skip


def of_places(state: bisect.State, changes: Sequence[Change]) -> Iterator[Line]:
    """A line for each change that was probed, in the order of history."""
    by_place: dict[int, list[tuple[str, str]]] = {}
    for one in state.observations:
        by_place.setdefault(one.index, []).append((one.outcome, one.owner))
    for place in sorted(by_place):
        count = Counter(outcome for outcome, _ in by_place[place])
        owners = sorted({owner for outcome, owner in by_place[place] if outcome != "skip"} - {""})
        yield Line(
            what=f"{_short(changes[place].id)} {changes[place].title}".strip(),
            passed=count["good"], failed=count["bad"], skipped=count["skip"],
            owners=tuple(owners), says=_says(count),
        )  # fmt: skip


def _says(count: Counter[str]) -> str:
    if count["good"] and count["bad"]:
        return "comes and goes here"
    if count["bad"]:
        return HAS
    return LACKS if count["good"] else "could not be tested"


def _short(id: str) -> str:
    return id[:12] if len(id) == 40 else id
