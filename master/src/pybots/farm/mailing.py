"""Putting a letter into the outbox, inside the caller's transaction: its Message-ID, thread, headers and addressees.

A letter with a key that is there already stays as it is: deciding twice sends once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from pybots.core.audiences import DAY, Audience, Book, Caps, Reader
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import announce
from pybots.mail import message
from pybots.mail.message import Envelope

outbox, readers = schema.outbox, schema.readers

LIST: Final = "list"


@dataclass(frozen=True, kw_only=True)
class Written:
    """A letter as it goes into the outbox. `root`: key of the letter it answers (its own: it begins a thread).

    `thread`: key by which all copies of one story are found together."""

    key: str
    topic: str
    reader: str
    audience: Audience
    recipients: tuple[str, ...]
    subject: str
    body: str
    root: str = ""
    thread: str = ""
    breakage: int | None = None
    run: int | None = None


def message_id(farm: Farm, key: str) -> str:
    """The Message-ID of the alert with this key: the same whenever it is asked for."""
    return message.message_id(key, farm.config.url, farm.config.mail.sender)


def book(farm: Farm, connection: Connection) -> Book:
    """Everybody's address and choice, as settings, project files and roster have them."""
    mail = farm.config.mail
    workers = connection.execute(
        select(schema.workers.c.name, schema.workers.c.email, schema.workers.c.notify)
    )
    return Book(
        list=Reader(address=mail.list, when=mail.list_when),
        admin=Reader(address=mail.admin, when=mail.admin_when, person=True),
        projects={
            name: (
                *(Reader(address=one) for one in project.notify),
                *(Reader(address=one, when="digest") for one in project.notify_daily),
                *(Reader(address=one, person=True) for one in project.notify_personal),
            )
            for name, project in farm.projects.items()
        },
        owners={
            row.name: Reader(
                address=row.email, person=True,
                when=row.notify if row.notify in ("now", "digest") else "none",
            )
            for row in workers
            if row.email
        },
    )  # fmt: skip


def caps(farm: Farm) -> Caps:
    given = farm.config.mail.caps
    return Caps(list=given.list, project=given.project, owner=given.owner, admin=given.admin)


def sent(connection: Connection, now: float) -> dict[str, tuple[float, ...]]:
    """Reader -> when letters to them were written, in the last day."""
    rows = connection.execute(
        select(outbox.c.reader, outbox.c.created).where(outbox.c.created > now - DAY)
    )
    found: dict[str, tuple[float, ...]] = {}
    for reader, at in rows:
        found[reader] = (*found.get(reader, ()), at)
    return found


def held_back(connection: Connection) -> dict[str, int]:
    """Reader -> letters that their cap kept from them since the last one."""
    return {row.key: row.held_back for row in connection.execute(select(readers))}


def hold_back(connection: Connection, keys: Iterable[str]) -> None:
    for key in keys:
        connection.execute(
            sqlite.insert(readers)
            .values(key=key, held_back=1)
            .on_conflict_do_update(
                index_elements=["key"], set_={"held_back": readers.c.held_back + 1}
            )
        )


def put(farm: Farm, connection: Connection, letter: Written, now: float) -> bool:
    """Write the letter into the outbox. Returns whether it is new."""
    config = farm.config
    key = message_id(farm, letter.key)
    envelope = Envelope(
        message_id=key,
        thread=message_id(farm, letter.root or letter.key),
        sender=config.mail.sender,
        name=config.name,
        list=config.mail.list if letter.audience == LIST else "",
        recipients=letter.recipients,
        at=now,
        url=config.url,
        run=letter.run or 0,
        topic=letter.topic,
        unsubscribe=_unsubscribe(farm, letter),
    )
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    added = connection.execute(
        dialect.insert(outbox)
        .values(
            alert=letter.key,
            message_id=key,
            thread=message_id(farm, letter.thread or letter.root or letter.key),
            audience=letter.audience,
            reader=letter.reader,
            topic=letter.topic,
            recipients=list(letter.recipients),
            subject=letter.subject,
            message=message.message(envelope, letter.subject, letter.body).decode("ascii"),
            breakage_id=letter.breakage,
            run_id=letter.run,
            state="queued",
            tries=0,
            next_try=now,
            created=now,
            error="",
        )
        .on_conflict_do_nothing(index_elements=["alert"])
    ).rowcount
    if added:
        connection.execute(delete(readers).where(readers.c.key == letter.reader))
        announce(
            connection, now, "mail", alert=letter.key, run=letter.run,
            subject=letter.subject[:200] if letter.audience in (LIST, "project") else "",
            audience=letter.audience,
        )  # fmt: skip
    return bool(added)


def _unsubscribe(farm: Farm, letter: Written) -> str:
    """Where the reader's mail ends: the list's own address for that, else somebody who can do it."""
    if letter.audience == "admin":
        return ""
    if letter.audience == LIST and farm.config.mail.unsubscribe:
        return farm.config.mail.unsubscribe
    who = quote(f"unsubscribe {':'.join(letter.reader.split(':')[:2])}")
    return f"mailto:{farm.config.mail.admin}?subject={who}"
