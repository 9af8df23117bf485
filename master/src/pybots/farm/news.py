"""What happened in the ledger since somebody last looked, and the small signs of life between the processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select

from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import announce, set_note

MASTER: Final = "master"
"""The note that tells whether the master lives."""

events = schema.events


@dataclass(frozen=True, kw_only=True)
class Event:
    """A row of `events`. Ids only grow."""

    id: int
    topic: str
    data: dict[str, Any]


def since(farm: Farm, after: int, *, limit: int = 1000) -> list[Event]:
    """The events after the one with id `after`, oldest first, at most `limit`."""
    query = select(events).where(events.c.id > after).order_by(events.c.id).limit(limit)
    with farm.ledger.read() as connection:
        rows = connection.execute(query).all()
    return [Event(id=row.id, topic=row.topic, data=row.data) for row in rows]


def beat(farm: Farm, **facts: Any) -> None:
    """The master's sign of life: a note whose time the pages look at."""
    with farm.ledger.write() as connection:
        set_note(connection, MASTER, facts, farm.clock())


def trouble(farm: Farm, what: str) -> None:
    """Tell the farm's people that something of the farm itself went wrong."""
    with farm.ledger.write() as connection:
        announce(connection, farm.clock(), "farm", trouble=what[:2000])


def wake(farm: Farm, **why: Any) -> None:
    """Have the master compare heads with the ledger now, instead of at its next look."""
    with farm.ledger.write() as connection:
        announce(connection, farm.clock(), "wake", **why)
