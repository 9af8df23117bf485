"""What a red control has dismissed and what lasts all the same: asked again, until it passes or proves to be a breakage.

A control is red when the environment is: a package index was down, a disk was slow, a date was unlucky. That ends, and a
failure that goes on after it is somebody's. So as long as a run shows it, the last good combination is tried now and then
(core/control.ask_again). Green, on the very machine that shows the failure, means that it is to be told after all.

Meanwhile the breakage stays dismissed. All of this works inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, update

from pybots.core import control, words
from pybots.core.control import Concern
from pybots.core.outcomes import Bad, Observed
from pybots.farm import again
from pybots.farm.cells import show
from pybots.ledger import breakages, schema, spans
from pybots.ledger.engine import announce

runs, lanes, parts, table = schema.runs, schema.lanes, schema.breakage_lanes, schema.breakages
UNDER_WAY = ("wanted", "dispatched", "running")


def want(
    connection: Connection,
    subject: Row[Any],
    still: Sequence[Bad],
    possible: Callable[[Row[Any]], bool],
    now: float,
) -> None:
    """Ask once more about what this run still shows, if it is time. `possible`: whether a run can be made once more."""
    seen = {bad.signature for bad in still}
    due = [
        row
        for row in _dismissed(connection, subject.lane_id)
        if row.signature in seen and row.good_run and _is_due(connection, row, now)
    ]
    if not due or _under_way(connection, subject.lane_id):
        return
    good = connection.execute(select(runs).where(runs.c.id == due[0].good_run)).first()
    if good is None or good.lane_id != subject.lane_id or not possible(good):
        return
    asked = {row.signature for row in due}
    only = control.scope(bad for bad in still if bad.signature in asked)
    run = again.insert_run(
        connection, good, purpose="control", subject=subject, only=only, created=now
    )
    announce(connection, now, "run", run=run, lane=subject.lane_id, state="wanted")


def answer(connection: Connection, run: Row[Any], observed: Observed, now: float) -> list[int]:
    """Judge what is dismissed in the lane of this control, which was asked after its own. Returns what is open now."""
    subject = connection.execute(select(runs).where(runs.c.id == run.subject)).first()
    if subject is None or _worker(connection, subject.id) != _worker(connection, run.id):
        return []  # another machine says nothing about the first
    opened = []
    for row in _dismissed(connection, run.lane_id):
        if not row.control_run or row.control_run >= run.id or row.good_run != run.good_run:
            continue
        concern = Concern(kind=row.kind, signature=row.signature, ids=tuple(row.tests))
        judged = control.judge(concern, observed)
        if judged.control == "none":
            continue
        values: dict[str, Any] = {"control_run": run.id}
        if judged.control == "green":
            values |= {"axis": "", "blamed": ""}
            opened.append(row.id)
        breakages.settle(connection, row.id, judged, now)
        connection.execute(update(table).where(table.c.id == row.id).values(**values))
        announce(connection, now, "breakage", breakage=row.id, state=judged.state)
    if opened:
        _unblock(connection, subject, now)
    return opened


def _dismissed(connection: Connection, lane: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """What is blamed on the environment in this lane, with the lane's tests."""
    return connection.execute(
        select(
            table.c.id, table.c.kind, table.c.signature, table.c.opened, table.c.good_run,
            table.c.control_run, parts.c.tests,
        )
        .join(parts, parts.c.breakage_id == table.c.id)
        .where(
            parts.c.lane_id == lane, parts.c.closed.is_(None), table.c.state == "dismissed",
            table.c.axis == "environment", table.c.control == "red",
        )
        .order_by(table.c.id)
    ).all()  # fmt: skip


def _is_due(connection: Connection, row: Row[*tuple[Any, ...]], now: float) -> bool:
    answered = connection.scalar(select(runs.c.finished).where(runs.c.id == row.control_run))
    return answered is not None and control.ask_again(row.opened, answered, now)


def _under_way(connection: Connection, lane: int) -> bool:
    """Whether a control of the lane is waited for already."""
    found = select(runs.c.id).where(
        runs.c.lane_id == lane, runs.c.purpose == "control", runs.c.state.in_(UNDER_WAY)
    )
    return connection.execute(found.limit(1)).first() is not None


def _worker(connection: Connection, run: int) -> str:
    """Who recorded the run; of the run that is being recorded, who made it."""
    attempts = schema.attempts
    found = select(attempts.c.worker).where(
        attempts.c.run_id == run, attempts.c.state == "recorded"
    )
    return str(connection.scalar(found.order_by(attempts.c.id.desc()).limit(1)) or "")


def _unblock(connection: Connection, subject: Row[Any], now: float) -> None:
    """The lane is red after all, and so is its head."""
    lane = connection.execute(select(lanes).where(lanes.c.id == subject.lane_id)).one()
    bad = spans.bad_signatures(connection, lane.id)
    if lane.verdict != "blocked" or bad <= breakages.blocked(connection, lane.id).keys():
        return
    connection.execute(
        update(lanes)
        .where(lanes.c.id == lane.id)
        .values(verdict="still_failing", outcome_digest="")
    )
    head = connection.execute(select(runs).where(runs.c.id == lane.head_run)).one()
    said = words.unblocked_words(head.summary)
    connection.execute(
        update(runs).where(runs.c.id == head.id).values(verdict="still_failing", summary=said)
    )
    show(connection, head.id, "still_failing")
    announce(
        connection, now, "verdict", run=head.id, lane=lane.id, state="done",
        verdict="still_failing", summary=said,
    )  # fmt: skip
