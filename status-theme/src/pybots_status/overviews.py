"""Pages that look at the whole farm: the tree's sign, statistics, two releases side by side, all breakages."""

from __future__ import annotations

from dataclasses import dataclass

from pybots_status.charts import Chart
from pybots_status.parts import BreakageRow, CommitLine, Fact, Frame, LaneRow, TreeNote


@dataclass(frozen=True, kw_only=True)
class Tree:
    """`/tree`: what the farm's admin said about the farm, newest first. What holds now stands in the banner."""

    frame: Frame
    rows: tuple[TreeNote, ...] = ()
    older: str = ""


@dataclass(frozen=True, kw_only=True)
class Breakages:
    """`/breakages`: what is broken, and what was lately. `standing` and `over`: newest first.

    `like`: only those that say the same as this breakage."""

    frame: Frame
    standing: tuple[BreakageRow, ...] = ()
    over: tuple[BreakageRow, ...] = ()
    older: str = ""
    like: int = 0


@dataclass(frozen=True, kw_only=True)
class ChanceRow:
    """A test that failed by chance in a lane: so many `events` lately, at `last` for the last time."""

    test: str
    lane: str
    project: str
    where: str
    events: int
    last: float


@dataclass(frozen=True, kw_only=True)
class RateRow:
    """How a project did: `red` of `runs` conclusive runs failed. `seconds`: the usual length of a run (median)."""

    project: str
    runs: int
    red: int
    infra: int
    seconds: float | None = None

    @property
    def percent(self) -> str:
        return f"{100 * self.red / self.runs:.1f} %" if self.runs else "–"


@dataclass(frozen=True, kw_only=True)
class Stats:
    """`/stats`: numbers of the last `days` days, drawn by the server."""

    frame: Frame
    days: int
    facts: tuple[Fact, ...] = ()
    charts: tuple[Chart, ...] = ()
    rates: tuple[RateRow, ...] = ()
    chances: tuple[ChanceRow, ...] = ()
    left_out: int = 0
    """How many older runs of these days are not counted, because there are too many."""


@dataclass(frozen=True, kw_only=True)
class Blocker:
    """What one breakage (`number` 0: none is recorded) took from a release: lanes that passed then and fail now."""

    number: int
    title: str
    disposition: str
    lanes: tuple[LaneRow, ...]
    culprit: CommitLine | None = None
    who: str = ""


@dataclass(frozen=True, kw_only=True)
class Release:
    """`/release/<tag>?since=<tag>`. `since` "": nothing to compare with was named, so only the choice is shown.

    `unknown`: lanes that passed then and have no verdict now; `new`: lanes whose past is not known, and that fail now;
    `known`: how many lanes failed then and fail now. `copy`: the blockers as text for an issue.
    """

    frame: Frame
    tag: str
    since: str
    choices: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    new: tuple[LaneRow, ...] = ()
    unknown: tuple[LaneRow, ...] = ()
    fixed: tuple[LaneRow, ...] = ()
    known: tuple[LaneRow, ...] = ()
    copy: str = ""
