"""What the farm does right now, in a few lines: for the reader who waits for the first results."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, func, select

from pybots.farm.views.common import attempts, lanes, runs, select_runs
from pybots_status import links
from pybots_status.pages import Fact
from pybots_status.text import clock, duration

SHOWN: Final = 8


def activity(connection: Connection) -> tuple[Fact, ...]:
    """The runs that run now, longest first; more than SHOWN are counted."""
    running = connection.scalar(
        select(func.count()).select_from(attempts).where(attempts.c.state == "running")
    )
    if not running:
        return ()
    head = runs.alias("head")
    found = connection.execute(
        select_runs(
            attempts.c.phases, attempts.c.started.label("begun"), head.c.phase_seconds.label("last")
        )
        .join(head, head.c.id == lanes.c.head_run, isouter=True)
        .where(attempts.c.state == "running")
        .order_by(attempts.c.id)
        .limit(SHOWN)
    ).all()
    facts = [Fact(name=_what(row), value=_how(row), href=links.run(row.id)) for row in found]
    if running > SHOWN:
        facts.append(Fact(name="and", value=f"{running - SHOWN} more runs", href=links.WATERFALL))
    return tuple(facts)


def _what(row: Any) -> str:
    if row.kind == "interpreter":
        return f"Python {row.branch} {row.flavour}"
    return f"{row.project} on {row.branch} {row.flavour}"


def _how(row: Any) -> str:
    """`test since 13:40:09, last time 48 s; abcdef123456 on attic`."""
    newest = (
        row.phases[-1] if row.phases else {}
    )  # between two phases the one before them stands here
    phase = newest.get("phase", "starting")
    since = newest.get("started") or row.begun or row.created
    before = (row.last or {}).get(phase)
    last = f", last time {duration(before)}" if before else ""
    return f"{phase} since {clock(since)}{last}; {row.sha[:12]} on {row.worker}"
