"""`/projects` and `/project/<name>`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Final

from sqlalchemy import Connection, Select, select

from pybots.core import model
from pybots.farm.home import Farm
from pybots.farm.views import history, testhistory
from pybots.farm.views.common import Missing, Visit, lanes, run_row, runs, select_runs
from pybots.farm.views.console import Column
from pybots.farm.views.frame import default_branch, frame
from pybots.farm.views.latest import last_known
from pybots.farm.views.lists import (
    breakages,
    breakages_of_lanes,
    lane_row,
    masked,
    open_since,
    parts,
    select_lanes,
)
from pybots.ledger import schema
from pybots_status import links
from pybots_status.pages import Fact, Project, ProjectRow, Projects, RunRow, Version

sources = schema.sources

RUNS: Final = 30
CONTROLS: Final = 5


def projects(farm: Farm, visit: Visit) -> Projects:
    """Every registered project and every one that has lanes, with the state of each column."""
    branch = visit.branch or default_branch(farm)
    with farm.ledger.read() as connection:
        rows = history.branch_lanes(connection, branch)
        pending = history.pending(connection, branch)
        labels = _labels(connection)
        around = frame(
            farm, connection, visit, title="Projects", current="projects", branch=branch,
            tabs="/projects",
        )  # fmt: skip
    by_project: dict[str, dict[Column, list[Any]]] = {}
    for row in rows:
        column = Column(row.platform, row.flavour)
        by_project.setdefault(row.project, {}).setdefault(column, []).append(row)
    names = sorted({*farm.config.registered(farm.projects), *by_project})
    return Projects(
        frame=around,
        rows=tuple(
            ProjectRow(
                name=name,
                title=_title(farm, name),
                versions=labels.get(name, ()),
                cells=tuple(
                    last_known(column, found, pending)
                    for column, found in sorted(by_project.get(name, {}).items())
                ),
                summary=_note(farm, name),
            )
            for name in names
        ),
    )


def _labels(connection: Connection) -> dict[str, tuple[str, ...]]:
    made: dict[str, tuple[str, ...]] = {}
    for row in connection.execute(select(sources).order_by(sources.c.project, sources.c.source)):
        made[row.project] = (*made.get(row.project, ()), f"{row.source} {row.label or 'unknown'}")
    return made


def _title(farm: Farm, name: str) -> str:
    known = farm.projects.get(name)
    return known.title if known else name


def _note(farm: Farm, name: str) -> str:
    known = farm.projects.get(name)
    return known.note.partition("\n")[0] if known else "no longer registered"


def project(farm: Farm, visit: Visit, name: str, *, test: str = "") -> Project:
    """One project's page, with the history of one `test` when asked. Raises Missing for a name that is neither registered nor has lanes."""
    with farm.ledger.read() as connection:
        found = connection.execute(
            select_lanes()
            .where(lanes.c.project == name, lanes.c.state != "retired")
            .order_by(lanes.c.branch.desc(), lanes.c.source, lanes.c.platform, lanes.c.flavour)
        ).all()
        known = farm.projects.get(name)
        if not found and known is None:
            raise Missing(f"there is no project “{name[:100]}”", "/projects lists them all")
        ids = [row.id for row in found]
        since = open_since(connection, ids)
        pending = _pending(connection, found)
        return Project(
            frame=replace(
                frame(farm, connection, visit, title=_title(farm, name)),
                feed=links.feed("project", name),
            ),
            name=name,
            title=_title(farm, name),
            note=known.note if known else "no longer registered",
            homepage=known.homepage if known else "",
            tracker=known.tracker if known else "",
            maintainers=_maintainers(known),
            versions=_versions(connection, name, known),
            facts=_facts(known),
            lanes=tuple(lane_row(row, pending, since.get(row.id)) for row in found),
            runs=_runs(connection, ids),
            breakages=breakages_of_lanes(connection, ids, farm.clock()),
            controls=_controls(connection, ids),
            history=testhistory.history(connection, found, test) if test else None,
            badge=links.badge(name),
            badge_text=_badge_text(farm, name),
        )


def _maintainers(known: model.Project | None) -> tuple[str, ...]:
    """Who is told when something changes. Addresses are masked: nobody harvests them here."""
    if known is None:
        return ()
    told = dict.fromkeys((*known.notify, *known.notify_daily, *known.notify_personal))
    return tuple(masked(address, ()) for address in told)


def _controls(connection: Connection, ids: Sequence[int]) -> tuple[RunRow, ...]:
    """The control runs of the newest breakages: whether the last good combination still passes."""
    newest = (
        select(breakages.c.control_run)
        .where(
            breakages.c.id.in_(select(parts.c.breakage_id).where(parts.c.lane_id.in_(ids))),
            breakages.c.control_run.is_not(None),
        )
        .order_by(breakages.c.id.desc())
        .limit(CONTROLS)
    )
    rows = connection.execute(
        select_runs().where(runs.c.id.in_(newest)).order_by(runs.c.id.desc())
    ).all()
    return tuple(run_row(row) for row in rows)


def _badge_text(farm: Farm, name: str) -> str:
    """Markdown that shows the badge elsewhere."""
    base = farm.config.url.rstrip("/")
    title = "".join(sign for sign in _title(farm, name) if sign not in "[]()`")
    return f"[![{title} on CPython]({base}{links.badge(name)})]({base}{links.project(name)})"


def _pending(connection: Connection, found: Sequence[Any]) -> dict[int, Any]:
    made: dict[int, Any] = {}
    for branch in {row.branch for row in found}:
        made |= history.pending(connection, branch)
    return made


def _versions(
    connection: Connection, name: str, known: model.Project | None
) -> tuple[Version, ...]:
    rows = connection.execute(
        select(sources).where(sources.c.project == name).order_by(sources.c.source)
    ).all()
    return tuple(
        Version(
            source=row.source,
            label=row.label or "",
            origin=_origin(known, row.source),
            checked=row.checked,
            error=row.error or "",
        )
        for row in rows
    )


def _origin(known: model.Project | None, source: str) -> str:
    match known.sources.get(source) if known else None:
        case model.IndexSource(name=name, version=version):
            return f"{name} {version or '(newest)'} of the package index"
        case model.GitBranch(url=url, branch=branch):
            return f"{_public(url)} {branch}".strip()
        case model.Own():
            return "the interpreter itself"
        case _:
            return ""


def _public(url: str) -> str:
    """A repository as readers may see it: of a folder on the farm's own machine only its name."""
    return url if "://" in url else f"{PurePosixPath(url).name}, on the farm's own disk"


def _facts(known: model.Project | None) -> tuple[Fact, ...]:
    if known is None:
        return ()
    facts = [
        ("Runner", known.test.runner),
        ("Time limit", f"{known.timeout_minutes:g} min"),
        ("Memory limit", f"{known.memory_mb:,} MB"),
        ("Network", known.network),
        ("Services", ", ".join(known.services)),
        ("System libraries", ", ".join(known.system)),
        ("Wants", ", ".join(known.wants)),
        ("Flavours", ", ".join(known.flavours) or "all"),
        ("Branches", ", ".join(known.branches) or "all"),
    ]
    return tuple(Fact(name=key, value=value) for key, value in facts if value)


def _runs(connection: Connection, ids: Sequence[int]) -> tuple[Any, ...]:
    """The newest runs by creation, of each lane's newest commits: years of a lane's runs are not sorted for a page."""
    newest = [number for lane in ids for number in connection.scalars(_newest_of(lane))]
    rows = connection.execute(
        select_runs().where(runs.c.id.in_(sorted(newest)[-RUNS:])).order_by(runs.c.id.desc())
    ).all()
    return tuple(run_row(row) for row in rows)


def _newest_of(lane: int) -> Select[tuple[int]]:
    return (
        select(runs.c.id)
        .where(runs.c.lane_id == lane, runs.c.state != "dropped")
        .order_by(runs.c.position.desc(), runs.c.started.desc())
        .limit(RUNS)
    )
