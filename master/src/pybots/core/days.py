"""What a day's runs came to, as sums: days over are counted once, and a page about many days reads no run.

Medians can't be added up. What many days usually took is the median of their medians, each as heavy as its runs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import median, quantiles
from typing import Final

from pybots.core.model import GREEN, RED

SECONDS: Final = 86_400
FEW: Final = 5
"""Of fewer runs a day there is no "nine of ten"."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A finished routine run. `waited`: seconds from the commit's arrival to the answer; `took`: its own length."""

    project: str
    at: float
    verdict: str
    waited: float
    took: float | None = None
    phases: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Usual:
    """A usual length in seconds (median), and how many were measured."""

    seconds: float
    number: int


@dataclass(frozen=True, kw_only=True)
class Share:
    """What a project's runs came to."""

    verdicts: Mapping[str, int]
    took: Usual | None = None

    @property
    def red(self) -> int:
        return sum(number for verdict, number in self.verdicts.items() if verdict in RED)

    @property
    def conclusive(self) -> int:
        """Runs that say something of the project."""
        green = sum(number for verdict, number in self.verdicts.items() if verdict in GREEN)
        return green + self.red

    @property
    def infra(self) -> int:
        return self.verdicts.get("infra", 0)


@dataclass(frozen=True, kw_only=True)
class Day:
    """A day of a branch: by project, by phase, and how long answers took: half of them, nine of ten (seconds)."""

    projects: Mapping[str, Share] = field(default_factory=dict)
    phases: Mapping[str, Usual] = field(default_factory=dict)
    half: float | None = None
    nine: float | None = None


def days_of(ended: Iterable[Ended]) -> dict[int, Day]:
    """Runs by the day (number since the epoch, UTC) they ended in."""
    found: dict[int, list[Ended]] = defaultdict(list)
    for one in ended:
        found[int(one.at // SECONDS)].append(one)
    return {day: _day(runs) for day, runs in found.items()}


def _day(ended: Sequence[Ended]) -> Day:
    projects: dict[str, list[Ended]] = defaultdict(list)
    lengths: dict[str, list[float]] = defaultdict(list)
    for one in ended:
        projects[one.project].append(one)
        for phase, seconds in one.phases.items():
            lengths[phase].append(seconds)
    waits = [one.waited for one in ended]
    return Day(
        projects={name: _share(found) for name, found in projects.items()},
        phases={name: usual for name, found in lengths.items() if (usual := _usual(found))},
        half=median(waits),
        nine=quantiles(waits, n=10, method="inclusive")[8] if len(waits) >= FEW else None,
    )


def _share(ended: Sequence[Ended]) -> Share:
    took = _usual([one.took for one in ended if one.took is not None])
    return Share(verdicts=Counter(one.verdict for one in ended), took=took)


def _usual(lengths: Sequence[float]) -> Usual | None:
    return Usual(seconds=median(lengths), number=len(lengths)) if lengths else None


def together(days: Iterable[Day]) -> Day:
    """Many days as one. How long answers took belongs to each day: nothing is said of all."""
    shares: dict[str, list[Share]] = defaultdict(list)
    lengths: dict[str, list[Usual]] = defaultdict(list)
    for day in days:
        for project, share in day.projects.items():
            shares[project].append(share)
        for phase, length in day.phases.items():
            lengths[phase].append(length)
    return Day(
        projects={project: _sum(found) for project, found in shares.items()},
        phases={phase: usual for phase, found in lengths.items() if (usual := middle(found))},
    )


def tally(shares: Iterable[Share]) -> Counter[str]:
    """All their verdicts."""
    total: Counter[str] = Counter()
    for share in shares:
        for verdict, number in share.verdicts.items():  # many times faster than update()
            total[verdict] += number
    return total


def _sum(shares: Sequence[Share]) -> Share:
    return Share(verdicts=tally(shares), took=middle([one.took for one in shares if one.took]))


def middle(found: Sequence[Usual]) -> Usual | None:
    """The median of medians, each as heavy as what was measured."""
    if not found:
        return None
    ordered = sorted(found, key=lambda one: one.seconds)
    reached = list(accumulate(one.number for one in ordered))
    place = next(at for at, sum_so_far in enumerate(reached) if 2 * sum_so_far >= reached[-1])
    return Usual(seconds=ordered[place].seconds, number=reached[-1])
