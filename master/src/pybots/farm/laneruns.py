"""Recording a project's run: its verdict against the lane, and what follows from it.

Only a routine run that is not older than the lane's head, by (commit position, start), moves the head and writes spans.
One that found exactly what the head found writes no span at all. An older one keeps its blob and its cell, and may
narrow the range of a breakage. Retries, controls and probes leave the lane alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Row, select, update

from pybots.core import words
from pybots.core.control import Judgement
from pybots.core.faults import of_machine
from pybots.core.flaky import calm
from pybots.core.normal import one_line
from pybots.core.opinion import Compared
from pybots.core.outcomes import Bad, Observed, observe
from pybots.core.target import Judged
from pybots.core.verdict import SEVERITY, Decision, LaneHistory, decide, repeated, repeated_words
from pybots.farm import again, builds, controls, histories, letters, opinions, probes
from pybots.farm.home import Farm
from pybots.ledger import breakages, schema, spans
from pybots_worker.contract import Report

runs, lanes = schema.runs, schema.lanes

_NEW: Final[spans.State] = ("", None)
RISEN = Judgement(control="none", state="open", axis="flaky")
MAX_BREAKAGES = 20
"""A run with more new signatures than this has the rest counted with its largest breakage."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A project's report in normal form, ready for the transaction."""

    observed: Observed
    digest: str
    judged: Judged | None = None
    """What a probe's report means for the failure that is investigated."""
    compared: Compared | None = None
    """What a second opinion says of the first."""

    @property
    def farm_fault(self) -> str:
        return self.observed.farm_fault


def prepare(farm: Farm, run: int, report: Report) -> Prepared:
    """Signatures and digest of the report. Reads the ledger, writes nothing."""
    with farm.ledger.read() as connection:
        row = connection.execute(
            select(lanes.c.project, runs.c.revision, runs.c.purpose, runs.c.lane_id)
            .join(runs, runs.c.lane_id == lanes.c.id)
            .where(runs.c.id == run)
        ).one()
    known = farm.projects.get(row.project)
    observed = observe(
        report,
        row.project,
        runner=known.test.runner if known else "",
        names=[str((row.revision or {}).get("name", ""))],
    )
    network = known is not None and known.network == "always"
    observed = _of_machine(farm, row.lane_id, observed, network=network)
    judged = probes.judged(farm, run, observed) if row.purpose == "probe" else None
    second = opinions.compared(farm, run, observed) if row.purpose == opinions.PURPOSE else None
    return Prepared(observed=observed, digest=observed.digest(), judged=judged, compared=second)


def _of_machine(farm: Farm, lane: int, observed: Observed, *, network: bool) -> Observed:
    """As observed, or the farm's fault: tests fail because their machine's disk is full, and never failed like that.

    Then nothing of it counts, and the run is made again elsewhere."""
    said = {
        name: trouble
        for name, bad in observed.bad.items()
        if bad.kind == "test" and (trouble := of_machine(bad.failure, network=network))
    }
    if not said:
        return observed
    with farm.ledger.read() as connection:
        known = spans.open_states(connection, lane)
    # Tests that always fail so are the project's own affair, and so is what a lane begins with.
    fresh = [
        name for name in said if known and known.get(name, _NEW)[1] != observed.bad[name].signature
    ]
    if not fresh:
        return observed
    return Observed.of_farm(f"test: {said[fresh[0]]}: {words.error_line(observed.bad[fresh[0]])}")


def record(
    farm: Farm, connection: Connection, run: Row[Any], prepared: Prepared, now: float
) -> tuple[Decision, list[int]]:
    """Decide and write everything but the run's own verdict and the letters (the caller does).

    Returns the decision, and the breakages that something happened to."""
    lane = connection.execute(select(lanes).where(lanes.c.id == run.lane_id)).one()
    observed = prepared.observed
    connection.execute(
        update(runs).where(runs.c.id == run.id).values(counts=asdict(observed.counts))
    )
    if run.purpose == "control":
        return controls.answer(farm, connection, run, observed, now)
    if run.purpose == "retry" and run.subject is not None:
        return again.answer(connection, run, observed, now)
    if prepared.judged is not None:
        return probes.answer(connection, run, prepared.judged, now), []
    if prepared.compared is not None:
        return opinions.answer(farm, connection, run, prepared.compared, now), []
    if observed.no_source:
        return Decision(verdict="unknown", summary=observed.no_source), []
    touched: list[int] = []
    routine = run.purpose == "routine"
    newest = _is_newest(run, lane)
    # A flaky event must be looked at even if the head saw it too, and what is blocked may have become its own fault.
    simple = not observed.flaky and lane.verdict != "blocked"
    if routine and newest and simple and prepared.digest == lane.outcome_digest:
        decision = _same_as_head(connection, lane, observed)
    else:
        history = histories.history(farm, connection, lane, run, observed, newest=newest)
        decision = decide(history, observed, project=lane.project, revision=run.revision_label)
        if routine and newest:
            touched += _write(farm, connection, lane, run, history, decision, now)
        elif routine:
            _narrow(connection, lane, run, observed, now)
    if routine:
        place = spans.Place(lane=lane.id, run=run.id, position=run.position)
        chance = {bad.id: bad.outcome for bad in decision.excused}
        throughout = {bad.id for bad in decision.excused if not bad.passed_too}
        spans.note_flakes(
            connection,
            place,
            {**observed.flaky, **chance},
            now,
            nth=lane.counted + 1,
            again=throughout,
        )
        if newest:
            # What was excused must be decided anew next time: chance does not explain it for ever.
            _move_head(connection, lane, run, decision, "" if chance else prepared.digest)
            touched += _calm(connection, lane, run, now)
            touched += builds.seen_working(connection, run, now)
    return decision, touched


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
            counted=lanes.c.counted + 1,
        )
    )


def _same_as_head(connection: Connection, lane: Row[Any], observed: Observed) -> Decision:
    head = connection.execute(
        select(runs.c.summary, runs.c.failure_kind).where(runs.c.id == lane.head_run)
    ).one()
    verdict = repeated(lane.verdict)
    if verdict == "still_failing":
        return Decision(
            verdict=verdict, kind=head.failure_kind, summary=repeated_words(head.summary)
        )
    return Decision(verdict=verdict, summary=words.passed_words(observed.counts))


def _write(
    farm: Farm,
    connection: Connection,
    lane: Row[Any],
    run: Row[Any],
    history: LaneHistory,
    decision: Decision,
    now: float,
) -> list[int]:
    """Spans and breakages of the lane's new head. Returns the breakages that something happened to."""
    place = spans.Place(lane=lane.id, run=run.id, position=run.position)
    good = controls.last_good(connection, lane, decision.new) if decision.new else None
    spans.write(connection, place, decision.changes)
    where = breakages.Where(
        lane=lane.id, run=run.id, branch=run.branch, position=run.position, at=now,
        good=good.position if good else None, good_run=good.id if good else None,
    )  # fmt: skip
    found = [(_began(connection, where, history, one.ids), one) for one in _groups(decision.new)]
    touched = [breakages.record(connection, begun, one, thread="") for begun, one in found]
    # One control for all: of a run that was good for each of them.
    earlier = [begun for begun, _ in found if begun is not where]
    if earlier:
        good = controls.run_of(connection, min(earlier, key=lambda one: one.position).good_run)
    controls.want(farm, connection, run, good, decision.new, touched, history.states, now)
    touched += [_rose(connection, where, bad) for bad in decision.risen]
    fixed = _close(connection, where, history, decision)
    controls.forget(connection, lane.id)
    controls.doubt(farm, connection, run, decision.still, now)
    letters.keep_evidence(
        connection, [one.breakage for one in touched], (*decision.new, *decision.risen)
    )
    return [*(one.breakage for one in touched), *(row.id for row in fixed)]


def _began(
    connection: Connection, where: breakages.Where, history: LaneHistory, ids: Sequence[str]
) -> breakages.Where:
    """Where a failure began. A flaky test's, accused at last, began with the first of the failures in a row that its
    rate had explained until now: the commits since are innocent."""
    pasts = [history.flaky[name] for name in ids if name in history.flaky]
    past = max(pasts, key=lambda one: one.streak, default=None)
    if past is None or not past.streak:
        return where
    run = spans.flaked_in(connection, where.lane, past.now - past.streak)
    first = controls.run_of(connection, run)
    if first is None:
        return where
    good = controls.good_before(connection, first)
    return replace(
        where,
        position=first.position,
        good=good.position if good else None,
        good_run=good.id if good else None,
    )


def _rose(connection: Connection, where: breakages.Where, bad: Bad) -> breakages.Touched:
    """A flaky rate that has risen is a breakage of its own; no control of one run could tell."""
    one = breakages.record(
        connection, where, replace(_failing([bad]), title=_risen_title(bad)), thread=""
    )
    if one.asks:
        breakages.settle(connection, one.breakage, RISEN, where.at)
    return one


def _risen_title(bad: Bad) -> str:
    return one_line(f"flaky: {bad.id} {bad.failure.message}", 200)


def _calm(connection: Connection, lane: Row[Any], run: Row[Any], now: float) -> list[int]:
    """Close the breakages of risen rates whose tests have been quiet since. Returns those that are over."""
    rose = breakages.rose(connection, lane.id)
    if not rose:
        return []
    known = spans.pasts(connection, lane.id, list(rose), lane.counted + 2)
    where = breakages.Where(
        lane=lane.id, run=run.id, branch=run.branch, position=run.position, good=None, at=now
    )
    return [
        row.id
        for name, number in rose.items()
        if calm(known[name])
        for row in breakages.close_part(connection, number, where)
    ]


def _close(
    connection: Connection, where: breakages.Where, history: LaneHistory, decision: Decision
) -> list[Row[Any]]:
    after = {**history.states, **decision.changes}
    bad = {name: state[1] for name, state in after.items() if state and state[1]}
    return breakages.close(connection, where, bad=bad)


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
        dependency=first.dependency,
    )


def _narrow(
    connection: Connection, lane: Row[Any], run: Row[Any], observed: Observed, now: float
) -> None:
    where = breakages.Where(
        lane=lane.id, run=run.id, branch=run.branch, position=run.position, good=None, at=now
    )
    bad: Mapping[str, str] = {name: found.signature for name, found in observed.bad.items()}
    breakages.narrow(connection, where, bad=bad, complete=observed.complete)
