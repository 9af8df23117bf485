"""`/`: the console of one branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection

from pybots.farm.home import Farm
from pybots.farm.views import builds, history
from pybots.farm.views.activity import activity
from pybots.farm.views.common import Missing, Visit
from pybots.farm.views.console import NOTHING, Box, Column, Heard, Lane, boxes, is_bad
from pybots.farm.views.frame import branches, default_branch, frame
from pybots.farm.views.latest import groups, strips
from pybots.farm.views.rows import commit_rows
from pybots_status import links
from pybots_status.pages import (
    Console,
    Filters,
    State,
)

MAX_ROWS: Final = 200
SEARCHED: Final = 4
"""`who` and `only` look at this many times the rows asked for (at most MAX_SEARCHED commits), then offer `older`."""
MAX_SEARCHED: Final = 400
BUSY_REFRESH: Final = 15
NEW_REFRESH: Final = 5
"""Seconds, while something runs and while nothing is there yet: whoever has just begun a farm sits before this page."""
BUILD_MARGIN: Final = 20
"""Commits beyond the window whose interpreters are read, so that a build's pillar may begin above it."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The console's GET parameters, checked. At most one of `at` (from this commit down), `before`, `after` is set."""

    who: str = ""
    project: str = ""
    flavour: str = ""
    platform: str = ""
    only_bad: bool = False
    expanded: bool = False
    rows: int = 30
    at: str = ""
    before: str = ""
    after: str = ""

    def query(self) -> dict[str, str | int | bool]:
        """As it stands in an address, without the anchor; defaults are left out."""
        return {
            "who": self.who,
            "project": self.project,
            "platform": self.platform,
            "flavour": self.flavour,
            "only": "bad" if self.only_bad else "",
            "detail": self.expanded,
            "rows": self.rows if self.rows != Asked.rows else 0,
        }


@dataclass(frozen=True, kw_only=True)
class _Window:
    """Commits, newest first. `newer` and `older`: the sha to go on from on that side, "" where there is nothing more."""

    commits: Sequence[Any]
    newer: str = ""
    older: str = ""


@dataclass(frozen=True, kw_only=True)
class _Picture:
    """What is known of the window: the lanes' rows, the columns in order, boxes per commit."""

    lanes: Sequence[Any]
    columns: Sequence[Column]
    window: _Window
    grid: Sequence[Mapping[Column, Box]] = ()
    pending: Mapping[int, State] = field(default_factory=dict)


def console(farm: Farm, visit: Visit, asked: Asked) -> Console:
    """The page. Raises Missing for an unknown branch, project or anchor."""
    branch = visit.branch or default_branch(farm)
    with farm.ledger.read() as connection:
        lanes = history.branch_lanes(connection, branch)
        if branch not in branches(farm) and history.head(connection, branch) is None:
            raise Missing(
                f"no branch “{branch}” here", "the tabs name the branches that are watched"
            )
        window = _window(connection, branch, asked, branches(farm))
        made, built = _builds(connection, branch, window)
        picture = _picture(farm, connection, branch, asked, lanes, window, made)
        shown = _shown(picture, asked)
        rows = commit_rows(
            connection, shown.window.commits, shown.grid, shown.columns,
            expanded=asked.expanded, mine=bool(asked.who),
        )  # fmt: skip
        busy = activity(connection)
        around = frame(
            farm, connection, visit, title="Console", current="console", branch=branch, built=built
        )
    commits = shown.window.commits
    return Console(
        frame=replace(around, refresh=_refresh(around.refresh, busy=bool(busy), new=not lanes)),
        groups=groups(picture.columns, picture.lanes, picture.pending, built),
        rows=rows,
        strips=strips(picture.columns, picture.lanes, picture.pending),
        filters=_filters(asked, lanes),
        progress=busy,
        newer=_go(branch, asked, "after", shown.window.newer),
        older=_go(branch, asked, "before", shown.window.older),
        permalink=_go(branch, asked, "at", commits[0].sha if commits else ""),
    )


def _refresh(usual: int, *, busy: bool, new: bool) -> int:
    """0 stays 0: the reader wants no refreshing."""
    return min(usual, NEW_REFRESH if new else BUSY_REFRESH if busy else usual)


def _window(connection: Connection, branch: str, asked: Asked, order: Sequence[str]) -> _Window:
    searching = asked.only_bad or asked.who
    limit = min(asked.rows * SEARCHED, MAX_SEARCHED) if searching else asked.rows
    anchor = asked.at or asked.before or asked.after
    at = history.find(connection, anchor, (branch, *order)).position if anchor else None
    if at is not None and asked.after:
        found = history.page_of_commits(connection, branch, above=at, limit=limit + 1)
        kept = found[-limit:]
        newer = kept[0].sha if len(found) > limit else ""
        return _Window(commits=kept, newer=newer, older=kept[-1].sha if kept else "")
    top = at - 1 if at is not None and asked.before else at
    found = history.page_of_commits(connection, branch, top=top, limit=limit + 1)
    kept = found[:limit]
    newest = history.head(connection, branch)
    above = bool(kept) and newest is not None and kept[0].position < newest
    return _Window(
        commits=kept,
        newer=kept[0].sha if above else "",
        older=kept[-1].sha if len(found) > limit else "",
    )


def _builds(
    connection: Connection, branch: str, window: _Window
) -> tuple[Mapping[Column, str], Mapping[Column, builds.Build]]:
    """The interpreters of the window and somewhat beyond it, and the branch's last ones."""
    newest = history.head(connection, branch)
    if not window.commits or newest is None:
        return {}, builds.last_builds(connection, branch)
    low, high = window.commits[-1].position, window.commits[0].position
    return builds.stretch(connection, branch, low - BUILD_MARGIN, high + BUILD_MARGIN, newest)


def _picture(
    farm: Farm,
    connection: Connection,
    branch: str,
    asked: Asked,
    lanes: Sequence[Any],
    window: _Window,
    made: Mapping[Column, str],
) -> _Picture:
    chosen = [
        row
        for row in lanes
        if asked.project in ("", row.project)
        and asked.flavour in ("", row.flavour)
        and asked.platform in ("", row.platform)
    ]
    columns = _columns(farm, chosen)
    pending = history.pending(connection, branch)
    picture = _Picture(lanes=chosen, columns=columns, window=window, pending=pending)
    if not window.commits:
        return picture
    positions = [row.position for row in window.commits]
    speaking = _heard(connection, branch, chosen, window, made)
    wanted = set(columns)
    return replace(
        picture, grid=boxes(positions, [one for one in speaking if one.lane.column in wanted])
    )


def _heard(
    connection: Connection,
    branch: str,
    lanes: Sequence[Any],
    window: _Window,
    made: Mapping[Column, str],
) -> list[Heard]:
    """What the lanes say of the window's commits, and beside them the interpreters' builds as lanes of their own."""
    low, high = window.commits[-1].position, window.commits[0].position
    told = history.told(connection, branch, low, high)
    beyond = history.newer(connection, branch, high) if window.newer else []
    next_one = {item.lane: item for item in beyond}
    older = history.with_older(connection, branch, low)
    there = history.online(connection)
    found = [
        Heard(
            lane=history.lane(row),
            told=told.get(row.id, NOTHING),
            beyond=next_one.get(row.id),
            older=row.id in older,
            away=row.platform not in there,
        )
        for row in lanes
    ]
    found += [
        Heard(
            lane=Lane(id=-1 - number, column=column),
            told=builds.cells(column, text),
            away=column.platform not in there,
        )
        for number, (column, text) in enumerate(made.items())
    ]
    return found


def _columns(farm: Farm, lanes: Sequence[Any]) -> list[Column]:
    """The columns there are, in the order of the settings; what they no longer name comes last."""
    platforms = {name: place for place, name in enumerate(farm.config.platforms)}
    flavours = {name: place for place, name in enumerate(farm.config.flavour_names())}
    found = {Column(row.platform, row.flavour) for row in lanes}
    return sorted(
        found,
        key=lambda column: (
            platforms.get(column.platform, len(platforms)),
            column.platform,
            flavours.get(column.flavour, len(flavours)),
            column.flavour,
        ),
    )


def _shown(picture: _Picture, asked: Asked) -> _Picture:
    """The commits left after `who` and `only`."""
    who = asked.who.casefold()
    grid = picture.grid or [{} for _ in picture.window.commits]
    kept = [
        (row, found)
        for row, found in zip(picture.window.commits, grid, strict=True)
        if (not who or who in row.author.casefold()) and (not asked.only_bad or is_bad(found))
    ]
    searched = picture.window
    cut = len(kept) > asked.rows
    kept = kept[-asked.rows :] if asked.after else kept[: asked.rows]
    first, last = (kept[0][0].sha, kept[-1][0].sha) if kept else ("", "")
    window = _Window(
        commits=[row for row, _ in kept],
        newer=first if cut and asked.after else searched.newer,
        older=last if cut and not asked.after else searched.older,
    )
    return replace(picture, window=window, grid=[found for _, found in kept])


def _filters(asked: Asked, lanes: Sequence[Any]) -> Filters:
    return Filters(
        who=asked.who,
        project=asked.project,
        flavour=asked.flavour,
        platform=asked.platform,
        only_bad=asked.only_bad,
        expanded=asked.expanded,
        rows=asked.rows,
        projects=tuple(sorted({row.project for row in lanes})),
        flavours=tuple(sorted({row.flavour for row in lanes})),
        platforms=tuple(sorted({row.platform for row in lanes})),
    )


def _go(branch: str, asked: Asked, anchor: str, sha: str) -> str:
    """The same console from another commit on; "" without one."""
    return links.console(branch=branch, **asked.query(), **{anchor: sha}) if sha else ""
