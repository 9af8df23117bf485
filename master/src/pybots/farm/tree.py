"""The admin's word about the farm: set, read, remembered. Setting is one transaction with its event (topic `tree`)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from pybots.core import tree
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import announce, inserted_id

table = schema.tree


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A word and when it was said, in seconds since the epoch. `id` grows."""

    id: int
    at: float
    word: tree.Word


def put(farm: Farm, word: tree.Word) -> Entry:
    """Say it: from now on every page shows it."""
    now = farm.clock()
    with farm.ledger.write() as connection:
        made = connection.execute(
            insert(table).values(at=now, state=word.state, text=word.text, by=word.by)
        )
        announce(connection, now, "tree", state=word.state, text=word.text)
        return Entry(id=inserted_id(made), at=now, word=word)


def newest(connection: Connection) -> Entry | None:
    """What holds now; None: nobody ever said anything, so the farm is open."""
    return next(iter(history(connection, limit=1)), None)


def history(connection: Connection, *, limit: int, before: int = 0) -> list[Entry]:
    """The words, newest first; `before`: only those with a smaller id."""
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    if before:
        query = query.where(table.c.id < before)
    return [
        Entry(id=row.id, at=row.at, word=tree.Word(state=row.state, text=row.text, by=row.by))
        for row in connection.execute(query)
    ]
