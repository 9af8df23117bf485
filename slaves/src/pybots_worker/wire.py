"""The perspective broker of both ends, with bounds on what a peer can make it hold and how busy it can keep it.

Twisted bounds a string and the length of a list, not what lists hold together: one message that never ends makes a process
as large as its sender likes, before any login. And whatever a peer says costs the one thread that does everything.
"""

from __future__ import annotations

import time
from typing import Any, Final

from twisted.python import log
from twisted.spread import pb

MESSAGE_BYTES: Final = 2 << 20
"""One message on its way. The largest of ours is a Job; Twisted takes no string above 640 KiB."""
BUSY_SECONDS: Final = 30.0
WINDOW_SECONDS: Final = 60.0
"""One peer keeps the thread busy for so long in so much time (processor seconds), then it is hung up on."""


class Bounded(pb.Broker):
    """`allowance`: bytes that the peer may send from now on, None: no end to it."""

    allowance: int | None = None
    _held = 0
    _whole = False
    _busy = 0.0
    _since = 0.0

    def dataReceived(self, data: bytes) -> None:
        if self.allowance is not None:
            self.allowance -= len(data)
        self._held += len(data)
        if self._held > MESSAGE_BYTES or (self.allowance or 0) < 0:
            self._end("says too much at once")
            return
        began = time.thread_time()
        super().dataReceived(data)
        self._took(time.thread_time() - began)
        if self._whole:
            self._whole, self._held = False, 0

    def callExpressionReceived(self, obj: Any) -> None:
        self._whole = True
        super().callExpressionReceived(obj)

    def _took(self, seconds: float) -> None:
        now = time.monotonic()
        if now - self._since > WINDOW_SECONDS:
            self._since, self._busy = now, 0.0
        self._busy += seconds
        if self._busy > BUSY_SECONDS:
            self._end(f"kept us busy for {self._busy:.0f} s")

    def _end(self, why: str) -> None:
        self._held, self._busy = 0, 0.0
        self.buffer = b""
        self.listStack: list[Any] = []
        if self.transport is not None:
            log.msg(f"hanging up on {self.transport.getPeer()}: it {why}")
            self.transport.abortConnection()
