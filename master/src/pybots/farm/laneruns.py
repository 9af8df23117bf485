"""Recording a project's run: its verdict against the lane, and what follows from it.

Only a routine run that is not older than the lane's head, by (commit position, start), moves the head and writes spans.
One that found exactly what the head found writes no span at all. An older one keeps its blob and its cell, and may
narrow the range of a breakage. Retries, controls and probes leave the lane alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from pybots.core import alerts, words
from pybots.core.model import CONCLUSIVE
from pybots.core.outcomes import COMPLETE, INSTALL, TESTS, Bad, Observed, State, observe
from pybots.core.verdict import SEVERITY, Decision, LaneHistory, decide, repeated, repeated_words
from pybots.farm import builds, letters
from pybots.farm.home import Farm
from pybots.ledger import breakages, schema, spans
from pybots_worker.contract import Report

runs, lanes = schema.runs, schema.lanes

MAX_BREAKAGES = 20
"""A run with more new signatures than this has the rest counted with its largest breakage."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A project's report in normal form, ready for the transaction."""

    observed: Observed
    digest: str

    @property
    def farm_fault(self) -> str:
        return self.observed.farm_fault


def prepare(farm: Farm, run: int, report: Report) -> Prepared:
    """Signatures and digest of the report. Reads the ledger, writes nothing."""
    with farm.ledger.read() as connection:
        project = connection.scalar(
            select(lanes.c.project).join(runs, runs.c.lane_id == lanes.c.id).where(runs.c.id == run)
        )
    observed = observe(report, str(project))
    return Prepared(observed=observed, digest=observed.digest())


def record(
    farm: Farm, connection: Connection, run: Row[Any], prepared: Prepared, now: float
) -> Decision:
    """Decide and write everything but the run's own verdict (the caller does)."""
    lane = connection.execute(select(lanes).where(lanes.c.id == run.lane_id)).one()
    observed = prepared.observed
    connection.execute(
        update(runs).where(runs.c.id == run.id).values(counts=asdict(observed.counts))
    )
    if observed.no_source:
        return Decision(verdict="unknown", summary=observed.no_source)
    routine = run.purpose == "routine"
    newest = _is_newest(run, lane)
    if routine and newest and prepared.digest == lane.outcome_digest:
        decision = _same_as_head(connection, lane, observed)
    else:
        history = _history(connection, lane, run, observed, newest=newest)
        decision = decide(history, observed, project=lane.project, revision=run.revision_label)
        if routine and newest:
            _write(farm, connection, lane, run, history, decision, now)
        elif routine:
            _narrow(connection, lane, run, observed, now)
    if routine:
        place = spans.Place(lane=lane.id, run=run.id, position=run.position)
        spans.note_flakes(connection, place, observed.flaky, now)
        if newest:
            _move_head(connection, lane, run, decision, prepared.digest)
            builds.seen_working(farm, connection, run, now)
    return decision


def _is_newest(run: Row[Any], lane: Row[Any]) -> bool:
    if lane.head_run is None:
        return True
    return (run.position, _start(run)) >= (lane.head_position, lane.head_started)


def _start(run: Row[Any]) -> float:
    return float(run.started if run.started is not None else run.created)


def _move_head(
    connection: Connection, lane: Row[Any], run: Row[Any], decision: Decision, digest: str
) -> None:
    connection.execute(
        update(lanes)
        .where(lanes.c.id == lane.id)
        .values(
            head_run=run.id,
            head_position=run.position,
            head_started=_start(run),
            verdict=decision.verdict,
            outcome_digest=digest,
        )
    )


def _same_as_head(connection: Connection, lane: Row[Any], observed: Observed) -> Decision:
    head = connection.execute(
        select(runs.c.summary, runs.c.failure_kind).where(runs.c.id == lane.head_run)
    ).one()
    verdict = repeated(lane.verdict, flaky=bool(observed.flaky))
    if verdict == "still_failing":
        return Decision(
            verdict=verdict, kind=head.failure_kind, summary=repeated_words(head.summary)
        )
    return Decision(
        verdict=verdict, flaky=tuple(observed.flaky), summary=words.passed_words(observed.counts)
    )


def _history(
    connection: Connection, lane: Row[Any], run: Row[Any], observed: Observed, *, newest: bool
) -> LaneHistory:
    """What the lane knew at the run's place: the open states, or for an older run the states as they were there."""
    if newest:
        states = spans.open_states(connection, lane.id)
        revision = lane.head_run and connection.scalar(
            select(runs.c.revision_label).where(runs.c.id == lane.head_run)
        )
    else:
        states = spans.states_at(connection, lane.id, run.position)
        revision = run.revision_label
    changed = [n for n, bad in observed.bad.items() if _differs(states.get(n), bad)]
    return LaneHistory(
        states=states,
        compared=bool(states),
        complete=spans.ever(connection, lane.id, TESTS, COMPLETE) and TESTS in states,
        revision=revision,
        seen=spans.signatures_since_good(connection, lane.id, changed) if newest else {},
    )


def _differs(before: State | None, bad: Bad) -> bool:
    return before is not None and before[1] is not None and before[1] != bad.signature


def _write(
    farm: Farm,
    connection: Connection,
    lane: Row[Any],
    run: Row[Any],
    history: LaneHistory,
    decision: Decision,
    now: float,
) -> None:
    """Spans, breakages and letters of the lane's new head."""
    place = spans.Place(lane=lane.id, run=run.id, position=run.position)
    good = _last_good(connection, lane, decision) if decision.new else None
    spans.write(connection, place, decision.changes)
    where = breakages.Where(
        lane=lane.id, run=run.id, branch=run.branch, position=run.position, good=good, at=now
    )
    thread = letters.message_id(farm, alerts.thread_key(run.id))
    touched = [
        breakages.record(connection, where, failing, thread=thread)
        for failing in _groups(decision.new)
    ]
    fixed = _close(connection, where, history, decision)
    if touched or fixed:
        letters.post_run(farm, connection, run, lane, decision, touched, fixed)


def _close(
    connection: Connection, where: breakages.Where, history: LaneHistory, decision: Decision
) -> list[Row[Any]]:
    after = {**history.states, **decision.changes}
    bad = {name: state[1] for name, state in after.items() if state and state[1]}
    return breakages.close(connection, where, bad=bad)


def _last_good(connection: Connection, lane: Row[Any], decision: Decision) -> int | None:
    """The newest position at which the lane saw what is bad now good.

    That is the head's, unless the head never got so far as to run the suite to its end."""
    head: int | None = lane.head_position
    ends = spans.latest(connection, lane.id, TESTS)
    at_install = all(bad.id == INSTALL for bad in decision.new)
    if head is None or at_install or ends is None or ends.outcome in COMPLETE:
        return head
    newest: int | None = connection.execute(
        select(func.max(runs.c.position)).where(
            runs.c.lane_id == lane.id,
            runs.c.purpose == "routine",
            runs.c.verdict.in_(CONCLUSIVE),
            runs.c.position < ends.from_position,
        )
    ).scalar_one()
    return newest


def _groups(new: tuple[Bad, ...]) -> list[breakages.Failing]:
    """New failures by signature: the gravest kind first, then the largest."""
    by_signature: dict[str, list[Bad]] = {}
    for bad in new:
        by_signature.setdefault(bad.signature, []).append(bad)
    found = sorted(
        by_signature.values(), key=lambda bads: (SEVERITY.index(bads[0].kind), -len(bads))
    )
    groups = [_failing(bads) for bads in found[:MAX_BREAKAGES]]
    rest = [bad.id for bads in found[MAX_BREAKAGES:] for bad in bads]
    return [replace(groups[0], ids=[*groups[0].ids, *rest]), *groups[1:]] if rest else groups


def _failing(bads: list[Bad]) -> breakages.Failing:
    first = bads[0]
    return breakages.Failing(
        signature=first.signature,
        kind=first.kind,
        title=words.breakage_title(bads),
        ids=[bad.id for bad in bads],
    )


def _narrow(
    connection: Connection, lane: Row[Any], run: Row[Any], observed: Observed, now: float
) -> None:
    where = breakages.Where(
        lane=lane.id, run=run.id, branch=run.branch, position=run.position, good=None, at=now
    )
    bad: Mapping[str, str] = {name: found.signature for name, found in observed.bad.items()}
    breakages.narrow(connection, where, bad=bad, complete=observed.complete)
