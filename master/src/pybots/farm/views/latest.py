"""The newest known state of lanes, ordered by commit: the console's `now` row and its strips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pybots.farm.views.builds import Build
from pybots.farm.views.common import state
from pybots.farm.views.console import Column, Seen, now_state, title
from pybots_status import links
from pybots_status.pages import Cell, ColumnGroup, State, Strip, worst
from pybots_status.pages import Column as ThemeColumn

SHORT: Final[Mapping[str, str]] = {
    "release": "rel",
    "debug": "dbg",
    "freethreaded": "ft",
    "jit": "jit",
}

KEPT: Final = 20_000
"""So many last known states of (project, column) are remembered, some 10 MB."""


def lane_state(lane: Any, pending: Mapping[int, State]) -> State:
    """The last known state of a row of `lanes`. `pending`: lanes with a run on its way."""
    return state(now_state(lane.verdict, pending.get(lane.id), lane.state))


def groups(
    columns: Sequence[Column],
    lanes: Sequence[Any],
    pending: Mapping[int, State],
    built: Mapping[Column, Build],
) -> tuple[ColumnGroup, ...]:
    """The console's columns under their platforms, each with its last known state; `built`: their newest interpreters."""
    platforms: dict[str, list[Column]] = {}
    for column in columns:
        platforms.setdefault(column.platform, []).append(column)
    here = _by_column(lanes)
    return tuple(
        ColumnGroup(
            title=platform,
            columns=tuple(
                _column(column, here.get(column, ()), pending, built.get(column)) for column in own
            ),
        )
        for platform, own in platforms.items()
    )


def _by_column(lanes: Sequence[Any]) -> dict[Column, list[Any]]:
    found: dict[Column, list[Any]] = {}
    for row in lanes:
        found.setdefault(Column(row.platform, row.flavour), []).append(row)
    return found


def _column(
    column: Column, lanes: Sequence[Any], pending: Mapping[int, State], build: Build | None
) -> ThemeColumn:
    now = last_known(column, lanes, pending)
    if build is not None and build.failed and worst((now.state, build.state)) == build.state:
        # Its lanes' last results are of older commits: green ones must not hide that there is nothing to run now.
        words = f"{column.title}: the interpreter does not build"
        now = Cell(state=build.state, href=links.run(build.run) if build.run else "", title=words)
    return ThemeColumn(
        short=SHORT.get(column.flavour, column.flavour[:4]),
        title=column.title,
        now=now,
    )


class _Last(NamedTuple):
    """What is last known of a lane, and its newest conclusive run."""

    project: str
    state: State
    run: int | None
    slug: str


def last_known(column: Column, lanes: Sequence[Any], pending: Mapping[int, State]) -> Cell:
    """One box for several lanes' last known states, worst first."""
    return _cell(
        column,
        tuple(
            _Last(row.project, lane_state(row, pending), row.head_run, row.slug) for row in lanes
        ),
    )


@lru_cache(KEPT)
def _cell(column: Column, known: tuple[_Last, ...]) -> Cell:
    """Remembered: of hundreds of lanes one has changed since the last reader."""
    shown = worst(tuple({one.state for one in known}))
    loudest = [one for one in known if one.state == shown]
    words = [(one.project, Seen(0, 0, 0, one.state, 0)) for one in known if one.state != "none"]
    alone = loudest[0] if len(loudest) == 1 else None
    return Cell(
        state=shown,
        count=len(loudest) if shown == "new_failure" and alone is None else 0,
        href=_where(alone.run, alone.slug) if alone else "",
        title=title(column, words),
    )


def where(lane: Any) -> str:
    """A lane's newest conclusive run, or its page."""
    return _where(lane.head_run, lane.slug)


def _where(run: int | None, slug: str) -> str:
    return links.run(run) if run else links.lane(slug)


def strips(
    columns: Sequence[Column], lanes: Sequence[Any], pending: Mapping[int, State]
) -> tuple[Strip, ...]:
    """One strip per project, one box per column."""
    rows: dict[str, list[Any]] = {}
    for row in lanes:
        rows.setdefault(row.project, []).append(row)
    projects = {project: _by_column(own) for project, own in rows.items()}
    return tuple(
        Strip(
            name=project,
            href=links.project(project),
            cells=tuple(
                last_known(column, found[column], pending) if column in found else Cell()
                for column in columns
            ),
        )
        for project, found in sorted(projects.items())
    )
