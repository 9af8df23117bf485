"""The outbox as the postman sees it: what has to be considered, what is due, and what became of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, update

from pybots.farm import alarms, digests, threads
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import announce
from pybots.mail import maildir

log = logging.getLogger(__name__)
outbox = schema.outbox

BATCH: Final = 50
FIRST_WAIT: Final = 30.0
"""Seconds after a first failed delivery; doubled each time."""
LONGEST_WAIT: Final = 3600.0


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A letter to deliver: the bytes of the whole message (CRLF), the envelope's sender and recipients."""

    id: int
    message: bytes
    sender: str
    recipients: tuple[str, ...]
    message_id: str
    created: float


def consider(farm: Farm) -> None:
    """Look whether mail is to be written though nothing happened: an hour is over, a digest is due, a worker is gone."""
    now = farm.clock()
    with farm.ledger.read() as connection:
        threads_due = threads.waiting(connection) or threads.due(connection, now)
        digests_due = digests.due(connection, now)
        if not (threads_due or digests_due or alarms.any_missing(farm, connection, now)):
            return
    with farm.ledger.write() as connection:
        if threads_due:
            threads.consider(farm, connection, now)
        if digests_due:
            digests.write(farm, connection, now)
        alarms.missing(farm, connection, now)


def due(farm: Farm, now: float) -> list[Letter]:
    """The letters to deliver now, oldest first (a thread's first letter before its answers)."""
    with farm.ledger.read() as connection:
        rows = connection.execute(
            select(outbox)
            .where(outbox.c.state == "queued", outbox.c.next_try <= now)
            .order_by(outbox.c.id)
            .limit(BATCH)
        ).all()
    return [
        Letter(
            id=row.id,
            message=row.message.encode("ascii"),
            sender=farm.config.mail.sender,
            recipients=tuple(row.recipients),
            message_id=row.message_id,
            created=row.created,
        )
        for row in rows
    ]


def delivered(farm: Farm, letter: int) -> None:
    """The letter has been taken over by the transport."""
    now = farm.clock()
    with farm.ledger.write() as connection:
        connection.execute(
            update(outbox)
            .where(outbox.c.id == letter)
            .values(state="sent", sent=now, error="", tries=outbox.c.tries + 1)
        )
        announce(connection, now, "mail", letter=letter, state="sent")


def failed(farm: Farm, letter: int, error: str, permanent: bool) -> None:
    """Delivery failed: tried again later, longer and longer; never again when the server refused it for good."""
    now = farm.clock()
    log.warning("letter %d was %s: %s", letter, "refused" if permanent else "not taken", error)
    with farm.ledger.write() as connection:
        tries = connection.scalar(select(outbox.c.tries).where(outbox.c.id == letter)) or 0
        connection.execute(
            update(outbox)
            .where(outbox.c.id == letter, outbox.c.state == "queued")
            .values(
                state="rejected" if permanent else "queued",
                tries=tries + 1,
                next_try=now + min(FIRST_WAIT * 2.0 ** min(tries, 20), LONGEST_WAIT),
                error=error[:2000],
            )
        )
        announce(
            connection, now, "mail", letter=letter, state="rejected" if permanent else "delayed"
        )
        if permanent:
            row = connection.execute(select(outbox).where(outbox.c.id == letter)).one()
            alarms.rejected(farm, connection, row, error[:2000], now)


def deliver_to_maildir(farm: Farm) -> int:
    """Deliver everything that is due into the farm's Maildir. Returns how many letters were delivered."""
    taken = 0
    for letter in due(farm, farm.clock()):
        try:
            maildir.deliver(
                farm.folder.mail, letter.message, key=letter.message_id, at=letter.created
            )
        except OSError as error:
            failed(farm, letter.id, f"the Maildir cannot be written: {error.strerror}", False)
        else:
            delivered(farm, letter.id)
            taken += 1
    return taken
