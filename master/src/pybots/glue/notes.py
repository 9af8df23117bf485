"""What the ledger is to hear of a running attempt's phases: in order, and no phase waits for it."""

from __future__ import annotations

from typing import Any

from twisted.internet import defer
from twisted.python import log

from pybots.farm import phases
from pybots.farm.phases import Note
from pybots.glue.desk import Desk


class Notes:
    """One transaction at a time, for all that has come up during the one before."""

    def __init__(self, desk: Desk, attempt: int) -> None:
        self._desk, self._attempt = desk, attempt
        self._waiting: list[Note] = []
        self._writing = False
        self._asked: list[Any] = []

    def add(self, note: Note) -> None:
        self._waiting.append(note)
        if not self._writing:
            self._writing = True
            defer.ensureDeferred(self._write())

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            called = defer.ensureDeferred(
                self._desk.call(phases.note, self._desk.farm, self._attempt, batch)
            )
            # At the edge of the process: a note that is lost costs a line on a page, not the build.
            called.addErrback(log.err, f"phases of attempt {self._attempt} could not be noted")
            for complaint in await called or ():
                log.msg(complaint)
        self._writing = False
        asked, self._asked = self._asked, []
        for one in asked:
            one.callback(None)

    async def written(self) -> None:
        """Returns when all that was added is in the ledger."""
        if self._writing:
            asked: Any = defer.Deferred()
            self._asked.append(asked)
            await asked
