"""The live log of a phase: appended off the reactor, bounded, readable by the web process while it grows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from twisted.python import log

from pybots.core import logmarks
from pybots.glue.desk import Desk

FLOOD: Final = 4
"""A worker that sends this many times the phase's log limit is not ours: ours cuts the log itself."""
FLOOD_BYTES: Final = 4 << 20


class Flood(Exception):
    """The worker goes on sending far beyond the phase's log limit."""


class Tail:
    """`limit` is in bytes; what comes after it is counted and dropped. Marks (core.logmarks) are not counted."""

    def __init__(self, desk: Desk, path: Path, limit: int) -> None:
        self._desk, self._path, self._limit = desk, path, limit
        self._received = 0
        self._fresh = True
        self.cut = False

    async def write(self, text: str, *, stderr: bool = False) -> None:
        """Append; returns when it is written, so that the sender can wait for us. Raises Flood."""
        data = logmarks.encoded(text)
        room = max(0, self._limit - self._received)
        self._received += len(data)
        if self._received > self._limit * FLOOD + FLOOD_BYTES:
            raise Flood(f"{self._received} bytes of log, {self._limit} are allowed")
        if len(data) > room:
            self.cut = True
        kept = data[:room]
        if not kept:
            return
        fresh, self._fresh = self._fresh, kept.endswith(b"\n")
        shown = logmarks.marked(kept, fresh=fresh) if stderr else kept
        if not await self._desk.call(_append, self._path, shown):
            self._limit, self.cut = self._received, True  # the disk is full: the rest is dropped


def _append(path: Path, data: bytes) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(data)
    except OSError as error:
        log.msg(f"a live log could not be written: {error}")
        return False
    return True
