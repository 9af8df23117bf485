"""`/workers` and `/worker/<name>`. Mail addresses and credentials never leave the ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, and_, func, or_, select

from pybots.core import health, rota
from pybots.farm import opinions, rotas
from pybots.farm.home import Farm
from pybots.farm.losses import SILENT
from pybots.farm.views.common import (
    Missing,
    Visit,
    attempts,
    interpreters,
    lanes,
    run_row,
    runs,
    select_runs,
)
from pybots.farm.views.frame import frame
from pybots.farm.views.runpage import caps_words
from pybots.ledger import schema
from pybots_status import links
from pybots_status.pages import Fact, Link, Worker, WorkerRow, Workers
from pybots_status.parts import WorkerState

table = schema.workers

DAY: Final = 86_400.0
MINUTE: Final = 60.0
COUNTED_ATTEMPTS: Final = 5000
"""The newest attempts that are looked at for what happened today."""
RUNS: Final = 50
QUEUE: Final = 20


@dataclass(frozen=True, kw_only=True)
class _Load:
    """What the workers do: links to running runs, attempts and farm faults of the last day, what waits per platform."""

    running: Mapping[str, list[Link]] = field(default_factory=dict)
    today: Mapping[str, Any] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)


def workers(farm: Farm, visit: Visit) -> Workers:
    """Every worker of the roster."""
    with farm.ledger.read() as connection:
        rows = connection.execute(select(table).order_by(table.c.name)).all()
        load = _load(connection, farm.clock())
        around = frame(farm, connection, visit, title="Workers", current="workers")
    return Workers(frame=around, rows=tuple(_row(row, load) for row in rows))


def worker(farm: Farm, visit: Visit, name: str) -> Worker:
    """One worker's page. Raises Missing."""
    with farm.ledger.read() as connection:
        row = connection.execute(select(table).where(table.c.name == name)).first()
        if row is None:
            raise Missing(f"there is no worker “{name[:80]}”", "/workers lists them all")
        load = _load(connection, farm.clock())
        around = frame(farm, connection, visit, title=f"Worker {row.name}")
        newest = (
            select(attempts.c.run_id)
            .where(attempts.c.worker == name)
            .order_by(attempts.c.id.desc())
            .limit(RUNS)
        )
        found = connection.execute(
            select_runs().where(runs.c.id.in_(newest)).order_by(runs.c.id.desc())
        ).all()
        waiting = _queue(connection, row)
        measured = {
            "Rota": rota.words(rotas.of_worker(connection, name, farm.clock())),
            "Second opinions": opinions.words_of(opinions.of_worker(connection, name), name),
        }
    return Worker(
        frame=around,
        row=_row(row, load),
        facts=(*_facts(row), *(Fact(name=n, value=v) for n, v in measured.items() if v)),
        runs=tuple(run_row(item) for item in found),
        queue=tuple(run_row(item) for item in waiting),
    )


def _queue(connection: Connection, row: Any) -> Sequence[Any]:
    """The first runs that wait for the worker's platform and that its owner allows; which one comes next the planner
    decides when a slot is free."""
    query = select_runs().where(runs.c.state == "wanted", interpreters.c.platform == row.platform)
    if row.projects:
        query = query.where(or_(runs.c.kind == "interpreter", lanes.c.project.in_(row.projects)))
    return connection.execute(query.order_by(runs.c.id).limit(QUEUE)).all()


def _load(connection: Connection, now: float) -> _Load:
    running: dict[str, list[Link]] = {}
    for row in connection.execute(
        select(attempts.c.worker, attempts.c.run_id)
        .where(attempts.c.state.in_(("dispatched", "running")))
        .order_by(attempts.c.id)
    ):
        link = Link(text=f"run {row.run_id}", href=links.run(row.run_id))
        running.setdefault(row.worker, []).append(link)
    # A limit inside: else all attempts there ever were are read in the order of the workers' names.
    newest = (
        select(
            attempts.c.worker, attempts.c.state, attempts.c.created, attempts.c.finished,
            attempts.c.reason,
        )
        .order_by(attempts.c.id.desc())
        .limit(COUNTED_ATTEMPTS)
        .subquery()
    )  # fmt: skip
    silent = and_(newest.c.state == "lost", newest.c.reason.startswith(SILENT))
    today = connection.execute(
        select(
            newest.c.worker,
            func.count().label("runs"),
            func.count().filter(newest.c.state == "lost").label("lost"),
            func.max(newest.c.finished).filter(silent).label("silent"),
        )
        .where(newest.c.created > now - DAY)
        .group_by(newest.c.worker)
    ).all()
    waiting = connection.execute(
        select(interpreters.c.platform, func.count())
        .join(runs, runs.c.interpreter_id == interpreters.c.id)
        .where(runs.c.state == "wanted")
        .group_by(interpreters.c.platform)
    )
    return _Load(
        running=running, today={row.worker: row for row in today}, waiting=dict(waiting.all())
    )


def _row(row: Any, load: _Load) -> WorkerRow:
    busy: Sequence[Link] = load.running.get(row.name, ())
    today = load.today.get(row.name)
    return WorkerRow(
        name=row.name,
        state=_state(row, bool(busy)),
        platform=row.platform,
        abi=row.abi,
        owner=row.owner,
        slots=row.slots,
        running=tuple(busy),
        wanted=load.waiting.get(row.platform, 0),
        last_seen=row.last_seen,
        runs_today=today.runs if today else 0,
        infra_today=today.lost if today else 0,
        reason=_reason(row, today.silent if today else None),
    )


def _state(row: Any, busy: bool) -> WorkerState:
    if row.state != "approved":
        stopped: WorkerState = row.state
        return stopped
    if busy:
        return "busy"
    if row.resting:
        return "resting"
    return "online" if row.connected else "offline"


def _reason(row: Any, silent: float | None) -> str:
    """Why it has no work, in the words of whoever decided so. `silent`: when it last stopped answering."""
    if row.state != "approved":
        return str(row.reason)[:300]
    if not row.connected and silent is not None and silent > (row.last_seen or 0) - MINUTE:
        return health.STOPPED
    if not row.resting or row.rest_until is None:
        return str(row.resting)[:200]
    until = time.strftime("%a %H:%M", time.gmtime(row.rest_until))
    return f"{row.resting[:200]}, until {until} UTC"


_NETWORKS: Final = {
    "always": "where a project declares it",
    "install": "for installing only",
    "none": "never",
}


def _health(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    """As it was when it last said so. What a worker said is data: anything odd is left out."""
    try:
        at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(float(said["at"])))
        free = float(said["disk_free_bytes"]) / (1 << 30)
        skew = float(said["skew"])
    except (KeyError, TypeError, ValueError):
        return []
    return [("Free disk", f"{free:.0f} GiB ({at})"), ("Clock", f"{skew:+.0f} s against the farm's")]


def _facts(row: Any) -> tuple[Fact, ...]:
    info = row.info or {}
    facts = [
        ("Offers", ", ".join(map(str, row.facts or ()))),
        ("Trust group", row.trust),
        ("Projects", ", ".join(map(str, row.projects or ())) or "all"),
        ("Kinds of work", ", ".join(map(str, row.kinds or ())) or "all"),
        ("Network for jobs", _NETWORKS.get(row.network, row.network)),
        *_health(row.health or {}),
        *((key.capitalize(), str(info[key])) for key in ("system", "compiler", "kit", "sandbox") if info.get(key)),
        ("Limits kept by", caps_words(str(info.get("rung") or ""), info.get("caps") or {})),
    ]  # fmt: skip
    return tuple(Fact(name=name, value=value[:500]) for name, value in facts if value)
