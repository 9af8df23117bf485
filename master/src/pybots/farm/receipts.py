"""Weekly receipts for the owners who asked for one: what their worker did, from the ledger."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, func, select

from pybots.core.audiences import DAY
from pybots.farm import mailing
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.mail import receipts
from pybots.mail.receipts import Done, Receipt

workers, attempts, runs, lanes = schema.workers, schema.attempts, schema.runs, schema.lanes
breakages = schema.breakages


def write(farm: Farm, connection: Connection, until: float, now: float) -> int:
    """One letter for each worker whose owner wants it and that has worked. Returns how many were written."""
    rows = connection.execute(
        select(workers.c.name, workers.c.email).where(
            workers.c.receipt, workers.c.email != "", workers.c.notify != "none"
        )
    ).all()
    written = 0
    for row in rows:
        made = of_week(connection, row.name, until)
        if not made.done:
            continue
        subject, body = receipts.text(made, farm.config.url)
        letter = mailing.Written(
            key=f"receipt:{row.name}:{made.day}", topic="receipt", reader=f"owner:{row.name}",
            audience="owner", recipients=(row.email,), subject=subject, body=body,
        )  # fmt: skip
        written += mailing.put(farm, connection, letter, now)
    return written


def of_week(connection: Connection, worker: str, until: float) -> Receipt:
    """What a worker did in the seven days before `until`."""
    within = (
        attempts.c.worker == worker,
        attempts.c.finished > until - 7 * DAY,
        attempts.c.finished <= until,
    )
    done = connection.execute(
        select(
            lanes.c.project,
            func.count(attempts.c.id.distinct()).label("runs"),
            func.sum(attempts.c.finished - attempts.c.started).label("seconds"),
        )
        .join(runs, runs.c.id == attempts.c.run_id)
        .join(lanes, lanes.c.id == runs.c.lane_id, isouter=True)
        .where(*within, attempts.c.state == "recorded")
        .group_by(lanes.c.project)
        .order_by(func.count().desc(), lanes.c.project)
    ).all()
    found = _found(connection, within)
    lost = connection.scalar(
        select(func.count()).select_from(attempts).where(*within, attempts.c.state == "lost")
    )
    return Receipt(
        worker=worker,
        day=time.strftime("%Y-%m-%d", time.gmtime(until)),
        lost=lost or 0,
        done=tuple(
            Done(
                what=row.project or "building CPython",
                runs=row.runs,
                seconds=row.seconds or 0.0,
                found=found.get(row.project, 0),
            )
            for row in done
        ),
    )


def _found(connection: Connection, within: tuple[Any, ...]) -> dict[str | None, int]:
    """Project (None: CPython's build) -> breakages that were first seen by the worker, and confirmed."""
    rows = connection.execute(
        select(lanes.c.project, func.count(breakages.c.id.distinct()))
        .join(runs, runs.c.id == breakages.c.opened_run)
        .join(attempts, attempts.c.run_id == runs.c.id)
        .join(lanes, lanes.c.id == runs.c.lane_id, isouter=True)
        .where(*within, attempts.c.state == "recorded", breakages.c.confirmed.is_not(None))
        .group_by(lanes.c.project)
    )
    return dict(rows.all())
