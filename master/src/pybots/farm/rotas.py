"""How much a worker works, and how long it takes, as the ledger has it: for its rota (core/rota.py)."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, func, select

from pybots.core.audiences import DAY
from pybots.core.rota import Round
from pybots.ledger import schema

attempts, runs = schema.attempts, schema.runs
DAYS: Final = 14
MOST: Final = 5000
"""Of the newest attempts of the farm; who did none of them has no rota."""


def of_worker(connection: Connection, worker: str, now: float) -> Round:
    """What it did in the last fortnight. A lane is a project's, or the builds of one flavour."""
    newest = connection.scalar(select(func.max(attempts.c.id))) or 0
    rows: Any = connection.execute(
        select(
            runs.c.lane_id, schema.interpreters.c.flavour,
            func.avg(attempts.c.finished - attempts.c.started).label("mean"),
            func.sum(attempts.c.finished - attempts.c.started).label("sum"),
            func.min(attempts.c.started).label("first"),
        )
        .join(runs, runs.c.id == attempts.c.run_id)
        .join(schema.interpreters, schema.interpreters.c.id == runs.c.interpreter_id)
        .where(
            attempts.c.id > newest - MOST,
            attempts.c.worker == worker,
            attempts.c.state == "recorded",
            attempts.c.started > now - DAYS * DAY,
            runs.c.purpose == "routine",
        )
        .group_by(func.coalesce(runs.c.lane_id, schema.interpreters.c.flavour))
    ).all()  # fmt: skip
    if not rows:
        return Round(lanes=0, seconds=0.0, hours=0.0)
    days = max(1.0, (now - min(row.first for row in rows)) / DAY)
    return Round(
        lanes=len(rows),
        seconds=sum(row.mean for row in rows),
        hours=sum(row.sum for row in rows) / 3600.0 / days,
    )
