"""The farm in numbers, for `/metrics`: what the pages count, as gauges."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from pybots.core.model import STANDING
from pybots.farm.home import Farm
from pybots.farm.views.common import UNDER_WAY, lanes, runs
from pybots.farm.views.frame import alive, branches, master_seen
from pybots.ledger import schema


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """A number with its name, what it means, and per label values one value."""

    name: str
    words: str
    labels: tuple[str, ...] = ()
    values: tuple[tuple[tuple[str, ...], float], ...]


def gauges(farm: Farm) -> Iterator[Gauge]:
    """Everything that can be read in a few indexed queries."""
    with farm.ledger.read() as connection:
        seen = master_seen(connection)
        now = farm.clock()
        yield _one("pybots_master_up", "1 while the master's heartbeat is heard.", alive(seen, now))
        yield _one(
            "pybots_master_seen_timestamp_seconds", "When the master was last heard.", seen or 0.0
        )
        yield _lanes(connection, branches(farm))
        yield _grouped(
            connection, "pybots_runs", "Runs that wait, are dispatched or run.", runs.c.state,
            runs.c.state.in_(UNDER_WAY), UNDER_WAY,
        )  # fmt: skip
        yield _workers(connection)
        table = schema.breakages
        yield _grouped(
            connection, "pybots_breakages", "Breakages that stand.", table.c.state,
            table.c.state.in_(STANDING), STANDING,
        )  # fmt: skip
        outbox = schema.outbox
        queued = connection.scalar(
            select(func.count()).select_from(outbox).where(outbox.c.state == "queued")
        )
        yield _one("pybots_mail_queued", "Letters that wait to be sent.", queued or 0)
        newest = connection.scalar(select(func.max(schema.events.c.id)))
        yield _one("pybots_ledger_event", "The newest event's id; it only grows.", newest or 0)
    free = shutil.disk_usage(farm.store.root).free
    yield _one("pybots_store_free_bytes", "Room on the store's disk.", free)


def _one(name: str, words: str, value: float) -> Gauge:
    return Gauge(name=name, words=words, values=(((), float(value)),))


def _lanes(connection: Connection, names: tuple[str, ...]) -> Gauge:
    rows = connection.execute(
        select(lanes.c.branch, func.coalesce(lanes.c.verdict, "unknown"), func.count())
        .where(lanes.c.state != "retired", lanes.c.branch.in_(names))
        .group_by(lanes.c.branch, func.coalesce(lanes.c.verdict, "unknown"))
    ).all()
    return Gauge(
        name="pybots_lanes",
        words="Lanes by branch and last verdict; what has none is unknown.",
        labels=("branch", "verdict"),
        values=tuple(((branch, verdict), float(number)) for branch, verdict, number in rows),
    )


def _grouped(
    connection: Connection, name: str, words: str, column: Any, where: Any, known: Any
) -> Gauge:
    """Rows counted by a word; a word that no row has counts 0."""
    found: dict[str, int] = dict(
        connection.execute(select(column, func.count()).where(where).group_by(column)).all()
    )
    return Gauge(
        name=name,
        words=words,
        labels=("state",),
        values=tuple(((word,), float(found.get(word, 0))) for word in known),
    )


def _workers(connection: Connection) -> Gauge:
    workers = schema.workers
    rows = connection.execute(
        select(workers.c.platform, workers.c.connected, func.count())
        .where(workers.c.state == "approved")
        .group_by(workers.c.platform, workers.c.connected)
    ).all()
    return Gauge(
        name="pybots_workers",
        words="Approved workers by platform and whether they are connected.",
        labels=("platform", "connected"),
        values=tuple(
            ((platform, "yes" if connected else "no"), float(number))
            for platform, connected, number in rows
        ),
    )
