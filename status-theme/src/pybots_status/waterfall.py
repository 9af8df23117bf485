"""Lays runs out on the waterfall: which box stands in which row of which lane. Pure; newest row first.

The time axis is not linear: a row begins whenever anything begins or ends, so an idle night takes one row. A run is a
start box with its phases stacked above it, as Buildbot's waterfall drew them since 2003.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final, Literal, NamedTuple

from pybots_status import links
from pybots_status.pages import CommitLine, Waterfall, WaterfallPhase, WaterfallRun
from pybots_status.states import State

MAX_ROWS: Final = 200
"""Older rows are left out; a box that begins in them is cut off at the bottom."""

JOIN_SECONDS: Final = 10.0
"""A phase that begins so soon after the one before it stands right on it: the moment between two steps is no row."""


class _Instant(NamedTuple):
    """A row's lower edge. At equal times the start box of a run (0) stands below what then runs (1)."""

    when: float
    order: int


@dataclass(frozen=True, kw_only=True)
class Box:
    """A piece of a run in one row. `joined_above`/`joined_below`: it goes on in the next row in that direction."""

    state: State
    text: str
    href: str
    kind: Literal["start", "phase"]
    seconds: float | None = None
    joined_above: bool = False
    joined_below: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: its time, the commits that arrived, the boxes of each lane (usually none or one)."""

    when: float
    new_day: bool
    commits: tuple[CommitLine, ...]
    cells: tuple[tuple[Box, ...], ...]
    key: str = ""
    """The same instant's row has the same key in every rendering."""


class _Span(NamedTuple):
    lane: int
    start: _Instant
    end: _Instant | None
    box: Box


def _spans(run: WaterfallRun, href: str) -> list[_Span]:
    """The boxes of one run, before they are cut into rows."""
    start = _Instant(run.started, 0)
    text = run.label or f"run {run.id}"
    head = Box(state="running", text=text, href=href, kind="start")
    follows = [_joined(run.started, phase.started) for phase in run.phases[:1]]
    spans = [_Span(run.lane, start, _Instant(follows[0] if follows else run.started, 1), head)]
    for phase, after in zip_longest(run.phases, run.phases[1:]):
        took = None if phase.finished is None else phase.finished - phase.started
        target = links.safe(phase.href) or href
        box = Box(state=phase.state, text=phase.name, href=target, kind="phase", seconds=took)
        spans.append(_Span(run.lane, _Instant(phase.started, 1), _end(phase, after), box))
    if not run.phases:
        end = None if run.finished is None else _Instant(run.finished, 0)
        box = Box(state=run.state, text=text, href=href, kind="phase")
        spans.append(_Span(run.lane, _Instant(run.started, 1), end, box))
    return spans


def _joined(end: float, begin: float) -> float:
    """Where a box ends whose successor begins at `begin`."""
    return begin if end < begin <= end + JOIN_SECONDS else end


def _end(phase: WaterfallPhase, after: WaterfallPhase | None) -> _Instant | None:
    """What follows in the same run begins at this very instant, not in a row below it."""
    if phase.finished is None:
        return None
    if after is None:
        return _Instant(phase.finished, 0)
    return _Instant(_joined(phase.finished, after.started), 1)


def _pieces(span: _Span, instants: list[_Instant]) -> list[tuple[int, Box]]:
    """A box cut into rows, as (index into `instants`, piece). It has at least one row; it may lie below them all."""
    first = bisect_left(instants, span.start)
    last = len(instants) if span.end is None else bisect_left(instants, span.end)
    if span.end is not None and instants and span.end < instants[0]:
        return []
    indices = range(first, max(last, first + 1))
    return [
        (
            index,
            replace(span.box, joined_above=index != indices[-1], joined_below=index != indices[0]),
        )
        for index in indices
        if index < len(instants)
    ]


def lay_out(page: Waterfall, run_href: dict[int, str]) -> tuple[Row, ...]:
    """The rows of a waterfall, newest first. `run_href` maps a run's id to its address."""
    spans = [span for run in page.runs for span in _spans(run, run_href[run.id])]
    commits: dict[_Instant, list[CommitLine]] = {}
    for commit in page.commits:
        if commit.when is not None:
            commits.setdefault(_Instant(commit.when, 0), []).append(commit)
    ends = {_Instant(span.end.when, 1) for span in spans if span.end}
    instants = sorted({span.start for span in spans} | ends | set(commits))[-MAX_ROWS:]
    grid: list[list[list[Box]]] = [[[] for _ in page.lanes] for _ in instants]
    for span in spans:
        for index, box in _pieces(span, instants):
            grid[index][span.lane].append(box)
    return _rows(instants, grid, commits)


def _rows(
    instants: list[_Instant],
    grid: list[list[list[Box]]],
    commits: dict[_Instant, list[CommitLine]],
) -> tuple[Row, ...]:
    rows: list[Row] = []
    day_above: int | None = None
    for instant, lanes in zip(reversed(instants), reversed(grid), strict=True):
        day = int(instant.when // 86400)
        rows.append(
            Row(
                when=instant.when,
                new_day=day != day_above,
                commits=tuple(commits.get(instant, ())),
                cells=tuple(tuple(boxes) for boxes in lanes),
                key=f"{instant.when:.3f}-{instant.order}",
            )
        )
        day_above = day
    return tuple(rows)
