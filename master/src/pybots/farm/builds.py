"""Recording an interpreter's build: published, or a verdict on its commit.

A build that fails ends the runs that waited for it as `unknown`. The commit is accused only when the nearest older
interpreter of the same flavour, platform and ABI was published; the first of its kind is a baseline, told to the admin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, or_, select, update

from pybots.core import words
from pybots.core.control import Judgement
from pybots.core.faults import FARM_FAULTS, phase_failure
from pybots.core.outcomes import Bad
from pybots.core.signatures import signature
from pybots.core.verdict import Decision, decide_build
from pybots.farm import alarms, artifacts, letters, probes
from pybots.farm.home import Farm
from pybots.farm.losses import release_waiting
from pybots.ledger import breakages, schema
from pybots.ledger.engine import Record, announce
from pybots_worker.contract import INTERPRETER_PHASES, Artifact, PhaseResult, Report

runs, interpreters, commits = schema.runs, schema.interpreters, schema.commits

NEEDED: Final = INTERPRETER_PHASES[:-1]
PLAIN_EVERY: Final = 24 * 3600.0
"""Seconds. So often an interpreter is installed just as a user would; in between without what no run reads."""


class BadBuild(Exception):
    """An interpreter's report that contradicts itself or the store; the text says how."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What the report says: an artifact, or a failed phase, or the farm's own fault."""

    artifact: Artifact | None = None
    python: str = ""
    failed: Bad | None = None
    phase: str = ""
    farm_fault: str = ""


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Interpreters of the same kind around this one. `older`: the nearest older one's (state, position)."""

    older: tuple[str, int] | None
    published_newer: bool
    published_ever: bool


def prepare(farm: Farm, report: Report) -> Prepared:
    """What the report comes to. Raises BadBuild when it promises what the store doesn't have."""
    for result in report.phases:
        if result.ended in FARM_FAULTS:
            return Prepared(farm_fault=f"{result.phase}: {phase_failure(result).message[:300]}")
        if not result.ok:
            return Prepared(failed=_failure(result), phase=result.phase)
    missing = [name for name in NEEDED if name not in {result.phase for result in report.phases}]
    if missing:
        raise BadBuild(f"the report lacks the phase {missing[0]}")
    artifact = report.artifact
    if artifact is None:
        raise BadBuild("the report says that all went well, but names no artifact")
    if not farm.store.has(artifact.sha256) or farm.store.size(artifact.sha256) != artifact.size:
        raise BadBuild(f"the artifact {artifact.sha256} was not uploaded as reported")
    try:
        with farm.store.open(artifact.sha256) as file:
            artifacts.check(file)
    except artifacts.BadArtifact as error:
        raise BadBuild(f"the artifact is refused: {error}") from error
    return Prepared(artifact=artifact, python=report.python)


def _failure(result: PhaseResult) -> Bad:
    failure = phase_failure(result)
    sig = signature("interpreter", failure, project="python", where=result.phase)
    return Bad(
        id=f"<{result.phase}>", outcome="failed", kind="interpreter", signature=sig, failure=failure
    )


def record(
    farm: Farm, connection: Connection, run: Row[Any], prepared: Prepared, now: float
) -> tuple[Decision, list[int]]:
    """Publish or fail the interpreter, and write what follows (the run's own verdict and letters are the caller's).

    Returns the decision, and the breakages that something happened to."""
    row = connection.execute(
        select(interpreters).where(interpreters.c.id == run.interpreter_id)
    ).one()
    # Only a plain install can show that another one would have failed, or that it is mended.
    last = _last_plain(connection, row)
    proven = row.plain or last is None or last.state == "published"
    near = _neighbours(
        connection, row, run.position, plain=row.plain and prepared.phase == "install"
    )
    decision = decide_build(near.older and near.older[0], failed=prepared.failed)
    column = f"{row.flavour}.{row.platform}"
    where = breakages.Where(
        lane=breakages.INTERPRETER,
        run=run.id,
        branch=run.branch,
        position=run.position,
        good=near.older[1] if near.older and near.older[0] == "published" else None,
        at=now,
    )
    _settle(connection, row, prepared, now)
    announce(
        connection, now, "run", run=run.id, interpreter=row.id,
        state="failed" if prepared.failed else "published",
    )  # fmt: skip
    touched: list[int] = []
    if prepared.failed:
        release_waiting(connection, row.id, decision.summary.partition(": ")[2], now)
    if run.purpose != "routine":
        probes.built(connection, run, prepared.failed, now)
        return decision, touched
    if prepared.failed:
        touched = _failed(farm, connection, run, near, where, column, decision, now)
    elif not near.published_newer and proven:
        touched = [row.id for row in breakages.close_column(connection, where, column)]
    return decision, touched


def _settle(connection: Connection, row: Row[Any], prepared: Prepared, now: float) -> None:
    values: dict[str, Any] = {"finished": now, "state": "published", "failure": None}
    if prepared.failed:
        said = prepared.failed.failure
        values["state"] = "failed"
        values["failure"] = {
            "type": said.type,
            "message": said.message,
            "detail": said.detail,
            "phase": prepared.phase,
            "signature": prepared.failed.signature,
        }
    elif prepared.artifact:
        values["blob"], values["size"] = prepared.artifact.sha256, prepared.artifact.size
        values["python"] = prepared.python
    connection.execute(update(interpreters).where(interpreters.c.id == row.id).values(**values))


def _failed(
    farm: Farm,
    connection: Connection,
    run: Row[Any],
    near: Neighbours,
    where: breakages.Where,
    column: str,
    decision: Decision,
    now: float,
) -> list[int]:
    """The breakage of a build that failed, if any: news only if nothing newer of its kind was published since."""
    touched: list[int] = []
    if decision.new and not near.published_newer:
        failing = breakages.Failing(
            signature=decision.new[0].signature,
            kind="interpreter",
            title=words.breakage_title(decision.new),
            ids=[column],
        )
        one = breakages.record(connection, where, failing, thread="")
        if one.asks:  # no control: that the older one was built is the proof
            breakages.settle(connection, one.breakage, Judgement(control="none", state="open"), now)
        touched.append(one.breakage)
    bad = decision.new or decision.still
    if near.older is None and not near.published_ever:
        alarms.first_build(farm, connection, run.id, bad, now)
    letters.keep_evidence(connection, touched, bad)
    return touched


def plain_due(connection: Connection, row: Row[Any], now: float) -> bool:
    """Whether the next interpreter of this kind is installed plainly: the last that was is a day old, or failed.

    `row` has branch, flavour, platform and abi. After a failure all are, until one passes: only that shows a fix."""
    last = _last_plain(connection, row)
    return last is None or last.state != "published" or last.finished < now - PLAIN_EVERY


def _last_plain(connection: Connection, row: Row[Any]) -> Record | None:
    return connection.execute(
        select(interpreters.c.state, interpreters.c.finished)
        .where(
            interpreters.c.branch == row.branch,
            interpreters.c.flavour == row.flavour,
            interpreters.c.platform == row.platform,
            interpreters.c.abi == row.abi,
            interpreters.c.plain,
            interpreters.c.finished.is_not(None),
        )
        .order_by(interpreters.c.finished.desc())
        .limit(1)
    ).first()


def seen_working(connection: Connection, run: Row[Any], now: float) -> list[int]:
    """A project ran on the interpreter of a commit: so it builds, also when it was built long ago for another commit.

    A revert brings back content that has its interpreter already; nothing is built then, and this closes the breakage.
    Returns the breakages that are fixed now."""
    row = connection.execute(
        select(interpreters).where(interpreters.c.id == run.interpreter_id)
    ).one()
    where = breakages.Where(
        lane=breakages.INTERPRETER,
        run=run.id,
        branch=run.branch,
        position=run.position,
        good=None,
        at=now,
    )
    fixed = breakages.close_column(connection, where, f"{row.flavour}.{row.platform}")
    return [row.id for row in fixed]


def _neighbours(connection: Connection, row: Row[Any], position: int, *, plain: bool) -> Neighbours:
    """By content, so that commits count which share an interpreter that was built for another one. What only an
    investigation had built says nothing here: it may be of a recipe that nobody uses.

    `plain`: a plain install failed here; an older one proves something only if it was plain too."""
    built = [
        select(runs.c.id)
        .where(
            runs.c.interpreter_id == interpreters.c.id,
            runs.c.kind == "interpreter",
            runs.c.purpose == purpose,
        )
        .exists()
        for purpose in ("routine", "probe")
    ]
    kind = (
        select(interpreters.c.state, commits.c.position)
        .join(commits, commits.c.content_key == interpreters.c.content_key)
        .where(
            commits.c.branch == row.branch,
            interpreters.c.flavour == row.flavour,
            interpreters.c.platform == row.platform,
            interpreters.c.abi == row.abi,
            interpreters.c.id != row.id,
            or_(built[0], ~built[1]),
        )
    )
    if plain:
        kind = kind.where(interpreters.c.plain)
    older = connection.execute(
        kind.where(commits.c.position < position, interpreters.c.state.in_(("published", "failed")))
        .order_by(commits.c.position.desc())
        .limit(1)
    ).first()
    published = kind.where(interpreters.c.state == "published").limit(1)
    newer = connection.execute(published.where(commits.c.position > position)).first()
    return Neighbours(
        older=(older.state, older.position) if older else None,
        published_newer=newer is not None,
        published_ever=connection.execute(published).first() is not None,
    )
