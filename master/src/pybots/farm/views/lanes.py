"""`/lane/<slug>`: the runs of one lane, or of one interpreter (a flavour on a platform)."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, select

from pybots.farm.home import Farm
from pybots.farm.views import history
from pybots.farm.views.builds import last_builds
from pybots.farm.views.common import (
    INTERPRETER,
    Missing,
    Visit,
    build_slug,
    commits,
    counts,
    interpreters,
    lanes,
    run_row,
    runs,
    select_runs,
)
from pybots.farm.views.console import Column
from pybots.farm.views.frame import branches, frame
from pybots.farm.views.lists import (
    breakages_of_lanes,
    lane_row,
    open_since,
    select_lanes,
)
from pybots.ledger import spans
from pybots_status import links
from pybots_status.pages import Cell, FailingRow, FlakyRow, Lane, LaneRow

PAGE: Final = 50
MAX_FAILING: Final = 30
MAX_FLAKY: Final = 30


def interpreter_slug(branch: str, column: Column) -> str:
    return build_slug(branch, column.flavour, column.platform)


def lane(farm: Farm, visit: Visit, name: str, *, before: int = 0) -> Lane:
    """The page. `name` is a slug or a lane's id; `before`: only runs at older positions. Raises Missing."""
    with farm.ledger.read() as connection:
        query = select_lanes()
        query = (
            query.where(lanes.c.id == int(name))
            if _is_id(name)
            else query.where(lanes.c.slug == name)
        )
        row = connection.execute(query).first()
        if row is None:
            return _interpreter_lane(farm, connection, visit, name, before)
        found = select_runs().where(runs.c.lane_id == row.id, runs.c.state != "dropped")
        if before:
            found = found.where(runs.c.position < before)
        shown = connection.execute(
            found.order_by(runs.c.position.desc(), runs.c.started.desc()).limit(PAGE + 1)
        ).all()
        since = open_since(connection, [row.id])
        return Lane(
            frame=frame(
                farm, connection, visit, title=f"{row.project} {row.source}, {row.flavour}",
                branch=row.branch,
            ),
            lane=lane_row(row, history.pending(connection, row.branch), since.get(row.id)),
            runs=tuple(run_row(item) for item in shown[:PAGE]),
            breakages=breakages_of_lanes(connection, [row.id], farm.clock()),
            failing=tuple(
                FailingRow(test=one.test, run=one.since.run)
                for one in spans.failing_now(connection, row.id, limit=MAX_FAILING)
            ),
            failing_left_out=max(0, spans.count_bad(connection, row.id) - MAX_FAILING),
            flaky=tuple(
                FlakyRow(test=one.test, events=one.events, runs=one.runs, quiet=one.quiet)
                for one in spans.flakiness(connection, row.id, limit=MAX_FLAKY)
            ),
            older=_older(row.slug, shown),
        )  # fmt: skip


def _is_id(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 16


def _older(slug: str, shown: Any) -> str:
    if len(shown) <= PAGE:
        return ""
    return links.with_query(links.lane(slug), before=shown[PAGE - 1].position)


def _interpreter_lane(
    farm: Farm, connection: Connection, visit: Visit, name: str, before: int
) -> Lane:
    branch, column, build = _find_interpreter(farm, connection, name)
    found = (
        select_runs()
        .where(
            runs.c.kind == "interpreter",
            runs.c.state != "dropped",
            runs.c.commit_id.in_(_recent(connection, branch, before)),
            interpreters.c.flavour == column.flavour,
            interpreters.c.platform == column.platform,
        )
        .order_by(runs.c.position.desc(), runs.c.id.desc())
    )
    shown = connection.execute(found.limit(PAGE + 1)).all()
    newest = shown[0] if shown else None
    return Lane(
        frame=frame(farm, connection, visit, title=f"Python {column.title}", branch=branch),
        lane=LaneRow(
            slug=name,
            project=INTERPRETER,
            branch=branch,
            flavour=column.flavour,
            platform=column.platform,
            cell=Cell(state=build.state, href=links.run(build.run) if build.run else ""),
            last_run=build.run,
            last_sha=newest.sha if newest else "",
            last_finished=newest.finished if newest else None,
            counts=counts(None),
        ),
        runs=tuple(run_row(item) for item in shown[:PAGE]),
        older=_older(name, shown),
    )


def _find_interpreter(farm: Farm, connection: Connection, name: str) -> Any:
    """(branch, column, newest build). Names are compared whole: nothing is guessed by splitting them."""
    for branch in branches(farm):
        for column, build in last_builds(connection, branch).items():
            if interpreter_slug(branch, column) == name:
                return branch, column, build
    raise Missing(f"there is no lane “{name[:200]}”", "every project's page lists its lanes")


def _recent(connection: Connection, branch: str, before: int) -> Any:
    """The ids of the commits whose builds are shown: a bounded stretch of history."""
    query = select(commits.c.id).where(commits.c.branch == branch)
    if before:
        query = query.where(commits.c.position < before)
    return query.order_by(commits.c.position.desc()).limit(20 * PAGE)
