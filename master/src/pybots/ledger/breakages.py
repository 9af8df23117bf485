"""Breakages and the lanes they are in: suspected, confirmed or dismissed, joined, opened again, closed.

Plain SQL; the decisions are `core`'s. A breakage stands (counts as red) while it is suspected or open. One that was
dismissed keeps its lanes, whose runs are `blocked`, until its tests pass; met in another lane it is suspected again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, update

from pybots.core.control import Judgement
from pybots.core.model import STANDING
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
    dependency: str = ""
    """The distribution in whose own frames it failed, or that could not be installed; "": none."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """The run that showed it. `lane` INTERPRETER: the interpreter itself. `good`: the last good position known."""

    lane: int
    run: int
    branch: str
    position: int
    good: int | None
    at: float
    good_run: int | None = None


@dataclass(frozen=True, kw_only=True)
class Touched:
    breakage: int
    how: How
    thread: str
    new_project: bool
    failing: Failing
    asks: bool = False
    """Whether it is suspected now because of this run, and wants an answer."""


def record(connection: Connection, where: Where, failing: Failing, *, thread: str) -> Touched:
    """Suspect a breakage, join the standing one with this signature, or suspect the one again that was here before.

    `thread` is used when it is a new one. `new_project`: no other lane of its project is in it. What `asks` is to be
    given a control (`wants`) or confirmed (`settle`) in the same transaction."""
    known = _known(connection, where, failing.signature)
    if known is None:
        return Touched(
            breakage=_open(connection, where, failing, thread), how="opened", thread=thread,
            new_project=True, failing=failing, asks=True,
        )  # fmt: skip
    asks = known.state not in STANDING
    new_project = not _has_project(connection, known.id, where.lane)
    how: How = "joined"
    if asks:  # what was never confirmed was told to nobody: it is news as if it were the first time
        how = "opened" if known.confirmed is None else "reopened"
    values = _narrower(known, where, again=asks) | _again(known, where, failing, how, asks)
    if failing.dependency and new_project and not asks and not known.axis:
        values |= {"axis": "dependency", "blamed": failing.dependency}
    connection.execute(update(breakages).where(breakages.c.id == known.id).values(**values))
    _enter(connection, known.id, where, failing)
    return Touched(
        breakage=known.id, how=how, thread=known.thread, new_project=new_project, failing=failing,
        asks=asks,
    )  # fmt: skip


def _again(known: Row[Any], where: Where, failing: Failing, how: How, asks: bool) -> dict[str, Any]:
    if not asks:
        return {}
    return {
        "state": "suspected",
        "fixed": None,
        "fixed_run": None,
        "control": "",
        "control_run": None,
        "axis": _axis(failing),
        "blamed": _blamed(failing),
        "good_run": where.good_run,
        "reopened": known.reopened + (how == "reopened"),
    }


def _axis(failing: Failing) -> str:
    """A dependency that can't be installed is to blame at once; one that raises may have been misused by its caller."""
    return "dependency" if failing.dependency and failing.kind == "install" else ""


def _blamed(failing: Failing) -> str:
    return failing.dependency if _axis(failing) else ""


def wants(connection: Connection, numbers: Sequence[int], run: int) -> None:
    """These breakages wait for the control run `run`."""
    connection.execute(
        update(breakages)
        .where(breakages.c.id.in_(numbers))
        .values(control="wanted", control_run=run)
    )


def settle(connection: Connection, number: int, judgement: Judgement, at: float) -> None:
    """Write down what the control (or its absence) makes of a breakage."""
    values: dict[str, Any] = {"control": judgement.control, "state": judgement.state}
    if judgement.state == "open":
        values["confirmed"] = at
    if judgement.axis:
        values |= {"axis": judgement.axis, "blamed": judgement.blamed}
    connection.execute(update(breakages).where(breakages.c.id == number).values(**values))


def is_open(connection: Connection, number: int) -> bool:
    """Whether it is confirmed, and so may be told."""
    state = connection.scalar(select(breakages.c.state).where(breakages.c.id == number))
    return bool(state == "open")


def waiting(connection: Connection, run: int) -> Sequence[Row[Any]]:
    """The suspected breakages that wait for this control run."""
    return connection.execute(
        select(breakages)
        .where(breakages.c.control_run == run, breakages.c.state == "suspected")
        .order_by(breakages.c.id)
    ).all()


def parts_of(connection: Connection, number: int) -> Sequence[Row[Any]]:
    """The lanes still in a breakage, the first one first."""
    return connection.execute(
        select(lanes)
        .where(lanes.c.breakage_id == number, lanes.c.closed.is_(None))
        .order_by(lanes.c.opened, lanes.c.lane_id)
    ).all()


def blocked(connection: Connection, lane: int) -> dict[str, str]:
    """Signature -> why, of the dismissed breakages that the lane is in."""
    rows = connection.execute(
        select(breakages.c.signature, breakages.c.axis, breakages.c.blamed)
        .join(lanes, lanes.c.breakage_id == breakages.c.id)
        .where(lanes.c.lane_id == lane, lanes.c.closed.is_(None), breakages.c.state == "dismissed")
    )
    return {row.signature: row.blamed or row.axis for row in rows}


def _known(connection: Connection, where: Where, signature: str) -> Row[Any] | None:
    """The standing one, else one that was dismissed, else the last that was mended in this very lane."""
    same = select(breakages).where(
        breakages.c.signature == signature, breakages.c.branch == where.branch
    )
    for state in (sorted(STANDING), ["dismissed"]):
        standing = same.where(breakages.c.state.in_(state)).order_by(breakages.c.id)
        if found := connection.execute(standing).first():
            return found
    return connection.execute(
        same.join(lanes, lanes.c.breakage_id == breakages.c.id)
        .where(breakages.c.state == "fixed", lanes.c.lane_id == where.lane)
        .order_by(breakages.c.id.desc())
    ).first()


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


def _narrower(known: Row[Any], where: Where, *, again: bool) -> dict[str, Any]:
    """The range of commits: another lane may have seen it good later, or bad earlier. A new red has a new range."""
    if again:
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
            state="suspected",
            axis=_axis(failing),
            blamed=_blamed(failing),
            good_run=where.good_run,
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

    Returns the confirmed breakages that are fixed now, all their lanes being closed. Others end without a word. A risen
    flaky rate is not mended by one run that passes: `close_part` is for those."""
    fixed: list[Row[Any]] = []
    for row in _open_parts(connection, where):
        if (
            row.axis == "flaky"
            or row.signature in bad.values()
            or any(name in bad for name in row.tests)
        ):
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
        select(
            lanes.c.breakage_id, lanes.c.tests,
            breakages.c.signature, breakages.c.bad_position, breakages.c.axis,
        )
        .join(breakages, breakages.c.id == lanes.c.breakage_id)
        .where(
            lanes.c.lane_id == where.lane,
            lanes.c.closed.is_(None),
            breakages.c.branch == where.branch,
        )
    ).all()  # fmt: skip


def _close(connection: Connection, breakage: int, where: Where) -> list[Row[Any]]:
    connection.execute(
        update(lanes)
        .where(lanes.c.breakage_id == breakage, lanes.c.lane_id == where.lane)
        .values(closed=where.at, closed_run=where.run)
    )
    return _fix(connection, breakage, where.at, where.run)


def rose(connection: Connection, lane: int) -> dict[str, int]:
    """Test -> the open breakage that says its flaky rate has risen in this lane."""
    rows = connection.execute(
        select(lanes.c.tests, breakages.c.id)
        .join(breakages, breakages.c.id == lanes.c.breakage_id)
        .where(lanes.c.lane_id == lane, lanes.c.closed.is_(None), breakages.c.axis == "flaky")
    )
    return {str(name): number for names, number in rows for name in names}


def close_part(connection: Connection, number: int, where: Where) -> list[Row[Any]]:
    """Close the lane's part of one breakage. Returns the breakage if it is fixed now."""
    return _close(connection, number, where)


def retire(connection: Connection, lane: int, at: float) -> list[Row[Any]]:
    """The lane is run no more: it keeps no breakage open. Returns the confirmed ones that had no other lane."""
    mine = select(lanes.c.breakage_id).where(lanes.c.lane_id == lane, lanes.c.closed.is_(None))
    numbers = connection.scalars(mine).all()
    connection.execute(
        update(lanes)
        .where(lanes.c.lane_id == lane, lanes.c.closed.is_(None))
        .values(closed=at, closed_run=None)
    )
    return [row for number in numbers for row in _fix(connection, number, at, None)]


def _fix(connection: Connection, breakage: int, at: float, run: int | None) -> list[Row[Any]]:
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
    mine = breakages.c.id == breakage
    before = connection.scalar(select(breakages.c.state).where(mine))
    connection.execute(update(breakages).where(mine).values(state="fixed", fixed=at, fixed_run=run))
    return list(connection.execute(select(breakages).where(mine))) if before == "open" else []


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
