"""What workers say of themselves between jobs: that they are well, that they rest, that they leave."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select, update

from pybots.core import health
from pybots.core.model import CONNECTING
from pybots.farm.home import Farm
from pybots.farm.invitations import NotInvited, both
from pybots.farm.workers import change_state
from pybots.ledger import schema
from pybots.ledger.engine import Record, announce
from pybots_worker.welcome import Hello, Known

workers, invitations = schema.workers, schema.invitations

MATTERS: Final = ("platform", "abi", "slots", "facts", "projects", "kinds", "network", "resting")
"""What decides about the work a worker gets. The rest is only shown."""
PLACE: Final = ("platform", "slots")
"""What the master's own configuration is made of: whoever changes it makes the master read it anew."""
PLACE_SECONDS: Final = 540.0
"""So long a change of it waits for the next hello. Those come every ten minutes; a worker that says another thing every few
seconds is not listened to."""


def hello(farm: Farm, credential: str, said: Hello) -> Known:
    """Note how a worker is. Raises NotInvited for a credential that the farm does not know.

    Whoever was revoked is told so, and why; nothing it says is noted."""
    now = farm.clock()
    with farm.ledger.write() as connection:
        row = connection.execute(select(workers).where(workers.c.credential == credential)).first()
        if row is None:
            raise NotInvited("this farm does not know this worker")
        if row.state in CONNECTING:
            _note(connection, row, said, now)
            if said.leaving:
                change_state(connection, row.name, "retired", "its owner took it back", now)
    return Known(name=row.name, state=row.state, reason=row.reason[:1000], clock=now)


def _note(connection: Connection, row: Record, said: Hello, now: float) -> None:
    values = _decided(connection, row, said)
    moved = float((row.health or {}).get("moved", 0.0))
    if any(values[key] != getattr(row, key) for key in PLACE):
        if now - moved < PLACE_SECONDS:
            values |= {key: getattr(row, key) for key in PLACE}
        else:
            moved = now
    signs = msgspec.to_builtins(said.signs)
    skew = said.signs.clock - now
    rest = said.rest
    values |= {
        "health": {**signs, "at": now, "skew": skew, "kit": said.machine.kit, "moved": moved},
        "resting": rest.why if rest else "",
        "rest_until": rest.until if rest else None,
        "receipt": said.decisions.receipt,
    }
    connection.execute(update(workers).where(workers.c.name == row.name).values(**values))
    # The watchdog looks when it hears of it: at once where there is or was a trouble.
    ill = health.unwell(now, skew, said.signs.disk_free_bytes) or row.trouble
    if ill or any(values[key] != getattr(row, key) for key in MATTERS):
        announce(connection, now, "worker", worker=row.name, state="told")


def _decided(connection: Connection, row: Record, said: Hello) -> dict[str, Any]:
    """Its own facts and decisions, within what its invitation allowed."""
    granted = connection.execute(
        select(invitations.c.projects, invitations.c.kinds).where(invitations.c.worker == row.name)
    ).first()
    projects, kinds = (granted.projects, granted.kinds) if granted else ((), ())
    machine, decisions = said.machine, said.decisions
    return {
        "platform": machine.platform,
        "abi": machine.abi,
        "slots": machine.slots,
        "facts": sorted(set(machine.facts)),
        "projects": list(both(projects, decisions.projects)),
        "kinds": list(both(kinds, decisions.kinds)),
        "network": decisions.network,
    }
