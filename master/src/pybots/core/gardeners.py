"""The gardeners' rota: whose turn it is to look after untriaged breakages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pybots.core.audiences import DAY


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Who it is, and until when (seconds since the epoch)."""

    name: str
    until: float
    next: str = ""


def on_duty(names: Sequence[str], start: float, days: int, now: float) -> Turn | None:
    """The turn at `now`; turns of `days` days begin at `start` with the first name. None: nobody, or not begun."""
    if not names or now < start or days < 1:
        return None
    number = int((now - start) // (days * DAY))
    following = names[(number + 1) % len(names)]
    name = names[number % len(names)]
    return Turn(
        name=name,
        until=start + (number + 1) * days * DAY,
        next=following if following != name else "",
    )
