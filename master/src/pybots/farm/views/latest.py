"""The newest known state of lanes, ordered by commit: the console's `now` row and its strips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

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
    platforms = list(dict.fromkeys(column.platform for column in columns))
    return tuple(
        ColumnGroup(
            title=platform,
            columns=tuple(
                _column(column, lanes, pending, built.get(column))
                for column in columns
                if column.platform == platform
            ),
        )
        for platform in platforms
    )


def _column(
    column: Column, lanes: Sequence[Any], pending: Mapping[int, State], build: Build | None
) -> ThemeColumn:
    here = [row for row in lanes if (row.platform, row.flavour) == column]
    now = last_known(column, here, pending)
    if build is not None and build.failed and worst((now.state, build.state)) == build.state:
        # Its lanes' last results are of older commits: green ones must not hide that there is nothing to run now.
        words = f"{column.title}: the interpreter does not build"
        now = Cell(state=build.state, href=links.run(build.run) if build.run else "", title=words)
    return ThemeColumn(
        short=SHORT.get(column.flavour, column.flavour[:4]),
        title=column.title,
        now=now,
    )


def last_known(column: Column, lanes: Sequence[Any], pending: Mapping[int, State]) -> Cell:
    """One box for several lanes' last known states, worst first."""
    known = [(row, lane_state(row, pending)) for row in lanes]
    shown = worst(tuple({one for _, one in known}))
    loudest = [row for row, one in known if one == shown]
    words = [(row.project, Seen(row.id, 0, 0, one, 0)) for row, one in known if one != "none"]
    alone = len(loudest) == 1
    return Cell(
        state=shown,
        count=len(loudest) if shown == "new_failure" and not alone else 0,
        href=where(loudest[0]) if alone else "",
        title=title(column, words),
    )


def where(lane: Any) -> str:
    """A lane's newest conclusive run, or its page."""
    return links.run(lane.head_run) if lane.head_run else links.lane(lane.slug)


def strips(
    columns: Sequence[Column], lanes: Sequence[Any], pending: Mapping[int, State]
) -> tuple[Strip, ...]:
    """One strip per project, one box per column."""
    projects: dict[str, dict[Column, list[Any]]] = {}
    for row in lanes:
        column = Column(row.platform, row.flavour)
        projects.setdefault(row.project, {}).setdefault(column, []).append(row)
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
