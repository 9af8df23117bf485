"""Which lanes are parked, from what the ledger has of their breakages. See core/parking.py."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, func, select

from pybots.core import dispositions, parking
from pybots.core.digest import Parked
from pybots.core.model import RED, STANDING
from pybots.ledger import schema

REASON: Final = "parked since {}: red for long with nobody acting, so it runs once a day"

breakages, parts, lanes = schema.breakages, schema.breakage_lanes, schema.lanes
runs, spans = schema.runs, schema.spans


def parked(connection: Connection, now: float) -> dict[int, float]:
    """Lane -> since when it is parked. Lanes that are not are not in it."""
    rows = connection.execute(
        select(
            parts.c.lane_id, parts.c.opened,
            breakages.c.disposition, breakages.c.person, breakages.c.expires,
        )
        .join(breakages, breakages.c.id == parts.c.breakage_id)
        .where(parts.c.closed.is_(None), parts.c.lane_id != 0, breakages.c.state.in_(STANDING))
    )  # fmt: skip
    by_lane: dict[int, list[parking.Part]] = {}
    for row in rows:
        acted = dispositions.acted(row.disposition, row.person, row.expires, now)
        by_lane.setdefault(row.lane_id, []).append(parking.Part(since=row.opened, acted=acted))
    for lane, changed in _always_red(connection).items():
        by_lane.setdefault(lane, [parking.Part(since=changed, acted=False)])
    found = {lane: parking.parked_since(members, now) for lane, members in by_lane.items()}
    return {lane: since for lane, since in found.items() if since is not None}


def _always_red(connection: Connection) -> dict[int, float]:
    """Lane -> when what is bad there changed last, of all that are red. What was bad in a lane's first run is no breakage:
    nobody is accused of it, and nobody can answer it, but a lane of which nothing else is to be learned rests as well."""
    rows = connection.execute(
        select(lanes.c.id, func.max(func.coalesce(runs.c.finished, runs.c.created)))
        .join(spans, spans.c.lane_id == lanes.c.id)
        .join(runs, runs.c.id == spans.c.from_run)
        .where(
            lanes.c.verdict.in_(RED), lanes.c.state == "active",
            spans.c.until_run.is_(None), spans.c.signature.is_not(None),
        )
        .group_by(lanes.c.id)
    )  # fmt: skip
    found: dict[int, float] = dict(rows.all())
    return found


def of_farm(connection: Connection, now: float) -> list[Parked]:
    """The parked lanes by name, the longest parked first."""
    since = parked(connection, now)
    rows = connection.execute(
        select(lanes.c.id, lanes.c.slug).where(
            lanes.c.id.in_(list(since)), lanes.c.state != "retired"
        )
    )
    found = [Parked(lane=slug, since=since[number]) for number, slug in rows]
    return sorted(found, key=lambda one: (one.since, one.lane))


@dataclass(frozen=True, kw_only=True)
class Rest:
    """A parked lane. `reason`: for its page. `rests`: it had its run of the day."""

    reason: str
    rests: bool


def rests(connection: Connection, now: float) -> dict[str, Rest]:
    """The parked lanes by slug, for planning."""
    since = parked(connection, now)
    rows = connection.execute(
        select(lanes.c.id, lanes.c.slug, func.max(runs.c.created).label("last"))
        .join(runs, and_(runs.c.lane_id == lanes.c.id, runs.c.purpose == "routine"), isouter=True)
        .where(lanes.c.id.in_(list(since)))
        .group_by(lanes.c.id, lanes.c.slug)
    )
    return {
        row.slug: Rest(
            reason=REASON.format(time.strftime("%Y-%m-%d", time.gmtime(since[row.id]))),
            rests=not parking.may_run(since[row.id], row.last, now),
        )
        for row in rows
    }
