"""Which breakage to look into next, and what there is to begin with: its two runs, the failure, what they were made of.

Everything here reads; `investigations` writes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, func, select

from pybots.core import control, investigator
from pybots.core.normal import plain
from pybots.core.outcomes import Observed
from pybots.core.target import Target, new_failures
from pybots.farm import controls, findings, probes
from pybots.farm.home import Farm
from pybots.ledger import breakages as ledger
from pybots.ledger import schema
from pybots.store import StoreError
from pybots_worker import contract

breakages, parts, runs, lanes = schema.breakages, schema.breakage_lanes, schema.runs, schema.lanes
investigations, interpreters, commits = schema.investigations, schema.interpreters, schema.commits

LOOKED_AT: Final = 50
"""Breakages looked at for the next one to be taken up: the newest ones."""
RECENT: Final = 7 * 86_400.0
"""What was mended longer ago is not looked into any more."""
BUILD: Final = "interpreter"
"""The kind of a breakage whose probes are builds alone."""


class Gone(Exception):
    """What an investigation needs is not there any more; the text says what."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A breakage that can be looked into, with its two runs and what they were made of."""

    breakage: int
    episode: int
    role: str
    lane: int
    good_run: int
    bad_run: int
    target: Target
    only: tuple[str, ...]
    known: dict[str, Any]


def waiting(connection: Connection, now: float) -> list[Any]:
    """The confirmed breakages that nobody has looked into, the most worthy first."""
    taken = select(investigations.c.id).where(
        investigations.c.breakage_id == breakages.c.id,
        investigations.c.episode == breakages.c.reopened,
        investigations.c.role == "broke",
    )
    undecided = select(schema.breakers.c.id).where(schema.breakers.c.state.in_(("open", "farm")))
    projects = (
        select(func.count(lanes.c.project.distinct()))
        .join(parts, parts.c.lane_id == lanes.c.id)
        .where(parts.c.breakage_id == breakages.c.id, parts.c.closed.is_(None))
        .scalar_subquery()
    )
    rows = connection.execute(
        select(breakages, projects.label("projects"))
        .where(
            breakages.c.state == "open",
            # Where it failed says that it is the dependency's code, not what made that fail: a commit of CPython may have.
            breakages.c.axis.in_(("", "dependency")),
            breakages.c.kind.in_(control.KINDS | {BUILD}),
            breakages.c.control.in_(("green", "none")),
            breakages.c.trip.not_in(undecided),
            ~taken.exists(),
        )
        .order_by(breakages.c.id.desc())
        .limit(LOOKED_AT)
    ).all()

    def worth(row: Any) -> tuple[float, int]:
        return -investigator.worth(projects=row.projects, age=now - row.opened), row.id

    return sorted(rows, key=worth)


def mended(connection: Connection, now: float) -> list[Any]:
    """The breakages that readers know and that are mended, of which nobody has looked for what mended them."""
    taken = select(investigations.c.id).where(
        investigations.c.breakage_id == breakages.c.id,
        investigations.c.episode == -1 - breakages.c.reopened,
    )
    rows = connection.execute(
        select(breakages)
        .where(
            breakages.c.state == "fixed",
            breakages.c.fixed > now - RECENT,
            breakages.c.fixed_run.is_not(None),
            breakages.c.thread_id > 0,
            breakages.c.axis.in_(("", "cpython")),
            breakages.c.kind.in_(control.KINDS | {BUILD}),
            ~taken.exists(),
        )
        .order_by(breakages.c.id.desc())
        .limit(LOOKED_AT)
    ).all()
    return [row for row in rows if row.told]


def case_of_mended(farm: Farm, breakage: Any) -> Case | None:
    """As `case`, of a breakage that is mended: from the lane's last run that had the failure to the one that has not."""
    if breakage.kind == BUILD:
        return _case_of_mended_build(farm, breakage)
    with farm.ledger.read() as connection:
        after = controls.run_of(connection, breakage.fixed_run)
        before = controls.good_before(connection, after) if after is not None else None
        project = connection.scalar(
            select(lanes.c.project).where(
                lanes.c.id == (after.lane_id if after is not None else None),
                lanes.c.state == "active",
            )
        )
    if after is None or before is None or project not in farm.projects:
        return None
    try:
        well = probes.observed_of(farm, after.report, str(project))
        ill = probes.observed_of(farm, before.report, str(project))
        target = _target(breakage, before.id, well, ill, str(project))
        return Case(
            breakage=breakage.id, episode=findings.episode(breakage.reopened, "mended"), role="mended", lane=after.lane_id,
            good_run=before.id, bad_run=after.id, target=target, only=target.only(well.states),
            known={
                "bad_runs": 1, "good_runs": 1, "good": _made_of(farm, before, str(project)),
                "bad": _made_of(farm, after, str(project)),
            },
        )  # fmt: skip
    except (StoreError, contract.ContractError, OSError, Gone):
        return None


def case(farm: Farm, breakage: Any) -> Case | None:
    """What can be looked into of a breakage: in the first of its lanes of which both runs are still there."""
    if breakage.kind == BUILD:
        return _case_of_build(farm, breakage)
    with farm.ledger.read() as connection:
        found = [
            (part, bad, good)
            for part in ledger.parts_of(connection, breakage.id)
            if part.lane_id != ledger.INTERPRETER
            and (bad := controls.run_of(connection, part.run_id)) is not None
            and (good := _good_of(connection, breakage, bad)) is not None
        ]
        projects = {
            part.lane_id: connection.scalar(
                select(lanes.c.project).where(lanes.c.id == part.lane_id, lanes.c.state == "active")
            )
            for part, _, _ in found
        }
    for part, bad, good in found:
        project = projects[part.lane_id]
        if project not in farm.projects:
            continue
        try:
            return _case(farm, breakage, part, good, bad, str(project))
        except (StoreError, contract.ContractError, OSError, Gone):
            continue
    return None


def _case_of_build(farm: Farm, breakage: Any) -> Case | None:
    """As `case`, of an interpreter that does not build any more: its runs are builds, its lane one that waits for them."""
    with farm.ledger.read() as connection:
        numbers = [
            part.run_id
            for part in ledger.parts_of(connection, breakage.id)
            if part.lane_id == ledger.INTERPRETER
        ]
        bad = controls.run_of(connection, numbers[0]) if numbers else None
        good = _built_before(connection, bad, "published") if bad is not None else None
        return _of_builds(farm, connection, breakage, "broke", good, bad)


def _case_of_mended_build(farm: Farm, breakage: Any) -> Case | None:
    """As `case_of_mended`, of an interpreter that builds again."""
    with farm.ledger.read() as connection:
        seen = controls.run_of(connection, breakage.fixed_run)
        after = _build_of(connection, seen) if seen is not None else None
        before = _built_before(connection, after, "failed") if after is not None else None
        return _of_builds(farm, connection, breakage, "mended", before, after)


def _of_builds(
    farm: Farm,
    connection: Connection,
    breakage: Any,
    role: Literal["broke", "mended"],
    first: Any,
    last: Any,
) -> Case | None:
    """Two builds, one of which failed; None when one of them or its report is gone, or nothing runs on them."""
    lane = _lane_of(connection, last) if last is not None else None
    if first is None or lane is None:
        return None
    try:
        known = {"good": _made_of(farm, first, ""), "bad": _made_of(farm, last, "")}
    except (StoreError, contract.ContractError, OSError):
        return None
    target = Target(signature=breakage.signature, kind=BUILD, ids=("<build>",), says=breakage.title)
    return Case(
        breakage=breakage.id, episode=findings.episode(breakage.reopened, role), role=role, lane=lane,
        good_run=first.id, bad_run=last.id, target=target, only=(),
        known={"bad_runs": 1, "good_runs": 1, **known},
    )  # fmt: skip


def _build_of(connection: Connection, run: Any) -> Any:
    """The newest build of a run's interpreter: the run itself, or the one that a project's run needed."""
    return connection.execute(
        select(runs)
        .where(
            runs.c.kind == "interpreter",
            runs.c.interpreter_id == run.interpreter_id,
            runs.c.state == "done",
        )
        .order_by(runs.c.id.desc())
        .limit(1)
    ).first()


def _built_before(connection: Connection, last: Any, state: str) -> Any:
    """The nearest older routine build of the same kind that ended so."""
    like = connection.execute(
        select(interpreters).where(interpreters.c.id == last.interpreter_id)
    ).one()
    return connection.execute(
        select(runs)
        .join(interpreters, interpreters.c.id == runs.c.interpreter_id)
        .where(
            runs.c.kind == "interpreter",
            runs.c.purpose == "routine",
            runs.c.state == "done",
            runs.c.branch == last.branch,
            runs.c.position < last.position,
            interpreters.c.state == state,
            interpreters.c.flavour == like.flavour,
            interpreters.c.platform == like.platform,
            interpreters.c.abi == like.abi,
        )
        .order_by(runs.c.position.desc(), runs.c.id.desc())
        .limit(1)
    ).first()


def _lane_of(connection: Connection, bad: Any) -> int | None:
    """A lane that runs on interpreters of this kind."""
    return connection.scalar(
        select(lanes.c.id)
        .join(interpreters, interpreters.c.id == bad.interpreter_id)
        .where(
            lanes.c.state == "active",
            lanes.c.branch == bad.branch,
            lanes.c.flavour == interpreters.c.flavour,
            lanes.c.platform == interpreters.c.platform,
        )
        .order_by(lanes.c.id)
        .limit(1)
    )


def _good_of(connection: Connection, breakage: Any, bad: Any) -> Any:
    """The lane's last good run before: the one that the control was made of, where it is of this lane."""
    known = controls.run_of(connection, breakage.good_run)
    if known is not None and known.lane_id == bad.lane_id and known.id != bad.id:
        return known
    return controls.good_before(connection, bad)


def _case(farm: Farm, breakage: Any, part: Any, good: Any, bad: Any, project: str) -> Case:
    before = probes.observed_of(farm, good.report, project)
    after = probes.observed_of(farm, bad.report, project)
    target = _target(breakage, part.run_id, before, after, project)
    report = contract.decode_report(farm.store.read(str(bad.report)))
    retried = any(test.retried for test in report.tests if test.id in target.ids)
    return Case(
        breakage=breakage.id,
        episode=breakage.reopened,
        role="broke",
        lane=part.lane_id,
        good_run=good.id,
        bad_run=bad.id,
        target=target,
        only=target.only(before.states),
        known={
            "bad_runs": 1 + retried,
            "good_runs": 1 + (breakage.control == "green"),
            "good": _made_of(farm, good, project),
            "bad": _made_of(farm, bad, project),
        },
    )


def _target(breakage: Any, run: int, before: Observed, after: Observed, project: str) -> Target:
    """The failure with the breakage's signature, as the bad run shows it. Raises Gone when it does not."""
    for found in new_failures(before, after, project=project):
        if found.signature == breakage.signature:
            return found
    ids = tuple(one.id for one in after.bad.values() if one.signature == breakage.signature)
    if not ids:
        raise Gone(f"run {run} does not show it")
    return Target(
        signature=breakage.signature, kind=breakage.kind, ids=ids, says=breakage.title,
        witnesses=len(ids),
    )  # fmt: skip


def _made_of(farm: Farm, run: Any, project: str) -> dict[str, str]:
    """The fields of crossover.Run. An interpreter is told by its content: which recipe it has is a probe's own affair."""
    with farm.ledger.read() as connection:
        key = connection.scalar(
            select(interpreters.c.content_key).where(interpreters.c.id == run.interpreter_id)
        )
        worker = connection.scalar(
            select(schema.attempts.c.worker).where(
                schema.attempts.c.run_id == run.id, schema.attempts.c.state == "recorded"
            )
        )
    pins = lock_of(farm, run, project)
    lock = hashlib.sha256(repr(sorted(pins.items())).encode()).hexdigest() if pins else ""
    return {
        "interpreter": str(key), "project": str(run.revision_label), "dependencies": lock,
        "worker": str(worker or ""),
    }  # fmt: skip


def lock_of(farm: Farm, run: Any, project: str) -> dict[str, str]:
    """What a run had installed beside the project itself. Raises StoreError or contract.ContractError."""
    report = contract.decode_report(farm.store.read(str(run.report)))
    own = {plain(project), plain(str((run.revision or {}).get("name", "")))}
    return {plain(pin.name): pin.version for pin in report.lock if plain(pin.name) not in own}
