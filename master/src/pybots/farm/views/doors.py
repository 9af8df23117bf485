"""What a worker's token opens, looked up in the ledger: an attempt that still runs, and the blobs its job names."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from pybots.farm.home import Farm
from pybots.farm.tokens import Grant
from pybots.farm.views.common import Missing, attempts, interpreters, runs
from pybots.ledger import schema


def is_running(farm: Farm, grant: Grant) -> bool:
    """Whether the attempt a token was made for still runs (or was just handed out): its token dies with it."""
    with farm.ledger.read() as connection:
        return _attempt(connection, grant) is not None


def may_read(farm: Farm, grant: Grant, sha256: str) -> bool:
    """Whether the running attempt's job names this blob: its interpreter, its project's archive, CPython's tree."""
    with farm.ledger.read() as connection:
        if _attempt(connection, grant) is None:
            return False
        row = connection.execute(
            select(runs.c.revision, interpreters.c.blob, interpreters.c.content_key)
            .join(interpreters, interpreters.c.id == runs.c.interpreter_id)
            .where(runs.c.id == grant.run)
        ).one()
        notes = schema.notes
        tree = connection.scalar(
            select(notes.c.value).where(notes.c.name == f"source:{row.content_key}")
        )
    named = {row.blob, _digest(tree), _digest((row.revision or {}).get("blob"))}
    return sha256 in named


def _digest(value: Any) -> str | None:
    return value.get("sha256") if isinstance(value, dict) else None


def _attempt(connection: Connection, grant: Grant) -> Any:
    return connection.execute(
        select(attempts.c.id).where(
            attempts.c.id == grant.attempt,
            attempts.c.run_id == grant.run,
            attempts.c.state.in_(("dispatched", "running")),
        )
    ).first()


def log_of(farm: Farm, number: int, phase: str, attempt: int) -> tuple[int, Any]:
    """(attempt's id, its row of `logs` or None) of a run's phase; `attempt` 0: the last one. Raises Missing."""
    with farm.ledger.read() as connection:
        query = select(attempts.c.id).where(attempts.c.run_id == number)
        if attempt:
            query = query.where(attempts.c.number == attempt)
        found = connection.scalar(query.order_by(attempts.c.number.desc()).limit(1))
        if found is None:
            raise Missing(f"run {number} has no such attempt")
        logs = schema.logs
        kept = connection.execute(
            select(logs).where(logs.c.attempt_id == found, logs.c.phase == phase)
        ).first()
        return found, kept
