"""Recording a report: verified, decoded and compared outside, written in one transaction with all that follows.

The transaction brings the attempt, the run, its cells, the lane's head, spans, flakes, breakages, the letters and the
events up to date, or nothing at all. Recording the same report twice is recording it once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, select, update

from pybots.core.verdict import Decision
from pybots.farm import builds, laneruns, letters, opinions
from pybots.farm.cells import show
from pybots.farm.home import Farm
from pybots.farm.losses import lose
from pybots.ledger import schema
from pybots.ledger.engine import announce
from pybots.store import StoreError
from pybots_worker import contract

runs, attempts = schema.runs, schema.attempts

# Made once: every report needs them, and making a statement takes longer than its execution.
_ATTEMPT: Final = select(attempts).where(attempts.c.id == bindparam("which"))
_RUN: Final = select(runs).where(runs.c.id == bindparam("which"))

Prepared = builds.Prepared | laneruns.Prepared


class RecordError(Exception):
    """A report that can't be recorded; the text says why. The attempt is as it was: the caller gives it up."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What recording came to. `again`: the farm's fault, the run is wanted again. `repeated`: it was recorded before."""

    run: int
    attempt: int
    verdict: str | None
    summary: str
    again: bool = False
    repeated: bool = False


def record_report(farm: Farm, attempt_id: int, sha256: str) -> Recorded:
    """Record the report with this digest as what the attempt found. Raises RecordError; see the module."""
    with farm.ledger.read() as connection:
        attempt, run = _rows(connection, attempt_id)
        if attempt.state == "recorded" and attempt.report == sha256:
            return _repeated(attempt, run)
        _expect_open(attempt)
    report = _load(farm, sha256, run.id, attempt.number, run.kind)
    prepared = _prepare(farm, attempt.run_id, report)
    with farm.ledger.write() as connection:
        attempt, run = _rows(connection, attempt_id)
        if attempt.state == "recorded" and attempt.report == sha256:
            return _repeated(attempt, run)
        _expect_open(attempt)
        if prepared.farm_fault:
            again = lose(farm, connection, attempt, prepared.farm_fault, report=sha256)
            _keep_phases(connection, attempt, report)
            verdict = None if again else "infra"
            return Recorded(
                run=run.id, attempt=attempt_id, verdict=verdict, summary=prepared.farm_fault,
                again=again,
            )  # fmt: skip
        return _record(farm, connection, attempt, run, report, prepared, sha256)


def _repeated(attempt: Row[Any], run: Row[Any]) -> Recorded:
    return Recorded(
        run=run.id, attempt=attempt.id, verdict=run.verdict, summary=run.summary, repeated=True
    )


def _rows(connection: Connection, attempt_id: int) -> tuple[Row[Any], Row[Any]]:
    attempt = connection.execute(_ATTEMPT, {"which": attempt_id}).first()
    if attempt is None:
        raise RecordError(f"there is no attempt {attempt_id}")
    return attempt, connection.execute(_RUN, {"which": attempt.run_id}).one()


def _expect_open(attempt: Row[Any]) -> None:
    if attempt.state == "recorded":
        raise RecordError(f"attempt {attempt.id} has already reported, and something else")
    if attempt.state != "running":
        raise RecordError(f"attempt {attempt.id} is not running but {attempt.state}")


def _load(farm: Farm, sha256: str, run: int, number: int, kind: str) -> contract.Report:
    """The report, verified: size, digest, schema, and that it speaks for this attempt."""
    try:
        size = farm.store.size(sha256)
        if size > contract.MAX_REPORT_BYTES:
            raise RecordError(
                f"the report has {size} bytes, {contract.MAX_REPORT_BYTES} are allowed"
            )
        data = farm.store.read(sha256)
        report = contract.decode_report(data)
    except (StoreError, FileNotFoundError) as error:
        raise RecordError(f"the report was not uploaded: {error}") from error
    except contract.ContractError as error:
        raise RecordError(str(error)) from error
    if contract.digest(data) != sha256:
        raise RecordError(f"the blob {sha256} is damaged")
    if (report.run, report.attempt) != (run, number):
        raise RecordError(
            f"the report speaks for run {report.run}, attempt {report.attempt},"
            f" not for run {run}, attempt {number}"
        )
    if report.kind != kind:
        raise RecordError(f"a report of kind {report.kind} for a run of kind {kind}")
    return report


def _prepare(farm: Farm, run: int, report: contract.Report) -> Prepared:
    """Everything that needs no transaction: signatures, digests, looking for the artifact."""
    if report.kind == "project":
        return laneruns.prepare(farm, run, report)
    try:
        return builds.prepare(farm, report)
    except builds.BadBuild as error:
        raise RecordError(str(error)) from error


def _record(
    farm: Farm,
    connection: Connection,
    attempt: Row[Any],
    run: Row[Any],
    report: contract.Report,
    prepared: Prepared,
    sha256: str,
) -> Recorded:
    now = farm.clock()
    _end_attempt(connection, attempt, report, sha256, now)
    _end_run(connection, run, report, sha256, now)
    _meet_worker(connection, attempt.worker, report, now)
    if isinstance(prepared, laneruns.Prepared):
        decision, touched = laneruns.record(farm, connection, run, prepared, now)
    else:
        decision, touched = builds.record(farm, connection, run, prepared, now)
    _decide_run(connection, run, decision)
    if run.kind == "project" and run.purpose == "routine":
        opinions.draw(farm, connection, run.id, attempt.worker, now)
    letters.news(farm, connection, now, breakages=touched, run=run)
    announce(
        connection, now, "verdict", run=run.id, lane=run.lane_id, commit=run.commit_id,
        state="done", verdict=decision.verdict, summary=decision.summary[:300],
    )  # fmt: skip
    return Recorded(
        run=run.id, attempt=attempt.id, verdict=decision.verdict, summary=decision.summary
    )


def _end_attempt(
    connection: Connection, attempt: Row[Any], report: contract.Report, sha256: str, now: float
) -> None:
    connection.execute(
        update(attempts)
        .where(attempts.c.id == attempt.id)
        .values(
            state="recorded",
            finished=now,
            report=sha256,
            environment=msgspec.to_builtins(report.environment),
        )
    )
    _keep_phases(connection, attempt, report)


def _keep_phases(connection: Connection, attempt: Row[Any], report: contract.Report) -> None:
    """The phases as reported; when they began is known from the messages that came while they ran."""
    began = {item["phase"]: item.get("started") for item in attempt.phases or []}
    clock = attempt.started or attempt.created
    entries = []
    for result in report.phases:
        started = began.get(result.phase) or clock
        clock = started + result.wall_seconds
        state = "ok" if result.ok else "failed"
        entries.append({**msgspec.to_builtins(result), "started": started, "state": state})
    connection.execute(update(attempts).where(attempts.c.id == attempt.id).values(phases=entries))


def _end_run(
    connection: Connection, run: Row[Any], report: contract.Report, sha256: str, now: float
) -> None:
    seconds = {result.phase: round(result.wall_seconds, 3) for result in report.phases}
    connection.execute(
        update(runs)
        .where(runs.c.id == run.id)
        .values(state="done", finished=now, report=sha256, phase_seconds=seconds)
    )


def _decide_run(connection: Connection, run: Row[Any], decision: Decision) -> None:
    connection.execute(
        update(runs)
        .where(runs.c.id == run.id)
        .values(
            verdict=decision.verdict, failure_kind=decision.kind, summary=decision.summary[:2000]
        )
    )
    if run.purpose == "routine":
        show(connection, run.id, decision.verdict, len(decision.new))


def _meet_worker(connection: Connection, name: str, report: contract.Report, now: float) -> None:
    info = msgspec.to_builtins(report.environment)
    connection.execute(
        update(schema.workers).where(schema.workers.c.name == name).values(info=info, last_seen=now)
    )
