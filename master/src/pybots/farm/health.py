"""Looks after the workers: quarantines those that are not fit, releases them, tells their owners, once each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, func, select, update

from pybots.core import health
from pybots.core.health import DAY, FROZEN_SECONDS, HOUR, Trouble, Vitals
from pybots.core.model import WorkerState
from pybots.farm import alarms, local
from pybots.farm.home import Farm
from pybots.farm.losses import SILENT
from pybots.farm.workers import change_state
from pybots.ledger import schema
from pybots.ledger.engine import Record

workers, attempts, events, breakers = (
    schema.workers, schema.attempts, schema.events, schema.breakers,
)  # fmt: skip
EVENTS: Final = 5000
"""The newest events that are looked at; a farm whose last hour has more has other troubles."""


def look(farm: Farm) -> list[str]:
    """Judge every worker that could work. Returns the names of those whose state changed.

    First in a snapshot that disturbs nobody; the ledger is written only where something has changed."""
    now = farm.clock()
    with farm.ledger.read() as connection:
        changes = _changes(connection, now)
        back = alarms.any_back(farm, connection, now)
    if not changes and not back:
        return []
    with farm.ledger.write() as connection:
        changes = _changes(connection, now)
        for row, found in changes:
            _change(farm, connection, row, found, now)
        alarms.back(farm, connection, now)
    return [row.name for row, _ in changes]


def _changes(connection: Connection, now: float) -> list[tuple[Record, Trouble | None]]:
    """The workers to quarantine, each with its trouble, and those to release (None)."""
    rows = connection.execute(
        select(workers).where(workers.c.state.in_(("approved", "quarantined")))
    ).all()
    partings, silences, lost, done, disagreed = (
        _partings(connection, rows, now), _silences(connection, rows, now),
        _lost(connection, rows, now), _done(connection, now), _disagreed(connection, rows, now),
    )  # fmt: skip
    found: list[tuple[Record, Trouble | None]] = []
    for row in rows:
        said: Mapping[str, Any] = row.health or {}
        trouble = health.trouble(
            Vitals(
                now=now, told=said.get("at"), skew=float(said.get("skew", 0.0)),
                disk_free=int(said.get("disk_free_bytes", 0)), partings=partings[row.name],
                silences=silences[row.name], lost=lost[row.name], done=done[row.name],
                disagreed=row.name in disagreed, trouble=row.trouble,
            )
        )  # fmt: skip
        if row.state == "approved" and trouble is not None:
            found.append((row, trouble))
        elif row.state == "quarantined" and health.over(row.trouble, trouble):
            found.append((row, None))
    return found


def _since(row: Record, begin: float) -> float:
    """What was before its last approval is forgiven."""
    return max(begin, float(row.judged))


def _partings(connection: Connection, rows: Any, now: float) -> Counter[str]:
    since = {row.name: _since(row, now - HOUR) for row in rows}
    newest = connection.scalar(select(func.max(events.c.id))) or 0
    told = connection.execute(
        select(events.c.at, events.c.data).where(
            events.c.id > newest - EVENTS, events.c.topic == "worker", events.c.at > now - HOUR
        )
    )
    return Counter(
        data["worker"]
        for at, data in told
        if data.get("state") == "gone" and at > since.get(data.get("worker"), now)
    )


def _silences(connection: Connection, rows: Any, now: float) -> Counter[str]:
    """Attempts that ended because nothing more was heard of it. The farm's own worker sleeps when the farm's machine does,
    and is the only one of many farms: it never rests for that."""
    since = {row.name: _since(row, now - FROZEN_SECONDS) for row in rows}
    found = connection.execute(
        select(attempts.c.worker, attempts.c.finished).where(
            attempts.c.state == "lost",
            attempts.c.created > now - DAY,
            attempts.c.worker != local.NAME,
            attempts.c.reason.startswith(SILENT),
        )
    )
    return Counter(name for name, at in found if at > since.get(name, now))


def _lost(connection: Connection, rows: Any, now: float) -> Counter[str]:
    """Attempts it lost whose run another worker has recorded since."""
    since = {row.name: _since(row, now - DAY) for row in rows}
    other = attempts.alias()
    finished = select(other.c.id).where(
        other.c.run_id == attempts.c.run_id,
        other.c.state == "recorded",
        other.c.worker != attempts.c.worker,
    )
    found = connection.execute(
        select(attempts.c.worker, attempts.c.created).where(
            attempts.c.state == "lost", attempts.c.created > now - DAY, finished.exists()
        )
    )
    return Counter(name for name, at in found if at > since.get(name, now))


def _done(connection: Connection, now: float) -> Counter[str]:
    found = connection.execute(
        select(attempts.c.worker, func.count())
        .where(attempts.c.state == "recorded", attempts.c.created > now - DAY)
        .group_by(attempts.c.worker)
    )
    return Counter(dict(found.all()))


def _disagreed(connection: Connection, rows: Any, now: float) -> set[str]:
    since = {row.name: _since(row, now - DAY) for row in rows}
    found = connection.execute(
        select(breakers.c.name, breakers.c.settled).where(
            breakers.c.scope == "worker", breakers.c.state == "farm", breakers.c.settled > now - DAY
        )
    )
    bad = {name for name, at in found if at > since.get(name, now)}
    return {row.name for row in rows if row.name in bad and _has_peers(row, rows)}


def _has_peers(row: Record, rows: Any) -> bool:
    """Whether somebody else can do its work. One that is alone is told of (farm.alarms), and works on: what all its lanes
    share may be the world, a bad release of what they all need, and a farm that rests finds out nothing."""
    return any(
        one.platform == row.platform and one.state == "approved"
        for one in rows
        if one.name != row.name
    )


def _change(
    farm: Farm, connection: Connection, row: Record, found: Trouble | None, now: float
) -> None:
    state: WorkerState = "quarantined" if found else "approved"
    connection.execute(
        update(workers)
        .where(workers.c.name == row.name)
        .values(trouble=found.kind if found else "", judged=row.judged if found else now)
    )
    change_state(connection, row.name, state, found.words if found else "", now)
    if found:
        alarms.quarantined(farm, connection, row.name, found.kind, found.words, now)
