"""Opening the ledger: SQLite in WAL mode, every writing transaction BEGIN IMMEDIATE.

Measured: read-then-write with a deferred BEGIN from two processes fails half of the time in WAL mode, never with
IMMEDIATE. No I/O besides SQL happens inside a transaction, and none of this runs on the reactor.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, insert, text
from sqlalchemy.dialects.sqlite import insert as upsert

from pybots.ledger import schema

BUSY_SECONDS = 30

Record = Any
"""A row as it came from a query. SQLAlchemy's own Row type fits one exact shape, and ours have many."""


class Ledger:
    """The farm's own database. `write()` and `read()` give a connection inside a transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._turn = threading.Lock()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One writing transaction: commits at the end, rolls back on an exception.

        Threads of a process take turns here: one that finds SQLite busy would sleep, and look again too late."""
        with self._turn, self.engine.connect() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            with connection.begin() if not connection.in_transaction() else _ending(connection):
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One reading transaction: a consistent snapshot, never blocks a writer."""
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            yield connection

    def data_version(self) -> int:
        """The newest event's id: grows with every announced change, by whichever process."""
        with self.read() as connection:
            row = connection.execute(text("SELECT max(id) FROM events")).scalar()
            return int(row or 0)

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def _ending(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def open_ledger(path: Path) -> Ledger:
    """The ledger in the file `path`; its tables must have been made by `migrations.upgrade`."""
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        json_serializer=lambda value: json.dumps(value, separators=(",", ":")),
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # announced results must survive a power cut
            "foreign_keys=ON",
            "cache_size=-65536",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return Ledger(engine)


_EVENT: Final = insert(schema.events)


def announce(connection: Connection, at: float, topic: str, **data: Any) -> None:
    """Add a row to `events` inside the caller's transaction; pages hear of it after the commit."""
    connection.execute(_EVENT, {"at": at, "topic": topic, "data": data})


def set_note(connection: Connection, name: str, value: Any, at: float) -> None:
    """Keep a small fact of the farm in `notes`, replacing the one before."""
    values = {"value": value, "at": at}
    connection.execute(
        upsert(schema.notes)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=["name"], set_=values)
    )


def inserted_id(result: Any) -> int:
    """The integer key that an INSERT of one row got."""
    return int(result.inserted_primary_key[0])
