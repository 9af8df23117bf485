"""What every phase works with: the job, its folder, the machine, and one way to run a command."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pybots_worker import layout, sandbox
from pybots_worker.cache import Shelf, UvCaches
from pybots_worker.contract import (
    BUILD_ROOT,
    Artifact,
    Failure,
    Job,
    Limits,
    Locked,
    Phase,
    TestOutcome,
)
from pybots_worker.errors import Cancelled, FarmTrouble, PhaseFailed, failed
from pybots_worker.facts import Facts
from pybots_worker.layout import JobFolder
from pybots_worker.network import Reach
from pybots_worker.sandbox import Mount, Outcome, SandboxFacts, SandboxSpec, Sink
from pybots_worker.settings import WorkshopSettings

TAIL: Final = 16_000
"""Bytes of log kept for the failure's detail."""

PYBOTS: Final = "pybots: "
NO_FOLDER: Final = "Can't chdir to"
"""bubblewrap's words when the folder to run in is not there: the project's doing, not the sandbox's."""
NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The worker as a phase sees it."""

    settings: WorkshopSettings
    facts: Facts
    sandbox: SandboxFacts
    interpreters: Shelf
    sources: Shelf
    uv: UvCaches
    ccache: Path
    ccache_bytes: int
    configure: Path
    reach: Reach

    @property
    def jobs(self) -> int:
        """For make -j: this slot's share of the processors."""
        return max(1, (self.settings.cores or self.facts.cores) // self.settings.slots)


@dataclass(kw_only=True)
class Found:
    """What the phases found out for the report."""

    tests: tuple[TestOutcome, ...] = ()
    modules: tuple[str, ...] = ()
    lock: tuple[Locked, ...] = ()
    python: str = ""
    artifact: Artifact | None = None


@dataclass(kw_only=True)
class Spent:
    """What the phase used so far, over all its commands. Seconds and bytes."""

    wall: float = 0.0
    cpu: float = 0.0
    peak: int = 0
    log: int = 0
    tail: bytes = b""
    last: Outcome | None = None

    def add(self, outcome: Outcome) -> None:
        self.wall += outcome.wall_seconds
        self.cpu += outcome.cpu_seconds
        self.peak = max(self.peak, outcome.peak_memory_bytes or 0)
        self.last = outcome


@dataclass(kw_only=True)
class Context:
    """One phase of one job."""

    job: Job
    phase: Phase
    folder: JobFolder
    machine: Machine
    sink: Sink
    cancel: threading.Event
    found: Found = field(default_factory=Found)
    spent: Spent = field(default_factory=Spent)

    @property
    def limits(self) -> Limits:
        return self.job.limits[self.phase]

    def check(self) -> None:
        """Raise Cancelled when the job is not wanted any more; for loops outside the sandbox."""
        if self.cancel.is_set():
            raise Cancelled

    def say(self, text: str) -> None:
        """A remark of the kit's in the log."""
        self.sink("header", f"{PYBOTS}{text}\n".encode("utf-8", "replace"))

    def give(self, name: str, text: str | bytes) -> str:
        """Write a file for the job to read; its name inside."""
        data = text.encode() if isinstance(text, str) else text
        (self.folder.given / name).write_bytes(data)
        return f"{layout.GIVEN}/{name}"

    def run(
        self,
        *argv: str,
        cwd: str = BUILD_ROOT,
        env: Mapping[str, str] = NOTHING,
        mounts: tuple[Mount, ...] = (),
        path: tuple[str, ...] = (),
        network: bool = False,
        room: int = 0,
        seconds: float = math.inf,
    ) -> Outcome:
        """Run a command in the sandbox with what is left of the phase's limits; the log goes to the sink.

        `path` goes before the system's folders in PATH, `room` is what the writable mounts but /pybots already
        hold, in bytes. It may last `seconds`, if less is not left. Raises PhaseFailed when the sandbox could not be made, and when the job was cancelled.
        """
        self.check()
        self.say("$ " + " ".join(argv))
        try:
            spec = SandboxSpec(
                argv=argv,
                cwd=cwd,
                env=sandbox.base_env(env, path=path),
                mounts=(
                    Mount(source=self.folder.work, target=BUILD_ROOT, writable=True),
                    Mount(source=self.folder.given, target=layout.GIVEN),
                    *mounts,
                ),
                network=network,
                limits=self._left(room, seconds),
            )
        except ValueError as error:  # such as a command's name with a '=', of a project's file
            raise failed("BadCommand", str(error)) from error
        outcome = sandbox.run(
            spec, facts=self.machine.sandbox, sink=self._carry, cancel=self.cancel
        )
        self.spent.add(outcome)
        if outcome.ended == "cancelled":
            raise Cancelled
        if outcome.ended == "sandbox_error" and NO_FOLDER in outcome.detail:
            raise failed("NoFolder", f"there is no folder {cwd}")
        if outcome.ended == "sandbox_error":
            raise PhaseFailed(Failure(type="Sandbox", message=outcome.detail), "sandbox_error")
        return outcome

    def must(
        self,
        *argv: str,
        cwd: str = BUILD_ROOT,
        env: Mapping[str, str] = NOTHING,
        mounts: tuple[Mount, ...] = (),
        path: tuple[str, ...] = (),
        network: bool = False,
        room: int = 0,
    ) -> Outcome:
        """`run`, for a command whose failure ends the phase."""
        outcome = self.run(
            *argv, cwd=cwd, env=env, mounts=mounts, path=path, network=network, room=room
        )
        if outcome.ended != "exit" or outcome.exit_code != 0:
            raise self.failure(argv, outcome)
        return outcome

    def failure(self, argv: tuple[str, ...], outcome: Outcome) -> PhaseFailed:
        """The end of a command as the phase's failure, with the log's tail."""
        name = " ".join(argv)[:200]
        return PhaseFailed(
            Failure(
                type="CommandFailed" if outcome.ended == "exit" else outcome.ended,
                message=f"{name}: {outcome.detail}"[:20_000],
                detail=self.tail(),
            ),
            outcome.ended,
        )

    def tail(self) -> str:
        """The last of the log, from a line's start."""
        text = self.spent.tail.decode("utf-8", "replace")
        return text.partition("\n")[2] if len(self.spent.tail) >= TAIL else text

    def _carry(self, stream: sandbox.Stream, data: bytes) -> None:
        if stream != "header":
            self.spent.log += len(data)
            self.spent.tail = (self.spent.tail + data[-TAIL:])[-TAIL:]
        self.sink(stream, data)

    def _left(self, room: int, seconds: float) -> sandbox.Limits:
        """The phase's limits less what its earlier commands used; never quite nothing."""
        limits, spent = self.limits, self.spent
        return sandbox.Limits(
            wall_seconds=min(max(limits.wall_seconds - spent.wall, 1.0), seconds),
            cpu_seconds=max(limits.cpu_seconds - spent.cpu, 1.0),
            memory_bytes=limits.memory_bytes,
            processes=limits.processes,
            disk_bytes=limits.disk_bytes + room,
            log_bytes=max(limits.log_bytes - spent.log, 1000),
        )


def kit_mount() -> Mount:
    """The scripts that run on the interpreter under test."""
    return Mount(source=layout.INSIDE, target=layout.KIT)


def disk_trouble(error: OSError) -> FarmTrouble:
    """The worker's own disk, full or broken: nobody's fault but the farm's."""
    return FarmTrouble("WorkerDisk", f"{error.filename or 'the worker'}: {error.strerror}")
