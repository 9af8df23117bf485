"""Probes: the runs that an investigation asks for (see `investigations`), judged and answered when they report.

`judged` reads outside the transaction that writes; all others work inside their caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, case, select, update

from pybots.core.inquiry import WAYS
from pybots.core.model import Verdict
from pybots.core.outcomes import Bad, Observed, observe
from pybots.core.target import OTHER, Judged, Target, judge
from pybots.core.verdict import Decision
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import announce
from pybots.store import StoreError
from pybots_worker import contract

probes, investigations, runs = schema.probes, schema.investigations, schema.runs

MAX_NOTE: Final = 500
VERDICTS: Final[dict[str, Verdict]] = {"good": "passed", "bad": "still_failing", "skip": "unknown"}


def of_run(connection: Connection, run: int) -> Row[Any] | None:
    """The probe that a run answers."""
    return connection.execute(select(probes).where(probes.c.run_id == run)).first()


def asked(connection: Connection) -> dict[int, Row[Any]]:
    """The probes that wait for a slot, by their runs."""
    waiting = connection.execute(
        select(probes)
        .join(runs, runs.c.id == probes.c.run_id)
        .where(runs.c.state == "wanted", runs.c.purpose == "probe")
    )
    return {row.run_id: row for row in waiting}


def judged(farm: Farm, run: int, observed: Observed) -> Judged | None:
    """What a probe's report means for the failure that is looked into; a fault when the good run's report is gone.

    None when no investigation asked for this run."""
    with farm.ledger.read() as connection:
        row = connection.execute(
            select(
                investigations.c.target, investigations.c.only, investigations.c.role, probes.c.way,
                runs.c.report,
                schema.lanes.c.project,
            )
            .join(probes, probes.c.investigation_id == investigations.c.id)
            .join(
                runs,
                runs.c.id
                == case(
                    (investigations.c.role == "mended", investigations.c.bad_run),
                    else_=investigations.c.good_run,
                ),
            )
            .join(schema.lanes, schema.lanes.c.id == investigations.c.lane_id)
            .where(probes.c.run_id == run)
        ).first()  # fmt: skip
    if row is None:
        return None
    try:
        good = observed_of(farm, row.report, row.project)
    except (StoreError, contract.ContractError) as error:
        return Judged(outcome="fault", note=f"the good run's report is gone: {error}")
    target, wide = target_of(row.target), WAYS[row.way].wide
    only = () if wide else tuple(row.only)
    states = target.concerned(good.states, only, wide=wide)
    return judge(target, states, observed, project=row.project, only=only)


def observed_of(farm: Farm, report: str | None, project: str) -> Observed:
    """A recorded report in normal form. Raises StoreError or contract.ContractError when it is gone."""
    if not report:
        raise StoreError("there is none")
    try:
        data = farm.store.read(report)
    except OSError as error:
        raise StoreError(str(error)) from error
    known = farm.projects.get(project)
    return observe(contract.decode_report(data), project, runner=known.test.runner if known else "")


def target_of(data: dict[str, Any]) -> Target:
    """The failure that an investigation follows."""
    return msgspec.convert(data, Target)


def answer(connection: Connection, run: Row[Any], found: Judged, now: float) -> Decision:
    """Write down what a probe came to. Returns its run's verdict."""
    outcome = "lost" if found.outcome == "fault" else found.outcome
    _settle(connection, run, outcome, found.note, now)
    return Decision(
        verdict=VERDICTS.get(outcome, "unknown"),
        summary=f"probe: {outcome}: {found.note}"[:MAX_NOTE],
    )


def built(connection: Connection, run: Row[Any], failed: Bad | None, now: float) -> None:
    """A build has ended. If an investigation asked for it, whether it builds, this is its answer."""
    target = connection.scalar(
        select(investigations.c.target)
        .join(probes, probes.c.investigation_id == investigations.c.id)
        .where(probes.c.run_id == run.id)
    )
    if target is None:
        return
    found = Judged(outcome="good", note="it builds")
    if failed is not None:
        said = f"{failed.failure.type}: {failed.failure.message}"[:MAX_NOTE]
        same = failed.signature == target_of(target).signature
        found = (
            Judged(outcome="bad", note=said)
            if same
            else Judged(outcome="skip", note=f"{OTHER}: {said}")
        )
    _settle(connection, run, found.outcome, found.note, now)


def lost(connection: Connection, run: Row[Any], reason: str, now: float) -> None:
    """A run is given up for good. If it was a probe, it says nothing."""
    if run.purpose == "probe":
        _settle(connection, run, "lost", reason, now)


def unbuilt(connection: Connection, waiting: Sequence[int], reason: str, now: float) -> None:
    """The interpreter that these runs wait for won't come: its commit is skipped, not judged."""
    for run in connection.execute(
        select(runs).where(runs.c.id.in_(waiting), runs.c.purpose == "probe")
    ).all():
        _settle(connection, run, "skip", reason, now)


def _settle(connection: Connection, run: Row[Any], outcome: str, note: str, now: float) -> None:
    attempts, workers = schema.attempts, schema.workers
    by = connection.execute(
        select(attempts.c.worker, workers.c.owner)
        .join(workers, workers.c.name == attempts.c.worker, isouter=True)
        .where(attempts.c.run_id == run.id)
        .order_by(attempts.c.number.desc())
        .limit(1)
    ).first()
    name = by.worker if by else ""
    changed = connection.execute(
        update(probes)
        .where(probes.c.run_id == run.id, probes.c.outcome.is_(None))
        .values(
            outcome=outcome, note=note[:MAX_NOTE], answered=now, worker=name,
            owner=(by.owner or name) if by else "",
        )
    ).rowcount  # fmt: skip
    if changed:
        announce(connection, now, "probe", run=run.id, outcome=outcome)
