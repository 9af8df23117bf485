"""Invitations: a code that is shown once, worth one worker for a while, and exchanged for the worker's credential.

The ledger keeps the code's hash only. The worker makes its credential itself and sends it with the code, so an answer
that gets lost costs nothing: the same question gets the same answer.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select, update
from sqlalchemy import insert as insert_row

from pybots.core.model import Worker, WorkerState
from pybots.farm import workers
from pybots.farm.home import Farm
from pybots.farm.workers import RosterError, fit, insert_worker, is_name
from pybots.ledger import schema
from pybots.ledger.engine import Record, announce, inserted_id
from pybots_worker import welcome
from pybots_worker.welcome import Code, Join

invitations = schema.invitations

USUAL_DAYS: Final = 7.0
MAX_DAYS: Final = 90.0
GROUP: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


class NotInvited(Exception):
    """The code opens nothing; the text says why, in words for the person who typed it."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What an invitation allows. Empty `projects` and `kinds`: everything. `review`: it waits to be approved."""

    owner: str
    email: str = ""
    name: str = ""
    projects: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    trust: str = "farm"
    review: bool = False
    days: float = USUAL_DAYS


def invite(farm: Farm, wish: Wish, authority: bytes | None = None) -> tuple[int, Code]:
    """A new invitation's number and code; nobody can find the code out later. `authority`: the farm's own, DER.

    Raises RosterError for an unfit wish."""
    _check(farm, wish)
    code = welcome.code_of(secrets.token_bytes(welcome.SECRET_BYTES), authority)
    now = farm.clock()
    with farm.ledger.write() as connection:
        if wish.name and wish.name in _taken(connection):
            raise RosterError(f"there is a worker {wish.name!r} already")
        made = connection.execute(
            insert_row(invitations).values(
                code_hash=welcome.fingerprint(code), owner=wish.owner, email=wish.email,
                name=wish.name, projects=list(wish.projects), kinds=list(wish.kinds),
                trust=wish.trust, review=wish.review, created=now,
                expires=now + wish.days * 86_400, worker="",
            )
        )  # fmt: skip
        number = inserted_id(made)
        announce(connection, now, "worker", invitation=number, state="invited")
    return number, code


def rekey(farm: Farm, name: str, authority: bytes | None = None) -> tuple[int, Code]:
    """Make a worker's credential worthless, and invite it again under its name; codes that did so before and were not used
    are worth nothing any more. Raises RosterError."""
    code = welcome.code_of(secrets.token_bytes(welcome.SECRET_BYTES), authority)
    now = farm.clock()
    with farm.ledger.write() as connection:
        row = workers.find(connection, name)
        connection.execute(
            update(schema.workers)
            .where(schema.workers.c.name == name)
            .values(credential=secrets.token_urlsafe(32))
        )
        connection.execute(
            update(invitations)
            .where(invitations.c.worker == name, invitations.c.used.is_(None))
            .values(expires=now)
        )
        made = connection.execute(
            insert_row(invitations).values(
                code_hash=welcome.fingerprint(code), owner=row.owner, email=row.email, name=name,
                projects=row.projects, kinds=row.kinds, trust=row.trust, review=False, created=now,
                expires=now + USUAL_DAYS * 86_400, worker=name,
            )
        )  # fmt: skip
        number = inserted_id(made)
        announce(connection, now, "worker", worker=name, state="rekeyed")
    return number, code


def _check(farm: Farm, wish: Wish) -> None:
    unknown = [name for name in wish.projects if name not in farm.projects]
    problems = [
        (not wish.owner.strip() or len(wish.owner) > 200, "an invitation needs its owner's name"),
        (_is_mail(wish.owner), "pages show its owner's name; an address is given with --email"),
        (bool(wish.name) and not is_name(wish.name), f"{wish.name!r} is no worker's name"),
        (not GROUP.fullmatch(wish.trust), f"{wish.trust!r} is no name for a trust group"),
        (bool(wish.email) and not _is_mail(wish.email), f"{wish.email!r} is no mail address"),
        (not 0 < wish.days <= MAX_DAYS, f"an invitation holds for at most {MAX_DAYS:.0f} days"),
        (bool(unknown), f"not registered: {', '.join(unknown)}"),
    ]
    for wrong, words in problems:
        if wrong:
            raise RosterError(words)


def _is_mail(text: str) -> bool:
    return re.fullmatch(r"[^\s@<>,;\"]{1,64}@[^\s@<>,;\"]{1,190}", text) is not None


def standing(farm: Farm) -> list[Record]:
    """The invitations that can still be used, oldest first."""
    with farm.ledger.read() as connection:
        return list(
            connection.execute(
                select(invitations)
                .where(invitations.c.used.is_(None), invitations.c.expires > farm.clock())
                .order_by(invitations.c.id)
            ).all()
        )


def withdraw(farm: Farm, number: int) -> None:
    """Make an unused invitation worth nothing. Raises RosterError."""
    now = farm.clock()
    with farm.ledger.write() as connection:
        changed = connection.execute(
            update(invitations)
            .where(
                invitations.c.id == number,
                invitations.c.used.is_(None),
                invitations.c.expires > now,
            )
            .values(expires=now)
        ).rowcount
        if not changed:
            raise RosterError(f"there is no invitation {number} that could still be used")
        announce(connection, now, "worker", invitation=number, state="withdrawn")


def accept(farm: Farm, asked: Join) -> Record:
    """Exchange a code for a place on the roster; the worker's row. Raises NotInvited, and then nothing has changed."""
    try:
        code = welcome.read_code(asked.code)
    except welcome.CodeError as error:
        raise NotInvited(str(error)) from None
    now = farm.clock()
    with farm.ledger.write() as connection:
        row = connection.execute(
            select(invitations).where(invitations.c.code_hash == welcome.fingerprint(code))
        ).first()
        if row is None:
            raise NotInvited("no invitation has this code: look at it again, or ask for another")
        if row.used is not None:
            return _again(connection, row, asked)
        if row.expires <= now:
            raise NotInvited("this invitation has expired: ask for another")
        if row.worker:
            return _under_its_name(connection, row, asked, now)
        name = _name(connection, row, asked)
        state: WorkerState = "waiting" if row.review else "approved"
        insert_worker(
            connection, _worker(row, asked, name), credential=asked.credential, now=now, state=state
        )
        connection.execute(
            update(schema.workers)
            .where(schema.workers.c.name == name)
            .values(receipt=asked.decisions.receipt)
        )
        connection.execute(
            update(invitations).where(invitations.c.id == row.id).values(used=now, worker=name)
        )
        return workers.find(connection, name)


def _under_its_name(connection: Connection, invitation: Record, asked: Join, now: float) -> Record:
    """A worker with a new credential; it is what it was in every other way."""
    connection.execute(
        update(schema.workers)
        .where(schema.workers.c.name == invitation.worker)
        .values(credential=asked.credential)
    )
    connection.execute(
        update(invitations).where(invitations.c.id == invitation.id).values(used=now)
    )
    announce(connection, now, "worker", worker=invitation.worker, state="rekeyed")
    return workers.find(connection, invitation.worker)


def _again(connection: Connection, invitation: Record, asked: Join) -> Record:
    """A used code in the hands of the worker that used it: its answer was lost."""
    row = connection.execute(
        select(schema.workers).where(schema.workers.c.name == invitation.worker)
    ).first()
    if row is None or not hmac.compare_digest(row.credential, asked.credential):
        raise NotInvited("this invitation has been used: every machine needs its own")
    return row


def _worker(invitation: Record, asked: Join, name: str) -> Worker:
    machine, decisions = asked.machine, asked.decisions
    return Worker(
        name=name,
        platform=machine.platform,
        abi=machine.abi,
        slots=machine.slots,
        owner=invitation.owner,
        email=invitation.email,
        trust=invitation.trust,
        facts=frozenset(machine.facts),
        projects=both(invitation.projects, decisions.projects),
        kinds=both(invitation.kinds, decisions.kinds),
        network=decisions.network,
    )


def both(farm: Iterable[str], owner: Iterable[str]) -> tuple[str, ...]:
    """What farm and owner both allow, where an empty list allows everything.

    Lists that have nothing in common allow nothing, which is said by a name that nothing has."""
    ours, theirs = tuple(farm), tuple(owner)
    if not ours or not theirs:
        return ours or theirs
    return tuple(name for name in ours if name in theirs) or (NOTHING,)


NOTHING: Final = "-"


def _taken(connection: Connection) -> set[str]:
    return set(connection.scalars(select(schema.workers.c.name)))


def _name(connection: Connection, invitation: Record, asked: Join) -> str:
    """The invitation's name, else the worker's wish, else its owner's name; with a number where it is taken."""
    wanted = fit(invitation.name) or fit(asked.name) or fit(invitation.owner) or "worker"
    taken = _taken(connection)
    if wanted not in taken:
        return wanted
    return next(
        made for n in range(2, len(taken) + 3) if (made := f"{wanted[:40]}-{n}") not in taken
    )
