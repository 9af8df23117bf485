"""The roster: which workers there are, what they can and may do, and who is connected."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert

from pybots.core.model import CONNECTING, Worker, WorkerState
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import Record, announce

workers = schema.workers

NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,49}")
"""What Buildbot takes: one name that it refuses, and it takes nobody's changes any more."""
LOCAL: Final = "local"
"""The farm's own worker on its own machine."""
_OURS: Final = re.compile(r"local|nobody|invitation(-[0-9]+)?")
"""Words that mean something else: the farm's own worker, Buildbot's place-holder, what `revoke` takes for an invitation."""


class RosterError(Exception):
    """The roster can't be changed like that; the text says why."""


def is_name(text: str) -> bool:
    """Whether somebody's worker may be called so."""
    return NAME.fullmatch(text) is not None and _OURS.fullmatch(text) is None


def fit(text: str) -> str:
    """The nearest name for what somebody would like: `Ada Lovelace` -> `ada-lovelace`; "" for nothing at all."""
    if is_name(text):
        return text
    made = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-_")[:40].rstrip("-_")
    return made if not made or is_name(made) else f"worker-{made}"


def approved(connection: Connection) -> list[Worker]:
    """The workers that may be given work, those that joined first at first. Connected or not: lanes outlive a reboot.

    A lane uses the interpreters of the first worker that fits, so a newcomer changes no lane's surroundings."""
    rows = connection.execute(
        select(workers)
        .where(workers.c.state == "approved")
        .order_by(workers.c.joined, workers.c.name)
    ).all()
    return [_worker(row) for row in rows]


def resting(connection: Connection) -> set[str]:
    """Workers whose owners let them rest: they finish what they have and get nothing new."""
    return set(connection.scalars(select(workers.c.name).where(workers.c.resting != "")))


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
        kinds=tuple(row.kinds),
        network=row.network,
    )


def enrol(farm: Farm, worker: Worker) -> str:
    """Add a worker to the roster, or bring its facts up to date. Returns its credential, kept if it had one."""
    with farm.ledger.write() as connection:
        insert_worker(connection, worker, credential=secrets.token_urlsafe(32), now=farm.clock())
        credential = connection.scalar(
            select(workers.c.credential).where(workers.c.name == worker.name)
        )
    assert isinstance(credential, str)
    return credential


def insert_worker(
    connection: Connection,
    worker: Worker,
    *,
    credential: str,
    now: float,
    state: WorkerState = "approved",
) -> None:
    """The same inside the caller's transaction. Of one that is there, credential, state and age are kept."""
    values = {
        "owner": worker.owner,
        "email": worker.email,
        "platform": worker.platform,
        "abi": worker.abi,
        "slots": worker.slots,
        "trust": worker.trust,
        "facts": sorted(worker.facts),
        "projects": list(worker.projects),
        "kinds": list(worker.kinds),
        "network": worker.network,
    }
    connection.execute(
        insert(workers)
        .values(
            name=worker.name, state=state, credential=credential, connected=False, joined=now,
            **values,
        )
        .on_conflict_do_update(index_elements=["name"], set_=values)
    )  # fmt: skip
    announce(connection, now, "worker", worker=worker.name, state="enrolled")


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
    """The workers that may connect, by name. Those that are not approved are given nothing."""
    query = select(workers.c.name, workers.c.platform, workers.c.slots, workers.c.credential).where(
        workers.c.state.in_(CONNECTING)
    )
    with farm.ledger.read() as connection:
        rows = connection.execute(query.order_by(workers.c.name)).all()
    return [
        Enrolled(name=row.name, platform=row.platform, slots=row.slots, credential=row.credential)
        for row in rows
    ]


def everyone(farm: Farm) -> list[Record]:
    """All rows of the roster, by name."""
    with farm.ledger.read() as connection:
        return list(connection.execute(select(workers).order_by(workers.c.name)).all())


def find(connection: Connection, name: str) -> Record:
    """A worker's row. Raises RosterError."""
    row = connection.execute(select(workers).where(workers.c.name == name)).first()
    if row is None:
        raise RosterError(f"there is no worker {name!r}; `pybots worker list` shows them")
    return row


def set_state(farm: Farm, name: str, state: WorkerState, reason: str = "") -> str:
    """Approve, pause, revoke or retire a worker, at once. Returns the state it had. Raises RosterError.

    Who is revoked or retired does not log in again. What the watchdog held against it is forgotten."""
    now = farm.clock()
    with farm.ledger.write() as connection:
        before = str(find(connection, name).state)
        change_state(connection, name, state, reason, now)
        forgiven = {"trouble": "", "judged": now}
        connection.execute(update(workers).where(workers.c.name == name).values(**forgiven))
    return before


def change_state(
    connection: Connection, name: str, state: WorkerState, reason: str, now: float
) -> None:
    """The same inside the caller's transaction."""
    connection.execute(
        update(workers).where(workers.c.name == name).values(state=state, reason=reason[:2000])
    )
    announce(connection, now, "worker", worker=name, state=state)


def rename(farm: Farm, old: str, new: str) -> None:
    """Call a worker otherwise, in its history too. It learns its name when it connects next. Raises RosterError."""
    if old == LOCAL:
        raise RosterError("the farm's own worker keeps its name")
    if not is_name(new):
        raise RosterError(
            f"{new!r} is no name for a worker: a-z, 0-9, '_', '-', at most 50, a letter first,"
            " and none of the farm's own words"
        )
    now = farm.clock()
    with farm.ledger.write() as connection:
        find(connection, old)
        if connection.execute(select(workers.c.name).where(workers.c.name == new)).first():
            raise RosterError(f"there is a worker {new!r} already")
        changes: list[Any] = [
            update(workers).where(workers.c.name == old).values(name=new, connected=False),
            update(schema.attempts).where(schema.attempts.c.worker == old).values(worker=new),
            update(schema.invitations).where(schema.invitations.c.worker == old).values(worker=new),
            update(schema.opinions).where(schema.opinions.c.worker == old).values(worker=new),
            update(schema.opinions).where(schema.opinions.c.second == old).values(second=new),
            update(schema.breakers)
            .where(schema.breakers.c.scope == "worker", schema.breakers.c.name == old)
            .values(name=new),
        ]
        for change in changes:
            connection.execute(change)
        announce(connection, now, "worker", worker=new, state="renamed", before=old)
