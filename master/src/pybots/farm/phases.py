"""What the phases of a running attempt came to, as they go on: for its page, and for the waterfall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import select, update

from pybots.farm import livelogs
from pybots.farm.home import Farm
from pybots.farm.livelogs import Taken
from pybots.ledger import schema
from pybots.ledger.engine import announce
from pybots.store import StoreError
from pybots_worker.contract import PhaseResult

attempts = schema.attempts


@dataclass(frozen=True, kw_only=True)
class Note:
    """A phase began or, when it is `over`, ended: with a result, unless its worker was lost. `cut`: its log is not whole."""

    phase: str
    at: float
    over: bool = False
    result: PhaseResult | None = None
    cut: bool = False


def note(farm: Farm, attempt_id: int, notes: Sequence[Note]) -> list[str]:
    """Keep the logs of phases that ended, and write all of it in one transaction. Returns complaints about lost logs.

    Of an attempt that has ended already only logs are kept."""
    complaints: list[str] = []
    logs = [
        taken for one in notes if one.over and (taken := _log(farm, attempt_id, one, complaints))
    ]
    told = [one for one in notes if not one.over or one.result is not None]
    if not logs and not told:
        return complaints
    now = farm.clock()
    with farm.ledger.write() as connection:
        row = connection.execute(select(attempts).where(attempts.c.id == attempt_id)).first()
        if row is not None and row.state == "running" and told:
            entries = {item["phase"]: item for item in row.phases or []}
            for one in told:
                entries[one.phase] = _entry(one, entries.get(one.phase, {}))
            connection.execute(
                update(attempts)
                .where(attempts.c.id == attempt_id)
                .values(phases=list(entries.values()))
            )
            for one in told:
                announce(
                    connection, now, "phase", run=row.run_id, attempt=attempt_id, phase=one.phase,
                    state=entries[one.phase]["state"],
                )  # fmt: skip
        for taken in logs:
            livelogs.enter(connection, attempt_id, taken, now)
    for taken in logs:
        livelogs.forget(taken)
    return complaints


def _log(farm: Farm, attempt_id: int, one: Note, complaints: list[str]) -> Taken | None:
    try:
        return livelogs.take(farm, attempt_id, one.phase, one.cut)
    except StoreError as error:
        complaints.append(f"the log of {one.phase} of attempt {attempt_id} is lost: {error}")
        return None


def _entry(one: Note, before: dict[str, Any]) -> dict[str, Any]:
    """As the attempt's row keeps it."""
    if one.result is None:
        return {"phase": one.phase, "started": one.at, "state": "running"}
    state = "ok" if one.result.ok else "failed"
    return {
        **msgspec.to_builtins(one.result), "state": state, "started": before.get("started", one.at),
    }  # fmt: skip
