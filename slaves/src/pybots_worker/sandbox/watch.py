"""The loop beside a run: carries its output, watches its caps, and says how it ended."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from .cgroups import Usage
from .disk import DiskWatch
from .launch import Child
from .meters import Meter, TreeMeter, exceeded
from .model import Ended, Limits, Outcome, SandboxFacts, SandboxSpec, Sink, Stream

CHUNK = 1 << 20
TICK = {"cgroup2": 0.1, "cgroup1": 0.1, "rlimit": 0.05}
"""Seconds between looks. The kernel itself holds memory and processes on the upper rungs; the lowest must be quick."""
TAIL = 2000


@dataclass(frozen=True, slots=True)
class Finish:
    """What is known when everything is over. `code` is as `subprocess` has it; `told` what bubblewrap confirmed."""

    code: int
    told: bool
    boxed: bool
    tail: str


class Watch:
    """One run. Use once: `Watch(...).run()`."""

    def __init__(
        self,
        child: Child,
        spec: SandboxSpec,
        facts: SandboxFacts,
        sink: Sink,
        cancel: threading.Event | None,
    ) -> None:
        self.child, self.spec, self.facts, self.sink, self.cancel = child, spec, facts, sink, cancel
        self.limits = spec.limits
        self.reason: Ended | None = None
        self.began = time.monotonic()
        writable = [mount for mount in spec.mounts if mount.writable]
        self.disk = DiskWatch(
            [mount.source for mount in writable],
            self.limits.disk_bytes,
            caches=[mount.source for mount in writable if mount.cache],
        )
        self.usage = Usage(0.0, 0)
        self.peak = 0
        self.written = 0
        self.tail = b""
        self._meter: Meter | None = child.group
        self._streams: dict[int, Stream] = {child.out: "stdout", child.err: "stderr"}
        self._poll = select.poll()
        for fd in (child.out, child.err, child.status, child.exited):
            self._poll.register(fd, select.POLLIN)

    def run(self) -> Outcome:
        """Carry and watch until the end. An error of the sink's passes through (and the caller kills the tree)."""
        due = self.began
        while not self._turn(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            if now >= due:
                due = now + TICK[self.facts.rung]
                if self.reason is None:
                    self._tick(now)
        return self._end()

    def _turn(self, seconds: float) -> bool:
        """Carry what is ready; true when the outermost process has ended."""
        ended = False
        for fd, _ in self._poll.poll(seconds * 1000):
            if fd == self.child.exited:
                ended = True
            elif not self._carry(fd):
                self._poll.unregister(fd)
        return ended

    def _carry(self, fd: int) -> bool:
        """Read one chunk; false at the end of the stream."""
        data = os.read(fd, CHUNK)
        if fd == self.child.status:
            self.child.learn(data)
            if self.child.exit_reported and not self.child.group:
                self._measure()  # the last moment at which its CPU time can be read
            return bool(data)
        if self.reason is None:
            self._forward(self._streams[fd], data)
        return bool(data)

    def _forward(self, stream: Stream, data: bytes) -> None:
        room = self.limits.log_bytes - self.written
        if stream == "stderr":
            self.tail = (self.tail + data[-TAIL:])[-TAIL:]
        self.written += min(len(data), room)
        if data and room:
            self.sink(stream, data[:room])
        if len(data) > room:
            self._stop("log")

    def _tick(self, now: float) -> None:
        if self.cancel is not None and self.cancel.is_set():
            return self._stop("cancelled")
        if now - self.began > self.limits.wall_seconds:
            return self._stop("wall_timeout")
        self._measure()
        if hit := exceeded(self.usage, self.limits):
            return self._stop(hit)
        if self.disk.exceeded(self._pids):
            self._stop("disk")
        return None

    def _pids(self) -> list[int]:
        if isinstance(self._meter, TreeMeter):
            return [stat.pid for stat in self._meter.members]
        return self.child.group.pids() if self.child.group else []

    def _measure(self) -> None:
        if self._meter is None and (root := self._root()) is not None:
            self._meter = TreeMeter(root, self.limits.memory_bytes, marker=self.child.marker)
        if self._meter is not None:
            self.usage = self._meter.read()
            self.peak = max(self.peak, self.usage.memory_bytes)

    def _root(self) -> int | None:
        return self.child.process.pid if self.child.marker else self.child.first_pid

    def _stop(self, reason: Ended) -> None:
        """Name the reason and kill; the loop then runs on until the process is seen to be gone."""
        self.reason = reason
        self.sink(
            "header",
            f"[sandbox] stopped: {describe(reason, self.limits, self.facts.caps)}\n".encode(),
        )
        self.child.kill()

    def _end(self) -> Outcome:
        """Everything after the outermost process ended: the rest of the tree, of the output, of the counting."""
        code, used = self.child.reap()
        wall = time.monotonic() - self.began
        self.child.kill()
        gone = self.child.wait_gone()
        self._drain()
        if self.reason is None:
            self._last_look()
        finish = Finish(
            code,
            self.child.exit_reported,
            self.facts.kind == "bubblewrap",
            self.tail.decode("utf-8", "replace").strip(),
        )
        ended, exit_code, number = conclude(self.reason, finish)
        detail = describe(ended, self.limits, self.facts.caps, finish, exit_code, number)
        return Outcome(
            exit_code=exit_code,
            signal=number,
            ended=ended,
            wall_seconds=wall,
            cpu_seconds=max(self.usage.cpu_seconds, used.ru_utime + used.ru_stime),
            peak_memory_bytes=max(self.peak, used.ru_maxrss * 1024),
            detail=detail if gone else f"{detail}; some of its processes could not be ended",
        )

    def _drain(self) -> None:
        """What the dead left in the pipes: bounded, for nobody can write any more."""
        for fd in (self.child.status, self.child.out, self.child.err):
            os.set_blocking(fd, False)
            with suppress(BlockingIOError):
                while self._carry(fd):
                    pass

    def _last_look(self) -> None:
        """A run can hit a cap and end between two ticks."""
        if self.child.group:
            self._measure()
        if hit := exceeded(self.usage, self.limits):
            self._stop(hit)
        elif self.disk.exceeded(self._pids, final=True):
            self._stop("disk")


def conclude(reason: Ended | None, finish: Finish) -> tuple[Ended, int | None, int | None]:
    """(how it ended, exit code, signal) from what was seen."""
    if reason is not None:
        return reason, None, None
    if finish.boxed and (finish.code < 0 or (finish.code and not finish.told)):
        return "sandbox_error", None, None
    number = -finish.code if finish.code < 0 else finish.code - 128
    if number not in signal.valid_signals():
        return "exit", finish.code, None
    if number == signal.SIGXCPU:
        return "cpu_timeout", None, None
    if number == signal.SIGXFSZ:
        return "disk", None, None
    return "signal", None, number


def describe(
    ended: Ended,
    limits: Limits,
    caps: Mapping[str, str],
    finish: Finish | None = None,
    exit_code: int | None = None,
    number: int | None = None,
) -> str:
    """One line for the log and the report."""
    words: dict[Ended, str] = {
        "exit": f"exit status {exit_code}",
        "signal": f"killed by {signal_name(number or 0)}",
        "wall_timeout": f"took more than {limits.wall_seconds:g} s",
        "cpu_timeout": f"used more than {limits.cpu_seconds:g} s of CPU time",
        "memory": f"used more than {size(limits.memory_bytes)} of memory",
        "processes": f"wanted more than {limits.processes} processes",
        "disk": f"filled more than {size(limits.disk_bytes)} of disk",
        "log": f"printed more than {size(limits.log_bytes)}",
        "cancelled": "cancelled",
        "sandbox_error": "the sandbox could not be set up: " + _trouble(finish),
    }
    how = caps.get(ended.removesuffix("_timeout"))
    return f"{words[ended]} (cap held by {how})" if how else words[ended]


def _trouble(finish: Finish | None) -> str:
    if finish is None:
        return "unknown"
    ending = signal_name(-finish.code) if finish.code < 0 else f"status {finish.code}"
    return finish.tail or f"bubblewrap ended with {ending}"


def signal_name(number: int) -> str:
    """SIGSEGV, SIGRTMIN+3, or the number."""
    with suppress(ValueError):
        return signal.Signals(number).name
    if signal.SIGRTMIN < number < signal.SIGRTMAX:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
    return f"signal {number}"


def size(count: int) -> str:
    """1.5 GiB.

    >>> size(64 << 20)
    '64 MiB'
    """
    value, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.3g} {units[0]}" if value < 1000 else f"{value:.0f} {units[0]}"
