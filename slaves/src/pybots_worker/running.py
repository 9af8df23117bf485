"""A phase under way on a slot: from the master's order to the last word about it."""

from __future__ import annotations

import signal
import time
from typing import Any, Final, Protocol

import msgspec
from twisted.internet import defer, task, threads
from twisted.python import log

from pybots_worker.contract import Ended, Failure, PhaseResult
from pybots_worker.layout import JobFolder
from pybots_worker.line import Line
from pybots_worker.orders import Order, Refused
from pybots_worker.process import JobProcess, Stable

HEARTBEAT_SECONDS: Final = 20.0
GRACE_SECONDS: Final = 60.0
"""A phase may overrun its own wall limit by this much (the kit ends it in time itself)."""
MAX_RESULT_BYTES: Final = 256 << 10


class Place(Protocol):
    """Where a phase runs: a slot. `open` and `close` block."""

    reactor: Any
    stable: Stable

    def open(self, order: Order) -> JobFolder: ...

    def close(self, name: str) -> None: ...


class Running:
    """One phase. `over` fires when it has ended and the master was told; `before` when it may begin."""

    def __init__(self, place: Place, order: Order, remote: Any, before: Any) -> None:
        self._place, self._order, self._remote = place, order, remote
        limits = order.job.limits[order.phase]
        self._line = Line(place.reactor, remote, limits.log_bytes, self._pause)
        self._wall = limits.wall_seconds + GRACE_SECONDS
        self._began = time.monotonic()
        self._process: JobProcess | None = None
        self._cancelled = False
        self._hung_up = False
        remote.notifyOnDisconnect(self._lost)
        self.over: Any = defer.ensureDeferred(self._run(before)).addErrback(self._broken)

    async def _run(self, before: Any) -> None:
        beat = task.LoopingCall(self._line.heartbeat)
        beat.clock = self._place.reactor
        beat.start(HEARTBEAT_SECONDS)
        try:
            if before is not None:
                await before
            values = await self._work()
        finally:
            beat.stop()
            if not self._hung_up:
                self._remote.dontNotifyOnDisconnect(self._lost)
        self._line.finish(values)
        if self._cancelled or self._order.phase == "report":
            self._leave()

    def _leave(self) -> None:
        """Nothing of the job is needed any more; nobody waits for its removal."""
        if self._cancelled:
            self._place.stable.clear()
        closed = threads.deferToThread(self._place.close, self._order.folder)
        closed.addErrback(log.err, f"job {self._order.folder} could not be removed")

    async def _work(self) -> dict[str, object]:
        try:
            folder = await threads.deferToThread(self._place.open, self._order)
            status = -signal.SIGTERM if self._cancelled else await self._performed()
        except (OSError, Refused) as error:
            return values_of(self._failed("farm_error", str(error)), 2)
        result = await threads.deferToThread(read_result, folder, self._order.phase)
        if result is None:
            message = f"the phase's process ended with status {status} and no result"
            result = self._failed("farm_error", message)
        if self._cancelled and result.ended == "farm_error":
            result = msgspec.structs.replace(result, ended="cancelled")
        values = values_of(result, status)
        if self._order.phase == "report":
            values["report"] = await threads.deferToThread(read_digest, folder)
        return values

    async def _performed(self) -> int:
        stable, last = self._place.stable, self._order.phase == "report"
        process = self._process = stable.take()
        done = process.order(f"{self._order.folder} {self._order.phase}", self._line.text)
        if last:
            process.dismiss()  # a process does one job only
            stable.prepare()
        overrun = self._place.reactor.callLater(self._wall, process.cancel)
        try:
            return int(await done)
        finally:
            if overrun.active():
                overrun.cancel()
            if not last:
                stable.give_back(process)

    def _pause(self, wanted: bool) -> None:
        if self._process is not None:
            self._process.pause(wanted)

    def _failed(self, ended: Ended, message: str) -> PhaseResult:
        return PhaseResult(
            phase=self._order.phase,
            ok=False,
            ended=ended,
            wall_seconds=time.monotonic() - self._began,
            failure=Failure(type="WorkerKit", message=message[:20_000]),
        )

    def cancel(self) -> None:
        """End the phase; what it came to still goes to the master."""
        self._cancelled = True
        if self._process is not None:
            self._process.pause(False)
            self._process.cancel()

    def _lost(self, _: object) -> None:
        self._hung_up = True
        self._line.hang_up()
        self.cancel()

    def _broken(self, reason: Any) -> None:
        log.err(reason, f"phase {self._order.phase} broke the worker")
        self._leave()
        self._line.finish(values_of(self._failed("farm_error", reason.getErrorMessage()), 2))


def values_of(result: PhaseResult, status: int) -> dict[str, object]:
    """What the master is told at the end."""
    return {"result": msgspec.json.encode(result).decode(), "rc": status}


def read_result(folder: JobFolder, phase: str) -> PhaseResult | None:
    """What the phase wrote; None when it came to nothing."""
    try:
        with folder.phase(phase).open("rb") as file:
            return msgspec.json.decode(file.read(MAX_RESULT_BYTES), type=PhaseResult)
    except (OSError, msgspec.DecodeError):
        return None


def read_digest(folder: JobFolder) -> str:
    """The uploaded report's sha256; empty when none was uploaded."""
    try:
        found = msgspec.json.decode(folder.digest.read_bytes(), type=dict[str, str | int])
    except (OSError, msgspec.DecodeError):
        return ""
    return str(found.get("sha256", ""))
