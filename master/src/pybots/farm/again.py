"""The new combination once more, over the ledger: wanted after a control that does not explain it, judged when it reports. See core/again.py.

Such a run is of purpose `retry`; its `subject` is the run that showed the failure, whose lock it re-uses. What it is asked
about stays suspected, its control being green or silent; `created` is the control's, so that both together take an hour at most.
All of this works inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from pybots.core import again, words
from pybots.core.control import Concern, Judgement
from pybots.core.outcomes import Observed, is_test
from pybots.core.threads import kin
from pybots.core.verdict import Decision
from pybots.farm.cells import show
from pybots.ledger import breakages, schema, spans
from pybots.ledger.engine import announce, inserted_id

runs, lanes, parts = schema.runs, schema.lanes, schema.breakage_lanes


def insert_run(
    connection: Connection,
    made_of: Row[Any],
    *,
    purpose: str,
    subject: Row[Any],
    only: Sequence[str],
    created: float,
) -> int:
    """Want the combination of `made_of`, with its lock, for the sake of `subject`. `only` (): the whole suite."""
    made = connection.execute(
        insert(runs).values(
            kind="project", lane_id=subject.lane_id, interpreter_id=made_of.interpreter_id,
            commit_id=made_of.commit_id, branch=made_of.branch, position=made_of.position,
            purpose=purpose, revision_label=made_of.revision_label, revision=made_of.revision,
            state="wanted", summary="", tries=0, lost=0, created=created, subject=subject.id,
            good_run=made_of.id, only=list(only) or None,
        )
    )  # fmt: skip
    return inserted_id(made)


def hold(
    connection: Connection,
    control: Row[Any],
    subject: Row[Any],
    judged: Mapping[int, Judgement],
    now: float,
) -> frozenset[int]:
    """Of what this control would open, hold back what may be chance, and want the new combination once more for it."""
    lane = connection.execute(select(lanes).where(lanes.c.id == subject.lane_id)).one()
    if lane.head_run != subject.id:
        return frozenset()  # a newer run has shown it as well
    table = schema.breakages
    begun = connection.execute(
        select(table.c.id, table.c.kind, table.c.title, parts.c.count.label("tests"))
        .join(table, table.c.id == parts.c.breakage_id)
        .where(parts.c.run_id == subject.id, parts.c.lane_id == lane.id, parts.c.closed.is_(None))
    ).all()
    held: dict[int, Sequence[str]] = {}
    for row in begun:
        one = judged.get(row.id)
        if one is None or one.state != "open" or one.control not in again.ASKING:
            continue
        members = breakages.parts_of(connection, row.id)
        tests = list(members[0].tests) if members else []
        said = _words(row)
        failing = sum(it.tests for it in begun if _words(it) == said)
        if again.alone(row.kind, tests, lanes=len(members), failing=failing):
            held[row.id] = tests
    names = list(dict.fromkeys(name for tests in held.values() for name in tests))
    pasts = spans.pasts(connection, lane.id, names, lane.counted)
    if not held or (
        any(past.streak for past in pasts.values()) and _asked_before(connection, subject)
    ):
        return frozenset()
    run = insert_run(
        connection, subject, purpose="retry", subject=subject, only=names if control.only else (),
        created=control.created,
    )  # fmt: skip
    for number in held:
        waits = replace(again.HELD, control=judged[number].control)
        breakages.settle(connection, number, waits, now)
    announce(connection, now, "run", run=run, lane=subject.lane_id, state="wanted")
    return frozenset(held)


def _words(row: Any) -> str:
    """What a breakage says, as far as it can be compared."""
    return kin(row.kind, row.title) or f"{row.kind} {row.title}"


def _asked_before(connection: Connection, subject: Row[Any]) -> bool:
    """Whether the lane's runs before this one were run once more, too."""
    before = connection.scalars(
        select(runs.c.id)
        .where(
            runs.c.lane_id == subject.lane_id, runs.c.purpose == "routine", runs.c.id < subject.id,
            runs.c.state == "done",
        )
        .order_by(runs.c.id.desc())
        .limit(again.MAX_ASKED)
    ).all()  # fmt: skip
    asked = select(runs.c.subject).where(runs.c.subject.in_(before), runs.c.purpose == "retry")
    return len(set(connection.scalars(asked))) == again.MAX_ASKED


def waiting(connection: Connection, subject: int) -> Sequence[Row[Any]]:
    """The suspected breakages of this run that wait for its combination once more."""
    table = schema.breakages
    return connection.execute(
        select(table)
        .join(runs, runs.c.id == table.c.control_run)
        .where(
            table.c.state == "suspected",
            table.c.control.in_(again.ASKING),
            runs.c.subject == subject,
        )
        .order_by(table.c.id)
    ).all()


def repeated(connection: Connection, subject: int) -> Row[Any] | None:
    """The run that did once more what this one did, when it has reported; None: there is none."""
    found = select(runs).where(
        runs.c.subject == subject, runs.c.purpose == "retry", runs.c.report.is_not(None)
    )
    return connection.execute(found.order_by(runs.c.id.desc()).limit(1)).first()


def answer(
    connection: Connection, run: Row[Any], observed: Observed, now: float
) -> tuple[Decision, list[int]]:
    """Judge what waited for this run. Returns the run's own verdict, and the breakages that were judged."""
    subject = connection.execute(select(runs).where(runs.c.id == run.subject)).one()
    lane = connection.execute(select(lanes).where(lanes.c.id == subject.lane_id)).one()
    judged: dict[int, Judgement] = {}
    for row in waiting(connection, subject.id):
        members = breakages.parts_of(connection, row.id)
        tests = tuple(members[0].tests) if members else ()
        concern = Concern(kind=row.kind, signature=row.signature, ids=tests)
        one = again.judge(concern, observed)
        # Another lane or the lane's next run has shown it meanwhile: not alone any more.
        seen = len(members) != 1 or lane.head_run != subject.id
        judged[row.id] = replace(again.BELIEVED if seen else one, control=row.control)
    settle(connection, judged, now)
    chance = [number for number, one in judged.items() if one.state == "dismissed"]
    if chance:
        _forgive(connection, chance, subject, lane, run.id, now)
    bad = tuple(observed.bad.values())
    said = sorted({one.reason for one in judged.values()}) or ["nobody waits for it any more"]
    summary = f"once more: {'; '.join(said)}"
    if not bad:
        return Decision(verdict="passed", summary=summary), list(judged)
    summary = f"{summary}: {words.red_words(bad)}"[: words.MAX_SUMMARY]
    decision = Decision(verdict="still_failing", kind=bad[0].kind, still=bad, summary=summary)
    return decision, list(judged)


def lost(connection: Connection, subject: int, now: float) -> list[int]:
    """There is no answer, and there will be none. Returns the breakages that are opened without."""
    judged = {
        row.id: replace(again.UNANSWERED, control=row.control)
        for row in waiting(connection, subject)
    }
    settle(connection, judged, now)
    return list(judged)


def settle(connection: Connection, judged: Mapping[int, Judgement], now: float) -> None:
    """Write judgements down, and tell whoever watches."""
    for number, one in judged.items():
        breakages.settle(connection, number, one, now)
        announce(connection, now, "breakage", breakage=number, state=one.state)


def forget(connection: Connection, lane: int) -> None:
    """Drop the lane's runs of this kind that nobody waits for any more."""
    table, control = schema.breakages, runs.alias()
    needed = (
        select(control.c.subject)
        .join(table, table.c.control_run == control.c.id)
        .where(table.c.state == "suspected", control.c.subject.is_not(None))
    )
    connection.execute(
        update(runs)
        .where(
            runs.c.lane_id == lane,
            runs.c.purpose == "retry",
            runs.c.state == "wanted",
            runs.c.subject.not_in(needed),
        )
        .values(state="dropped")
    )


def _forgive(
    connection: Connection,
    numbers: Sequence[int],
    subject: Row[Any],
    lane: Row[Any],
    run: int,
    now: float,
) -> None:
    """These breakages were chance: the lane's history says so, as if its rate had explained them at once."""
    mine = (parts.c.breakage_id.in_(numbers), parts.c.lane_id == lane.id)
    tests = connection.scalars(select(parts.c.tests).where(*mine)).all()
    connection.execute(update(parts).where(*mine).values(closed=now, closed_run=run))
    names = {str(name): "failed" for found in tests for name in found if is_test(name)}
    place = spans.Place(lane=lane.id, run=subject.id, position=subject.position)
    spans.forgive(connection, place, list(names))
    spans.note_flakes(connection, place, names, now, nth=lane.counted, again=names)
    _show(connection, subject, lane, list(names), now)


def _show(
    connection: Connection, subject: Row[Any], lane: Row[Any], names: Sequence[str], now: float
) -> None:
    """The verdict that is left for the run, its cells and its lane, whose head it is."""
    table = schema.breakages
    news = connection.scalar(
        select(func.sum(parts.c.count))
        .join(table, table.c.id == parts.c.breakage_id)
        .where(parts.c.run_id == subject.id, parts.c.closed.is_(None), table.c.state != "dismissed")
    )
    bad = spans.bad_signatures(connection, lane.id)
    blocked = bool(bad) and bad <= breakages.blocked(connection, lane.id).keys()
    verdict = "blocked" if blocked else "still_failing" if bad else "flaky"
    values: dict[str, Any] = {"verdict": "new_failure" if news else verdict}
    # What was forgiven must be decided anew next time: chance does not explain it for ever.
    connection.execute(
        update(lanes).where(lanes.c.id == lane.id).values(outcome_digest="", **values)
    )
    if not bad:
        values |= {"failure_kind": None}
    values["summary"] = words.chance_words(names, subject.summary if bad else "")
    connection.execute(update(runs).where(runs.c.id == subject.id).values(**values))
    show(connection, subject.id, values["verdict"], int(news or 0))
    announce(
        connection, now, "verdict", run=subject.id, lane=lane.id, state="done",
        verdict=values["verdict"], summary=values["summary"],
    )  # fmt: skip
