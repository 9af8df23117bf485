"""Keeping the farm's processes alive on one machine: what `pybots up` does instead of systemd."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RESTART_SECONDS: Final = 2.0
GIVE_UP_AFTER: Final = 5
STEADY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0


_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process: a name, the arguments after the interpreter, and where its output goes."""

    name: str
    arguments: tuple[str, ...]
    log: Path


class Supervisor:
    """Starts the programs, restarts one that dies, ends them all together. Thread-safe."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._programs = programs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._failures: dict[str, int] = {}
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.gave_up: str | None = None

    def start(self) -> None:
        for program in self._programs:
            thread = threading.Thread(target=self._keep, args=(program,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._running.items()}

    def _keep(self, program: Program) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            process = spawn(program)
            self._running[program.name] = process
            status = process.wait()
            if self._stopping.is_set():
                return
            steady = time.monotonic() - began > STEADY_SECONDS
            failures = 1 if steady else self._failures.get(program.name, 0) + 1
            self._failures[program.name] = failures
            if failures >= GIVE_UP_AFTER:
                self.gave_up = f"the {program.name} process ended {failures} times (status {status}); see {program.log}"
                return
            self._stopping.wait(RESTART_SECONDS)

    def stop(self) -> None:
        """End every process, politely first."""
        self._stopping.set()
        for process in self._running.values():
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)
                process.wait()
        for thread in self._threads:
            thread.join(1)


def spawn(program: Program) -> subprocess.Popen[bytes]:
    """Start one program, its output appended to its log. It is ended with the thread that started it (Linux)."""
    program.log.parent.mkdir(parents=True, exist_ok=True)
    with program.log.open("ab") as log:
        return subprocess.Popen(
            [
                sys.executable,
                "-P",
                *program.arguments,
            ],  # the folder it runs in is no place to import from
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def _end_with_parent() -> None:
    """Linux: a kill -9 of `pybots up` must not leave processes behind that hold the ports.

    The signal follows the death of the spawning thread; `_keep` waits in that thread as long as the process lives."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
