"""The pages of a farm as frozen data: what `render` turns into HTML. No master, no database, no routing in here.

A page holds what is shown, already decided and counted; the theme only lays it out. See `parts` for units and trust.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pybots_status.charts import Chart, Series
from pybots_status.grids import (
    Bullet,
    Column,
    ColumnGroup,
    CommitRow,
    Console,
    Filters,
    LaneHead,
    Strip,
    Waterfall,
    WaterfallPhase,
    WaterfallRun,
)
from pybots_status.overviews import (
    Blocker,
    Breakages,
    ChanceRow,
    RateRow,
    Release,
    Stats,
    Tree,
)
from pybots_status.parts import (
    Announce,
    Banner,
    BreakageRow,
    Cell,
    CommitLine,
    Fact,
    Frame,
    LaneRow,
    Link,
    MailRow,
    Notice,
    RunRow,
    TestCounts,
    Theme,
    TreeNote,
    TreeState,
    WorkerRow,
)
from pybots_status.run_page import Attempt, Log, LogLine, Phase, Run, TestFailure
from pybots_status.states import ALL_STATES, STATES, State, StateInfo, worst
from pybots_status.subjects import (
    AnswerPage,
    Breakage,
    Choice,
    Commit,
    EvidenceRow,
    FailingRow,
    FlakyRow,
    InterpreterRow,
    IssueText,
    Lane,
    ProbeRow,
    Project,
    ProjectRow,
    Projects,
    Search,
    TestHistory,
    TestSpan,
    Version,
)

__all__ = [
    "ALL_STATES",
    "STATES",
    "Announce",
    "AnswerPage",
    "Attempt",
    "Banner",
    "Blocker",
    "Breakage",
    "BreakageRow",
    "Breakages",
    "Bullet",
    "Cell",
    "ChanceRow",
    "Chart",
    "Choice",
    "Column",
    "ColumnGroup",
    "Commit",
    "CommitLine",
    "CommitRow",
    "Console",
    "ErrorPage",
    "EvidenceRow",
    "Fact",
    "FailingRow",
    "Filters",
    "FlakyRow",
    "Frame",
    "InterpreterRow",
    "IssueText",
    "Lane",
    "LaneHead",
    "LaneRow",
    "Legend",
    "Link",
    "Log",
    "LogLine",
    "Mail",
    "MailArchive",
    "MailRow",
    "Notice",
    "Page",
    "Phase",
    "ProbeRow",
    "Project",
    "ProjectRow",
    "Projects",
    "RateRow",
    "Release",
    "Run",
    "RunRow",
    "Search",
    "Series",
    "State",
    "StateInfo",
    "Stats",
    "Strip",
    "TestCounts",
    "TestFailure",
    "TestHistory",
    "TestSpan",
    "TextBlock",
    "TextPage",
    "Theme",
    "Tree",
    "TreeNote",
    "TreeState",
    "Version",
    "Waterfall",
    "WaterfallPhase",
    "WaterfallRun",
    "Worker",
    "WorkerRow",
    "Workers",
    "worst",
]


@dataclass(frozen=True, kw_only=True)
class Workers:
    """`/workers`."""

    frame: Frame
    rows: tuple[WorkerRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Worker:
    """`/worker/<name>`."""

    frame: Frame
    row: WorkerRow
    facts: tuple[Fact, ...] = ()
    runs: tuple[RunRow, ...] = ()
    queue: tuple[RunRow, ...] = ()
    """The first of what waits for it, in the order in which it was wanted."""


@dataclass(frozen=True, kw_only=True)
class MailArchive:
    """`/mail`: newest first."""

    frame: Frame
    rows: tuple[MailRow, ...] = ()
    older: str = ""


@dataclass(frozen=True, kw_only=True)
class Mail:
    """`/mail/<id>`: the message as it was sent. `thread`: the other messages of its thread."""

    frame: Frame
    row: MailRow
    headers: tuple[Fact, ...] = ()
    body: str = ""
    thread: tuple[MailRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Legend:
    """`/legend`: the table of states, in words."""

    frame: Frame


@dataclass(frozen=True, kw_only=True)
class TextBlock:
    """A piece of a text page."""

    kind: Literal["heading", "text", "code"]
    text: str


@dataclass(frozen=True, kw_only=True)
class TextPage:
    """A plain page of words (`/join`)."""

    frame: Frame
    heading: str
    blocks: tuple[TextBlock, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ErrorPage:
    """An answer that is not a page: 404, 503 … `hint` says what to do now."""

    frame: Frame
    status: int
    message: str
    hint: str = ""


Page = (
    Console
    | Waterfall
    | Projects
    | Project
    | Lane
    | Commit
    | Run
    | Breakage
    | Breakages
    | AnswerPage
    | Workers
    | Worker
    | MailArchive
    | Mail
    | Stats
    | Release
    | Tree
    | Legend
    | TextPage
    | ErrorPage
)
