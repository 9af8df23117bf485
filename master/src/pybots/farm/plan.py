"""From commits and sources to wanted runs: the ledger is the only queue (DESIGN §4).

Called inside the transaction that made the news (commits inserted, a source moved, a worker joined), so that nothing
is announced which is not also planned. Planning twice plans nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from pybots.core.flavours import refusal
from pybots.core.model import Flavour, LaneKey, Project, Worker
from pybots.core.schedule import able, coalesced
from pybots.farm import interpreters as interpreters_of
from pybots.farm import letters, parking
from pybots.farm.cells import shared
from pybots.farm.home import Farm
from pybots.farm.losses import end_unknown, release_waiting
from pybots.farm.workers import approved
from pybots.ledger import breakages, schema
from pybots.ledger.engine import Record, announce, inserted_id

lanes, runs, interpreters, cells = schema.lanes, schema.runs, schema.interpreters, schema.cells


AGAIN_SECONDS: Final = 3600.0
"""What the farm spoiled (three lost attempts) is wanted again after this long, not at every look at the heads."""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A watched branch (or tag) as planning needs it. `version` is CPython's (major, minor) at its head.

    `head` is the sha to be run; empty: the newest commit that the ledger has. (`--commit` may name an older one.)"""

    name: str
    version: tuple[int, int] | None
    head: str = ""


def plan(farm: Farm, connection: Connection, branch: Branch, now: float) -> list[int]:
    """Want what is missing on this branch's head (and, for new lanes, on one earlier commit). Returns new run ids."""
    _retire(farm, connection, branch, now)
    window = _window(farm, connection, branch)
    if not window:
        return []
    workers = approved(connection)
    parked = parking.rests(connection, now)
    made: list[int] = []
    for project, key, flavour in _lanes(farm, branch):
        worker, state, reason = _eligibility(project, key, flavour, branch, workers)
        rest = parked.get(key.slug)
        lane = _lane(connection, key, state, reason or (rest.reason if rest else ""))
        if worker is None or (rest and rest.rests):
            continue
        for source in _revisions(connection, key):
            for commit in _targets(farm, lane, window):
                run = _want(connection, lane, commit, flavour, worker, source, now)
                made += [run] if run else []
        _coalesce(connection, lane, workers)
    return made


def _retire(farm: Farm, connection: Connection, branch: Branch, now: float) -> None:
    """Lanes of projects and sources that are registered no more: nothing waits for them, and they keep nothing open."""
    active = connection.execute(
        select(lanes).where(lanes.c.branch == branch.name, lanes.c.state != "retired")
    ).all()
    for lane in active:
        project = farm.projects.get(lane.project)
        if project is not None and lane.source in project.sources:
            continue
        what = f"project {lane.project!r}" if project is None else f"its source {lane.source!r}"
        reason = f"{what} is no longer registered"
        connection.execute(
            update(lanes).where(lanes.c.id == lane.id).values(state="retired", reason=reason)
        )
        waiting = connection.execute(
            select(runs).where(runs.c.lane_id == lane.id, runs.c.state == "wanted")
        ).all()
        for run in waiting:
            end_unknown(farm, connection, run, reason, now)
        closed = breakages.retire(connection, lane.id, now)
        letters.news(farm, connection, now, breakages=[row.id for row in closed])
        announce(connection, now, "lane", lane=lane.id, state="retired")


def _window(farm: Farm, connection: Connection, branch: Branch) -> Sequence[Record]:
    """The branch's commits up to the head that is to be run, newest first."""
    commits = schema.commits
    query = select(commits).where(commits.c.branch == branch.name)
    if branch.head:
        head = select(commits.c.position).where(
            commits.c.branch == branch.name, commits.c.sha == branch.head
        )
        query = query.where(commits.c.position <= head.scalar_subquery())
    limit = max(farm.config.cpython.history, 2)
    return connection.execute(query.order_by(commits.c.position.desc()).limit(limit)).all()


def _lanes(farm: Farm, branch: Branch) -> Iterable[tuple[Project, LaneKey, Flavour]]:
    flavours = farm.config.flavours()
    for project in selected(farm):
        if project.branches and branch.name not in project.branches:
            continue
        names = [
            n for n in farm.config.flavour_names() if not project.flavours or n in project.flavours
        ]
        for source in project.sources:
            for name in names:
                for platform in farm.config.platforms:
                    key = LaneKey(
                        project=project.name,
                        source=source,
                        branch=branch.name,
                        flavour=name,
                        platform=platform,
                    )
                    yield project, key, flavours[name]


def selected(farm: Farm) -> list[Project]:
    """The registered projects this farm runs: all, or the ones its settings name."""
    return list(farm.config.registered(farm.projects).values())


def _eligibility(
    project: Project, key: LaneKey, flavour: Flavour, branch: Branch, workers: Sequence[Worker]
) -> tuple[Worker | None, str, str]:
    """Whose ABI and trust group the lane uses, the lane's state, and the reason when it can't run."""
    fitting = able(project, key.platform, workers)
    if not fitting:
        missing = ", ".join(sorted(project.facts))
        wants = f" with {missing}" if missing else ""
        return None, "no_worker", f"no approved worker for {key.platform}{wants}"
    refusals = [refusal(flavour, branch.version, worker.facts) for worker in fitting]
    for worker, why in zip(fitting, refusals, strict=True):
        if why is None:
            return worker, "active", ""
    return None, "refused", refusals[0] or ""


def _lane(connection: Connection, key: LaneKey, state: str, reason: str) -> Record:
    values = {"state": state, "reason": reason}
    connection.execute(
        upsert(lanes)
        .values(
            slug=key.slug,
            project=key.project,
            source=key.source,
            branch=key.branch,
            flavour=key.flavour,
            platform=key.platform,
            **values,
        )
        .on_conflict_do_update(index_elements=["slug"], set_=values)
    )
    return connection.execute(select(lanes).where(lanes.c.slug == key.slug)).one()


def _revisions(connection: Connection, key: LaneKey) -> list[Record]:
    found = connection.execute(
        select(schema.sources.c.label, schema.sources.c.revision).where(
            schema.sources.c.project == key.project, schema.sources.c.source == key.source
        )
    ).all()
    return [row for row in found if row.revision]


def _targets(farm: Farm, lane: Record, window: Sequence[Record]) -> list[Record]:
    """The head, and for a lane without history also the newest earlier commit that is another interpreter."""
    head = window[0]
    if lane.head_run is not None or not farm.config.cpython.earlier:
        return [head]
    earlier = next((row for row in window[1:] if row.content_key != head.content_key), None)
    return [earlier, head] if earlier else [head]


def _want(
    connection: Connection,
    lane: Record,
    commit: Record,
    flavour: Flavour,
    worker: Worker,
    source: Record,
    now: float,
) -> int | None:
    interpreter = _interpreter(connection, commit, flavour, lane.platform, worker, now)
    same = _speaks_for(connection, lane, commit, interpreter, source, now)
    if same:
        state = _cell_state(same)
        _cell(
            connection,
            lane,
            commit,
            same.id,
            state if same.commit_id == commit.id else shared(state),
        )
        return None
    coming = _coming(connection, lane, commit, interpreter, now)
    if not coming and interpreter.state != "failed":
        return None  # it would wait for ever, and so would a lane whose first run it is
    run = _insert_run(
        connection, kind="project", lane_id=lane.id, commit=commit, interpreter=interpreter.id,
        revision_label=source.label, revision=source.revision, now=now,
    )  # fmt: skip
    _cell(connection, lane, commit, run, "queued")
    if not coming:  # said, lest an older green run seem to speak for this commit
        release_waiting(connection, interpreter.id, "the interpreter does not build", now)
        return None
    announce(connection, now, "run", run=run, lane=lane.id, state="wanted")
    return run


def _speaks_for(
    connection: Connection,
    lane: Record,
    commit: Record,
    interpreter: Record,
    source: Record,
    now: float,
) -> Record | None:
    """The lane's newest run up to this commit, if it had the same interpreter and revision.

    So a documentation-only commit costs nothing, while a revert, whose interpreter was seen before the trouble, is run:
    only that shows the trouble gone. What the farm itself spoiled is tried again after a while."""
    newest = connection.execute(
        select(runs)
        .where(
            runs.c.lane_id == lane.id,
            runs.c.position <= commit.position,
            runs.c.purpose == "routine",
            runs.c.state != "dropped",
        )
        .order_by(runs.c.position.desc(), runs.c.id.desc())
        .limit(1)
    ).first()
    if newest is None or newest.interpreter_id != interpreter.id:
        return None
    if newest.revision_label != source.label:
        return None
    if interpreter.state == "failed":
        return newest
    spoiled = newest.verdict in ("infra", "unknown") and now - newest.finished > AGAIN_SECONDS
    return None if spoiled else newest


def _cell_state(run: Record) -> str:
    if run.verdict:
        return str(run.verdict)
    return "running" if run.state == "running" else "queued"


def _interpreter(
    connection: Connection,
    commit: Record,
    flavour: Flavour,
    platform: str,
    worker: Worker,
    now: float,
) -> Record:
    row = interpreters_of.row(
        connection, commit, flavour=flavour.name, recipe=flavour.recipe(), platform=platform,
        abi=worker.abi, trust=worker.trust, now=now,
    )  # fmt: skip
    if row.state == "wanted":
        _want_build(connection, row, commit, now)
    return row


def _coming(
    connection: Connection, lane: Record, commit: Record, interpreter: Record, now: float
) -> bool:
    """Whether the interpreter is there or on its way; not while the farm rests from having spoiled its build."""
    if interpreter.state == "failed":
        return _landed_again(connection, lane, commit, interpreter, now)
    if interpreter.state == "published":
        return True
    build = select(runs.c.id).where(
        runs.c.interpreter_id == interpreter.id,
        runs.c.kind == "interpreter",
        runs.c.state.in_(("wanted", "dispatched", "running")),
    )
    return connection.execute(build.limit(1)).first() is not None


def _landed_again(
    connection: Connection, lane: Record, commit: Record, interpreter: Record, now: float
) -> bool:
    """Whether content that did not build was taken out in between and is back now: then it is built once more.

    The same trouble a second time is news, and what was in the way may be gone."""
    built = connection.scalar(
        select(func.max(runs.c.position)).where(
            runs.c.interpreter_id == interpreter.id, runs.c.kind == "interpreter"
        )
    )
    between = select(runs.c.id).where(
        runs.c.lane_id == lane.id,
        runs.c.position > (built or 0),
        runs.c.position < commit.position,
        runs.c.interpreter_id != interpreter.id,
        runs.c.state != "dropped",
    )
    if not connection.execute(between.limit(1)).first():
        return False
    connection.execute(
        update(interpreters).where(interpreters.c.id == interpreter.id).values(state="wanted")
    )
    _want_build(connection, interpreter, commit, now)
    return True


def _want_build(connection: Connection, interpreter: Record, commit: Record, now: float) -> None:
    under_way = connection.execute(
        select(runs.c.id).where(
            runs.c.interpreter_id == interpreter.id,
            runs.c.kind == "interpreter",
            or_(
                runs.c.state.in_(("wanted", "dispatched", "running")),
                and_(runs.c.verdict == "infra", runs.c.finished > now - AGAIN_SECONDS),
            ),
        )
    ).first()
    if not under_way:
        _insert_run(
            connection, kind="interpreter", lane_id=None, commit=commit, interpreter=interpreter.id,
            revision_label=None, revision=None, now=now,
        )  # fmt: skip


def _insert_run(
    connection: Connection,
    *,
    kind: str,
    lane_id: int | None,
    commit: Record,
    interpreter: int,
    revision_label: str | None,
    revision: object,
    now: float,
) -> int:
    result = connection.execute(
        insert(runs).values(
            kind=kind,
            lane_id=lane_id,
            interpreter_id=interpreter,
            commit_id=commit.id,
            branch=commit.branch,
            position=commit.position,
            purpose="routine",
            revision_label=revision_label,
            revision=revision,
            state="wanted",
            summary="",
            tries=0,
            lost=0,
            created=now,
        )
    )
    return inserted_id(result)


def _cell(connection: Connection, lane: Record, commit: Record, run: int, state: str) -> None:
    values = {"run_id": run, "state": state}
    connection.execute(
        upsert(cells)
        .values(
            lane_id=lane.id,
            commit_id=commit.id,
            branch=commit.branch,
            position=commit.position,
            count=0,
            **values,
        )
        .on_conflict_do_update(
            index_elements=["lane_id", "commit_id"],
            set_=values,
            where=cells.c.run_id != run,
        )
    )


def _coalesce(connection: Connection, lane: Record, workers: Sequence[Worker]) -> None:
    built = runs.alias()
    begun = select(built.c.id).where(
        built.c.interpreter_id == runs.c.interpreter_id,
        built.c.kind == "interpreter",
        built.c.state.in_(("dispatched", "running")),
    )
    waiting = connection.execute(
        select(
            runs.c.position, runs.c.id, interpreters.c.abi, interpreters.c.trust,
            or_(interpreters.c.state == "published", begun.exists()).label("begun"),
        )
        .join(interpreters, interpreters.c.id == runs.c.interpreter_id)
        .where(runs.c.lane_id == lane.id, runs.c.state == "wanted", runs.c.purpose == "routine")
    ).all()  # fmt: skip
    kinds = {(worker.abi, worker.trust) for worker in workers}
    fitting = [row for row in waiting if (row.abi, row.trust) in kinds]
    superseded = coalesced(
        [(row.position, row.id) for row in fitting],
        has_head=lane.head_run is not None,
        begun={row.id for row in fitting if row.begun},
    )
    # No worker is left that could run an interpreter of another ABI: such a run would wait for ever.
    stranded = [row.id for row in waiting if row not in fitting]
    for run in (*superseded, *stranded):
        drop(connection, run)


def drop(connection: Connection, run: int) -> None:
    """A waiting run that a newer one replaces: it leaves no cell, and its interpreter is built for nobody."""
    connection.execute(update(runs).where(runs.c.id == run).values(state="dropped"))
    connection.execute(cells.delete().where(cells.c.run_id == run))
    interpreter = select(runs.c.interpreter_id).where(runs.c.id == run).scalar_subquery()
    others = select(runs.c.id).where(
        runs.c.interpreter_id == interpreter,
        runs.c.kind == "project",
        runs.c.state.in_(("wanted", "dispatched", "running")),
    )
    if not connection.execute(others).first():
        connection.execute(
            update(runs)
            .where(
                and_(
                    runs.c.interpreter_id == interpreter,
                    runs.c.kind == "interpreter",
                    runs.c.state == "wanted",
                )
            )
            .values(state="dropped")
        )
