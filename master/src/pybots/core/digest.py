"""Digests: what changed in a day for those who want it daily, and the week's state for list and admin. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pybots.core.audiences import DAY

SEND_HOUR: Final = 6
"""UTC. Digests speak of the time until this hour."""
_MONDAY: Final = 4 * DAY
"""The epoch was a Thursday; the first Monday after it."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """An open breakage in the weekly digest. `disposition` as it holds now; `since`: when it was opened."""

    id: int
    title: str
    projects: tuple[str, ...]
    since: float
    lanes: int = 1
    disposition: str = "untriaged"
    person: str = ""
    issue: str = ""
    suspected: bool = False
    axis: str = ""


@dataclass(frozen=True, kw_only=True)
class Flaky:
    """A test that failed and passed again when retried. `times` in the week."""

    lane: str
    test: str
    times: int


@dataclass(frozen=True, kw_only=True)
class Parked:
    lane: str
    since: float


@dataclass(frozen=True, kw_only=True)
class Gone:
    worker: str
    last_seen: float | None


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """A project file that wants its keeper: what is wrong, in whose words, and a change to propose. `since` may be unknown."""

    project: str
    source: str
    what: str
    said: str
    propose: str
    since: float | None = None


@dataclass(frozen=True, kw_only=True)
class Week:
    """All that the weekly digest tells. Counts are of runs of the last seven days."""

    now: float
    standing: tuple[Standing, ...] = ()
    fixed: int = 0
    opened: int = 0
    dismissed: int = 0
    parked: tuple[Parked, ...] = ()
    flaky: tuple[Flaky, ...] = ()
    gone: tuple[Gone, ...] = ()
    unknown: int = 0
    infra: int = 0
    runs: int = 0
    held_back: int = 0
    upkeep: tuple[Upkeep, ...] = ()

    @property
    def empty(self) -> bool:
        """Nothing that anybody could act on."""
        return not (
            self.standing or self.parked or self.flaky or self.gone or self.unknown or self.infra
            or self.fixed or self.held_back or self.upkeep
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A transition in a daily digest: `what` is `opened`, `fixed` or `withdrawn`."""

    id: int
    title: str
    what: str
    at: float
    projects: tuple[str, ...] = ()


def loudness(one: Standing, now: float) -> int:
    """0 to 4: how loud an untriaged breakage is by its age. Answered ones are quiet."""
    if one.disposition != "untriaged" or one.suspected:
        return 0
    weeks = (now - one.since) / (7 * DAY)
    return 0 if weeks < 1 else 1 if weeks < 2 else 2 if weeks < 4 else 3 if weeks < 8 else 4


def in_order(standing: Iterable[Standing]) -> list[Standing]:
    """Untriaged ones first, the oldest leading; then what somebody has answered, the oldest first too."""
    return sorted(standing, key=lambda one: (one.disposition != "untriaged", one.since, one.id))


def last_daily(now: float) -> float:
    """The newest moment at which daily digests are due."""
    shifted = now - SEND_HOUR * 3600
    return (shifted // DAY) * DAY + SEND_HOUR * 3600


def last_weekly(now: float) -> float:
    """The newest Monday, at the same hour."""
    shifted = now - _MONDAY - SEND_HOUR * 3600
    return (shifted // (7 * DAY)) * 7 * DAY + _MONDAY + SEND_HOUR * 3600
