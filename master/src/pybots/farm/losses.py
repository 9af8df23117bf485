"""What could not be done through the farm's own fault: made again a few times, then `infra`. Never a project's fault."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Row, select, update

from pybots.farm import alarms, controls, letters, probes
from pybots.farm.cells import show
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import announce

runs, attempts = schema.runs, schema.attempts

MAX_LOST: Final = 3
"""A run that the farm lost (worker gone, disk full …) is tried this many times in all; restarts come on top."""
MAX_REASON: Final = 2000
SILENT: Final = "the worker has been silent"
"""How the reason of an attempt begins whose worker stopped answering."""


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
    controls.lost(farm, connection, run, reason, now)
    probes.lost(connection, run, reason, now)
    alarms.fault(farm, connection, run.id, attempt.worker, reason, now)
    letters.news(farm, connection, now, run=run)


def release_waiting(
    connection: Connection, interpreter: int, summary: str, now: float
) -> list[int]:
    """Runs that wait for an interpreter that won't come: ended as `unknown`, counted, never green."""
    waiting = connection.scalars(
        select(runs.c.id).where(
            runs.c.interpreter_id == interpreter,
            runs.c.kind == "project",
            runs.c.purpose.not_in(("control", "retry")),  # these run on published ones only
            runs.c.state == "wanted",
        )
    ).all()
    probes.unbuilt(connection, waiting, summary, now)
    for run in waiting:
        connection.execute(
            update(runs)
            .where(runs.c.id == run)
            .values(state="done", verdict="unknown", finished=now, summary=summary[:MAX_REASON])
        )
        show(connection, run, "unknown")
        announce(connection, now, "verdict", run=run, verdict="unknown")
    return list(waiting)


def refuse(farm: Farm, connection: Connection, attempt: int, reason: str, now: float) -> None:
    """An attempt that can't be made, now or later: its run ends as `unknown`, with the reason."""
    changed = connection.execute(
        update(attempts)
        .where(attempts.c.id == attempt, attempts.c.state == "dispatched")
        .values(state="refused", finished=now, reason=reason[:MAX_REASON])
    ).rowcount
    if not changed:
        return
    run = connection.execute(
        select(runs).join(attempts, attempts.c.run_id == runs.c.id).where(attempts.c.id == attempt)
    ).one()
    end_unknown(farm, connection, run, reason, now)


def end_unknown(farm: Farm, connection: Connection, run: Row[Any], reason: str, now: float) -> None:
    """A run that will never say anything: `unknown`, counted, never green."""
    connection.execute(
        update(runs)
        .where(runs.c.id == run.id)
        .values(state="done", verdict="unknown", finished=now, summary=reason[:MAX_REASON])
    )
    show(connection, run.id, "unknown")
    announce(connection, now, "verdict", run=run.id, lane=run.lane_id, verdict="unknown")
    controls.lost(farm, connection, run, reason, now)
    probes.lost(connection, run, reason, now)
