"""The days' sums in the ledger: what `/stats` reads. Each day is counted when it is over, and for a while again.

A verdict may still change after its day, when a control or a second opinion comes in: so the last AGAIN_DAYS are counted
anew each time. What is not counted yet is read from the runs themselves; today always is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Text, delete, func, insert, select, type_coerce

from pybots.core.days import SECONDS, Day, Ended, days_of
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import Record, set_note

days, runs, lanes, commits = schema.days, schema.runs, schema.lanes, schema.commits

KEPT_DAYS: Final = 90
"""So far back days are counted: the longest stretch that the page shows."""
AGAIN_DAYS: Final = 2
MAX_RUNS: Final = 10_000
"""So many runs that are in no day's sums yet are read for a page, the newest ones."""
_DAY: Final = msgspec.json.Decoder(Day)
COUNTED: Final = "days are counted until"
"""The note that says so: the number of the first day that is not."""


def count(farm: Farm) -> int:
    """Count the days that are over, each in a transaction of its own. Returns how many were counted."""
    today = int(farm.clock() // SECONDS)
    with farm.ledger.read() as connection:
        known = until(connection)
    first = max(known, today - KEPT_DAYS) - AGAIN_DAYS
    for day in range(first, today):
        with farm.ledger.read() as connection:
            made = _made(connection, day)
            if made == _known(connection, day):
                continue
        with farm.ledger.write() as connection:
            connection.execute(delete(days).where(days.c.day == day))
            if made:
                connection.execute(insert(days), made)
    if known < today:
        with farm.ledger.write() as connection:
            set_note(connection, COUNTED, today, farm.clock())
    return max(0, today - first)


def until(connection: Connection) -> int:
    """The first day that is not counted yet."""
    notes = schema.notes
    found = connection.scalar(select(notes.c.value).where(notes.c.name == COUNTED))
    return int(found or 0)


def _made(connection: Connection, day: int) -> list[dict[str, Any]]:
    """A day's rows: one per branch."""
    found: dict[str, list[Ended]] = defaultdict(list)
    for row in _ended(
        connection, runs.c.finished >= day * SECONDS, runs.c.finished < (day + 1) * SECONDS
    ):
        if _counts(row):
            found[row.branch].append(_one(row))
    return [
        {"branch": branch, "day": day, "sums": msgspec.to_builtins(days_of(found[branch])[day])}
        for branch in sorted(found)
    ]


def _known(connection: Connection, day: int) -> list[dict[str, Any]]:
    rows = connection.execute(select(days).where(days.c.day == day).order_by(days.c.branch))
    return [dict(row) for row in rows.mappings()]


def read(connection: Connection, branch: str, first: int) -> tuple[dict[int, Day], int]:
    """(a branch's days from day number `first` on, how many older runs of theirs were too many to be looked at)."""
    known = max(first, until(connection))
    rows = connection.execute(
        select(days.c.day, type_coerce(days.c.sums, Text)).where(
            days.c.branch == branch, days.c.day >= first, days.c.day < known
        )
    )
    found = {day: _DAY.decode(sums) for day, sums in rows}
    fresh = _ended(connection, runs.c.finished >= known * SECONDS, limit=MAX_RUNS)
    found.update(days_of(_one(row) for row in fresh if row.branch == branch and _counts(row)))
    return found, _left_out(connection, known) if len(fresh) == MAX_RUNS else 0


def _left_out(connection: Connection, day: int) -> int:
    total = connection.scalar(select(func.count()).where(runs.c.finished >= day * SECONDS)) or 0
    return max(0, total - MAX_RUNS)


def _ended(connection: Connection, *when: Any, limit: int | None = None) -> Sequence[Record]:
    """The newest runs that ended then. What they were is looked at by `_counts`: "done" are nearly all that there are,
    and the ledger would rather look for those than for a time."""
    return connection.execute(
        select(
            runs.c.branch, runs.c.purpose, runs.c.state, runs.c.finished, runs.c.verdict,
            runs.c.started, runs.c.phase_seconds, lanes.c.project, commits.c.seen,
        )
        .join(lanes, lanes.c.id == runs.c.lane_id, isouter=True)
        .join(commits, commits.c.id == runs.c.commit_id)
        .where(*when)
        .order_by(runs.c.finished.desc())
        .limit(limit)
    ).all()  # fmt: skip


def _counts(row: Record) -> bool:
    """Whether it is a lane's routine run that came to something."""
    return row.project is not None and row.purpose == "routine" and row.state == "done"


def _one(row: Record) -> Ended:
    return Ended(
        project=row.project,
        at=row.finished,
        verdict=row.verdict or "unknown",
        waited=max(0.0, row.finished - row.seen),
        took=None if row.started is None else max(0.0, row.finished - row.started),
        phases={name: float(seconds) for name, seconds in (row.phase_seconds or {}).items()},
    )
