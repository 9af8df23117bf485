"""Hears of changes that other processes made to the ledger: the web process's webhook, the command line, an import.

SQLite's write-ahead log changes with every commit, so its size and time are looked at five times a second (a system
call each, measured in microseconds); only then the new events are read. Twenty seconds later they are read anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet import task

from pybots.farm import news
from pybots.farm.news import Event
from pybots.glue.desk import Desk
from pybots.glue.loops import Loop

LOOK_SECONDS: Final = 0.2
READ_SECONDS: Final = 20.0


class Watch:
    """`heard(event)` is called on the reactor for each event of the ledger, whoever wrote it, in order."""

    def __init__(self, desk: Desk, heard: Callable[[Event], None]) -> None:
        self._desk, self._heard = desk, heard
        self._path = Path(f"{desk.farm.folder.ledger}-wal")
        self._mark = mark(self._path)
        self._last: int | None = None
        self._reading = Loop(desk.reactor, "reading the ledger's news", READ_SECONDS, self._read)
        self._looking: Any = task.LoopingCall(self._look)
        self._looking.clock = desk.reactor

    def start(self) -> None:
        self._reading.start()
        self._looking.start(LOOK_SECONDS, now=False)

    async def stop(self) -> None:
        if self._looking.running:
            self._looking.stop()
        await self._reading.stop()

    def _look(self) -> None:
        now = mark(self._path)
        if now != self._mark:
            self._mark = now
            self._reading.wake()

    async def _read(self) -> None:
        farm = self._desk.farm
        if self._last is None:  # what was before us was read by whoever needs it
            self._last = await self._desk.call(farm.ledger.data_version)
            return
        for event in await self._desk.call(news.since, farm, self._last):
            self._last = event.id
            self._heard(event)


def mark(path: Path) -> tuple[int, int]:
    """Something that changes whenever the file does; (0, 0) when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_size, found.st_mtime_ns)
