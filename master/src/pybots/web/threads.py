"""Blocking work off the reactor, with a bound on how much of it may wait."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, Final, ParamSpec, TypeVar

from twisted.internet import reactor
from twisted.internet.threads import deferToThread

THREADS: Final = 6
MAX_WAITING: Final = 120
"""More readers at once than this are asked to come back: an answer soon beats a queue of minutes."""

P = ParamSpec("P")
T = TypeVar("T")


class Busy(Exception):
    """Too many readers are waiting already."""


class Threads:
    """Runs blocking functions in the reactor's pool. What a reader who left had asked for counts until it is done."""

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self._limit = limit
        self._under_way = 0
        self._lock = Lock()
        reactor.suggestThreadPoolSize(THREADS)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns. Raises Busy at once when too much is under way, else what `work` raises."""
        with self._lock:
            if self._under_way >= self._limit:
                raise Busy
            self._under_way += 1
        result: Any = await deferToThread(self._counted, work, *args, **kwargs)
        done: T = result
        return done

    def _counted(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(*args, **kwargs)
        finally:
            with self._lock:
                self._under_way -= 1
