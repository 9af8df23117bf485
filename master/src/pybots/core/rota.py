"""A slow machine's rota: how long a round of its lanes takes in the hours that it really works. Pure.

Nobody has to set one up. The lane that has waited longest comes first, and of the commits that came meanwhile the newest
is taken (core/schedule.py), so a machine of any speed goes round its lanes; a slow one, or one that works at night only,
goes round in days. What is measured here says in how many."""

from __future__ import annotations

import math
from dataclasses import dataclass

HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Round:
    """One run of each lane. `seconds`: what that takes on this machine; `hours`: what it works in a day, all slots."""

    lanes: int
    seconds: float
    hours: float

    @property
    def days(self) -> float:
        """From a lane's turn to its next one, when there are always new commits."""
        return self.seconds / HOUR / self.hours if self.hours > 0 else 0.0


def words(one: Round) -> str:
    """For people; empty for a machine that gets round within a day: every commit that counts is tested there.

    >>> words(Round(lanes=40, seconds=31 * 3600.0, hours=6.5))
    'a round of its 40 lanes takes 31 h, and it works 6.5 h a day: each has its turn every 5 days, on the newest commit'
    >>> words(Round(lanes=40, seconds=3600.0, hours=6.5))
    ''
    """
    if one.lanes < 2 or one.days <= 1:
        return ""
    return (
        f"a round of its {one.lanes} lanes takes {one.seconds / HOUR:.0f} h, and it works {one.hours:.1f} h a day:"
        f" each has its turn every {math.ceil(one.days)} days, on the newest commit"
    )
