"""Breakages and the lanes they are in: opened, joined, opened again, closed. Plain SQL; the decisions are `core`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, update

from pybots.ledger import schema

breakages, lanes = schema.breakages, schema.breakage_lanes

INTERPRETER = 0
"""The `lane_id` of an interpreter that doesn't build; its `tests` are the columns: `debug.linux-x86_64`."""
MAX_TESTS = 500
"""Test ids kept with a lane's breakage; `count` says how many there are."""

How = Literal["opened", "joined", "reopened"]


@dataclass(frozen=True, kw_only=True)
class Failing:
    """One cause, as a run showed it: a signature and the ids (tests, or columns of an interpreter) it hit."""

    signature: str
    kind: str
    title: str
    ids: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Where:
    """The run that showed it. `lane` INTERPRETER: the interpreter itself. `good`: the last good position known."""

    lane: int
    run: int
    branch: str
    position: int
    good: int | None
    at: float


@dataclass(frozen=True, kw_only=True)
class Touched:
    breakage: int
    how: How
    thread: str
    new_project: bool
    failing: Failing


def record(connection: Connection, where: Where, failing: Failing, *, thread: str) -> Touched:
    """Open a breakage, join the open one with this signature, or open again the one this lane had.

    `thread` is used when it is a new one. `new_project`: no other lane of its project is in it."""
    known = _known(connection, where, failing.signature)
    if known is None:
        return Touched(
            breakage=_open(connection, where, failing, thread), how="opened", thread=thread,
            new_project=True, failing=failing,
        )  # fmt: skip
    how: How = "joined" if known.state == "open" else "reopened"
    new_project = not _has_project(connection, known.id, where.lane)
    connection.execute(
        update(breakages)
        .where(breakages.c.id == known.id)
        .values(state="open", fixed=None, fixed_run=None, **_narrower(known, where, how))
    )
    _enter(connection, known.id, where, failing)
    return Touched(
        breakage=known.id, how=how, thread=known.thread, new_project=new_project, failing=failing
    )


def _known(connection: Connection, where: Where, signature: str) -> Row[Any] | None:
    same = select(breakages).where(
        breakages.c.signature == signature, breakages.c.branch == where.branch
    )
    opened = connection.execute(
        same.where(breakages.c.state == "open").order_by(breakages.c.id)
    ).first()
    return (
        opened
        or connection.execute(
            same.join(lanes, lanes.c.breakage_id == breakages.c.id)
            .where(breakages.c.state == "fixed", lanes.c.lane_id == where.lane)
            .order_by(breakages.c.id.desc())
        ).first()
    )


def _has_project(connection: Connection, breakage: int, lane: int) -> bool:
    mine = select(schema.lanes.c.project).where(schema.lanes.c.id == lane).scalar_subquery()
    found = connection.execute(
        select(lanes.c.lane_id)
        .join(schema.lanes, schema.lanes.c.id == lanes.c.lane_id)
        .where(
            lanes.c.breakage_id == breakage,
            lanes.c.closed.is_(None),
            schema.lanes.c.project == mine,
        )
    ).first()
    return lane == INTERPRETER or found is not None


def _narrower(known: Row[Any], where: Where, how: How) -> dict[str, int | None]:
    """The range of commits: another lane may have seen it good later, or bad earlier. A new red has a new range."""
    if how == "reopened":
        return {"good_position": where.good, "bad_position": where.position}
    bad = min(known.bad_position, where.position)
    goods = [p for p in (known.good_position, where.good) if p is not None and p < bad]
    return {"good_position": max(goods, default=None), "bad_position": bad}


def _open(connection: Connection, where: Where, failing: Failing, thread: str) -> int:
    result = connection.execute(
        insert(breakages).values(
            kind=failing.kind,
            signature=failing.signature,
            title=failing.title,
            branch=where.branch,
            state="open",
            good_position=where.good,
            bad_position=where.position,
            opened=where.at,
            opened_run=where.run,
            disposition="untriaged",
            thread=thread,
        )
    )
    key = result.inserted_primary_key
    assert key is not None
    made = int(key[0])
    _enter(connection, made, where, failing)
    return made


def _enter(connection: Connection, breakage: int, where: Where, failing: Failing) -> None:
    key = (lanes.c.breakage_id == breakage) & (lanes.c.lane_id == where.lane)
    known = connection.execute(select(lanes).where(key)).first()
    before = list(known.tests) if known and known.closed is None else []
    ids = list(dict.fromkeys([*before, *failing.ids]))
    values: dict[str, Any] = {
        "run_id": known.run_id if before and known else where.run,
        "tests": ids[:MAX_TESTS],
        "count": max(len(ids), len(failing.ids)),
        "closed": None,
        "closed_run": None,
    }
    if known:
        connection.execute(update(lanes).where(key).values(**values))
    else:
        connection.execute(
            insert(lanes).values(
                breakage_id=breakage, lane_id=where.lane, opened=where.at, **values
            )
        )


def close(connection: Connection, where: Where, *, bad: Mapping[str, str]) -> list[Row[Any]]:
    """Close the lane's part of each breakage of which nothing is bad any more. `bad`: id -> signature.

    Returns the breakages that are fixed now, all their lanes being closed."""
    fixed: list[Row[Any]] = []
    for row in _open_parts(connection, where):
        if row.signature in bad.values() or any(name in bad for name in row.tests):
            continue
        fixed += _close(connection, row.breakage_id, where)
    return fixed


def close_column(connection: Connection, where: Where, column: str) -> list[Row[Any]]:
    """An interpreter of this column (`debug.linux-x86_64`) builds at this place: what broke before it is mended.

    Returns the breakages that are fixed now."""
    fixed: list[Row[Any]] = []
    for row in _open_parts(connection, where):
        if row.bad_position >= where.position:
            continue
        left = [name for name in row.tests if name != column]
        if not left:
            fixed += _close(connection, row.breakage_id, where)
        elif column in row.tests:
            connection.execute(
                update(lanes)
                .where(lanes.c.breakage_id == row.breakage_id, lanes.c.lane_id == where.lane)
                .values(tests=left, count=len(left))
            )
    return fixed


def _open_parts(connection: Connection, where: Where) -> Sequence[Row[*tuple[Any, ...]]]:
    return connection.execute(
        select(lanes.c.breakage_id, lanes.c.tests, breakages.c.signature, breakages.c.bad_position)
        .join(breakages, breakages.c.id == lanes.c.breakage_id)
        .where(
            lanes.c.lane_id == where.lane,
            lanes.c.closed.is_(None),
            breakages.c.branch == where.branch,
        )
    ).all()


def _close(connection: Connection, breakage: int, where: Where) -> list[Row[Any]]:
    connection.execute(
        update(lanes)
        .where(lanes.c.breakage_id == breakage, lanes.c.lane_id == where.lane)
        .values(closed=where.at, closed_run=where.run)
    )
    return _fix(connection, breakage, where)


def _fix(connection: Connection, breakage: int, where: Where) -> list[Row[Any]]:
    # A lane that is no longer run will never pass again; it keeps no breakage open.
    still = connection.execute(
        select(lanes.c.lane_id)
        .join(schema.lanes, schema.lanes.c.id == lanes.c.lane_id, isouter=True)
        .where(
            lanes.c.breakage_id == breakage,
            lanes.c.closed.is_(None),
            schema.lanes.c.state.is_distinct_from("retired"),
        )
    ).first()
    if still:
        return []
    connection.execute(
        update(breakages)
        .where(breakages.c.id == breakage)
        .values(state="fixed", fixed=where.at, fixed_run=where.run)
    )
    return list(connection.execute(select(breakages).where(breakages.c.id == breakage)))


def narrow(connection: Connection, where: Where, *, bad: Mapping[str, str], complete: bool) -> None:
    """An older run than the head may narrow the range of the lane's open breakages. `bad`: id -> signature."""
    rows = connection.execute(
        select(breakages, lanes.c.tests)
        .join(lanes, lanes.c.breakage_id == breakages.c.id)
        .where(
            lanes.c.lane_id == where.lane,
            lanes.c.closed.is_(None),
            breakages.c.bad_position > where.position,
            breakages.c.good_position < where.position,
        )
    ).all()
    for row in rows:
        if row.signature in bad.values():
            values = {"bad_position": where.position}
        elif complete and not any(name in bad for name in row.tests):
            values = {"good_position": where.position}
        else:
            continue
        connection.execute(update(breakages).where(breakages.c.id == row.id).values(**values))


def thread_open(connection: Connection, thread: str) -> bool:
    """Whether a breakage of this mail thread is still open."""
    found = connection.execute(
        select(breakages.c.id).where(breakages.c.thread == thread, breakages.c.state == "open")
    ).first()
    return found is not None


def projects_of(connection: Connection, breakage: int) -> list[str]:
    """The projects that are or were in it."""
    return list(
        connection.scalars(
            select(schema.lanes.c.project)
            .join(lanes, lanes.c.lane_id == schema.lanes.c.id)
            .where(lanes.c.breakage_id == breakage)
            .distinct()
            .order_by(schema.lanes.c.project)
        )
    )
