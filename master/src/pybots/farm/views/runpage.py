"""`/run/<id>`: one run, failures first, with its phases and one log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select

from pybots.farm import opinions
from pybots.farm.home import Farm
from pybots.farm.views import phases, tails
from pybots.farm.views.common import (
    Missing,
    Visit,
    attempts,
    interpreters,
    run_row,
    run_state,
    runs,
    seconds,
    select_runs,
)
from pybots.farm.views.frame import frame
from pybots.farm.views.lists import reproduce
from pybots.farm.views.reports import Digest, Digests
from pybots.ledger import schema
from pybots_status import links
from pybots_status.pages import Attempt, Fact, InterpreterRow, Phase, Run, TestFailure
from pybots_status.text import size as size_words

LIVE_REFRESH: Final = 10
MAX_BREAKAGES: Final = 50


@dataclass(frozen=True, kw_only=True)
class AskedLog:
    """Which log to show: a phase ("": the one that matters), from which line on (0: the end), of which attempt (0: last)."""

    phase: str = ""
    start: int = 0
    attempt: int = 0


def run(farm: Farm, visit: Visit, number: int, asked: AskedLog, digests: Digests) -> Run:
    """The page. Raises Missing."""
    with farm.ledger.read() as connection:
        row = _row(connection, number)
        tries = _attempts(connection, number)
        logs = _logs(connection, tries)
        before = _previous(connection, row)
        blamed = _breakages(connection, row)
        built = _interpreter(connection, row)
        second = opinions.of_run(connection, number)
        under_way = row.state in ("wanted", "dispatched", "running")
        around = frame(
            farm, connection, visit, title=f"Run {number}", branch=row.branch,
            refresh=LIVE_REFRESH if under_way else 0,
        )  # fmt: skip
    current = _chosen(tries, asked.attempt)
    digest = digests.get(row.report)
    shown = phases.phases(
        row.kind,
        current.phases if current else None,
        _usual(before),
        attempt=current.state if current else "running",
    )
    return Run(
        frame=around,
        row=run_row(row),
        failure_kind=row.failure_kind or "",
        phases=_with_log(farm, row, shown, current, logs, asked),
        failures=_failures(digest, blamed),
        failures_left_out=max(0, digest.failed - len(digest.failures)) if digest else 0,
        attempts=tuple(_attempt(item) for item in tries),
        interpreter=None if _told(row, built, shown) else built,
        environment=_environment(digest, second),
        lock=tuple(Fact(name=i.name, value=i.version) for i in digest.lock) if digest else (),
        modules=digest.modules if digest else (),
        artifact=_artifact(digest),
        reproduce=reproduce(farm, row),
        report=_report_href(row),
        previous=before.id if before else 0,
    )


def _told(row: Any, built: InterpreterRow | None, shown: Sequence[Phase]) -> bool:
    """Whether the page of an interpreter's own build says everything about it already."""
    failed = built is not None and built.error and not any(phase.error for phase in shown)
    return row.kind == "interpreter" and not failed


def _row(connection: Connection, number: int) -> Any:
    row = connection.execute(select_runs(interpreters.c.recipe).where(runs.c.id == number)).first()
    if row is None:
        raise Missing(f"there is no run {number}", "runs are numbered from 1 and never removed")
    return row


def _attempts(connection: Connection, number: int) -> Sequence[Any]:
    return connection.execute(
        select(attempts).where(attempts.c.run_id == number).order_by(attempts.c.number)
    ).all()


def _logs(connection: Connection, tries: Sequence[Any]) -> dict[tuple[int, str], Any]:
    logs = schema.logs
    rows = connection.execute(
        select(logs).where(logs.c.attempt_id.in_([item.id for item in tries]))
    ).all()
    return {(row.attempt_id, row.phase): row for row in rows}


def _previous(connection: Connection, row: Any) -> Any:
    """The run before this one in its lane (by commit), or of this flavour's interpreter on this platform."""
    query = select(runs.c.id, runs.c.phase_seconds).where(
        runs.c.id != row.id, runs.c.state == "done", runs.c.position <= row.position
    )
    if row.lane_id is not None:
        query = query.where(runs.c.lane_id == row.lane_id, runs.c.purpose == "routine")
        return connection.execute(
            query.order_by(runs.c.position.desc(), runs.c.started.desc()).limit(1)
        ).first()
    query = query.join(interpreters, interpreters.c.id == runs.c.interpreter_id).where(
        runs.c.kind == "interpreter",
        runs.c.id < row.id,
        interpreters.c.flavour == row.flavour,
        interpreters.c.platform == row.platform,
    )
    return connection.execute(query.order_by(runs.c.id.desc()).limit(1)).first()


def _usual(before: Any) -> Mapping[str, float] | None:
    return before.phase_seconds if before else None


def _interpreter(connection: Connection, row: Any) -> InterpreterRow | None:
    """The interpreter that a project's run used, or that this run builds."""
    found = connection.execute(
        select(interpreters, schema.commits.c.sha)
        .join(schema.commits, schema.commits.c.id == interpreters.c.commit_id)
        .where(interpreters.c.id == row.interpreter_id)
    ).first()
    if found is None:
        return None
    build = connection.execute(
        select_runs()
        .where(runs.c.interpreter_id == row.interpreter_id, runs.c.kind == "interpreter")
        .order_by(runs.c.id.desc())
        .limit(1)
    ).first()
    return interpreter_row(found, build, row.sha)


def interpreter_row(found: Any, build: Any, sha: str) -> InterpreterRow:
    """An interpreter (with the `sha` it was built for) as commit `sha` sees it; `build`: its newest run, or None."""
    failure = found.failure or {}
    error = "\n".join(str(failure[key]) for key in ("message", "detail") if failure.get(key))
    return InterpreterRow(
        flavour=found.flavour,
        platform=found.platform,
        state=_interpreter_state(found.state, build),
        abi=found.abi,
        key=found.key,
        run=build.id if build else 0,
        worker=(build.worker or "") if build else "",
        seconds=seconds(build.started, build.finished) if build else None,
        size=found.size,
        python=found.python or "",
        shared_with=found.sha if found.sha != sha else "",
        error=error[:4000],
    )


def _interpreter_state(word: str, build: Any) -> Any:
    if word == "published":
        return "passed"
    if build is None:
        return "new_failure" if word == "failed" else "none"
    shown = run_state(build.state, build.verdict)
    return "new_failure" if word == "failed" and shown in ("unknown", "none") else shown


class Blame(NamedTuple):
    """A test's breakage in this lane, and whether this very run found it."""

    breakage: int
    new: bool


def _breakages(connection: Connection, row: Any) -> dict[str, Blame]:
    """Test name -> its newest breakage, among those this run's lane has a part in."""
    parts = schema.breakage_lanes
    found = connection.execute(
        select(parts.c.breakage_id, parts.c.run_id, parts.c.tests)
        .where(parts.c.lane_id == (row.lane_id or 0))
        .order_by(parts.c.run_id != row.id, parts.c.breakage_id.desc())
        .limit(MAX_BREAKAGES)
    )
    blamed: dict[str, Blame] = {}
    for breakage, opened_by, tests in found:
        for name in tests or ():
            blamed.setdefault(str(name), Blame(breakage, opened_by == row.id))
    return blamed


def _failures(digest: Digest | None, blamed: Mapping[str, Blame]) -> tuple[TestFailure, ...]:
    """New ones first."""
    if digest is None:
        return ()
    made = [_failure(test, blamed.get(test.id)) for test in digest.failures]
    return tuple(sorted(made, key=lambda item: item.state != "new_failure"))


def _failure(test: Any, blame: Blame | None) -> TestFailure:
    failure = test.failure
    return TestFailure(
        id=test.id,
        outcome=test.outcome,
        state="new_failure" if blame and blame.new else "still_failing",
        type=failure.type if failure else "",
        message=failure.message if failure else test.reason,
        detail=failure.detail if failure else "",
        seconds=test.seconds or None,
        retried=test.retried,
        breakage=blame.breakage if blame else 0,
    )


def _chosen(tries: Sequence[Any], number: int) -> Any:
    """The attempt asked for, else the last one."""
    for item in tries:
        if item.number == number:
            return item
    return tries[-1] if tries else None


def _with_log(
    farm: Farm,
    row: Any,
    shown: Sequence[Phase],
    attempt: Any,
    logs: Mapping[tuple[int, str], Any],
    asked: AskedLog,
) -> tuple[Phase, ...]:
    """The phases, one of them with its log: the one asked for, else what runs or failed, else the last one."""
    if attempt is None:
        return tuple(shown)
    wanted = asked.phase or _interesting(shown)
    return tuple(
        _shown_log(farm, row, phase, attempt, logs.get((attempt.id, phase.name)), asked)
        if phase.name == wanted
        else replace(phase, href=_log_page(row, attempt, phase))
        for phase in shown
    )


def _log_page(row: Any, attempt: Any, phase: Phase) -> str:
    """Where a phase's log is shown; "" for a phase that was not reached, and for a report that came: it says nothing."""
    if phase.state == "none" or (phase.name == "report" and phase.state == "passed"):
        return ""
    number = 0 if attempt.number == row.tries else attempt.number
    return links.with_query(links.run(row.id), phase=phase.name, attempt=number)


def _shown_log(
    farm: Farm, row: Any, phase: Phase, attempt: Any, kept: Any, asked: AskedLog
) -> Phase:
    found = tails.source(
        farm.store,
        attempt.id,
        phase.name,
        kept.blob if kept else None,
        cut=bool(kept and kept.cut),
    )
    if found is None:
        return phase
    growing = found.live and attempt.state == "running" and phase.state == "running"
    raw = links.with_query(links.run_log(row.id, phase.name), attempt=attempt.number)
    here = _log_page(row, attempt, phase)
    return replace(
        phase, log=tails.read(found, start=asked.start, here=here, raw=raw, live=growing)
    )


def _interesting(shown: Sequence[Phase]) -> str:
    for word in ("running", "new_failure", "infra"):
        for phase in shown:
            if phase.state == word:
                return phase.name
    ended = [phase.name for phase in shown if phase.state != "none" and phase.name != "report"]
    return ended[-1] if ended else ""


def _attempt(item: Any) -> Attempt:
    return Attempt(
        number=item.number,
        state=item.state,
        worker=item.worker,
        started=item.started,
        seconds=seconds(item.started, item.finished),
        reason=item.reason,
        href=links.with_query(links.run(item.run_id), attempt=item.number),
    )


def _environment(digest: Digest | None, second: str) -> tuple[Fact, ...]:
    if digest is None:
        return ()
    here = digest.environment
    facts = [
        ("Worker", here.worker),
        ("Platform", here.platform),
        ("ABI", here.abi),
        ("System", here.system),
        ("Cores", str(here.cores)),
        ("Memory", size_words(here.memory_bytes) if here.memory_bytes else ""),
        ("Compiler", here.compiler),
        ("Python", digest.python),
        ("Kit", here.kit),
        ("Sandbox", here.sandbox),
        ("Limits kept by", caps_words(here.rung, here.caps)),
        ("Second opinion", second),
    ]
    return tuple(Fact(name=name, value=value) for name, value in facts if value)


def caps_words(rung: str, caps: Mapping[str, str]) -> str:
    """`cgroup1; disk: watchdog, log: reader`: the rung of the ladder, and the limits that something else keeps."""
    others = ", ".join(f"{name}: {how}" for name, how in sorted(caps.items()) if how != rung)
    return "; ".join(part for part in (rung, others) if part)


def _artifact(digest: Digest | None) -> Fact | None:
    if digest is None or digest.artifact is None:
        return None
    value = f"{digest.artifact.sha256[:16]}…, {size_words(digest.artifact.size)}"
    return Fact(name="Published", value=value)


def _report_href(row: Any) -> str:
    """Where the report can be read as JSON."""
    return f"{links.run(row.id)}/report" if row.report else ""
