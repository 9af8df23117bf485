"""A year of a farm as it really is: projects, commits, planted breakages, flaky tests, farm faults.

`noise_make` makes one from a seed. This is the truth that `noise.py` scores against. It knows nothing of verdicts,
signatures, breakages or mail: only who breaks what, when, and on which machines.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
YEAR: Final = 365 * DAY
BEGIN: Final = 1_735_689_600.0
"""2025-01-01 00:00 UTC."""
SHARE: Final = 0.85
"""How often a lane takes part when a commit is tested; otherwise it was busy, or the commit was coalesced."""

Column = tuple[str, str]
"""(flavour, platform)."""
COLUMNS: Final[tuple[Column, ...]] = (
    ("release", "linux-x86_64"), ("debug", "linux-x86_64"), ("freethreaded", "linux-x86_64"),
    ("release", "linux-aarch64"), ("release", "macos-arm64"), ("freethreaded", "macos-arm64"),
)  # fmt: skip
MACHINES: Final[Mapping[str, int]] = {"linux-x86_64": 5, "linux-aarch64": 3, "macos-arm64": 3}
SITES: Final = 3
"""Machines share a network, and an owner, in so many places."""

Effect = Literal[
    "fails", "stdlib", "dependency", "collection", "crash", "timeout", "own install",
    "dependency install", "extension", "vanished", "skipped", "nothing", "build",
]  # fmt: skip
Axis = Literal["python", "project", "dependency"]


@dataclass(frozen=True, kw_only=True)
class Machine:
    name: str
    platform: str
    site: int


@dataclass(kw_only=True)
class Suite:
    """A project as it is. `tests`: id -> (first revision, first one without it). `standing`: they never passed.

    `revisions`: when each was made; the first is as old as the year."""

    name: str
    columns: tuple[Column, ...]
    tests: dict[str, tuple[int, int]]
    extensions: tuple[str, ...]
    dependencies: tuple[str, ...]
    standing: tuple[str, ...]
    network: bool
    revisions: list[float]
    minutes: float

    @property
    def steady(self) -> list[str]:
        """Tests that are there all year and pass unless something breaks."""
        return [
            name
            for name, (first, end) in self.tests.items()
            if not first and end > len(self.revisions) and name not in self.standing
        ]

    def at(self, revision: int) -> list[str]:
        return [name for name, (first, end) in self.tests.items() if first <= revision < end]


@dataclass(frozen=True, kw_only=True)
class FlakyTest:
    """`rates`: (since, rate), the last one that has begun holds. `columns`: where it is flaky."""

    project: str
    test: str
    columns: frozenset[Column]
    rates: tuple[tuple[float, float], ...]

    def rate(self, at: float) -> float:
        return next((rate for since, rate in reversed(self.rates) if since <= at), 0.0)


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A breakage that was planted. `spans`: [begin, end) in commit positions, revisions or versions, as its axis says.

    `targets`: project -> ids of tests, or an extension; () for what hits a project as a whole."""

    number: int
    story: str
    axis: Axis
    effect: Effect
    spans: tuple[tuple[int, float], ...]
    columns: frozenset[Column]
    targets: Mapping[str, tuple[str, ...]]
    dependency: str = ""

    def active(self, at: int) -> bool:
        return any(begin <= at < end for begin, end in self.spans)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The farm's own: `lost` machines are gone; a full `disk` and no `network` show in what runs there."""

    number: int
    kind: str
    machines: frozenset[str]
    begin: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A commit that is tested: when it came, and its position."""

    at: float
    position: int


@dataclass(kw_only=True)
class Year:
    """All of it. `versions`: dependency -> when each version came out."""

    seed: int
    suites: dict[str, Suite]
    machines: list[Machine]
    commits: list[Tested]
    versions: dict[str, list[float]]
    flaky: dict[tuple[str, Column], list[FlakyTest]]
    plants: list[Plant]
    faults: list[Fault]
    of_project: dict[str, list[Plant]] = field(default_factory=dict)

    def version(self, dependency: str, at: float) -> int:
        return bisect_right(self.versions[dependency], at) - 1

    def fault(self, machine: str, at: float) -> Fault | None:
        """What is wrong with a machine that is there."""
        return next(
            (
                one
                for one in self.faults
                if one.kind != "lost" and machine in one.machines and one.begin <= at < one.end
            ),
            None,
        )
