"""Which workers are not fit for work now, and why. Pure: what is known of one in, at most one trouble out.

A worker in trouble is quarantined: connected, shown with its reason, given nothing. Some troubles end by themselves; a
worker that loses what others finish, or disagrees with itself, waits for the admin's `pybots worker approve`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["clock", "disk", "flapping", "frozen", "losing", "disagrees"]
HEALING: Final[frozenset[str]] = frozenset({"clock", "disk", "flapping", "frozen"})
"""Troubles that are over when they are no longer seen."""

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
FRESH_SECONDS: Final = 30 * 60.0
"""Signs are told every ten minutes; older ones say nothing about now."""
MOST_SKEW: Final = 300.0
"""Tokens and the order of events stand this much; file times in builds don't stand much more."""
LEAST_DISK: Final = 2 << 30
ENOUGH_DISK: Final = 3 << 30
"""To come back: more than to stay, lest it come and go with every job."""
MOST_PARTINGS: Final = 12
FROZEN_SECONDS: Final = 6 * HOUR
MOST_SILENCES: Final = 2
"""The second time: a laptop may be closed once, and a run has a try left for somebody else."""
STOPPED: Final = "it stopped answering in the middle of its work: frozen, asleep or cut off"
MOST_LOST: Final = 5


@dataclass(frozen=True, kw_only=True)
class Vitals:
    """One worker. Seconds and bytes; `told` is when it last said how it is (None: never).

    `partings`: connections lost in the last hour. `silences`: in the last six hours it stopped answering in the middle of
    its work so often. `lost`: attempts of the last day that it lost and another worker then
    finished; `done`: what it finished itself. `disagreed`: most of its lanes turned red, and so did the control there; somebody else could do its work."""

    now: float
    told: float | None = None
    skew: float = 0.0
    disk_free: int = 0
    partings: int = 0
    silences: int = 0
    lost: int = 0
    done: int = 0
    disagreed: bool = False
    trouble: str = ""


@dataclass(frozen=True)
class Trouble:
    """Why a worker is not fit. `words` end a sentence that begins with its name."""

    kind: Kind
    words: str


def trouble(vitals: Vitals) -> Trouble | None:
    """The worst that is known; None: it is fit, or nothing is known."""
    if vitals.disagreed:
        return Trouble(
            "disagrees",
            "most of its lanes turned red, and the last good combination fails there too",
        )
    if vitals.lost >= MOST_LOST and vitals.lost > 3 * vitals.done:
        words = f"it lost {vitals.lost} builds in a day that other workers finished"
        return Trouble("losing", words)
    if vitals.told is not None and vitals.now - vitals.told <= FRESH_SECONDS:
        if found := _signs(vitals):
            return found
    elif vitals.trouble in ("clock", "disk"):
        return Trouble(
            "clock" if vitals.trouble == "clock" else "disk", "it has not said since how it is"
        )
    if vitals.silences >= MOST_SILENCES:
        words = (
            f"{vitals.silences} times in six hours it stopped answering in the middle of its work"
        )
        return Trouble("frozen", words)
    if vitals.partings >= MOST_PARTINGS:
        return Trouble("flapping", f"its connection was lost {vitals.partings} times in an hour")
    return None


def unwell(now: float, skew: float, disk_free: int) -> bool:
    """Whether what a worker has just said of itself is a trouble."""
    return _signs(Vitals(now=now, told=now, skew=skew, disk_free=disk_free)) is not None


def _signs(vitals: Vitals) -> Trouble | None:
    least = ENOUGH_DISK if vitals.trouble == "disk" else LEAST_DISK
    if vitals.disk_free < least:
        return Trouble("disk", f"only {vitals.disk_free / (1 << 30):.1f} GiB are free on its disk")
    if abs(vitals.skew) > MOST_SKEW:
        side = "ahead of" if vitals.skew > 0 else "behind"
        return Trouble("clock", f"its clock is {abs(vitals.skew):.0f} s {side} the farm's")
    return None


def over(before: str, found: Trouble | None) -> bool:
    """Whether a quarantine for the trouble `before` ends now."""
    return before in HEALING and found is None
