"""Work that runs when woken, never twice at a time, and again after a while whatever happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet import defer
from twisted.python import log


class Loop:
    """Runs `work` at once when woken and at least every `seconds`.

    A wake-up during a run means one more run after it. A failure is logged, told to `failed`, and ends nothing."""

    def __init__(
        self,
        reactor: Any,
        name: str,
        seconds: float,
        work: Callable[[], Awaitable[object]],
        failed: Callable[[str], object] | None = None,
    ) -> None:
        self._reactor, self._name, self._seconds, self._work = reactor, name, seconds, work
        self._failed = failed
        self._timer: Any = None
        self._again = False
        self._started = False
        self._busy = False
        self._waiting: list[Any] = []

    def start(self) -> None:
        """Begin with a first run now."""
        self._started = True
        self.wake()

    def wake(self) -> None:
        """Run now, or once more when a run is under way. Does nothing before start() and after stop()."""
        if not self._started:
            return
        if self._busy:
            self._again = True
            return
        self._disarm()
        self._busy = True
        # At the edge of the process: whatever went wrong, the farm's loops go on.
        ran = defer.ensureDeferred(_awaited(self._work))
        ran.addErrback(self._report)
        ran.addCallback(self._ran)

    def _ran(self, _: object) -> None:
        self._busy = False
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)
        if self._started:
            self._timer = self._reactor.callLater(0 if self._again else self._seconds, self.wake)
        self._again = False

    def _report(self, failure: Any) -> None:
        log.err(failure, f"{self._name} failed; it goes on")
        if self._failed is not None:
            self._failed(f"{self._name}: {failure.getErrorMessage()}")

    def _disarm(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    async def stop(self) -> None:
        """No further runs; returns when the one under way has ended."""
        self._started = False
        self._disarm()
        if self._busy:
            waiter: Any = defer.Deferred()
            self._waiting.append(waiter)
            await waiter


async def _awaited(work: Callable[[], Awaitable[object]]) -> None:
    await work()
