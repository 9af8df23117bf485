"""The investigator: takes confirmed breakages through crossover, bisection and confirmation, on slots that nobody wants.

`advance` is called whenever a slot is free. It decides outside of transactions, by `core.investigator` over what the ledger
says, and writes each decision in a transaction of its own. A probe is a run like any other, of purpose `probe`; what was
asked for and what came of it are rows, so that a farm which was killed goes on where it was.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy import case as sqlcase

from pybots.core import evidence, investigator
from pybots.core.control import Judgement
from pybots.core.inquiry import Change, More
from pybots.core.investigator import Answer
from pybots.core.schedule import Slot
from pybots.farm import (
    announcements,
    asking,
    axes,
    cases,
    dispatch,
    findings,
    inquiries,
    letters,
    threads,
)
from pybots.farm.cases import Case
from pybots.farm.home import Farm
from pybots.farm.inquiries import Going
from pybots.ledger import breakages as ledger
from pybots.ledger import schema
from pybots.ledger.engine import announce, inserted_id

log = logging.getLogger(__name__)
investigations, probes, runs = schema.investigations, schema.probes, schema.runs
breakages, commits = schema.breakages, schema.commits

MOST_AT_ONCE: Final = 4
"""Investigations under way: more of them would only share the same slots."""
MOST_LOOKS: Final = 20
"""So often all of them are looked at in a row; what is left waits for the next free slot."""
PATIENCE: Final = 3600.0
"""A probe that only some workers can answer is given up when none of them took it for so long."""


def advance(farm: Farm, free: Sequence[dispatch.Slot]) -> None:
    """Look at every investigation, and take up new ones. Afterwards runs may be wanted that nobody wanted before."""
    if farm.config.investigator.probes_per_day:
        for _ in range(MOST_LOOKS):
            if not _look(farm, free):
                break


def _look(farm: Farm, free: Sequence[dispatch.Slot]) -> bool:
    """One look at all of them. Returns whether something was written, so that another look may bring more."""
    now = farm.clock()
    with farm.ledger.read() as connection:
        under_way = _under_way(connection)
        room = len(under_way) < MOST_AT_ONCE
        news = cases.waiting(connection, now) if room else []
        old = cases.mended(connection, now) if room else []
        left = farm.config.investigator.probes_per_day - _spent(connection, now)
    if not under_way and not news and not old:
        return False
    written = _overtaken(farm, now)
    written |= _late(farm, now)
    written |= _begin(farm, news, old, MOST_AT_ONCE - len(under_way), now)
    spare = dispatch.spare(farm, free)
    with farm.ledger.read() as connection:
        found = [inquiries.going(farm, connection, row) for row in _under_way(connection)]
    for one in _in_order(found, now):
        fitting = [slot for slot in spare if _fits(farm, slot, one)]
        idle = fitting[: max(left, 0)]
        made = _advance(farm, one, len(idle), now)
        spare = [slot for slot in spare if slot not in idle[:made]]
        left, written = left - max(made, 0), written or made != 0
    return written


def _under_way(connection: Connection) -> list[Any]:
    query = select(investigations).where(investigations.c.state == "going")
    return list(connection.execute(query.order_by(investigations.c.id)).all())


def _spent(connection: Connection, now: float) -> int:
    """Probes asked for within a day."""
    day = select(func.count()).select_from(probes).where(probes.c.created > now - investigator.DAY)
    return int(connection.scalar(day) or 0)


def _in_order(found: Sequence[Going], now: float) -> list[Going]:
    """The most worthy first; who waits longest among equals."""

    def worth(one: Going) -> tuple[float, int]:
        projects = len((one.breakage.told or {}).get("projects", ())) or 1
        age = now - one.breakage.opened
        return -investigator.worth(projects=projects, age=age), one.row.id

    return sorted(found, key=worth)


def _fits(farm: Farm, slot: Slot, one: Going) -> bool:
    worker, made = slot.worker, one.interpreter
    same = (worker.platform, worker.abi, worker.trust) == (made.platform, made.abi, made.trust)
    return same and inquiries.takes(worker, one.project, farm.projects.get(one.project))


# Beginning and ending -----------------------------------------------------------------------------


def _begin(farm: Farm, news: Sequence[Any], old: Sequence[Any], room: int, now: float) -> bool:
    """What is broken comes first; then what is mended, so that readers hear by what."""
    begun = False
    makers = [(cases.case, one) for one in news] + [(cases.case_of_mended, one) for one in old]
    for make, breakage in makers:
        if room <= 0:
            break
        case = make(farm, breakage)
        if case is not None:
            _insert(farm, case, now)
            room, begun = room - 1, True
    return begun


def _insert(farm: Farm, case: Case, now: float) -> None:
    with farm.ledger.write() as connection:
        made = connection.execute(
            insert(investigations).values(
                breakage_id=case.breakage, episode=case.episode, role=case.role, lane_id=case.lane,
                good_run=case.good_run, bad_run=case.bad_run, state="going",
                target=msgspec.to_builtins(case.target), only=list(case.only), known=case.known,
                evidence=[], begun=now,
            )
        )  # fmt: skip
        number = inserted_id(made)
        announce(
            connection, now, "investigation", breakage=case.breakage, number=number, state="going"
        )


def _overtaken(farm: Farm, now: float) -> bool:
    """End the investigations whose breakage is not open any more: mended meanwhile, or dismissed."""
    over = (
        select(investigations, breakages.c.state.label("is_now"))
        .join(breakages, breakages.c.id == investigations.c.breakage_id)
        .where(
            investigations.c.state == "going",
            breakages.c.state
            != sqlcase((investigations.c.role == "mended", "fixed"), else_="open"),
        )
    )
    with farm.ledger.read() as connection:
        if not connection.execute(over).first():
            return False
    with farm.ledger.write() as connection:
        for row in connection.execute(over).all():
            why = f"overtaken: the breakage is {row.is_now} by now"
            _end(connection, row, now, status="overtaken", reason=why)
    return True


def _end(connection: Connection, row: Any, now: float, **values: Any) -> None:
    """The investigation is over; what it still waited for is not made any more."""
    connection.execute(
        update(investigations)
        .where(investigations.c.id == row.id)
        .values(state="done", ended=now, **values)
    )
    mine = select(probes.c.run_id).where(probes.c.investigation_id == row.id)
    _drop(connection, runs.c.id.in_(mine))
    announce(
        connection, now, "investigation", breakage=row.breakage_id, number=row.id, state="done",
        status=values.get("status", ""),
    )  # fmt: skip


def _drop(connection: Connection, which: Any) -> None:
    """Drop these waiting runs, and the interpreters that are built for no one else."""
    waiting = connection.execute(
        select(runs.c.id, runs.c.interpreter_id).where(which, runs.c.state == "wanted")
    ).all()
    for run in waiting:
        connection.execute(update(runs).where(runs.c.id == run.id).values(state="dropped"))
        others = select(runs.c.id).where(
            runs.c.interpreter_id == run.interpreter_id,
            runs.c.kind == "project",
            runs.c.state.in_(("wanted", "dispatched", "running")),
        )
        if not connection.execute(others.limit(1)).first():
            connection.execute(
                update(runs)
                .where(
                    runs.c.interpreter_id == run.interpreter_id,
                    runs.c.kind == "interpreter",
                    runs.c.purpose == "probe",
                    runs.c.state == "wanted",
                )
                .values(state="dropped")
            )


def _late(farm: Farm, now: float) -> bool:
    """Give up the probes that only some workers can answer, when none of them came for them."""
    late = (
        select(probes.c.run_id)
        .join(runs, runs.c.id == probes.c.run_id)
        .where(
            probes.c.outcome.is_(None),
            probes.c.created < now - PATIENCE,
            runs.c.state == "wanted",
            (probes.c.on_worker != "") | (func.json_array_length(probes.c.not_by) > 0),
        )
    )
    with farm.ledger.read() as connection:
        if not connection.execute(late.limit(1)).first():
            return False
    with farm.ledger.write() as connection:
        mine = list(connection.scalars(late).all())
        _drop(connection, runs.c.id.in_(mine))
        connection.execute(
            update(probes)
            .where(probes.c.run_id.in_(mine))
            .values(outcome="lost", note="no worker that may answer it came", answered=now)
        )
    return True


# One investigation --------------------------------------------------------------------------------


def _advance(farm: Farm, one: Going, idle: int, now: float) -> int:
    """Ask for its next probes, or end it. Returns how many probes were asked for; -1: something else was written."""
    step = investigator.decide(one.inquiry, idle=idle)
    old = now - one.row.begun > investigator.LONGEST
    if isinstance(step, More) and old:
        step = investigator.given_up(one.inquiry, "a week was not enough")
    if isinstance(step, Answer):
        _conclude(farm, one, step, now)
        return -1
    if step.axis and step.axis not in one.inquiry.changes:
        return _find_changes(farm, one, step.axis, now)
    if not step.asks:
        return 0
    locks = [axes.lock_at(farm, one, ask) for ask in step.asks]
    with farm.ledger.write() as connection:
        if not _current(connection, one):
            return 0
        for ask, lock in zip(step.asks, locks, strict=True):
            asking.want(farm, connection, one, ask, lock, now)
    return len(step.asks)


def _current(connection: Connection, one: Going) -> bool:
    """Whether nothing has happened since the decision was made."""
    seen = one.inquiry.seen
    table = connection.execute(
        select(func.count(), func.count(probes.c.outcome)).where(
            probes.c.investigation_id == one.row.id
        )
    ).one()
    state = connection.scalar(
        select(investigations.c.state).where(investigations.c.id == one.row.id)
    )
    answered = sum(probe.outcome is not None for probe in seen)
    return state == "going" and tuple(table) == (len(seen), answered)


def _find_changes(farm: Farm, one: Going, axis: str, now: float) -> int:
    """The axis is known: find out what its changes are, outside of any transaction."""
    found = axes.changes(farm, one, axis)
    with farm.ledger.write() as connection:
        connection.execute(
            update(investigations)
            .where(investigations.c.id == one.row.id)
            .values(changes={"axis": axis, "changes": [asdict(change) for change in found]})
        )
        announce(connection, now, "investigation", breakage=one.breakage.id, number=one.row.id)
    return -1


# The answer ---------------------------------------------------------------------------------------


def _conclude(farm: Farm, one: Going, answer: Answer, now: float) -> None:
    """Write the answer down, and all that follows from it for breakage, thread and letters."""
    named = answer.status == "confirmed"
    changes = one.inquiry.changes.get(answer.axis, ()) if answer.axis else ()
    searched = answer.status in ("confirmed", "range") and changes
    first, last = (changes[answer.first], changes[answer.last]) if searched else (None, None)
    values: dict[str, Any] = {
        "status": answer.status, "axis": answer.axis, "confidence": round(answer.confidence, 4),
        "reason": _reason(one, answer)[:2000], "evidence": [asdict(line) for line in _evidence(one, answer)],
        "first": first.id if first else "", "last": last.id if last else "",
        "title": last.title if last and named else "", "author": last.author if last and named else "",
        "announced": _announced(farm, one, last) if last and named else None,
    }  # fmt: skip
    with farm.ledger.write() as connection:
        if not _current(connection, one):
            return
        _end(connection, one.row, now, **values)
        _tell(farm, connection, one, answer, last.id if last and named else "", now)
        announce(connection, now, "breakage", breakage=one.breakage.id, state=answer.status)
        letters.news(farm, connection, now, breakages=[one.breakage.id])
        if last and named and one.row.role == "broke" and answer.axis == "interpreter":
            email = connection.scalar(select(commits.c.email).where(commits.c.sha == last.id))
            threads.to_author(farm, connection, one.breakage.id, str(email or ""), now)


def _reason(one: Going, answer: Answer) -> str:
    if one.row.role == "broke":
        return answer.reason
    swapped = {"passed": "failed", "failed": "passed", "passes": "fails", "fails": "passes"}
    return re.sub(
        r"\b(passed|failed|passes|fails)\b", lambda m: swapped[m[1]], answer.reason
    ).replace("culprit", "this one")


def _evidence(one: Going, answer: Answer) -> Sequence[evidence.Line]:
    """The evidence as people read it. Of what mended something only the changes themselves, passed and failed put right."""
    if one.row.role == "broke":
        return answer.evidence
    swapped = {evidence.HAS: evidence.LACKS, evidence.LACKS: evidence.HAS}
    return [
        replace(
            line, passed=line.failed, failed=line.passed, says=swapped.get(line.says, line.says)
        )
        for line in answer.evidence
        if not line.says.startswith("rules out")
    ]


def _announced(farm: Farm, one: Going, culprit: Change) -> dict[str, Any] | None:
    """Where CPython's documentation announces the change that was found."""
    if (
        one.row.role == "mended"
        or len(culprit.id) != 40
        or culprit.id not in {c.id for c in one.inquiry.changes["interpreter"]}
    ):
        return None
    said = f"{one.row.target['says']}\n{one.breakage.evidence}"
    message = f"{culprit.title}\n{culprit.message}"
    found = announcements.announced(farm, culprit.id, said, message=message)
    return asdict(found) if found else None


def _tell(
    farm: Farm, connection: Connection, one: Going, answer: Answer, culprit: str, now: float
) -> None:
    """What the breakage is blamed on from now on."""
    number = one.breakage.id
    if one.row.role == "mended":
        # Where one commit alone lay in between, the letter that said "good again" has named it.
        if culprit and answer.axis and len(one.inquiry.changes[answer.axis]) > 2:
            threads.mended(farm, connection, number, now)
        return
    if answer.status in ("environment", "flaky"):
        flaky = answer.status == "flaky"
        judgement = Judgement(
            control=one.breakage.control if flaky else "red",
            state="open" if flaky else "dismissed",
            axis="flaky" if flaky else "environment",
            blamed=one.inquiry.bad.worker if answer.axis == "worker" else "",
        )
        ledger.settle(connection, number, judgement, now)
        return
    values: dict[str, Any] = {}
    if answer.status in ("confirmed", "axis") and answer.axis:
        values = {
            "axis": findings.AXES[answer.axis],
            "blamed": culprit or axes.blamed(one, answer.axis),
        }
    if culprit and answer.axis == "interpreter":
        position = connection.scalar(
            select(commits.c.position).where(
                commits.c.branch == one.bad.branch, commits.c.sha == culprit
            )
        )
        values |= {"good_position": int(position or 1) - 1, "bad_position": position}
    if values:
        connection.execute(update(breakages).where(breakages.c.id == number).values(**values))
