"""The history of one test in all lanes of a project: a few indexed reads of its spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, func, select

from pybots.farm.views.common import commits, runs
from pybots.ledger import schema
from pybots_status.pages import State, TestHistory, TestSpan

spans, tests = schema.spans, schema.tests

MAX_SPANS: Final = 120
MAX_ALIKE: Final = 10
_FINE: Final = frozenset({"passed", "xfailed"})
MAX_BAD: Final = 2000
"""Failing tests of the project that are looked through for names like the one asked for."""


def history(connection: Connection, found: Sequence[Any], name: str) -> TestHistory:
    """What the lanes `found` (rows of `lanes`) know of the test `name`."""
    test = connection.scalar(select(tests.c.id).where(tests.c.name == name))
    by_id = {row.id: row for row in found}
    mine = (spans.c.test_id == test, spans.c.lane_id.in_(list(by_id)))
    rows: Sequence[Any] = () if test is None else connection.execute(
        select(spans, runs.c.finished, runs.c.branch)
        .join(runs, runs.c.id == spans.c.from_run)
        .where(*mine)
        .order_by(spans.c.lane_id, spans.c.from_position.desc(), spans.c.id.desc())
        .limit(MAX_SPANS)
    ).all()  # fmt: skip
    if not rows:
        return TestHistory(test=name, known=False, alike=_alike(connection, list(by_id), name))
    total = connection.scalar(select(func.count()).select_from(spans).where(*mine)) or 0
    shas = _shas(connection, rows)
    return TestHistory(
        test=name,
        spans=tuple(_span(row, by_id[row.lane_id], shas) for row in rows),
        left_out=total - len(rows),
    )


def _span(row: Any, lane: Any, shas: Mapping[tuple[str, int], str]) -> TestSpan:
    return TestSpan(
        lane=lane.slug,
        where=f"{lane.source}, {lane.branch} {lane.flavour} on {lane.platform}",
        state=_state(row),
        outcome=row.outcome.replace("_", " "),
        run=row.from_run,
        sha=shas.get((lane.branch, row.from_position), ""),
        when=row.finished,
        until_run=row.until_run or 0,
        until_sha=shas.get((lane.branch, row.until_position or 0), ""),
        signature=(row.signature or "")[:16],
    )


def _state(row: Any) -> State:
    """Bad exactly when it has a signature; a test that is skipped passed nothing."""
    if row.signature is not None:
        return "new_failure" if row.until_run is None else "still_failing"
    return "passed" if row.outcome in _FINE else "none"


def _shas(connection: Connection, rows: Sequence[Any]) -> dict[tuple[str, int], str]:
    """The commits at the spans' ends, by branch and position."""
    branches = sorted({row.branch for row in rows})
    positions = {row.from_position for row in rows} | {
        row.until_position for row in rows if row.until_position is not None
    }
    found = connection.execute(
        select(commits.c.branch, commits.c.position, commits.c.sha).where(
            commits.c.branch.in_(branches), commits.c.position.in_(sorted(positions))
        )
    )
    return {(branch, position): sha for branch, position, sha in found}


def _alike(connection: Connection, ids: Sequence[int], name: str) -> tuple[str, ...]:
    """Tests that fail now in these lanes and have `name` in their names: what somebody half remembers."""
    part = name.casefold().strip()
    if not part:
        return ()
    failing = connection.scalars(
        select(tests.c.name)
        .join(spans, spans.c.test_id == tests.c.id)
        .where(
            spans.c.lane_id.in_(ids), spans.c.until_run.is_(None), spans.c.signature.is_not(None)
        )
        .limit(MAX_BAD)
    )
    return tuple(sorted({one for one in failing if part in one.casefold()})[:MAX_ALIKE])
