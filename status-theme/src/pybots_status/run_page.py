"""A run's page as data: phases, logs, failures, attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pybots_status.parts import Fact, Frame, RunRow
from pybots_status.states import State
from pybots_status.subjects import InterpreterRow


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """A line of a log, made harmless by `logs.lines`. `header`: the farm's own words."""

    number: int
    text: str
    stream: Literal["stdout", "stderr", "header"] = "stdout"


@dataclass(frozen=True, kw_only=True)
class Log:
    """The shown part of a log. `live`: still growing. `raw`: address of the whole. `left_out`: earlier lines not shown.

    `earlier` and `later` lead to the neighbouring parts, where there are any."""

    lines: tuple[LogLine, ...] = ()
    live: bool = False
    raw: str = ""
    left_out: int = 0
    cut: bool = False
    earlier: str = ""
    later: str = ""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One phase of a run. `meaning` says in words how it ended (`exit 1: tests failed`); `usual`: seconds last time."""

    name: str
    state: State
    meaning: str = ""
    seconds: float | None = None
    usual: float | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    error: str = ""
    log: Log | None = None
    href: str = ""
    """Where this phase's log is shown, when that is not on this page."""


@dataclass(frozen=True, kw_only=True)
class TestFailure:
    """A test that did not do what it should. `outcome`: `failed`, `error`, `crashed` … `breakage` 0: none."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    id: str
    outcome: str
    state: State = "new_failure"
    type: str = ""
    message: str = ""
    detail: str = ""
    seconds: float | None = None
    retried: tuple[str, ...] = ()
    breakage: int = 0


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try of a run. `state` is the ledger's word: dispatched, running, recorded, lost, refused. `href`: its phases."""

    number: int
    state: str
    worker: str
    started: float | None = None
    seconds: float | None = None
    reason: str = ""
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """`/run/<id>`. `row` says what ran where; `row.state` is what it came to.

    `environment` holds machine and sandbox facts (rung, caps), `lock` the installed distributions as name and version,
    `failures_left_out` how many more failing tests there are than shown, `reproduce` one command line.
    """

    frame: Frame
    row: RunRow
    failure_kind: str = ""
    phases: tuple[Phase, ...] = ()
    failures: tuple[TestFailure, ...] = ()
    failures_left_out: int = 0
    attempts: tuple[Attempt, ...] = ()
    interpreter: InterpreterRow | None = None
    environment: tuple[Fact, ...] = ()
    lock: tuple[Fact, ...] = ()
    modules: tuple[str, ...] = ()
    artifact: Fact | None = None
    reproduce: str = ""
    report: str = ""
    previous: int = 0
