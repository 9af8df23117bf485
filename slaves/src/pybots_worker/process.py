"""The processes of a slot's jobs, each started ahead of its time (see `warm`) and ended for certain."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet import defer
from twisted.internet.fdesc import readFromFD
from twisted.internet.protocol import ProcessProtocol

from pybots_worker.warm import TOLD

TERM_SECONDS: Final = 10.0
"""From the polite end of a phase to the other one; the sandbox's tree needs a moment to go."""
PIPES_SECONDS: Final = 5.0
"""What outlives a job's process may hold its pipes open for this long."""
IDLE_SECONDS: Final = 120.0
"""A process that nobody gives an order is ended after this time."""
EARLY_BYTES: Final = 64 << 10
STREAMS: Final = {1: "stdout", 2: "stderr"}

Output = Callable[[str, bytes], None]


class JobProcess(ProcessProtocol):
    """A process that does one phase after the other. `alive` until it has ended."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._early: list[tuple[str, bytes]] = []
        self._output: Output = self._keep
        self._done: Any = None
        self._status = 0
        self._paused = False
        self._cancelled = False
        self._killer: Any = None
        self._pipes: Any = None
        self.alive = True

    @property
    def usable(self) -> bool:
        """Whether it can be given an order."""
        return self.alive and not self._cancelled and self._done is None

    def order(self, line: str, output: Output) -> Any:
        """Let it do a phase, whose output goes to `output`. The Deferred fires with its exit status (negative: a
        signal), also when the process ends on the way."""
        for stream, data in self._early:
            output(stream, data)
        self._early = []
        self._output = output
        done = self._done = defer.Deferred()
        self.transport.write(line.encode() + b"\n")
        return done

    def _keep(self, stream: str, data: bytes) -> None:
        if sum(len(kept) for _, kept in self._early) < EARLY_BYTES:
            self._early.append((stream, data))

    def childDataReceived(self, fd: int, data: bytes) -> None:
        if fd != TOLD:
            self._output(STREAMS[fd], data)
        elif self._done is not None:
            for other in STREAMS:
                self._drain(other)
            self._over(int(data))

    def _drain(self, fd: int) -> None:
        """Read what the phase has written before it said that it is over."""
        pipe = self.transport.pipes.get(fd)
        waiting = select.poll()
        if pipe is not None:
            waiting.register(pipe.fd, select.POLLIN)
        while waiting.poll(0) and readFromFD(pipe.fd, self._output_of(fd)) is None:
            pass

    def _output_of(self, fd: int) -> Callable[[bytes], None]:
        return lambda data: self._output(STREAMS[fd], data)

    def _over(self, status: int) -> None:
        done, self._done, self._output = self._done, None, self._keep
        if done is not None:
            done.callback(status)

    def pause(self, wanted: bool) -> None:
        """Stop or go on reading its pipes; a full pipe makes the process wait."""
        if wanted == self._paused or not self.alive:
            return
        self._paused = wanted
        if wanted:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    def dismiss(self) -> None:
        """There are no more orders: it ends by itself."""
        if self.alive:
            self.transport.closeStdin()

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
        self._over(self._status)


class Stable:
    """One slot's supply of processes: at most one waits for its order. `program` takes orders on stdin."""

    def __init__(self, reactor: Any, program: Sequence[str], folder: Path) -> None:
        self._reactor, self._program, self._folder = reactor, list(program), folder
        self._spare: JobProcess | None = None
        self._timer: Any = None

    def prepare(self) -> None:
        """Start a process that will be needed soon."""
        if self._spare is None or not self._spare.usable:
            self._spare = self._spawn()
        self._arm()

    def take(self) -> JobProcess:
        """A process that waits for its order. Raises OSError when none can be started."""
        self._disarm()
        spare, self._spare = self._spare, None
        return spare if spare is not None and spare.usable else self._spawn()

    def give_back(self, process: JobProcess) -> None:
        """The process has done a phase and may be asked for the next one."""
        process.pause(False)
        if self._spare is not None or not process.usable:
            process.dismiss()
            return
        self._spare = process
        self._arm()

    def clear(self) -> None:
        """End the process that waits, if any."""
        self._disarm()
        if self._spare is not None:
            self._spare.cancel()
            self._spare = None

    def _spawn(self) -> JobProcess:
        process = JobProcess(self._reactor)
        self._reactor.spawnProcess(
            process, self._program[0], self._program, env=dict(os.environ), path=str(self._folder),
            childFDs={0: "w", 1: "r", 2: "r", TOLD: "r"},
        )  # fmt: skip
        return process

    def _arm(self) -> None:
        self._disarm()
        self._timer = self._reactor.callLater(IDLE_SECONDS, self.clear)

    def _disarm(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
