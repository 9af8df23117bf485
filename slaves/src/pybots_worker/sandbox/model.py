"""The words of this room: what a caller asks for, what this machine can enforce, and how a run ended.

Pure data, no I/O, so that the rest of the kit can import it for free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

Kind = Literal["bubblewrap", "none"]
Rung = Literal["cgroup2", "cgroup1", "rlimit"]
"""The ladder of caps, best first: who enforces memory, processes and CPU time."""
Limited = Literal["wall", "cpu", "memory", "processes", "disk", "log"]
Stream = Literal["stdout", "stderr", "header"]
"""`header` carries the sandbox's own remarks; the job cannot write to it."""
Sink = Callable[[Stream, bytes], None]
Ended = Literal[
    "exit",
    "signal",
    "wall_timeout",
    "cpu_timeout",
    "memory",
    "processes",
    "disk",
    "log",
    "cancelled",
    "sandbox_error",
]

NO_CAPS: Mapping[str, str] = MappingProxyType({})
NO_GROUPS: Mapping[str, Path] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one run may use, over its whole tree of processes. Every number is above zero.

    `disk_bytes` caps the sum of the writable mounts (what was there before included, but for caches) and any
    single file;
    `log_bytes` caps stdout and stderr together; `processes` counts threads too, as the kernel does.
    """

    wall_seconds: float
    cpu_seconds: float
    memory_bytes: int
    processes: int
    disk_bytes: int
    log_bytes: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name} must be above zero, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder or file of the host, shown inside at an absolute `target`; read-only unless said otherwise.

    A writable `cache` outlives the run: only what the run adds to it counts towards the disk cap.
    """

    source: Path
    target: str
    writable: bool = False
    cache: bool = False

    def __post_init__(self) -> None:
        parts = self.target.split("/")
        if not self.target.startswith("/") or self.target == "/" or ".." in parts:
            raise ValueError(
                f"a mount's target must be an absolute path below /, not {self.target!r}"
            )


@dataclass(frozen=True, kw_only=True)
class SandboxSpec:
    """One command and everything it will see. `env` is the whole environment: nothing is inherited."""

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    mounts: tuple[Mount, ...]
    network: bool
    limits: Limits
    hostname: str = "pybots"

    def __post_init__(self) -> None:
        if not self.argv:
            raise ValueError("argv is empty")
        texts = [*self.argv, self.cwd, self.hostname, *self.env, *self.env.values()]
        if any("\0" in text for text in texts):
            raise ValueError("a NUL byte cannot be passed to a command")
        if "=" in self.argv[0]:
            raise ValueError(
                f"{self.argv[0]!r}: a command's name cannot hold '=' (env would take it for a variable)"
            )
        for name in self.env:
            if not name or "=" in name or name.startswith("-"):
                raise ValueError(f"{name!r} is not the name of an environment variable")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something this machine lacks, in words, and the step that mends it."""

    what: str
    mend: str


@dataclass(frozen=True, kw_only=True)
class SandboxFacts:
    """What this machine can enforce, as found by `probe`.

    `kind` "none" with `allowed` false means: refuse to run. `caps` says for each limit who enforces it
    ("cgroup2", "cgroup1", "rlimit", "watchdog", "reader", "clock"). `groups` are the folders under which
    a run's own control groups are made: {"unified": …} or {"memory": …, "pids": …, "cpuacct": …}.
    """

    kind: Kind
    rung: Rung
    allowed: bool
    root: bool
    version: tuple[int, ...] = ()
    caps: Mapping[str, str] = field(default_factory=lambda: NO_CAPS)
    groups: Mapping[str, Path] = field(default_factory=lambda: NO_GROUPS)
    seccomp: bool = False
    problems: tuple[Problem, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether `run` will run anything at all."""
        return self.allowed

    @property
    def walls(self) -> str:
        """`bubblewrap 0.8.0 with a seccomp filter`, as the report has it too."""
        if self.kind == "none":
            return "no sandbox"
        version = ".".join(map(str, self.version))
        return f"bubblewrap {version} {'with' if self.seccomp else 'without'} a seccomp filter"

    def summary(self) -> str:
        """One line for `doctor` and the log."""
        caps = ", ".join(f"{limit} by {how}" for limit, how in self.caps.items())
        return f"{self.walls}; {self.rung}; {caps}" if caps else f"{self.walls}; {self.rung}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    `exit_code` is set for "exit" only, `signal` for "signal" only. bubblewrap reports a death by signal n as
    status 128+n, so a command that exits with such a number by itself reads as a signal too (as in a shell).
    `peak_memory_bytes` is what the tree held without the page cache, sampled.
    """

    exit_code: int | None
    signal: int | None
    ended: Ended
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int | None
    detail: str
