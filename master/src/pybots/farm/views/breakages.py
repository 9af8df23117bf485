"""`/breakages`: what is broken, and what was lately.

One change may break many tests that only their frames tell apart. Breakages of one thread whose errors read the same are one
row there, the newest of them; `?like=N` lists them all.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, case, func, select

from pybots.core.model import STANDING
from pybots.farm.home import Farm
from pybots.farm.views.common import Missing, Visit, lanes
from pybots.farm.views.frame import frame
from pybots.farm.views.lists import breakage_rows, breakages, parts
from pybots_status import links
from pybots_status.pages import BreakageRow, Breakages

MAX_STANDING: Final = 200
OVER: Final = 50
STORY: Final = (
    case((breakages.c.thread_id == 0, -breakages.c.id), else_=breakages.c.thread_id),
    breakages.c.title, breakages.c.state, breakages.c.disposition, breakages.c.person,
)  # fmt: skip


def page(farm: Farm, visit: Visit, *, before: int = 0, like: int = 0) -> Breakages:
    """The page. `before`: only breakages that are over, with a smaller number. `like`: those that say the same as this one.

    Raises Missing when there is no breakage `like`."""
    is_standing = breakages.c.state.in_(sorted(STANDING))
    over = select(breakages).where(~is_standing).order_by(breakages.c.id.desc())
    with farm.ledger.read() as connection:
        now = farm.clock()
        around = frame(farm, connection, visit, title="Breakages", current="breakages")
        if like:
            return _alike(connection, around, like, now)
        standing = () if before else _standing(connection, now)
        if before:
            over = over.where(breakages.c.id < before)
        gone = connection.execute(over.limit(OVER + 1)).all()
        rows = breakage_rows(connection, gone[:OVER], now)
    return Breakages(
        frame=around,
        standing=standing,
        over=rows,
        older=_older(gone[OVER - 1].id) if len(gone) > OVER else "",
    )


def _standing(connection: Connection, now: float) -> tuple[BreakageRow, ...]:
    """What stands, newest first; what reads the same is one row."""
    number = breakages.c.id
    stories = connection.execute(
        select(func.max(number).label("newest"), func.json_group_array(number).label("ids"))
        .where(breakages.c.state.in_(sorted(STANDING)))
        .group_by(*STORY)
        .order_by(func.max(number).desc())
        .limit(MAX_STANDING)
    ).all()
    members = {story.newest: json.loads(story.ids) for story in stories}
    found = connection.execute(
        select(breakages).where(number.in_(list(members))).order_by(number.desc())
    ).all()
    rows = breakage_rows(connection, found, now)
    many = {newest: ids for newest, ids in members.items() if len(ids) > 1}
    extents = _extents(connection, many)
    return tuple(
        _story(row, many[row.id], extents[row.id]) if row.id in many else row for row in rows
    )


def _story(row: BreakageRow, ids: list[int], extent: dict[int, Any]) -> BreakageRow:
    """The row of several. `extent`: lane -> (its project, tests that fail there)."""
    projects = {project for project, _ in extent.values()}
    return replace(
        row,
        project=row.project if len(projects) == 1 else "",
        lanes=len(extent),
        tests=max((tests for _, tests in extent.values()), default=0),
        alike=len(ids) - 1,
        alike_href=links.with_query(links.BREAKAGES, like=row.id),
    )


def _extents(connection: Connection, many: dict[int, list[int]]) -> dict[int, dict[int, Any]]:
    """Newest breakage of a story -> lane -> (its project, tests of all its breakages there)."""
    story = {number: newest for newest, ids in many.items() for number in ids}
    found: dict[int, dict[int, Any]] = {newest: {} for newest in many}
    rows = connection.execute(
        select(parts.c.breakage_id, parts.c.lane_id, parts.c.count.label("tests"), lanes.c.project)
        .join(lanes, lanes.c.id == parts.c.lane_id, isouter=True)
        .where(parts.c.breakage_id.in_(list(story)))
    )
    for row in rows:
        of_story = found[story[row.breakage_id]]
        _, before = of_story.get(row.lane_id, ("", 0))
        of_story[row.lane_id] = (row.project or "", before + row.tests)
    return found


def _alike(connection: Connection, around: Any, like: int, now: float) -> Breakages:
    """All that read as this one does in its thread, whatever became of them."""
    one = connection.execute(select(breakages).where(breakages.c.id == like)).first()
    if one is None:
        raise Missing(f"There is no breakage {like}.")
    same = (
        (breakages.c.thread_id == one.thread_id, breakages.c.title == one.title)
        if one.thread_id
        else (breakages.c.id == like,)
    )
    found = connection.execute(
        select(breakages).where(*same).order_by(breakages.c.id.desc()).limit(MAX_STANDING)
    ).all()
    rows = breakage_rows(connection, found, now)
    return Breakages(
        frame=around,
        like=like,
        standing=tuple(row for row in rows if row.state != "closed"),
        over=tuple(row for row in rows if row.state == "closed"),
    )


def _older(number: int) -> str:
    return links.with_query(links.BREAKAGES, before=number)
