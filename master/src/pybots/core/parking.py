"""Lanes that stay red with nobody acting: parked, run once a day, until something changes or somebody acts. Pure.

Nothing is stored: whether a lane is parked follows from its breakages at any moment, or, of a lane that was red from its
first run on, from when what is bad there changed last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pybots.core.audiences import DAY

PARK_AFTER_SECONDS: Final = 14 * DAY
PARKED_EVERY_SECONDS: Final = DAY


@dataclass(frozen=True, kw_only=True)
class Part:
    """A lane's part in a breakage that stands. `since`: when the lane entered it. `acted`: somebody has taken it up."""

    since: float
    acted: bool


def parked_since(parts: Sequence[Part], now: float) -> float | None:
    """When the lane was parked; None: it is not. What changed last counts: a new breakage unparks it."""
    if not parts or any(part.acted for part in parts):
        return None
    since = max(part.since for part in parts) + PARK_AFTER_SECONDS
    return since if since <= now else None


def may_run(parked: float | None, last_run: float | None, now: float) -> bool:
    """Whether a routine run is wanted now. `last_run`: when the lane's last one was wanted."""
    return parked is None or last_run is None or now - last_run >= PARKED_EVERY_SECONDS
