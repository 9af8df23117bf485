"""The roster: which workers there are, what they can, and who is connected."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert

from pybots.core.model import Worker
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import Record, announce

workers = schema.workers


def approved(connection: Connection) -> list[Worker]:
    """The workers that may be given work, by name. Connected or not: lanes outlive a reboot."""
    rows = connection.execute(
        select(workers).where(workers.c.state == "approved").order_by(workers.c.name)
    ).all()
    return [_worker(row) for row in rows]


def _worker(row: Record) -> Worker:
    return Worker(
        name=row.name,
        platform=row.platform,
        abi=row.abi,
        slots=row.slots,
        owner=row.owner,
        email=row.email,
        trust=row.trust,
        facts=frozenset(row.facts),
        projects=tuple(row.projects),
    )


def enrol(farm: Farm, worker: Worker) -> str:
    """Add a worker to the roster, or bring its facts up to date. Returns its credential, kept if it had one."""
    values = {
        "owner": worker.owner,
        "email": worker.email,
        "platform": worker.platform,
        "abi": worker.abi,
        "slots": worker.slots,
        "trust": worker.trust,
        "facts": sorted(worker.facts),
        "projects": list(worker.projects),
    }
    with farm.ledger.write() as connection:
        connection.execute(
            insert(workers)
            .values(
                name=worker.name,
                state="approved",
                credential=secrets.token_urlsafe(32),
                connected=False,
                **values,
            )
            .on_conflict_do_update(index_elements=["name"], set_=values)
        )
        announce(connection, farm.clock(), "worker", worker=worker.name, state="enrolled")
        credential = connection.scalar(
            select(workers.c.credential).where(workers.c.name == worker.name)
        )
    assert isinstance(credential, str)
    return credential


def seen(farm: Farm, name: str, *, connected: bool) -> None:
    """A worker has connected or gone; unknown names are ignored."""
    now = farm.clock()
    with farm.ledger.write() as connection:
        changed = connection.execute(
            update(workers).where(workers.c.name == name).values(connected=connected, last_seen=now)
        ).rowcount
        if changed:
            state = "connected" if connected else "gone"
            announce(connection, now, "worker", worker=name, state=state)


def all_gone(farm: Farm) -> None:
    """The master has just started: nobody is connected yet, whatever the ledger remembers."""
    with farm.ledger.write() as connection:
        connection.execute(update(workers).values(connected=False))


@dataclass(frozen=True, kw_only=True)
class Enrolled:
    """What Buildbot must know of a worker: who may log in with what, and how many builds it takes."""

    name: str
    platform: str
    slots: int
    credential: str = field(repr=False)


def roster(farm: Farm) -> list[Enrolled]:
    """The workers that may connect, by name: all but the revoked ones."""
    query = select(workers.c.name, workers.c.platform, workers.c.slots, workers.c.credential).where(
        workers.c.state != "revoked"
    )
    with farm.ledger.read() as connection:
        rows = connection.execute(query.order_by(workers.c.name)).all()
    return [
        Enrolled(name=row.name, platform=row.platform, slots=row.slots, credential=row.credential)
        for row in rows
    ]
