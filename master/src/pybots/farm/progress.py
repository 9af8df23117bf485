"""What the farm does at this moment, for whoever waits in front of a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import Record

runs, attempts, lanes = schema.runs, schema.attempts, schema.lanes
interpreters, commits = schema.interpreters, schema.commits


@dataclass(frozen=True, kw_only=True)
class Activity:
    """One running attempt: what, on which commit, which phase since when, and how long that took last time."""

    run: int
    what: str
    sha: str
    title: str
    worker: str
    phase: str
    since: float
    last_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class News:
    """A run that has just ended."""

    run: int
    what: str
    sha: str
    title: str
    verdict: str
    summary: str
    seconds: float


def activities(farm: Farm) -> list[Activity]:
    """The running attempts, oldest first."""
    with farm.ledger.read() as connection:
        rows = connection.execute(
            _joined(attempts.c.worker, attempts.c.phases, attempts.c.started.label("begun"))
            .join(attempts, attempts.c.run_id == runs.c.id)
            .where(attempts.c.state == "running")
            .order_by(attempts.c.id)
        ).all()
        return [_activity(connection, row) for row in rows]


def _joined(*more: Any) -> Any:
    return (
        select(
            runs, lanes.c.slug, lanes.c.project, commits.c.sha, commits.c.title,
            interpreters.c.flavour, interpreters.c.platform, *more,
        )
        .join(commits, commits.c.id == runs.c.commit_id)
        .join(interpreters, interpreters.c.id == runs.c.interpreter_id)
        .join(lanes, lanes.c.id == runs.c.lane_id, isouter=True)
    )  # fmt: skip


def _activity(connection: Connection, row: Record) -> Activity:
    running = [item for item in row.phases or [] if item.get("state") == "running"]
    phase = running[-1]["phase"] if running else "starting"
    since = running[-1]["started"] if running else (row.begun or row.created)
    return Activity(
        run=row.id,
        what=what(row),
        sha=row.sha,
        title=row.title,
        worker=row.worker,
        phase=phase,
        since=since,
        last_seconds=_last(connection, row).get(phase),
    )


def what(row: Record) -> str:
    """A run in a person's words: `twisted release on main release`, or the interpreter it builds."""
    if row.kind == "interpreter":
        return f"Python {row.branch} {row.flavour}"
    return f"{row.project} on {row.branch} {row.flavour}"


def _last(connection: Connection, row: Record) -> Mapping[str, float]:
    """Seconds per phase of the newest finished run of the same lane (or the same kind of interpreter)."""
    query = select(runs.c.phase_seconds).where(
        runs.c.phase_seconds.is_not(None), runs.c.id != row.id, runs.c.kind == row.kind
    )
    if row.lane_id is not None:
        query = query.where(runs.c.lane_id == row.lane_id)
    else:
        query = query.join(interpreters, interpreters.c.id == runs.c.interpreter_id).where(
            interpreters.c.flavour == row.flavour, interpreters.c.platform == row.platform
        )
    found = connection.scalar(query.order_by(runs.c.finished.desc()).limit(1))
    return found or {}


def finished_since(farm: Farm, event: int) -> tuple[int, list[News]]:
    """Runs that got their verdict after the event with this id, and the newest event's id."""
    events = schema.events
    with farm.ledger.read() as connection:
        rows = connection.execute(
            select(events.c.id, events.c.topic, events.c.data)
            .where(events.c.id > event)
            .order_by(events.c.id)
        ).all()
        ended = [row.data["run"] for row in rows if row.topic == "verdict" and "run" in row.data]
        news = [
            News(
                run=row.id,
                what=what(row),
                sha=row.sha,
                title=row.title,
                verdict=row.verdict or "unknown",
                summary=row.summary,
                seconds=(row.finished or 0) - (row.started or row.finished or 0),
            )
            for row in connection.execute(
                _joined().where(runs.c.id.in_(ended)).order_by(runs.c.finished)
            )
        ]
    return (rows[-1].id if rows else event), news
