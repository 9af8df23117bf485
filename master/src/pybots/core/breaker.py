"""The circuit breaker: most lanes of a worker, a platform or the farm turn red together. Pure.

Forty projects don't break at once without a common cause. It may be CPython's commit or a full disk; until a control on the
same worker tells which, mail about all of them is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pybots.core.rounds import HOLD_SECONDS, Trip
from pybots.core.threads import Broken

WINDOW_SECONDS: Final = 2 * HOLD_SECONDS
"""What turned red within this time turned red together."""
LEAST_LANES: Final = 5
"""Fewer red lanes than this are no breaker's business: a small farm's every breakage is in most of its lanes."""

Scope = Literal["worker", "platform", "farm"]


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A lane that reported within the window. `turned`: the breakages it entered within the window and that can be held,
    or are, by an open breaker, or that a red control has dismissed; () when none."""

    lane: int
    worker: str
    platform: str
    turned: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """A breaker that tripped. `id` 0: just now."""

    id: int
    scope: Scope
    name: str
    tripped: float
    state: Trip = "open"

    def covers(self, lane: Reported) -> bool:
        return self.scope == "farm" or self.name == (
            lane.worker if self.scope == "worker" else lane.platform
        )


def check(reported: Sequence[Reported], known: Iterable[Breaker], now: float) -> list[Breaker]:
    """The breakers that trip now; a scope that is covered by one that is still open, or that just tripped, does not."""
    tripped = [one for one in known if one.state == "open"]
    made: list[Breaker] = []
    for scope, name, lanes in _groups(reported):
        if any(_within(scope, name, lanes, one) for one in (*tripped, *made)):
            continue
        red = [lane for lane in lanes if lane.turned]
        if all(any(one.covers(lane) for one in tripped) for lane in red):
            continue  # all of it is held already
        if len(red) >= LEAST_LANES and 2 * len(red) > len(lanes) and _common(scope, red):
            made.append(Breaker(id=0, scope=scope, name=name, tripped=now))
    return made


def _groups(
    reported: Sequence[Reported],
) -> Iterable[tuple[Scope, str, list[Reported]]]:
    by: tuple[tuple[Scope, Callable[[Reported], str]], ...] = (
        ("farm", lambda lane: ""),
        ("platform", lambda lane: lane.platform),
        ("worker", lambda lane: lane.worker),
    )
    for scope, name_of in by:
        for name in sorted({name_of(lane) for lane in reported}):
            yield scope, name, [lane for lane in reported if name_of(lane) == name]


def _common(scope: Scope, red: Iterable[Reported]) -> bool:
    """A farm is more than one platform, a platform more than one worker: else the smaller word is the truer one."""
    if scope == "worker":
        return True
    parts = {lane.platform if scope == "farm" else lane.worker for lane in red}
    return len(parts) > 1


def _within(scope: Scope, name: str, lanes: Iterable[Reported], other: Breaker) -> bool:
    if other.scope == "farm" or (other.scope, other.name) == (scope, name):
        return True
    return scope == "worker" and other.scope == "platform" and all(map(other.covers, lanes))


def held(reported: Iterable[Reported], breaker: Breaker) -> set[int]:
    """The breakages that an open breaker holds."""
    return {number for lane in reported if breaker.covers(lane) for number in lane.turned}


def settle(breaker: Breaker, members: Sequence[Broken]) -> Trip:
    """Whose doing it is, as far as the controls of its breakages tell; an answer of a person tells too."""
    if breaker.state != "open":
        return breaker.state
    green = sum(1 for one in members if one.control == "green" or one.answered)
    red = sum(1 for one in members if one.control == "red")
    waiting = [one for one in members if one.state in ("suspected", "open")]
    if green and green >= red:
        return "python"
    if red:
        return "farm"
    return "open" if waiting else "over"


def overdue(breaker: Breaker, now: float) -> bool:
    """No control could tell within the hour: somebody should look."""
    return breaker.state == "open" and now - breaker.tripped >= HOLD_SECONDS
