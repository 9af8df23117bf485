"""Reading the prepared cells and the commits of a branch: the console's and the commit page's queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_, func, select

from pybots.farm.views.common import Missing, run_state, state
from pybots.farm.views.console import Column, Lane, Seen
from pybots.ledger import schema
from pybots_status.pages import State

cells, commits, lanes, runs = schema.cells, schema.commits, schema.lanes, schema.runs

MIN_PREFIX: Final = 7
"""Shorter prefixes of a sha are not looked up."""

LINE: Final = (
    commits.c.id, commits.c.position, commits.c.sha, commits.c.author, commits.c.title,
    commits.c.committed,
)  # fmt: skip
"""What a list of commits shows; messages and files are long and read only where they are shown."""


def branch_lanes(connection: Connection, branch: str) -> Sequence[Row[Any]]:
    """The lanes of a branch that are not retired."""
    return connection.execute(
        select(lanes)
        .where(lanes.c.branch == branch, lanes.c.state != "retired")
        .order_by(lanes.c.project, lanes.c.source)
    ).all()


def lane(row: Row[Any]) -> Lane:
    return Lane(id=row.id, column=Column(row.platform, row.flavour), project=row.project)


def told(connection: Connection, branch: str, low: int, high: int) -> dict[int, str]:
    """By lane, the branch's cells between two positions as JSON: the console reads only those that have changed."""
    fact = func.json_array(cells.c.position, cells.c.run_id, cells.c.state, cells.c.count)
    rows = connection.execute(
        select(cells.c.lane_id, func.json_group_array(fact))
        .where(cells.c.branch == branch, cells.c.position.between(low, high))
        .group_by(cells.c.lane_id)
    )
    found: dict[int, str] = dict(rows.all())
    return found


def seen_at(connection: Connection, branch: str, position: int) -> list[Seen]:
    """The branch's cells at one position."""
    rows = connection.execute(
        select(
            cells.c.lane_id, cells.c.position, cells.c.run_id, cells.c.state, cells.c.count
        ).where(cells.c.branch == branch, cells.c.position == position)
    )
    return [Seen(lane, at, run, state(word), count) for lane, at, run, word, count in rows.all()]


def newer(connection: Connection, branch: str, high: int) -> list[Seen]:
    """Of each lane the first run after a position, as a cell: what speaks for commits it had no run of its own for."""
    inner = runs.alias("next")
    first = (
        select(inner.c.id)
        .where(*_of_lane(inner), inner.c.position > high)
        .order_by(inner.c.position, inner.c.started.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(lanes.c.id, runs.c.position, runs.c.id, runs.c.state, runs.c.verdict, cells.c.count)
        .select_from(lanes)
        .join(runs, runs.c.id == first)
        .join(cells, and_(cells.c.run_id == runs.c.id, cells.c.lane_id == lanes.c.id), isouter=True)
        .where(lanes.c.branch == branch)
        .distinct()
    )
    return [
        Seen(lane, at, run, run_state(word, verdict), count or 0)
        for lane, at, run, word, verdict, count in rows
    ]


def with_older(connection: Connection, branch: str, low: int) -> set[int]:
    """The lanes that have a run before a position."""
    inner = runs.alias("before")
    exists = select(inner.c.id).where(*_of_lane(inner), inner.c.position < low).exists()
    return set(connection.scalars(select(lanes.c.id).where(lanes.c.branch == branch, exists)))


def _of_lane(inner: Any) -> tuple[Any, ...]:
    return (inner.c.lane_id == lanes.c.id, inner.c.purpose == "routine", inner.c.state != "dropped")


def pending(connection: Connection, branch: str) -> dict[int, State]:
    """Lanes with a run on its way: whether it runs, waits, or waits for workers that are all away (`offline`)."""
    there = online(connection)
    rows = connection.execute(
        select(runs.c.lane_id, runs.c.state, lanes.c.platform)
        .join(lanes, lanes.c.id == runs.c.lane_id)
        .where(
            runs.c.state.in_(("wanted", "dispatched", "running")),
            runs.c.kind == "project",
            runs.c.branch == branch,
        )
    )
    found: dict[int, State] = {}
    for lane_id, word, platform in rows:
        if found.get(lane_id) != "running":
            found[lane_id] = waiting(run_state(word, None), platform in there)
    return found


def online(connection: Connection) -> set[str]:
    """The platforms that have a connected worker."""
    workers = schema.workers
    return set(
        connection.scalars(
            select(workers.c.platform).where(workers.c.state == "approved", workers.c.connected)
        )
    )


def waiting(shown: State, there: bool) -> State:
    """What waits for workers that are all away is offline; everything else stays what it is."""
    return "offline" if shown == "queued" and not there else shown


def head(connection: Connection, branch: str) -> int | None:
    """The newest position known of a branch."""
    newest: int | None = connection.scalar(
        select(func.max(commits.c.position)).where(commits.c.branch == branch)
    )
    return newest


def find(connection: Connection, sha: str, branches: Sequence[str]) -> Row[Any]:
    """The commit with this sha, or the only one it is a prefix of. Several branches may have it: the first wins.

    Raises Missing: unknown, too short, ambiguous."""
    if not (MIN_PREFIX <= len(sha) <= 40) or not set(sha) <= set("0123456789abcdef"):
        raise Missing(
            f"“{sha[:60]}” is no commit",
            f"give at least {MIN_PREFIX} hexadecimal digits of its sha",
        )
    # "g" sorts after every hexadecimal digit: a range the index can answer, unlike LIKE.
    rows = connection.execute(
        select(commits).where(commits.c.sha >= sha, commits.c.sha < sha + "g").limit(50)
    ).all()
    found = {row.sha for row in rows}
    if not found:
        raise Missing(
            f"no commit {sha} is known here", "the farm knows only the branches it watches"
        )
    if len(found) > 1:
        raise Missing(f"several commits begin with {sha}", "give more digits of its sha")
    order = {name: place for place, name in enumerate(branches)}
    return min(rows, key=lambda row: (order.get(row.branch, len(order)), row.branch))


def page_of_commits(
    connection: Connection,
    branch: str,
    *,
    top: int | None = None,
    above: int | None = None,
    limit: int,
    columns: Sequence[Any] = LINE,
) -> list[Row[Any]]:
    """Commits newest first: from position `top` down, or the ones next above position `above`, else the newest."""
    query: Select[Any] = select(*columns).where(commits.c.branch == branch)
    if above is not None:
        query = query.where(commits.c.position > above).order_by(commits.c.position)
        return list(connection.execute(query.limit(limit)).all())[::-1]
    if top is not None:
        query = query.where(commits.c.position <= top)
    return list(connection.execute(query.order_by(commits.c.position.desc()).limit(limit)).all())
