"""What could not be done through the farm's own fault: made again a few times, then `infra`. Never a project's fault."""

from __future__ import annotations

import time
from typing import Any, Final

from sqlalchemy import Connection, Row, select, update

from pybots.core import alerts
from pybots.farm import letters
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import announce

runs, attempts, cells = schema.runs, schema.attempts, schema.cells

MAX_LOST: Final = 3
"""A run that the farm lost (worker gone, disk full …) is tried this many times in all; restarts come on top."""
MAX_REASON: Final = 2000


def lose(
    farm: Farm,
    connection: Connection,
    attempt: Row[Any],
    reason: str,
    *,
    report: str | None = None,
    counts: bool = True,
) -> bool:
    """Give up an open attempt inside the caller's transaction. Returns whether its run is wanted again.

    `attempt` is a row of `attempts` that is dispatched or running; `report` the blob that told of the fault, if any.
    What says nothing about run or worker (the master was restarted) does not count towards MAX_LOST."""
    now = farm.clock()
    reason = reason[:MAX_REASON]
    connection.execute(
        update(attempts)
        .where(attempts.c.id == attempt.id)
        .values(state="lost", finished=now, reason=reason, report=report)
    )
    run = connection.execute(select(runs).where(runs.c.id == attempt.run_id)).one()
    lost = run.lost + counts
    again = bool(lost < MAX_LOST and run.state != "dropped")
    values: dict[str, Any] = {"lost": lost, "state": "wanted" if again else "done"}
    if not again:
        values |= {"verdict": "infra", "finished": now, "summary": reason, "report": report}
    connection.execute(update(runs).where(runs.c.id == run.id).values(**values))
    show(connection, run.id, "queued" if again else "infra")
    announce(
        connection, now, "attempt", run=run.id, lane=run.lane_id, attempt=attempt.id,
        state="lost", reason=reason[:300],
    )  # fmt: skip
    if not again:
        _give_up(farm, connection, run, attempt, reason, now)
    return again


def _give_up(
    farm: Farm, connection: Connection, run: Row[Any], attempt: Row[Any], reason: str, now: float
) -> None:
    announce(connection, now, "verdict", run=run.id, lane=run.lane_id, verdict="infra")
    if run.kind == "interpreter":
        release_waiting(
            connection, run.interpreter_id, f"the interpreter could not be built: {reason}", now
        )
    day = time.strftime("%Y-%m-%d", time.gmtime(now))
    for letter in alerts.of_fault(attempt.worker, day, letters.book(farm)):
        letters.post_fault(farm, connection, letter, run.id, attempt.worker, reason)


def release_waiting(
    connection: Connection, interpreter: int, summary: str, now: float
) -> list[int]:
    """Runs that wait for an interpreter that won't come: ended as `unknown`, counted, never green."""
    waiting = connection.scalars(
        select(runs.c.id).where(
            runs.c.interpreter_id == interpreter,
            runs.c.kind == "project",
            runs.c.state == "wanted",
        )
    ).all()
    for run in waiting:
        connection.execute(
            update(runs)
            .where(runs.c.id == run)
            .values(state="done", verdict="unknown", finished=now, summary=summary[:MAX_REASON])
        )
        show(connection, run, "unknown")
        announce(connection, now, "verdict", run=run, verdict="unknown")
    return list(waiting)


def show(connection: Connection, run: int, state: str, count: int = 0) -> None:
    """Bring the cells that a run speaks for up to date."""
    connection.execute(update(cells).where(cells.c.run_id == run).values(state=state, count=count))
