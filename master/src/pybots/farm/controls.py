"""Control runs: wanted for what is suspected, judged when they report, given up when they don't. See core/control.py.

`want`, `answer` and `lost` work inside the caller's transaction; `expire` is a transaction of its own. One control
answers for all the new failures of the run that is its `subject`. What it would open, but may be chance, is run once more
first (`again`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, func, or_, select, tuple_, update

from pybots.core import control, words
from pybots.core.again import ASKING
from pybots.core.control import Concern, Judgement
from pybots.core.model import CONCLUSIVE, RED
from pybots.core.outcomes import COMPLETE, INSTALL, TESTS, Bad, Observed, is_test
from pybots.core.verdict import Decision
from pybots.farm import again, doubts, letters
from pybots.farm.cells import show
from pybots.farm.home import Farm
from pybots.ledger import breakages, schema, spans
from pybots.ledger.engine import announce

runs, lanes, interpreters = schema.runs, schema.lanes, schema.interpreters

GONE = "there is no good run to compare with"
DOUBT = "it was no matter of the environment"
NOBODY = "nobody waits for it any more"


def last_good(connection: Connection, lane: Row[Any], new: Sequence[Bad]) -> Row[Any] | None:
    """The newest run of the lane that saw what is bad now good.

    That is the head, unless the head never got so far as to install the project and to run the suite to its end."""
    if lane.head_run is None:
        return None
    since = None
    if any(bad.id != INSTALL for bad in new):
        since = _unseen_since(connection, lane.id)
    query = select(runs)
    if since is None:
        query = query.where(runs.c.id == lane.head_run)
    else:
        query = query.where(
            runs.c.lane_id == lane.id,
            runs.c.purpose == "routine",
            runs.c.verdict.in_(CONCLUSIVE),
            runs.c.position < since,
        )
    newest = query.order_by(runs.c.position.desc(), runs.c.started.desc()).limit(1)
    return connection.execute(newest).first()


def _unseen_since(connection: Connection, lane: int) -> int | None:
    """The position since which the lane's runs up to its head have not come through its tests; None: the head has."""
    tests, install = (spans.latest(connection, lane, name) for name in (TESTS, INSTALL))
    blocked = [tests] if tests is not None and tests.outcome not in COMPLETE else []
    if install is not None and install.signature is not None:
        blocked.append(install)
    return min((span.from_position for span in blocked), default=None)


def want(
    farm: Farm,
    connection: Connection,
    subject: Row[Any],
    good: Row[Any] | None,
    new: Sequence[Bad],
    touched: Sequence[breakages.Touched],
    known: Mapping[str, spans.State],
    now: float,
) -> None:
    """Ask for one control of what this run made suspected; what can't have one is opened without.

    `known`: the lane's states before the run. A test that the good run did not know can't be asked about;
    what could not be collected has no name while it can be."""
    asking = [one for one in touched if one.asks]
    if not asking:
        return
    ids = {
        name
        for one in asking
        for name in one.failing.ids
        if name in known or one.failing.kind == "collection"
    }
    concerned = [bad for bad in new if bad.id in ids and bad.kind in control.KINDS]
    if good is None or not concerned or not possible(farm, connection, good):
        for one in asking:
            breakages.settle(connection, one.breakage, control.unanswered(GONE), now)
        return
    run = _insert(connection, subject, good, control.scope(concerned), now)
    breakages.wants(connection, [one.breakage for one in asking], run)
    announce(connection, now, "run", run=run, lane=subject.lane_id, state="wanted")


def possible(farm: Farm, connection: Connection, good: Row[Any]) -> bool:
    """Whether the good run could be made once more: its interpreter and its report are still there."""
    blob = connection.scalar(
        select(interpreters.c.blob).where(
            interpreters.c.id == good.interpreter_id, interpreters.c.state == "published"
        )
    )
    return bool(
        blob
        and good.revision
        and good.report
        and farm.store.has(blob)
        and farm.store.has(good.report)
    )


def doubt(
    farm: Farm, connection: Connection, subject: Row[Any], still: Sequence[Bad], now: float
) -> None:
    """Ask once more about what a red control has dismissed and this run shows still. See doubts."""
    doubts.want(connection, subject, still, lambda good: possible(farm, connection, good), now)


def _insert(
    connection: Connection, subject: Row[Any], good: Row[Any], only: Sequence[str], now: float
) -> int:
    return again.insert_run(
        connection, good, purpose="control", subject=subject, only=only, created=now
    )


def answer(
    farm: Farm, connection: Connection, run: Row[Any], observed: Observed, now: float
) -> tuple[Decision, list[int]]:
    """Judge the suspected breakages by their control's report.

    Returns the control run's own verdict, and the breakages that were judged."""
    judged = {
        row.id: control.judge(_concern(connection, row), observed)
        for row in breakages.waiting(connection, run.id)
    }
    elsewhere = [
        number
        for number, one in judged.items()
        if one.control == "red" and _ask_elsewhere(farm, connection, number, now)
    ]
    held = _hold(farm, connection, run, judged, now)
    done = {
        number: one
        for number, one in judged.items()
        if number not in elsewhere and number not in held
    }
    _settle(connection, run.subject, done, now)
    late = doubts.answer(connection, run, observed, now)
    bad = tuple(observed.bad.values())
    said = sorted({one.reason for one in judged.values()}) or [DOUBT if late else NOBODY]
    summary = f"control: {'; '.join(said)}"
    if not bad:
        return Decision(verdict="passed", summary=summary), [*done, *late]
    decision = Decision(
        verdict="still_failing",
        kind=bad[0].kind,
        still=bad,
        summary=f"{summary}: {words.red_words(bad)}"[: words.MAX_SUMMARY],
    )
    return decision, [*done, *late]


def _hold(
    farm: Farm, connection: Connection, run: Row[Any], judged: Mapping[int, Judgement], now: float
) -> frozenset[int]:
    """What may be chance waits for the new combination once more, where that can be had. See core/again.py."""
    subject = run_of(connection, run.subject)
    if subject is None or not possible(farm, connection, subject):
        return frozenset()
    return again.hold(connection, run, subject, judged, now)


def _ask_elsewhere(farm: Farm, connection: Connection, number: int, now: float) -> bool:
    """Red in one lane, but others have joined meanwhile: ask the next of them that was not asked yet, before all are
    dismissed with it. What one worker or project suffers from need not be what the others do."""
    row = connection.execute(select(schema.breakages).where(schema.breakages.c.id == number)).one()
    asked = select(runs.c.subject).where(runs.c.purpose == "control", runs.c.subject.is_not(None))
    for part in breakages.parts_of(connection, number):
        subject = connection.execute(
            select(runs).where(runs.c.id == part.run_id, runs.c.id.not_in(asked))
        ).first()
        good = good_before(connection, subject) if subject else None
        if subject is None or good is None or not possible(farm, connection, good):
            continue
        single = row.kind in control.SINGLE and len(part.tests) <= control.MAX_ONLY
        only = part.tests if single and all(map(is_test, part.tests)) else []
        breakages.wants(connection, [number], _insert(connection, subject, good, only, now))
        return True
    return False


def run_of(connection: Connection, number: int | None) -> Row[Any] | None:
    """A run's row; None when there is no such run."""
    return connection.execute(select(runs).where(runs.c.id == number)).first()


def good_before(connection: Connection, run: Row[Any]) -> Row[Any] | None:
    """The lane's conclusive run before this one."""
    return connection.execute(
        select(runs)
        .where(
            runs.c.lane_id == run.lane_id,
            runs.c.purpose == "routine",
            runs.c.verdict.in_(CONCLUSIVE),
            tuple_(runs.c.position, runs.c.id) < tuple_(run.position, run.id),
        )
        .order_by(runs.c.position.desc(), runs.c.id.desc())
        .limit(1)
    ).first()


def _concern(connection: Connection, row: Row[Any]) -> Concern:
    """What a suspected breakage asks its control: only about the lane that the control belongs to."""
    parts = schema.breakage_lanes
    tests = connection.scalar(
        select(parts.c.tests)
        .join(runs, runs.c.lane_id == parts.c.lane_id)
        .where(parts.c.breakage_id == row.id, runs.c.id == row.control_run)
    )
    return Concern(
        kind=row.kind,
        signature=row.signature,
        ids=tuple(tests or ()),
        dependency=row.blamed if row.axis == "dependency" else "",
    )


def lost(farm: Farm, connection: Connection, run: Row[Any], reason: str, now: float) -> None:
    """A run is given up for good. If it was a control, or the new combination once more, what waited for it is opened
    without."""
    if run.purpose not in ("control", "retry") or run.subject is None:
        return  # second opinions have a subject, too
    opened = again.lost(connection, run.subject, now)
    if run.purpose == "control":
        nothing = control.unanswered(f"the control run was lost: {reason}")
        judged = {row.id: nothing for row in breakages.waiting(connection, run.id)}
        _settle(connection, run.subject, judged, now)
        opened += judged
    letters.news(farm, connection, now, breakages=opened)


def forget(connection: Connection, lane: int) -> None:
    """Drop the lane's controls that nobody waits for any more: what they would have judged passes again."""
    asked = select(runs.c.id).where(
        runs.c.state == "wanted", runs.c.lane_id == lane, runs.c.subject.is_not(None)
    )
    if connection.execute(asked.limit(1)).first() is None:
        return
    waited = schema.breakages
    needed = select(waited.c.control_run).where(
        waited.c.state == "suspected", waited.c.control_run.is_not(None)
    )
    connection.execute(
        update(runs)
        .where(
            runs.c.lane_id == lane,
            runs.c.purpose == "control",
            runs.c.state == "wanted",
            runs.c.id.not_in(needed),
        )
        .values(state="dropped")
    )
    again.forget(connection, lane)


def expire(farm: Farm) -> list[int]:
    """Give up the controls that have been waited for too long, with what they made wait. Returns the controls."""
    now = farm.clock()
    with farm.ledger.read() as connection:
        if not _late(connection, now):
            return []
    with farm.ledger.write() as connection:
        late = _late(connection, now)
        for run in late:
            connection.execute(
                update(runs)
                .where(
                    or_(
                        runs.c.id == run.id,
                        and_(runs.c.subject == run.subject, runs.c.purpose == "retry"),
                    ),
                    runs.c.state == "wanted",
                )
                .values(state="dropped")
            )
            lost(farm, connection, run, "no answer within an hour", now)
    return [run.id for run in late]


def _late(connection: Connection, now: float) -> list[Row[Any]]:
    waited = schema.breakages
    found = connection.execute(
        select(runs).where(
            runs.c.id.in_(
                select(waited.c.control_run).where(
                    waited.c.state == "suspected", waited.c.control.in_(("wanted", *ASKING))
                )
            )
        )
    ).all()
    return [run for run in found if control.overdue(run.created, now)]


def _settle(
    connection: Connection, subject: int, judged: Mapping[int, Judgement], now: float
) -> None:
    """Write the judgements, and what follows for the run that was controlled and its lane."""
    for number, judgement in judged.items():
        breakages.settle(connection, number, judgement, now)
        announce(connection, now, "breakage", breakage=number, state=judgement.state)
    if not judged:
        return
    red = {subject} | {
        part.run_id
        for number, one in judged.items()
        if one.state == "dismissed"
        for part in breakages.parts_of(connection, number)
    }
    for row in connection.execute(select(runs).where(runs.c.id.in_(red))).all():
        _block(connection, row, now)


def _block(connection: Connection, subject: Row[Any], now: float) -> None:
    """The run's verdict, its cells and its lane's, when all that is red there is blamed on something else."""
    why = breakages.blocked(connection, subject.lane_id)
    if not why:
        return
    parts, table = schema.breakage_lanes, schema.breakages
    states = connection.scalars(
        select(table.c.state)
        .join(parts, parts.c.breakage_id == table.c.id)
        .where(parts.c.run_id == subject.id, parts.c.lane_id == subject.lane_id)
    ).all()
    lane = connection.execute(select(lanes).where(lanes.c.id == subject.lane_id)).one()
    reds = [subject.id] if set(states) == {"dismissed"} and subject.verdict in RED else []
    bad = spans.bad_signatures(connection, lane.id)
    if lane.verdict in RED and bad and bad <= why.keys():
        reds.append(lane.head_run)
        connection.execute(update(lanes).where(lanes.c.id == lane.id).values(verdict="blocked"))
    for run in dict.fromkeys(reds):
        _blocked(connection, run, sorted(set(why.values())), now)


def _blocked(connection: Connection, run: int, why: Sequence[str], now: float) -> None:
    summary = connection.scalar(select(runs.c.summary).where(runs.c.id == run))
    said = words.blocked_words(str(summary), why)
    connection.execute(update(runs).where(runs.c.id == run).values(verdict="blocked", summary=said))
    show(connection, run, "blocked")
    announce(connection, now, "verdict", run=run, state="done", verdict="blocked", summary=said)


def pending(connection: Connection) -> int:
    """How many controls, and new combinations once more, are wanted or under way."""
    found = select(func.count()).where(
        runs.c.purpose.in_(("control", "retry")),
        runs.c.state.in_(("wanted", "dispatched", "running")),
    )
    return int(connection.scalar(found) or 0)
