"""Logs of phases: grown in `live/`, and blobs of the store once the phase has ended."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert as upsert

from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import announce


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A live log that is a blob now; the ledger has yet to hear of it, and `live` to be removed."""

    phase: str
    live: Path
    blob: str
    size: int
    cut: bool


def take(farm: Farm, attempt_id: int, phase: str, cut: bool) -> Taken | None:
    """Put the live log of an ended phase into the store. None when there is none (any more). Raises StoreError."""
    live = farm.store.live(attempt_id, phase)
    try:
        with live.open("rb") as file:
            chunks = iter(lambda: file.read(1 << 20), b"")
            stored = farm.store.put_stream(chunks, limit=live.stat().st_size + (1 << 20))
    except FileNotFoundError:
        return None
    return Taken(phase=phase, live=live, blob=stored.sha256, size=stored.size, cut=cut)


def enter(connection: Connection, attempt_id: int, taken: Taken, now: float) -> None:
    """Name the blob, inside the caller's transaction."""
    values = {"blob": taken.blob, "size": taken.size, "cut": taken.cut}
    connection.execute(
        upsert(schema.logs)
        .values(attempt_id=attempt_id, phase=taken.phase, **values)
        .on_conflict_do_update(index_elements=["attempt_id", "phase"], set_=values)
    )
    announce(connection, now, "log", attempt=attempt_id, phase=taken.phase)


def forget(taken: Taken) -> None:
    """Remove the live log, after the ledger has heard of its blob; the attempt's folder too when it was the last."""
    taken.live.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another phase's log is there
        taken.live.parent.rmdir()


def store_log(farm: Farm, attempt_id: int, phase: str, cut: bool) -> str | None:
    """All of it. Returns the blob's digest; None when there is no live log (again). Raises StoreError."""
    taken = take(farm, attempt_id, phase, cut)
    if taken is None:
        return None
    with farm.ledger.write() as connection:
        enter(connection, attempt_id, taken, farm.clock())
    forget(taken)
    return taken.blob
