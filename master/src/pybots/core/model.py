"""The farm's nouns as frozen data (DESIGN §2). Pure: no I/O, no clock.

`config` makes these from files, the ledger keeps what happened to them, everything else passes them around.
Times are seconds since the epoch in UTC; the caller brings the clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from pybots_worker import contract

Verdict = Literal[
    "passed", "fixed", "new_failure", "still_failing", "flaky", "blocked", "infra", "unknown"
]
"""What a run means against its lane's history; nothing else is a verdict (DESIGN §2)."""

FailureKind = Literal[
    "test", "collection", "install", "interpreter", "crash", "timeout", "memory", "hollow"
]

RunState = Literal["wanted", "dispatched", "running", "done", "dropped"]
AttemptState = Literal["dispatched", "running", "recorded", "lost", "refused"]
InterpreterState = Literal["wanted", "published", "failed"]
LaneState = Literal["active", "no_worker", "refused", "retired"]

WorkerState = Literal["approved", "waiting", "paused", "quarantined", "revoked", "retired"]
"""approved: it may be given work. waiting: it has joined and is looked at first. paused: by the farm's admin.
quarantined: the farm found something wrong with it. revoked, retired: it may not even connect."""
CONNECTING: Final[frozenset[str]] = frozenset({"approved", "waiting", "paused", "quarantined"})

BreakageState = Literal["suspected", "open", "fixed", "dismissed"]
"""suspected: a control run is awaited. open: confirmed. dismissed: the control was red too, or it was chance. fixed: passes
again."""
STANDING: Final[frozenset[str]] = frozenset({"suspected", "open"})
"""Breakages that count as red now, on pages and when the same failure is seen again."""
Control = Literal["", "wanted", "green", "red", "none"]
"""What the control run of a breakage came to. "none": there was nothing to control with; "": none is needed. Suspected, and
green or none: the new combination is run once more (core/again.py)."""
Axis = Literal["", "cpython", "project", "dependency", "environment", "flaky"]
"""What a breakage is blamed on, as far as it is known. `cpython` and `project`: an investigation has proved it."""

CONCLUSIVE: Final[frozenset[str]] = frozenset(
    {"passed", "fixed", "new_failure", "still_failing", "flaky"}
)
"""Verdicts that say something about the code under test; later runs are compared with these only."""

GREEN: Final[frozenset[str]] = frozenset({"passed", "fixed", "flaky"})
RED: Final[frozenset[str]] = frozenset({"new_failure", "still_failing"})
VERDICTS: Final[tuple[str, ...]] = get_args(Verdict)


@dataclass(frozen=True, kw_only=True)
class Flavour:
    """A named way to configure CPython. `since` is the first (major, minor) that can; None: all of them."""

    name: str
    configure: tuple[str, ...] = ()
    cflags: str = ""
    since: tuple[int, int] | None = None
    needs: tuple[str, ...] = ()
    why: str = ""

    def recipe(self) -> contract.Recipe:
        """The routine recipe: built as this flavour's users build it."""
        return contract.Recipe(configure=self.configure, cflags=self.cflags)


@dataclass(frozen=True, kw_only=True)
class IndexSource:
    """The newest (or a pinned) sdist of a distribution of the package index."""

    name: str
    version: str = ""
    pre: bool = False


@dataclass(frozen=True, kw_only=True)
class GitBranch:
    """The head of a branch of a git repository (URL, or an absolute path on this machine)."""

    url: str
    branch: str = ""
    submodules: bool = False


@dataclass(frozen=True, kw_only=True)
class Own:
    """The interpreter under test itself, whose suite is installed with it."""


Source = IndexSource | GitBranch | Own


@dataclass(frozen=True, kw_only=True)
class Project:
    """One file in `projects/`, validated. `sources` maps a source's name (`release`, `trunk`) to where it comes from."""

    name: str
    title: str
    sources: dict[str, Source]
    install: contract.Install
    test: contract.Test
    timeout_minutes: float = 30.0
    memory_mb: int = 4096
    env: dict[str, str] = field(default_factory=dict)
    network: contract.Network = "install"
    wants: tuple[str, ...] = ()
    services: tuple[contract.Service, ...] = ()
    system: tuple[contract.Library, ...] = ()
    modules: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    notify_daily: tuple[str, ...] = ()
    notify_personal: tuple[str, ...] = ()
    homepage: str = ""
    tracker: str = ""
    starter: bool = False
    flavours: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    note: str = ""

    @property
    def facts(self) -> frozenset[str]:
        """All that a worker must provide."""
        services = (f"service:{name}" for name in self.services)
        return frozenset((*self.wants, *services, *(f"system:{name}" for name in self.system)))


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A volunteer's machine as the roster and its own facts describe it.

    `projects` and `kinds` are what farm and owner both let it do, empty: everything; `network` is the most a job gets."""

    name: str
    platform: str
    abi: str
    slots: int = 1
    owner: str = ""
    email: str = ""
    trust: str = "farm"
    facts: frozenset[str] = frozenset()
    projects: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    network: contract.Network = "always"

    @property
    def builds(self) -> bool:
        """Whether it may build interpreters; some run tests on those of others only."""
        return not self.kinds or "interpreter" in self.kinds


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A row of the watched history. `position` counts the first-parent history of `branch`; greater is newer."""

    sha: str
    branch: str
    position: int
    author: str
    email: str
    committed: float
    title: str
    message: str
    files: tuple[str, ...]
    content_key: str

    @property
    def short(self) -> str:
        return self.sha[:12]


@dataclass(frozen=True, kw_only=True)
class LaneKey:
    """The succession of runs a maintainer watches; a column of the waterfall."""

    project: str
    source: str
    branch: str
    flavour: str
    platform: str

    @property
    def slug(self) -> str:
        """The lane's permanent name in URLs, for example `twisted.release.main.debug.linux-x86_64`."""
        return ".".join((self.project, self.source, self.branch, self.flavour, self.platform))


@dataclass(frozen=True, kw_only=True)
class Revision:
    """What a source resolved to: exactly one thing that can be fetched again.

    `label` is shown to people: a version, or `branch@abcdef123456`."""

    label: str
    source: contract.ProjectSource


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many tests came to what."""

    passed: int = 0
    failed: int = 0
    error: int = 0
    skipped: int = 0
    xfailed: int = 0
    xpassed: int = 0
    crashed: int = 0
    timed_out: int = 0
    not_run: int = 0
    flaky: int = 0

    @property
    def total(self) -> int:
        return (
            self.passed + self.failed + self.error + self.skipped + self.xfailed + self.xpassed
            + self.crashed + self.timed_out + self.not_run
        )  # fmt: skip

    @property
    def bad(self) -> int:
        return (
            self.failed + self.error + self.crashed + self.timed_out + self.not_run + self.xpassed
        )
