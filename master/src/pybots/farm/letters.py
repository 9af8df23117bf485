"""What recording tells the post: news of breakages, inside the transaction that recorded them.

Who hears of it, when and in which thread is decided by `core.alerts` over what the ledger has (see `threads`); here the
errors' last lines are kept beside their breakages, since letters may be written an hour later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, select, update

from pybots.core.outcomes import Bad
from pybots.farm import threads
from pybots.farm.home import Farm
from pybots.ledger import schema

breakages = schema.breakages

MAX_EVIDENCE: Final = 4000
"""Characters of an error that are kept for letters; the run's page has all of it."""


def news(
    farm: Farm,
    connection: Connection,
    now: float,
    *,
    breakages: Iterable[int] = (),
    run: Row[Any] | None = None,
) -> None:
    """Something happened to these breakages, or a run has ended that a thread may have waited for.

    Asked once in a transaction, at its end. Writes the letters that need no waiting."""
    if list(breakages) or (run is not None and threads.released(connection, run)):
        threads.consider(farm, connection, now)


def keep_evidence(connection: Connection, touched: Sequence[int], bad: Sequence[Bad]) -> None:
    """The first failure of each signature speaks for its breakage, as long as nothing does yet."""
    said = {one.signature: one.failure.detail or one.failure.message for one in reversed(bad)}
    rows = connection.execute(
        select(breakages.c.id, breakages.c.signature).where(
            breakages.c.id.in_(touched), breakages.c.evidence == ""
        )
    ).all()
    for row in rows:
        if text := said.get(row.signature, ""):
            connection.execute(
                update(breakages)
                .where(breakages.c.id == row.id)
                .values(evidence=text[-MAX_EVIDENCE:])
            )
