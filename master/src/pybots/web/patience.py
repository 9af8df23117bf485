"""How long the web process waits for those who hardly say anything, and how many connections it keeps for them.

Every connection is a file of this process, and any byte counts as a sign of life: a few thousand senders of one byte a
minute would keep everybody else out. So a head has a deadline, a body has a least speed, and where too many connections are
open, the one that has waited longest without a whole request, or a worker's token, makes room for the next.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet import reactor

HEAD_SECONDS: Final = 20.0
"""From a connection's beginning, or a later head's first byte, to the head's end."""
BODY_SECONDS: Final = 60.0
BODY_BYTES: Final = 16 << 10
"""At least so much of a body in so much time: a worker that was given 1 KB a second by its owner sends more."""
MOST_FILES: Final = 1 << 16


class Holder(Protocol):
    """A connection."""

    def abort(self) -> None:
        """End it now. `Door.left` is heard of it later, perhaps."""
        ...


class Door:
    """The open connections of one listener, at most `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: set[Holder] = set()
        self._waiting: dict[Holder, None] = {}

    def entered(self, holder: Holder) -> None:
        """A new one; it waits, and one that has waited longer may have to go."""
        self._open.add(holder)
        self._waiting[holder] = None
        if len(self._open) > self.most:
            longest = next(iter(self._waiting))
            self.left(longest)
            longest.abort()

    def busy(self, holder: Holder) -> None:
        """It has said what it wants: it is not asked to leave."""
        self._waiting.pop(holder, None)

    def waits(self, holder: Holder) -> None:
        """It was answered."""
        if holder in self._open:
            self._waiting[holder] = None

    def left(self, holder: Holder) -> None:
        """It is gone; twice does no harm."""
        self._open.discard(holder)
        self._waiting.pop(holder, None)


class Deadline:
    """Ends something unless it is called off in time."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end
        self._call: Any = None

    def begin(self, seconds: float) -> None:
        """From now on, unless it has begun already."""
        if self._call is None:
            self._call = reactor.callLater(seconds, self._over)

    def off(self) -> None:
        """It was in time."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def _over(self) -> None:
        self._call = None
        self._end()


class Speed:
    """Ends a body that comes too slowly. `hear` it, then be `done`."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._deadline = Deadline(self._look)
        self._end = end
        self._came = 0
        self._deadline.begin(BODY_SECONDS)

    def hear(self, size: int) -> None:
        self._came += size

    def done(self) -> None:
        self._deadline.off()

    def _look(self) -> None:
        if self._came < BODY_BYTES:
            self._end()
            return
        self._came = 0
        self._deadline.begin(BODY_SECONDS)


def most_connections() -> int:
    """What this process may have open, raised as far as it can be, less what it needs for itself: the ledger, the store."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    return max(soft, most) * 3 // 4
