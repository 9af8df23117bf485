"""A second opinion: the same run once more, on another owner's worker. Pure: two observations in, what they say of each
other out. Machines differ and tests are flaky, so only what is good here and bad there counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pybots.core.outcomes import Observed, is_test

Opinion = Literal["agrees", "differs", "silent"]
MOST_VANISHED: Final = 0.1
"""Of the tests that one of the two ran, so many may be unknown to the other: names made of an environment's facts."""
MAX_TESTS: Final = 20


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What the second says of the first. `tests`: the first of those that came out otherwise; `count`: of all."""

    opinion: Opinion
    words: str
    tests: tuple[str, ...] = ()
    count: int = 0


def compare(first: Observed, second: Observed) -> Compared:
    """Whether two observations of the same run can both be true."""
    silent = second.farm_fault or second.no_source or first.farm_fault or first.no_source
    if silent:
        return Compared(opinion="silent", words=silent)
    chance = first.flaky.keys() | second.flaky.keys()
    bad = (first.bad.keys() ^ second.bad.keys()) - chance
    if bad:
        said = f"{_tests(len(bad))} good on one and bad on the other"
        return Compared(
            opinion="differs", words=said, tests=tuple(sorted(bad)[:MAX_TESTS]), count=len(bad)
        )
    ran, again = first.states.keys() - chance, second.states.keys() - chance
    gone = ran ^ again
    if len(gone) > MOST_VANISHED * max(len(ran), len(again)):
        said = f"{_tests(len(gone))} known to one of the two only"
        return Compared(
            opinion="differs", words=said, tests=tuple(sorted(gone)[:MAX_TESTS]), count=len(gone)
        )
    same = sum(map(is_test, ran & again))
    return Compared(opinion="agrees", words=f"{_tests(same)} the same on both")


def _tests(count: int) -> str:
    return "1 test is" if count == 1 else f"{count} tests are"
