"""What an investigation under way knows, read from ledger and store: the state that `core` decides on.

Everything here reads; `investigations` writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, and_, select

from pybots.core import crossover
from pybots.core.crossover import Axis
from pybots.core.inquiry import Change, Inquiry, Seen
from pybots.core.model import Project, Worker
from pybots.core.schedule import lets
from pybots.farm import probes
from pybots.farm.cases import BUILD
from pybots.farm.home import Farm
from pybots.farm.workers import approved
from pybots.ledger import schema

breakages, runs, lanes = schema.breakages, schema.runs, schema.lanes
investigations, interpreters, commits = schema.investigations, schema.interpreters, schema.commits

TELLING: Final = 30 * 86_400.0
"""Culprits found within this time are suspected first."""
SHOWN: Final = 500
"""Commit files that a weight is made from are few; this many characters of a title are kept."""


@dataclass(frozen=True, kw_only=True)
class Going:
    """An investigation under way: its rows, and who may take its probes now."""

    row: Any
    breakage: Any
    lane: Any
    good: Any
    bad: Any
    interpreter: Any
    """The bad run's: its flavour, platform, ABI and trust group are those of every probe."""
    inquiry: Inquiry

    @property
    def build(self) -> bool:
        """Whether its probes are builds alone; no project is concerned then."""
        return str(self.row.target["kind"]) == BUILD

    @property
    def project(self) -> str:
        return "" if self.build else str(self.lane.project)


def going(farm: Farm, connection: Connection, row: Any) -> Going:
    """The state of an investigation, as its rows say it."""
    one = _only(connection)
    breakage, lane = one(breakages, row.breakage_id), one(lanes, row.lane_id)
    good, bad = one(runs, row.good_run), one(runs, row.bad_run)
    interpreter = one(interpreters, bad.interpreter_id)
    concerned = "" if row.target["kind"] == BUILD else lane.project
    able = able_workers(farm, connection, concerned, interpreter)
    return Going(
        row=row, breakage=breakage, lane=lane, good=good, bad=bad, interpreter=interpreter,
        inquiry=_inquiry(connection, row, good, bad, able),
    )  # fmt: skip


def _only(connection: Connection) -> Any:
    return lambda table, id: connection.execute(select(table).where(table.c.id == id)).one()


def able_workers(farm: Farm, connection: Connection, name: str, interpreter: Any) -> list[Worker]:
    """The connected workers that can run a project (`name`; "": build) on interpreters of this kind."""
    connected = set(
        connection.scalars(
            select(schema.workers.c.name).where(schema.workers.c.connected.is_(True))
        )
    )
    project = farm.projects.get(name)
    return [
        worker
        for worker in approved(connection)
        if worker.name in connected
        and (worker.platform, worker.abi, worker.trust)
        == (interpreter.platform, interpreter.abi, interpreter.trust)
        and takes(worker, name, project)
    ]


def takes(worker: Worker, name: str, project: Project | None) -> bool:
    """Whether a worker can run a project's probes, or (`name` is "") build for them."""
    if not name:
        return worker.builds
    facts = project.facts if project else frozenset()
    return facts <= worker.facts and lets(worker, name, project.network if project else "none")


def _inquiry(
    connection: Connection, row: Any, good: Any, bad: Any, able: Sequence[Worker]
) -> Inquiry:
    known = row.known
    first, last = crossover.Run(**known["good"]), crossover.Run(**known["bad"])
    names = {worker.name for worker in able}
    if not {first.worker, last.worker} <= names:  # a machine that can't be asked is no axis
        first, last = _anywhere(first), _anywhere(last)
    target = probes.target_of(row.target)
    return Inquiry(
        good=first,
        bad=last,
        seen=_seen(connection, row),
        changes=changes_of(connection, row, good, bad),
        bad_runs=known["bad_runs"],
        good_runs=known["good_runs"],
        narrow=bool(row.only),
        witnesses=target.witnesses,
        certain=target.kind in ("install", "collection", BUILD) or target.at_install,
        suspects=_suspects(connection, row),
        owners=frozenset(worker.owner or worker.name for worker in able),
    )


def _anywhere(run: crossover.Run) -> crossover.Run:
    return crossover.Run(
        interpreter=run.interpreter, project=run.project, dependencies=run.dependencies, worker=""
    )


def _seen(connection: Connection, row: Any) -> tuple[Seen, ...]:
    """Its probes. Where it is sought what mended something, to be well is what is new."""
    table = schema.probes
    rows = connection.execute(
        select(table).where(table.c.investigation_id == row.id).order_by(table.c.id)
    )
    swap = {"good": "bad", "bad": "good"} if row.role == "mended" else {}
    return tuple(
        Seen(
            way=row.way, stage=row.stage, new=frozenset(row.mix), place=row.place,
            outcome=swap.get(row.outcome, row.outcome), elsewhere=bool(row.not_by), worker=row.worker, owner=row.owner,
            note=row.note,
        )
        for row in rows
    )  # fmt: skip


def changes_of(
    connection: Connection, row: Any, good: Any, bad: Any
) -> Mapping[Axis, Sequence[Change]]:
    """The successions that are known: CPython's history is in the ledger, others are found out when they are needed."""
    found: dict[Axis, Sequence[Change]] = {"interpreter": _history(connection, good, bad)}
    if row.changes:
        found[row.changes["axis"]] = [
            Change(**{**one, "files": tuple(one.get("files", ()))})
            for one in row.changes["changes"]
        ]
    return found


def _history(connection: Connection, good: Any, bad: Any) -> list[Change]:
    rows = connection.execute(
        select(
            commits.c.sha, commits.c.content_key, commits.c.title, commits.c.author,
            commits.c.files, commits.c.message,
        )
        .where(
            commits.c.branch == bad.branch,
            commits.c.position >= good.position,
            commits.c.position <= bad.position,
        )
        .order_by(commits.c.position)
    )  # fmt: skip
    return [
        Change(
            id=row.sha, key=row.content_key, title=row.title[:SHOWN], author=row.author,
            files=tuple(row.files), message=row.message,
        )
        for row in rows
    ]  # fmt: skip


def _suspects(connection: Connection, row: Any) -> frozenset[str]:
    """The changes that other breakages were traced to of late."""
    return frozenset(
        connection.scalars(
            select(investigations.c.last).where(
                and_(
                    investigations.c.status == "confirmed",
                    investigations.c.role == row.role,
                    investigations.c.id != row.id,
                    investigations.c.ended > row.begun - TELLING,
                )
            )
        )
    )
