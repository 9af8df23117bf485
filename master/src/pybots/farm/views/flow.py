"""`/waterfall`: what ran when, in which lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, or_, select

from pybots.farm.home import Farm
from pybots.farm.views import history, phases
from pybots.farm.views.builds import Build, last_builds
from pybots.farm.views.common import (
    INTERPRETER,
    UNDER_WAY,
    Visit,
    attempts,
    commits,
    interpreters,
    run_row,
    run_state,
    runs,
    select_runs,
)
from pybots.farm.views.console import Column
from pybots.farm.views.frame import default_branch, frame
from pybots.farm.views.lanes import interpreter_slug
from pybots.farm.views.latest import SHORT, lane_state, where
from pybots_status import links
from pybots_status.pages import (
    Cell,
    CommitLine,
    Frame,
    LaneHead,
    Notice,
    State,
    Waterfall,
    WaterfallPhase,
    WaterfallRun,
)
from pybots_status.text import clock

MAX_RUNS: Final = 150
SCANNED: Final = 2000
"""At most this many finished runs of the whole farm are looked at to find MAX_RUNS of the lanes shown."""
MAX_COMMITS: Final = 60
MAX_LANES: Final = 48
"""Without a project to filter by, only the lanes that ran last are shown."""


def waterfall(
    farm: Farm, visit: Visit, *, project: str = "", before: float | None = None
) -> Waterfall:
    """The page. `before`: only runs that ended before this time (seconds since the epoch)."""
    branch = visit.branch or default_branch(farm)
    with farm.ledger.read() as connection:
        every = history.branch_lanes(connection, branch)
        lanes = [row for row in every if project in ("", row.project)]
        built = last_builds(connection, branch)
        found = _runs(connection, branch, before)
        left_out = 0 if project else max(0, len(lanes) - MAX_LANES)
        lanes = _latest(lanes, found) if left_out else lanes
        around = frame(
            farm, connection, visit, title=f"Waterfall {project}".strip(), current="waterfall",
            branch=branch, tabs=links.WATERFALL, built=built,
        )  # fmt: skip
        index = _places(branch, built, lanes)
        shown = _whole(
            connection, [row for row in found if _place(row, index) is not None][:MAX_RUNS]
        )
        arrived = _commits(connection, branch, shown, before)
        waiting = history.pending(connection, branch)
    active = {_key(row): row for row in reversed(shown) if row.state in UNDER_WAY}
    ended = [row.finished for row in shown if row.finished is not None]
    more = len(shown) == MAX_RUNS and ended
    return Waterfall(
        frame=_noted(around, left_out),
        lanes=_heads(branch, built, lanes, active, waiting),
        runs=tuple(_run(row, index) for row in shown if row.started is not None),
        commits=arrived,
        project=project,
        projects=tuple(sorted({row.project for row in every})),
        older=_address(branch, project, min(ended)) if more else "",
        newer=links.waterfall(project=project, branch=branch) if before else "",
    )


def _latest(lanes: Sequence[Any], found: Sequence[Any]) -> list[Any]:
    """The lanes that ran last, in their usual order."""
    ran = list(dict.fromkeys(row.lane_id for row in found if row.lane_id is not None))
    kept = set(ran[:MAX_LANES])
    for row in lanes:
        if len(kept) >= MAX_LANES:
            break
        kept.add(row.id)
    return [row for row in lanes if row.id in kept]


def _noted(around: Frame, left_out: int) -> Frame:
    if not left_out:
        return around
    text = f"The {MAX_LANES} lanes that ran last; {left_out} more are left out: choose a project to see all of its lanes."
    return replace(around, notices=(*around.notices, Notice(text=text)))


def _address(branch: str, project: str, before: float) -> str:
    return links.with_query(links.WATERFALL, branch=branch, project=project, before=f"{before:.3f}")


def _runs(connection: Connection, branch: str, before: float | None) -> Sequence[Any]:
    """What runs now, then what ended last, newest first, each with its place only. Both parts are read by an index."""
    finished = select(runs.c.id).where(runs.c.finished.is_not(None))
    if before is not None:
        finished = finished.where(runs.c.finished < before)
    newest = finished.order_by(runs.c.finished.desc()).limit(SCANNED).subquery()
    wanted: Any = runs.c.id.in_(select(newest.c.id))
    if before is None:
        wanted = or_(wanted, runs.c.state.in_(("dispatched", "running")))
    return connection.execute(
        select(runs.c.id, runs.c.lane_id, interpreters.c.platform, interpreters.c.flavour)
        .join(interpreters, interpreters.c.id == runs.c.interpreter_id)
        .where(wanted, runs.c.branch == branch, runs.c.state != "dropped")
        .order_by(*_NEWEST_FIRST)
        .limit(SCANNED)
    ).all()


_NEWEST_FIRST: Final = (
    runs.c.finished.is_(None).desc(),
    runs.c.finished.desc(),
    runs.c.id.desc(),
)


def _whole(connection: Connection, places: Sequence[Any]) -> Sequence[Any]:
    """The runs with all that is shown of them: phases are long, and read only of these."""
    return connection.execute(
        select_runs(attempts.c.phases, attempts.c.started.label("begun"))
        .where(runs.c.id.in_([row.id for row in places]))
        .order_by(*_NEWEST_FIRST)
    ).all()


def _places(
    branch: str, built: Mapping[Column, Build], lanes: Sequence[Any]
) -> dict[int | Column, int]:
    """Column of the waterfall of each interpreter (by platform and flavour) and lane (by id)."""
    keys: list[int | Column] = [*sorted(built), *(row.id for row in lanes)]
    return {key: place for place, key in enumerate(keys)}


def _key(row: Any) -> int | Column:
    return row.lane_id if row.lane_id is not None else Column(row.platform, row.flavour)


def _place(row: Any, index: Mapping[int | Column, int]) -> int | None:
    return index.get(_key(row))


def _heads(
    branch: str,
    built: Mapping[Column, Build],
    lanes: Sequence[Any],
    active: Mapping[int | Column, Any],
    waiting: Mapping[int, State],
) -> tuple[LaneHead, ...]:
    heads = [
        LaneHead(
            slug=interpreter_slug(branch, column),
            lines=(INTERPRETER, SHORT.get(column.flavour, column.flavour), column.platform),
            last=Cell(state=build.state, href=links.run(build.run) if build.run else ""),
            activity=_activity(active.get(column), build.state),
            active=column in active,
        )
        for column, build in sorted(built.items())
    ]
    heads += [
        LaneHead(
            slug=row.slug,
            lines=(
                row.project,
                row.source,
                f"{SHORT.get(row.flavour, row.flavour)} {row.platform}",
            ),
            last=Cell(state=lane_state(row, {}), href=where(row)),
            activity=_activity(active.get(row.id), waiting.get(row.id, "none")),
            active=row.id in active,
        )
        for row in lanes
    ]
    return tuple(heads)


def _activity(row: Any, waiting: State) -> str:
    """What a lane does now: the phase it is in, or why nothing runs."""
    if row is None:
        return _WAITS.get(waiting, "idle")
    if not row.phases:
        return "starting"
    phase = row.phases[-1]
    since = phase.get("started")
    return f"{phase['phase']} since {clock(since)[:5]}" if since else str(phase["phase"])


_WAITS: Final[Mapping[State, str]] = {
    "queued": "waits for a worker",
    "offline": "its workers are away",
}


def _run(row: Any, index: Mapping[int | Column, int]) -> WaterfallRun:
    place = _place(row, index)
    assert place is not None
    shown = run_row(row)
    return WaterfallRun(
        lane=place,
        id=row.id,
        state=run_state(row.state, row.verdict),
        started=row.begun if row.begun is not None else row.started,
        finished=row.finished,
        label=f"{row.sha[:7]} {shown.revision}".strip(),
        phases=tuple(_phase(row, item) for item in row.phases or () if item.get("started")),
    )


def _phase(row: Any, item: Mapping[str, Any]) -> WaterfallPhase:
    name = str(item.get("phase"))
    took = item.get("wall_seconds")
    ended = None if took is None else item["started"] + took
    return WaterfallPhase(
        name=name,
        state=phases.state(phases.ended(item, "lost" if row.state == "done" else "running")),
        started=item["started"],
        finished=ended if ended is not None else row.finished,
        href=links.with_query(links.run(row.id), phase=name),
    )


def _commits(
    connection: Connection, branch: str, shown: Sequence[Any], before: float | None
) -> tuple[CommitLine, ...]:
    """The commits that the farm saw in the time shown."""
    since = min((row.started for row in shown if row.started is not None), default=None)
    found = connection.execute(
        select(*history.LINE, commits.c.seen)
        .where(commits.c.branch == branch)
        .order_by(commits.c.position.desc())
        .limit(5 * MAX_COMMITS)
    ).all()
    return tuple(
        CommitLine(sha=row.sha, title=row.title, author=row.author, when=row.seen)
        for row in found
        if (since is None or row.seen >= since) and (before is None or row.seen < before)
    )[:MAX_COMMITS]
