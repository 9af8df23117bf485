"""The processes of a slot's phases, each started ahead of its time (see `warm`) and ended for certain."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet import defer
from twisted.internet.protocol import ProcessProtocol

TERM_SECONDS: Final = 10.0
"""From the polite end of a phase to the other one; the sandbox's tree needs a moment to go."""
PIPES_SECONDS: Final = 5.0
"""What outlives a phase's process may hold its pipes open for this long."""
IDLE_SECONDS: Final = 120.0
"""A process that nobody gives an order is ended after this time."""
EARLY_BYTES: Final = 64 << 10

Output = Callable[[str, bytes], None]


class PhaseProcess(ProcessProtocol):
    """A process that waits for its order. `ended` fires with its exit status (negative: a signal)."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._early: list[tuple[str, bytes]] = []
        self._output: Output = self._keep
        self._status = 0
        self._paused = False
        self._cancelled = False
        self._killer: Any = None
        self._pipes: Any = None
        self.alive = True
        self.ended: Any = defer.Deferred()

    def order(self, line: str, output: Output) -> None:
        """Let it begin; from now on its output goes to `output`."""
        for stream, data in self._early:
            output(stream, data)
        self._output = output
        self.transport.write(line.encode() + b"\n")
        self.transport.closeStdin()

    def _keep(self, stream: str, data: bytes) -> None:
        if sum(len(kept) for _, kept in self._early) < EARLY_BYTES:
            self._early.append((stream, data))

    def childDataReceived(self, fd: int, data: bytes) -> None:
        self._output("stdout" if fd == 1 else "stderr", data)

    def pause(self, wanted: bool) -> None:
        """Stop or go on reading its pipes; a full pipe makes the process wait."""
        if wanted == self._paused or not self.alive:
            return
        self._paused = wanted
        if wanted:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    def cancel(self) -> None:
        """End it: politely, then for good. More than once or after its end does no harm."""
        if self.alive and not self._cancelled:
            self._cancelled = True
            self._signal(signal.SIGTERM)
            self._killer = self._reactor.callLater(TERM_SECONDS, self._signal, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        pid = self.transport.pid
        with contextlib.suppress(ProcessLookupError, TypeError):  # TypeError: no pid any more
            if os.getpgid(pid) == pid:
                os.killpg(pid, number)
            else:  # it does not lead its own group yet
                os.kill(pid, number)

    def processExited(self, reason: Any) -> None:
        value = reason.value
        self._status = -value.signal if value.signal else (value.exitCode or 0)
        self._pipes = self._reactor.callLater(PIPES_SECONDS, self.transport.loseConnection)

    def processEnded(self, _reason: Any) -> None:
        self.alive = False
        for call in (self._killer, self._pipes):
            if call is not None and call.active():
                call.cancel()
        self.ended.callback(self._status)


class Stable:
    """One slot's supply of processes: at most one waits for its order. `program` takes orders on stdin."""

    def __init__(self, reactor: Any, program: Sequence[str], folder: Path) -> None:
        self._reactor, self._program, self._folder = reactor, list(program), folder
        self._spare: PhaseProcess | None = None
        self._timer: Any = None

    def prepare(self) -> None:
        """Start a process that will be needed soon."""
        if self._spare is None or not self._spare.alive:
            self._spare = self._spawn()
        self._disarm()
        self._timer = self._reactor.callLater(IDLE_SECONDS, self.clear)

    def take(self) -> PhaseProcess:
        """A process that waits for its order. Raises OSError when none can be started."""
        self._disarm()
        spare, self._spare = self._spare, None
        return spare if spare is not None and spare.alive else self._spawn()

    def clear(self) -> None:
        """End the process that waits, if any."""
        self._disarm()
        if self._spare is not None:
            self._spare.cancel()
            self._spare = None

    def _spawn(self) -> PhaseProcess:
        process = PhaseProcess(self._reactor)
        self._reactor.spawnProcess(
            process, self._program[0], self._program, env=dict(os.environ), path=str(self._folder)
        )
        return process

    def _disarm(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
