"""More of the JSON of `/api/v1/…`: breakages, workers, projects, the admin's word. See `api` and `shapes`."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import func, select

from pybots.core.dispositions import current
from pybots.farm import tree
from pybots.farm.home import Farm
from pybots.farm.views.api import VERSION
from pybots.farm.views.common import Missing, lanes
from pybots.ledger import schema

PAGE: Final = 100
table, parts = schema.breakages, schema.breakage_lanes


def breakages(farm: Farm, state: str = "", branch: str = "", before: int = 0) -> dict[str, Any]:
    """`/api/v1/breakages?state=&branch=&before=`: newest first, PAGE at a time; see shapes.Breakages."""
    query = select(table).order_by(table.c.id.desc()).limit(PAGE + 1)
    if state:
        query = query.where(table.c.state == state)
    if branch:
        query = query.where(table.c.branch == branch)
    if before:
        query = query.where(table.c.id < before)
    with farm.ledger.read() as connection:
        found = connection.execute(query).all()
    return {
        "version": VERSION,
        "breakages": [_breakage(row, farm.clock()) for row in found[:PAGE]],
        "next": found[PAGE - 1].id if len(found) > PAGE else None,
    }


def breakage(farm: Farm, number: int) -> dict[str, Any]:
    """`/api/v1/breakage/<id>`; see shapes.Breakage."""
    with farm.ledger.read() as connection:
        row = connection.execute(select(table).where(table.c.id == number)).first()
        if row is None:
            raise Missing(f"there is no breakage {number}")
        found = connection.execute(
            select(lanes.c.slug, parts.c.run_id, parts.c.count, parts.c.opened, parts.c.closed)
            .join(lanes, lanes.c.id == parts.c.lane_id)
            .where(parts.c.breakage_id == number)
            .order_by(lanes.c.slug)
        ).all()
    return {
        "version": VERSION,
        **_breakage(row, farm.clock()),
        "lanes": [
            {"lane": slug, "run": run, "tests": count, "opened": opened, "closed": closed}
            for slug, run, count, opened, closed in found
        ],
    }


def _breakage(row: Any, now: float) -> dict[str, Any]:
    holds = row.expires is None or row.expires > now
    return {
        "id": row.id,
        "kind": row.kind,
        "state": row.state,
        "title": row.title,
        "branch": row.branch,
        "good_position": row.good_position,
        "bad_position": row.bad_position,
        "opened": row.opened,
        "fixed": row.fixed,
        "axis": row.axis,
        "blamed": row.blamed,
        "disposition": current(row.disposition, row.expires, now),
        "person": row.person if holds else "",
        "issue": row.issue if holds else "",
    }


def workers(farm: Farm) -> dict[str, Any]:
    """`/api/v1/workers`; see shapes.Workers. Owners and credentials never leave the ledger."""
    known = schema.workers
    with farm.ledger.read() as connection:
        rows = connection.execute(select(known).order_by(known.c.name)).all()
    keys = ("name", "platform", "abi", "state", "connected", "slots", "last_seen")
    return {
        "version": VERSION,
        "workers": [{key: getattr(row, key) for key in keys} for row in rows],
    }


def words(farm: Farm) -> dict[str, Any]:
    """`/api/v1/tree`; see shapes.Tree."""
    with farm.ledger.read() as connection:
        found = tree.history(connection, limit=PAGE)
    return {
        "version": VERSION,
        "words": [
            {
                "id": one.id,
                "state": one.word.state,
                "text": one.word.text,
                "by": one.word.by,
                "since": one.at,
            }
            for one in found
        ],
    }


def projects(farm: Farm) -> dict[str, Any]:
    """`/api/v1/projects`; see shapes.Projects."""
    verdict = func.coalesce(lanes.c.verdict, "unknown")
    with farm.ledger.read() as connection:
        rows = connection.execute(
            select(lanes.c.project, verdict, func.count())
            .where(lanes.c.state != "retired")
            .group_by(lanes.c.project, verdict)
        ).all()
    counted: dict[str, dict[str, int]] = {
        name: {} for name in farm.config.registered(farm.projects)
    }
    for name, word, number in rows:
        counted.setdefault(name, {})[word] = number
    return {
        "version": VERSION,
        "projects": [
            {
                "name": name,
                "title": farm.projects[name].title if name in farm.projects else name,
                "verdicts": found,
            }
            for name, found in sorted(counted.items())
        ],
    }
