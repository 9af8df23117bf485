"""The state of a farm's lanes as one summary: what `up --once` prints, writes and exits with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, and_, false, func, or_, select, true

from pybots.core.model import GREEN, RED
from pybots.farm import commits
from pybots.farm.home import Farm
from pybots.ledger import schema, spans
from pybots.ledger.engine import Record

PASSED, FAILED, INCONCLUSIVE = 0, 1, 2

runs, lanes = schema.runs, schema.lanes
UNDER_WAY: Final = ("wanted", "dispatched", "running")


def under_way(connection: Connection) -> Mapping[str, int]:
    """How many runs are wanted, dispatched and running now; nobody waits for probes and second opinions."""
    rows = connection.execute(
        select(runs.c.state, func.count().label("runs"))
        .where(runs.c.state.in_(UNDER_WAY), runs.c.purpose.not_in(("probe", "opinion")))
        .group_by(runs.c.state)
    ).all()
    return {row.state: row.runs for row in rows}


def unsent(connection: Connection) -> int:
    """How many mails have not been tried yet."""
    outbox = schema.outbox
    fresh = select(func.count()).where(outbox.c.state == "queued", outbox.c.tries == 0)
    return int(connection.scalar(fresh) or 0)


def summary(farm: Farm) -> dict[str, Any]:
    """The newest run of every lane of a selected project, with counts, seconds and address."""
    with farm.ledger.read() as connection:
        heads = {
            branch: commits.head_position(connection, branch)
            for branch in (*farm.config.cpython.branches, *farm.config.cpython.tags)
        }
        rows = connection.execute(_newest_runs(heads)).all()
        idle = connection.execute(
            select(lanes).where(lanes.c.id.not_in([row.lane_id for row in rows]))
        ).all()
        return {
            "version": 1,
            "finished": farm.clock(),
            "lanes": [
                *(_lane(farm, connection, row) for row in rows if _selected(farm, row)),
                *(_without_run(row) for row in idle if _selected(farm, row)),
            ],
        }


def _selected(farm: Farm, lane: Record) -> bool:
    """Whether the settings of today still have the lane; a farm may have run other ones before."""
    config = farm.config
    return (
        lane.project in (config.projects or farm.projects)
        and lane.branch in (*config.cpython.branches, *config.cpython.tags)
        and lane.flavour in config.flavour_names()
        and lane.platform in config.platforms
    )


def _newest_runs(heads: Mapping[str, int | None]) -> Any:
    """Each lane's newest run up to the commit that its branch is to be run at (`--commit` may name an older one)."""
    within = [
        and_(runs.c.branch == branch, true() if place is None else runs.c.position <= place)
        for branch, place in heads.items()
    ]
    newest = (
        select(
            runs.c.id,
            func.row_number()
            .over(partition_by=runs.c.lane_id, order_by=(runs.c.position.desc(), runs.c.id.desc()))
            .label("place"),
        )
        .where(
            runs.c.lane_id.is_not(None),
            runs.c.purpose == "routine",
            runs.c.state != "dropped",
            or_(false(), *within),
        )
        .subquery()
    )
    return (
        select(
            runs, lanes.c.slug, lanes.c.project, lanes.c.source, lanes.c.flavour, lanes.c.platform,
            schema.commits.c.sha, schema.commits.c.title,
        )
        .join(newest, newest.c.id == runs.c.id)
        .join(lanes, lanes.c.id == runs.c.lane_id)
        .join(schema.commits, schema.commits.c.id == runs.c.commit_id)
        .where(newest.c.place == 1)
        .order_by(lanes.c.slug)
    )  # fmt: skip


def _lane(farm: Farm, connection: Connection, row: Record) -> dict[str, Any]:
    return {
        "lane": row.slug,
        "project": row.project,
        "source": row.source,
        "branch": row.branch,
        "flavour": row.flavour,
        "platform": row.platform,
        "commit": row.sha,
        "title": row.title,
        "revision": row.revision_label,
        "verdict": row.verdict or "unknown",
        "summary": row.summary,
        "counts": row.counts or {},
        "seconds": row.phase_seconds or {},
        "failing": spans.bad_now(connection, row.lane_id) if row.verdict in RED else [],
        "url": f"{farm.config.url.rstrip('/')}/run/{row.id}",
    }


def _without_run(row: Record) -> dict[str, Any]:
    return {
        "lane": row.slug,
        "project": row.project,
        "source": row.source,
        "branch": row.branch,
        "flavour": row.flavour,
        "platform": row.platform,
        "commit": None,
        "title": "",
        "revision": None,
        "verdict": "unknown",
        "summary": row.reason or "nothing ran",
        "counts": {},
        "seconds": {},
        "failing": [],
        "url": None,
    }


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Write the summary, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(data), indent=1))
    partial.replace(path)


class BaselineError(ValueError):
    """The file given as a baseline is not one; the text names the mend."""


def load_baseline(path: Path) -> dict[str, set[str]]:
    """Known reds, from an earlier last-cycle.json: lane -> ids known to be bad."""
    try:
        data = json.loads(path.read_text())
        return {
            lane["lane"]: set(lane.get("failing", []))
            for lane in data["lanes"]
            if lane["verdict"] in RED
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BaselineError(
            f"{path} is not a baseline ({error}); give the last-cycle.json of an earlier cycle"
        ) from None


def exit_status(data: Mapping[str, Any], baseline: Mapping[str, set[str]]) -> int:
    """0: all lanes passed or their reds are known; 1: some did not; 2: some are inconclusive (or there are none)."""
    states = [_state(lane, baseline) for lane in data["lanes"]]
    if FAILED in states:
        return FAILED
    return INCONCLUSIVE if INCONCLUSIVE in states or not states else PASSED


def _state(lane: Mapping[str, Any], baseline: Mapping[str, set[str]]) -> int:
    if lane["verdict"] in GREEN:
        return PASSED
    if lane["verdict"] not in RED:
        return INCONCLUSIVE
    failing = set(lane["failing"])
    return PASSED if failing and failing <= baseline.get(lane["lane"], set()) else FAILED
