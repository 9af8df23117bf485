"""What the registry's keeper should look at: files whose source is gone or has moved, whose tests no longer collect, whose control stays red.

Read from the ledger when somebody asks, and told in the weekly digest: no polling of its own. Each case comes with a change to
propose to the project.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, func, select

from pybots.core.digest import Upkeep
from pybots.core.model import GitBranch, Project
from pybots.farm.home import Farm
from pybots.ledger import schema

RED_SECONDS: Final = 14 * 86400.0
"""A control that has been red for this long will not mend itself."""
GONE_SECONDS: Final = 86400.0
"""A source that fails for this long at every look is gone; until then it may be the network."""
UNCOLLECTED: Final = ("collection", "hollow")
UNDECIDED: Final = ("infra", "unknown")

lanes, runs, sources = schema.lanes, schema.runs, schema.sources


def cases(farm: Farm, connection: Connection, now: float) -> list[Upkeep]:
    """Everything to look at, by project."""
    projects = farm.config.registered(farm.projects)
    found = [
        *_lost(projects, connection),
        *_moved(projects, connection),
        *_lanes(projects, connection, now),
    ]
    seen: dict[tuple[str, str, str], Upkeep] = {}
    for case in found:  # of a project's many lanes the one that has had it longest
        key = (case.project, case.source, case.what)
        if key not in seen or (case.since or now) < (seen[key].since or now):
            seen[key] = case
    return [seen[key] for key in sorted(seen)]


def _lost(projects: dict[str, Project], connection: Connection) -> Iterator[Upkeep]:
    """Sources that could not be had at any look for a day."""
    rows = connection.execute(
        select(sources)
        .where(sources.c.error.is_not(None))
        .where(sources.c.checked - sources.c.failing >= GONE_SECONDS)
        .order_by(sources.c.project)
    )
    for row in rows:
        project = projects.get(row.project)
        source = project.sources.get(row.source) if project else None
        if source is None:
            continue
        key = "git" if isinstance(source, GitBranch) else "index"
        yield Upkeep(
            project=row.project, source=row.source, what="its source cannot be had", since=row.failing,
            said=row.error,
            propose=f"correct `{key}` of [source.{row.source}], or remove that table",
        )  # fmt: skip


def _moved(projects: dict[str, Project], connection: Connection) -> Iterator[Upkeep]:
    """Sources whose host sends elsewhere: it may stop doing so, or somebody else may take the name."""
    for row in connection.execute(select(sources).where(sources.c.moved.is_not(None))):
        project = projects.get(row.project)
        source = project.sources.get(row.source) if project else None
        if not isinstance(source, GitBranch) or source.url == row.moved:
            continue
        yield Upkeep(
            project=row.project, source=row.source, what="its source has moved", since=None,
            said=f"{source.url} leads to {row.moved}",
            propose=f'write `git = "{row.moved}"` in [source.{row.source}], if that is the same project',
        )  # fmt: skip


def _lanes(projects: dict[str, Project], connection: Connection, now: float) -> Iterator[Upkeep]:
    active = select(lanes).where(lanes.c.state == "active", lanes.c.project.in_(projects))
    for lane in connection.execute(active).all():
        newest = _newest(connection, lane.id)
        if newest is None:
            continue
        if newest.verdict == "blocked":
            since = _since(connection, lane.id, newest)
            if now - since < RED_SECONDS:
                continue
            yield Upkeep(
                project=lane.project, source=lane.source, what="its control has been red for weeks",
                since=since, said=newest.summary, propose=_pin(connection, lane),
            )  # fmt: skip
        elif newest.failure_kind in UNCOLLECTED:
            yield Upkeep(
                project=lane.project, source=lane.source, what="its tests no longer collect",
                since=_since(connection, lane.id, newest), said=newest.summary,
                propose=f"`pybots try {lane.project} --source {lane.source}`, then correct [test] or [install]",
            )  # fmt: skip


def _done(lane: int) -> Any:
    """A lane's routine runs that say something."""
    return (
        runs.c.lane_id == lane,
        runs.c.purpose == "routine",
        runs.c.state == "done",
        runs.c.verdict.not_in(UNDECIDED),
    )


def _newest(connection: Connection, lane: int) -> Any:
    query = select(runs).where(*_done(lane)).order_by(runs.c.position.desc(), runs.c.id.desc())
    return connection.execute(query.limit(1)).first()


def _since(connection: Connection, lane: int, newest: Any) -> float:
    """Since when all runs have come to what the newest came to."""
    same = runs.c.verdict == "blocked"
    if newest.verdict != "blocked":
        same = runs.c.failure_kind.in_(UNCOLLECTED)
    at = func.coalesce(runs.c.finished, runs.c.created)
    other = connection.scalar(select(func.max(at)).where(*_done(lane), func.coalesce(~same, True)))
    first = select(func.min(at)).where(*_done(lane), same)
    if other is not None:
        first = first.where(at > other)
    found = connection.scalar(first)
    return float(found if found is not None else newest.finished or newest.created)


def _pin(connection: Connection, lane: Any) -> str:
    """The last revision that was good, and its day: what to go back to until it is mended."""
    query = (
        select(runs.c.revision_label, runs.c.finished)
        .where(*_done(lane.id), runs.c.verdict.in_(("passed", "fixed", "flaky")))
        .order_by(runs.c.finished.desc())
        .limit(1)
    )
    good = connection.execute(query).first()
    if good is None or good.finished is None:
        return f"`pybots try {lane.project} --source {lane.source}`: it was never green here"
    day = time.strftime("%Y-%m-%d", time.gmtime(good.finished))
    pin = f'version = "{good.revision_label}"' if lane.source == "release" else "a fix upstream"
    return f'`[install] as_of = "{day}"` if a dependency did it, else {pin}: good for the last time then'
