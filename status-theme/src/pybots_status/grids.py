"""The two grids as data: the console (commits × platforms and flavours) and the waterfall (time × lanes)."""

from __future__ import annotations

from dataclasses import dataclass

from pybots_status.parts import Cell, CommitLine, Fact, Frame, Link
from pybots_status.states import State

# The console: commits × (platform × flavour) -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Column:
    """A flavour on a platform. `now` is the last known state, ordered by commit; its label is `short` (`rel`)."""

    short: str
    title: str
    now: Cell


@dataclass(frozen=True, kw_only=True)
class ColumnGroup:
    """The columns of one platform, side by side under its name."""

    title: str
    columns: tuple[Column, ...]
    short: str = ""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One project in the capsule: its name, its page, one small box per console column, in the columns' order."""

    name: str
    href: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Bullet:
    """A *new* failure under its commit's row: where it is, what it says, and links (run, log, breakage)."""

    where: str
    text: str
    links: tuple[Link, ...] = ()
    state: State = "new_failure"


@dataclass(frozen=True, kw_only=True)
class CommitRow:
    """A commit with exactly one cell per column. `message` is shown only when the page is expanded.

    `mine`: the reader asked for this author, the row stands out.
    """

    sha: str
    author: str
    title: str
    cells: tuple[Cell, ...]
    message: str = ""
    when: float | None = None
    bullets: tuple[Bullet, ...] = ()
    mine: bool = False


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The console's GET form: what was asked for, and what may be chosen. Empty: everything."""

    who: str = ""
    project: str = ""
    flavour: str = ""
    platform: str = ""
    only_bad: bool = False
    expanded: bool = False
    rows: int = 30
    projects: tuple[str, ...] = ()
    flavours: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Console:
    """`/`: the front page, newest commit first. `progress`: what the farm does right now (shown while it is new)."""

    frame: Frame
    groups: tuple[ColumnGroup, ...] = ()
    rows: tuple[CommitRow, ...] = ()
    strips: tuple[Strip, ...] = ()
    filters: Filters = Filters()
    progress: tuple[Fact, ...] = ()
    newer: str = ""
    older: str = ""
    permalink: str = ""


# The waterfall: time × lanes -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LaneHead:
    """A column of the waterfall. `last`: its last result; `activity`: `idle`, `waits for a worker`, `test since 13:40`."""

    slug: str
    lines: tuple[str, ...]
    last: Cell
    activity: str = ""
    active: bool = False


@dataclass(frozen=True, kw_only=True)
class WaterfallPhase:
    """A step box. `finished` None: running."""

    name: str
    state: State
    started: float
    finished: float | None = None
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class WaterfallRun:
    """A run in lane number `lane` (index into `Waterfall.lanes`): a start box with its phases stacked above it."""

    lane: int
    id: int
    state: State
    started: float
    finished: float | None = None
    label: str = ""
    phases: tuple[WaterfallPhase, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Waterfall:
    """`/waterfall`: runs may come in any order; the theme lays them out. `project` is the filter in force."""

    frame: Frame
    lanes: tuple[LaneHead, ...] = ()
    runs: tuple[WaterfallRun, ...] = ()
    commits: tuple[CommitLine, ...] = ()
    project: str = ""
    projects: tuple[str, ...] = ()
    older: str = ""
    newer: str = ""
