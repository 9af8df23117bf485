"""The ledger's side of a run's life: dispatched, started, phase by phase, lost. Recording is in `record`.

The glue asks what to submit (`next_dispatches`), opens an attempt when its build starts (`start_attempt`), and gives up
attempts that will never report (`attempt_lost`). Each is one transaction; each can be repeated. Phases are in `phases`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from pybots.core.model import Worker
from pybots.core.schedule import Slot as CoreSlot
from pybots.core.schedule import Wanted, assign
from pybots.farm import builds, opinions, probes
from pybots.farm.home import Farm
from pybots.farm.jobs import JobError, JobMaker, prepare_source
from pybots.farm.losses import lose, refuse
from pybots.farm.workers import approved, resting
from pybots.ledger import schema
from pybots.ledger.engine import Record, announce, inserted_id
from pybots_worker.contract import InterpreterWork, Job

runs, attempts, lanes, cells = schema.runs, schema.attempts, schema.lanes, schema.cells
interpreters = schema.interpreters


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A free slot as the glue sees it: Buildbot's builder, and the connected worker's name."""

    builder: str
    worker: str


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """One build to submit. `attempt` is the attempt's id; `virtual_builder` its column in Buildbot's own pages."""

    run: int
    attempt: int
    number: int
    builder: str
    worker: str
    sha: str
    branch: str
    virtual_builder: str
    description: str

    @property
    def external_id(self) -> str:
        """What ties a Buildbot buildset to the ledger, also after a crash."""
        return f"pybots:{self.run}:{self.number}:{self.attempt}"


@dataclass(frozen=True, kw_only=True)
class OpenAttempt:
    """An attempt that has neither reported nor been given up."""

    attempt_id: int
    run: int
    number: int
    builder: str
    worker: str
    state: str


def next_dispatches(farm: Farm, free: Sequence[Slot], most: int | None = None) -> list[Dispatch]:
    """Choose runs for the free slots, at most so many, and record their attempts; the caller submits them afterwards.

    Raises store.StoreFull when what they bring could not be kept: everything waits until there is room again."""
    farm.store.check_room(0)
    now = farm.clock()
    with farm.ledger.write() as connection:
        away = resting(connection)
        workers = {one.name: one for one in approved(connection) if one.name not in away}
        slots = [
            CoreSlot(builder=slot.builder, worker=workers[slot.worker])
            for slot in free
            if slot.worker in workers
        ]
        if not slots:
            return []
        wanted = _wanted(farm, connection)
        return [
            _dispatch(connection, made.run, made.slot.builder, made.slot.worker, now)
            for made in assign(wanted, slots)[:most]
        ]


def spare(farm: Farm, free: Sequence[Slot]) -> list[CoreSlot]:
    """Of the free slots those that nothing wants which is wanted already: a probe may have them."""
    with farm.ledger.read() as connection:
        workers = {worker.name: worker for worker in approved(connection)}
        slots = [
            CoreSlot(builder=slot.builder, worker=workers[slot.worker])
            for slot in free
            if slot.worker in workers
        ]
        taken = [made.slot for made in assign(_wanted(farm, connection), slots)] if slots else []
    return [slot for slot in slots if slot not in taken]


def _wanted(farm: Farm, connection: Connection) -> list[Wanted]:
    busy = set(
        connection.scalars(
            select(runs.c.lane_id).where(
                runs.c.state.in_(("dispatched", "running")),
                runs.c.lane_id.is_not(None),
                runs.c.purpose == "routine",
            )
        )
    )
    lost = connection.execute(
        select(attempts.c.run_id, attempts.c.worker)
        .join(runs, runs.c.id == attempts.c.run_id)
        .where(runs.c.state == "wanted", attempts.c.state == "lost")
    ).all()
    before = runs.alias()
    # By position, not by time: a few steps in an index, however long the lane's history is.
    latest = (
        select(before.c.started)
        .where(
            before.c.lane_id == runs.c.lane_id,
            before.c.started.is_not(None),
            before.c.purpose.not_in(("probe", opinions.PURPOSE)),
        )
        .order_by(before.c.position.desc(), before.c.started.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(
            runs, lanes.c.project, lanes.c.head_run, latest.label("lane_started"),
            interpreters.c.platform, interpreters.c.abi, interpreters.c.trust,
            interpreters.c.state.label("interpreter_state"),
        )
        .join(interpreters, interpreters.c.id == runs.c.interpreter_id)
        .join(lanes, lanes.c.id == runs.c.lane_id, isouter=True)
        .where(runs.c.state == "wanted")
    ).all()  # fmt: skip
    asked, seconds = probes.asked(connection), opinions.not_by(connection)
    return [
        Wanted(
            run=row.id,
            lane=row.lane_id,
            project=row.project or "",
            interpreter=row.interpreter_id,
            position=row.position,
            platform=row.platform,
            abi=row.abi,
            trust=row.trust,
            created=row.created,
            wants=_wants(farm, row.project),
            network=_network(farm, row.project),
            ready=row.interpreter_state == "published",
            lane_started=row.lane_started,
            lane_has_head=row.head_run is not None,
            lane_busy=row.lane_id in busy,
            avoid=frozenset(worker for run, worker in lost if run == row.id),
            routine=row.purpose == "routine",
            prefer=_saw(connection, row.subject),
            probe=row.purpose in ("probe", opinions.PURPOSE),
            on=asked[row.id].on_worker if row.id in asked else "",
            not_by=frozenset(asked[row.id].not_by if row.id in asked else seconds.get(row.id, ())),
        )
        for row in rows
    ]


def _saw(connection: Connection, subject: int | None) -> frozenset[str]:
    """The worker that recorded the run which a control answers for."""
    if subject is None:
        return frozenset()
    return frozenset(
        connection.scalars(
            select(attempts.c.worker).where(
                attempts.c.run_id == subject, attempts.c.state == "recorded"
            )
        )
    )


def _wants(farm: Farm, project: str | None) -> frozenset[str]:
    known = farm.projects.get(project or "")
    return known.facts if known else frozenset()


def _network(farm: Farm, project: str | None) -> str:
    known = farm.projects.get(project or "")
    return known.network if known else "none"


def _dispatch(
    connection: Connection, run: int, builder: str, worker: Worker, now: float
) -> Dispatch:
    row = _run(connection, run)
    number = row.tries + 1
    made = connection.execute(
        insert(attempts).values(
            run_id=run,
            number=number,
            worker=worker.name,
            builder=builder,
            state="dispatched",
            created=now,
            reason="",
        )
    )
    attempt = inserted_id(made)
    connection.execute(
        update(runs).where(runs.c.id == run).values(state="dispatched", tries=number)
    )
    announce(connection, now, "run", run=run, lane=row.lane_id, state="dispatched")
    what = row.slug or f"python.{row.branch}.{row.flavour}.{row.platform}"
    return Dispatch(
        run=run,
        attempt=attempt,
        number=number,
        builder=builder,
        worker=worker.name,
        sha=row.sha,
        branch=row.branch,
        virtual_builder=what,
        description=f"{row.title[:60]} ({row.sha[:12]})",
    )


def _run(connection: Connection, run: int) -> Record:
    """A run with its commit, interpreter and lane."""
    return connection.execute(
        select(
            runs, lanes.c.slug, lanes.c.project, lanes.c.source,
            schema.commits.c.sha, schema.commits.c.title,
            interpreters.c.flavour, interpreters.c.platform, interpreters.c.abi,
            interpreters.c.trust, interpreters.c.key, interpreters.c.recipe,
            interpreters.c.blob, interpreters.c.size, interpreters.c.content_key,
        )
        .join(interpreters, interpreters.c.id == runs.c.interpreter_id)
        .join(schema.commits, schema.commits.c.id == runs.c.commit_id)
        .join(lanes, lanes.c.id == runs.c.lane_id, isouter=True)
        .where(runs.c.id == run)
    ).one()  # fmt: skip


def start_attempt(farm: Farm, attempt_id: int, build_url: str) -> Job | None:
    """The Job of an attempt whose build has begun; None when the attempt has ended already (a requeued build), or ends
    here and now because no job can be made of its run any more: that is `unknown`, and trying again would not help.

    Raises git.GitError or store.StoreError when the farm itself can't provide the source; the caller gives the
    attempt up with that reason."""
    with farm.ledger.read() as connection:
        attempt = _attempt(connection, attempt_id)
        if attempt is None or attempt.state != "dispatched":
            return None
        run = _run(connection, attempt.run_id)
        plain = run.purpose != "routine" or builds.plain_due(connection, run, farm.clock())
    source = prepare_source(farm, run.sha, run.content_key) if run.kind == "interpreter" else None
    now = farm.clock()
    try:
        job = JobMaker(farm, run, attempt).make(source, plain=plain)
    except JobError as error:
        with farm.ledger.write() as connection:
            refuse(farm, connection, attempt_id, str(error), now)
        return None
    with farm.ledger.write() as connection:
        changed = connection.execute(
            update(attempts)
            .where(attempts.c.id == attempt_id, attempts.c.state == "dispatched")
            .values(state="running", started=now, build_url=build_url, phases=[])
        ).rowcount
        if not changed:
            return None
        connection.execute(
            update(runs)
            .where(runs.c.id == run.id)
            .values(state="running", started=func.coalesce(runs.c.started, now))
        )
        if isinstance(job.work, InterpreterWork):
            connection.execute(
                update(interpreters)
                .where(interpreters.c.id == run.interpreter_id)
                .values(plain=plain and job.work.recipe.bytecode)
            )
        _show(connection, run.id, "running")
        announce(
            connection, now, "attempt", run=run.id, lane=run.lane_id, attempt=attempt_id,
            state="running", worker=attempt.worker,
        )  # fmt: skip
    return job


def attempt_lost(farm: Farm, attempt_id: int, reason: str, *, counts: bool = True) -> None:
    """Give an attempt up: the farm's fault, never a project's. The run is wanted again, a few times.

    Not `counts`: the master's own coming and going was why, and costs the run none of its tries."""
    with farm.ledger.write() as connection:
        attempt = _attempt(connection, attempt_id)
        if attempt is None or attempt.state not in ("dispatched", "running"):
            return
        lose(farm, connection, attempt, reason, counts=counts)


def open_attempts(farm: Farm) -> list[OpenAttempt]:
    """What may still be under way in Buildbot: compared with its buildsets at start, before anything new."""
    with farm.ledger.read() as connection:
        rows = connection.execute(
            select(attempts).where(attempts.c.state.in_(("dispatched", "running")))
        ).all()
    return [
        OpenAttempt(
            attempt_id=row.id,
            run=row.run_id,
            number=row.number,
            builder=row.builder,
            worker=row.worker,
            state=row.state,
        )
        for row in rows
    ]


def _attempt(connection: Connection, attempt_id: int) -> Record | None:
    return connection.execute(select(attempts).where(attempts.c.id == attempt_id)).first()


def _show(connection: Connection, run: int, state: str) -> None:
    connection.execute(update(cells).where(cells.c.run_id == run).values(state=state))
