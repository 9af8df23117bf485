"""The prepared cells of the pages: what a run, or what became of it, looks like at its commits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from pybots.ledger import schema

cells, runs = schema.cells, schema.runs

SHARED: Final[Mapping[str, str]] = {"new_failure": "still_failing", "fixed": "passed"}
"""A commit that costs no build shows the run before it. What was news there is none here."""


# Made once: every run that is recorded shows itself, and making a statement takes longer than its execution.
_OWN = (
    cells.c.commit_id
    == select(runs.c.commit_id).where(runs.c.id == bindparam("which")).scalar_subquery()
)
_MINE = (
    update(cells)
    .where(cells.c.run_id == bindparam("which"))
    .values(state=bindparam("shown"), count=bindparam("number"))
)
_AT_ITS_OWN, _AT_OTHERS = _MINE.where(_OWN), _MINE.where(~_OWN)


def shared(state: str) -> str:
    """The state of a cell whose commit shares an earlier commit's run."""
    return SHARED.get(state, state)


def look(state: str, count: int, *, own: bool) -> dict[str, str | int]:
    """The changing columns of a cell: what a run came to, at its own commit or at one that shares it."""
    return {"state": state, "count": count} if own else {"state": shared(state), "count": 0}


def show(connection: Connection, run: int, state: str, count: int = 0) -> None:
    """Bring the cells that a run speaks for up to date. `count`: newly failing tests, at the run's own commit."""
    for statement, own in ((_AT_ITS_OWN, True), (_AT_OTHERS, False)):
        shown = look(state, count, own=own)
        values = {"shown": shown["state"], "number": shown["count"]}
        connection.execute(statement, {"which": run, **values})
