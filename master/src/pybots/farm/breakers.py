"""The circuit breaker over the ledger: which lanes turned red together, and what their controls say. See core/breaker.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    and_,
    cast,
    func,
    insert,
    null,
    or_,
    select,
    update,
)

from pybots.core import alerts, breaker, dispositions
from pybots.core.audiences import Book
from pybots.core.breaker import Breaker, Reported
from pybots.core.model import CONCLUSIVE, STANDING
from pybots.core.rounds import HOLD_SECONDS, Trip
from pybots.core.threads import Broken
from pybots.farm import alarms
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import inserted_id

runs, lanes, attempts = schema.runs, schema.lanes, schema.attempts
breakages, parts, breakers = schema.breakages, schema.breakage_lanes, schema.breakers

REPORTED: Final = CONCLUSIVE | {"blocked"}
"""Verdicts of a lane that reported; a red control makes a failure blocked, and it was this worker that showed it."""


def check(farm: Farm, connection: Connection, book: Book, now: float) -> dict[int, Trip]:
    """Trip and settle breakers, and tell the farm's people. Returns what came of every one that a breakage knows."""
    reported = _reported(connection, now)
    known = [
        _breaker(row)
        for row in connection.execute(select(breakers).where(breakers.c.state == "open"))
    ]
    for made in breaker.check(reported, known, now):
        key = connection.execute(
            insert(breakers).values(scope=made.scope, name=made.name, tripped=now, state="open")
        )
        known.append(Breaker(id=inserted_id(key), scope=made.scope, name=made.name, tripped=now))
    for one in known:
        _hold(connection, breaker.held(reported, one), one)
        _settle(farm, connection, one, book, now)
    seen = select(breakages.c.trip).where(breakages.c.trip != 0).distinct()
    rows = connection.execute(
        select(breakers.c.id, breakers.c.state).where(breakers.c.id.in_(seen))
    )
    return {row.id: row.state for row in rows}


def overdue_at(connection: Connection) -> float | None:
    """When the oldest open breaker that nobody was told of has waited for an hour."""
    told = select(schema.outbox.c.id).where(
        schema.outbox.c.alert == "breaker:" + cast(breakers.c.id, String) + ":open"
    )
    oldest = connection.scalar(
        select(func.min(breakers.c.tripped)).where(breakers.c.state == "open", ~told.exists())
    )
    return None if oldest is None else oldest + HOLD_SECONDS


def _breaker(row: Any) -> Breaker:
    return Breaker(id=row.id, scope=row.scope, name=row.name, tripped=row.tripped, state=row.state)


def _reported(connection: Connection, now: float) -> list[Reported]:
    """The lanes that reported within the window, each with the breakages it entered in that time and that can be held, or
    that a red control has dismissed.

    What readers were told, or a settled breaker has let go, turns nothing red once more: else every look at it tripped
    another breaker."""
    since = now - breaker.WINDOW_SECONDS
    rows = connection.execute(
        select(runs.c.lane_id, lanes.c.platform, attempts.c.worker)
        .join(lanes, lanes.c.id == runs.c.lane_id)
        .join(attempts, and_(attempts.c.run_id == runs.c.id, attempts.c.number == runs.c.tries))
        .where(
            runs.c.finished > since,
            runs.c.state == "done",
            runs.c.purpose == "routine",
            # The run that is being recorded has its verdict last.
            or_(runs.c.verdict.in_(REPORTED), runs.c.verdict.is_(None)),
        )
        .order_by(runs.c.id)
    ).all()
    turned: dict[int, list[int]] = {}
    for lane, number in connection.execute(
        select(parts.c.lane_id, parts.c.breakage_id)
        .join(breakages, breakages.c.id == parts.c.breakage_id)
        .where(
            parts.c.opened > since,
            parts.c.closed.is_(None),
            # A control that was red at once has dismissed it before the next lane turned: that is how a bad machine looks.
            or_(
                breakages.c.state.in_(STANDING),
                and_(breakages.c.state == "dismissed", breakages.c.control == "red"),
            ),
            _untold(),
            or_(
                breakages.c.trip == 0,
                breakages.c.trip.in_(select(breakers.c.id).where(breakers.c.state == "open")),
            ),
        )
    ):
        turned.setdefault(lane, []).append(number)
    latest = {row.lane_id: row for row in rows}
    return [
        Reported(
            lane=lane, worker=row.worker, platform=row.platform, turned=tuple(turned.get(lane, ()))
        )
        for lane, row in latest.items()
    ]


def _untold() -> ColumnElement[bool]:
    """What readers were told already stays told."""
    told = breakages.c.told
    return or_(told.is_(null()), told["state"].as_string() != "open")


def _hold(connection: Connection, ids: Iterable[int], one: Breaker) -> None:
    connection.execute(
        update(breakages)
        .where(breakages.c.id.in_(list(ids)), breakages.c.trip == 0, _untold())
        .values(trip=one.id)
    )


def _settle(farm: Farm, connection: Connection, one: Breaker, book: Book, now: float) -> None:
    rows = connection.execute(select(breakages).where(breakages.c.trip == one.id)).all()
    state = breaker.settle(one, [_member(row, now) for row in rows])
    if state == "open":
        if breaker.overdue(one, now):
            _tell(farm, connection, one, "open", rows, book, now)
        return
    connection.execute(
        update(breakers).where(breakers.c.id == one.id).values(state=state, settled=now)
    )
    if state == "farm":
        _tell(farm, connection, one, "farm", rows, book, now)


def _member(row: Any, now: float) -> Broken:
    return Broken(
        id=row.id, branch=row.branch, state=row.state, good=row.good_position, bad=row.bad_position,
        opened=row.opened, control=row.control,
        answered=dispositions.current(row.disposition, row.expires, now) != "untriaged",
    )  # fmt: skip


def _tell(
    farm: Farm, connection: Connection, one: Breaker, state: str, rows: Sequence[Any], book: Book,
    now: float,
) -> None:  # fmt: skip
    worker = one.name if one.scope == "worker" else ""
    for notice in alerts.of_breaker(one.id, state, worker, book):
        alarms.post_breaker(farm, connection, notice, one, state, rows, now)
