"""Outcomes over time: one row per (lane, test) and change. Written by routine runs at the lane's head only.

A span says: from this run on (inclusive) until that run (exclusive; NULL: still) the test's outcome was this one. Bad
outcomes carry a signature, good ones don't. A run that finds what the head found writes nothing here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, insert, not_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pybots.ledger import schema

spans, tests, flakes, runs = schema.spans, schema.tests, schema.flakes, schema.runs

State = tuple[str, str | None]
"""(outcome, signature); bad exactly when there is a signature. The same shape as core.outcomes.State."""

_LAST = 2**62

CHUNK = 500
"""Values in one IN (…): far below every database's limit of parameters."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where in a lane's history: a run and its commit's position."""

    lane: int
    run: int
    position: int


@dataclass(frozen=True, kw_only=True)
class Change:
    """A test whose outcome differs between two places. None: it was not known there."""

    test: str
    before: State | None
    after: State | None


@dataclass(frozen=True, kw_only=True)
class Flakiness:
    """How often a test failed and passed when retried, against all runs of its lane in the same time."""

    test: str
    events: int
    runs: int

    @property
    def rate(self) -> float:
        return self.events / self.runs if self.runs else 0.0


def open_states(connection: Connection, lane: int) -> dict[str, State]:
    """The last known state of every test of the lane."""
    rows = connection.execute(
        select(tests.c.name, spans.c.outcome, spans.c.signature)
        .join(tests, tests.c.id == spans.c.test_id)
        .where(spans.c.lane_id == lane, spans.c.until_run.is_(None))
    )
    return {name: (outcome, sig) for name, outcome, sig in rows}


def bad_now(connection: Connection, lane: int) -> list[str]:
    """The ids that are bad in the lane's last known state, the farm's own (`<install>` …) included, by name."""
    return list(
        connection.scalars(
            select(tests.c.name)
            .join(spans, spans.c.test_id == tests.c.id)
            .where(
                spans.c.lane_id == lane, spans.c.until_run.is_(None), spans.c.signature.is_not(None)
            )
            .order_by(tests.c.name)
        )
    )


def states_at(connection: Connection, lane: int, position: int) -> dict[str, State]:
    """The states after the lane's newest run at or before the commit `position`."""
    at = Place(lane=lane, run=_LAST, position=position)
    return _states(connection, lane, _begun(at), _lasting(at))


def _states(connection: Connection, lane: int, *where: ColumnElement[bool]) -> dict[str, State]:
    rows = connection.execute(
        select(tests.c.name, spans.c.outcome, spans.c.signature)
        .join(tests, tests.c.id == spans.c.test_id)
        .where(spans.c.lane_id == lane, *where)
    )
    return {name: (outcome, sig) for name, outcome, sig in rows}


def _begun(at: Place) -> ColumnElement[bool]:
    """Spans that began with this run or before. Runs of one commit follow each other in the order of their ids."""
    return or_(
        spans.c.from_position < at.position,
        and_(spans.c.from_position == at.position, spans.c.from_run <= at.run),
    )


def _lasting(at: Place) -> ColumnElement[bool]:
    """Spans that this run or an earlier one did not end."""
    return or_(
        spans.c.until_run.is_(None),
        spans.c.until_position > at.position,
        and_(spans.c.until_position == at.position, spans.c.until_run > at.run),
    )


def ever(connection: Connection, lane: int, test: str, outcomes: Collection[str]) -> bool:
    """Whether the test has ever had one of these outcomes in the lane."""
    found = connection.execute(
        select(spans.c.id)
        .join(tests, tests.c.id == spans.c.test_id)
        .where(spans.c.lane_id == lane, tests.c.name == test, spans.c.outcome.in_(outcomes))
        .limit(1)
    ).first()
    return found is not None


def signatures_since_good(
    connection: Connection, lane: int, names: Collection[str]
) -> dict[str, frozenset[str]]:
    """For tests that are bad now: the signatures they have shown since they were good last."""
    seen: dict[str, frozenset[str]] = {}
    for chunk in chunks(list(names)):
        rows = connection.execute(
            select(tests.c.name, spans.c.signature)
            .join(tests, tests.c.id == spans.c.test_id)
            .where(spans.c.lane_id == lane, tests.c.name.in_(chunk))
            .order_by(spans.c.id)
        )
        for name, sig in rows:
            seen[name] = seen.get(name, frozenset()) | {sig} if sig else frozenset()
    return seen


def write(connection: Connection, place: Place, changes: Mapping[str, State | None]) -> int:
    """End the open spans of the changed tests and begin new ones (None: the test is gone). Returns rows written."""
    if not changes:
        return 0
    ids = test_ids(connection, list(changes))
    written = 0
    for chunk in chunks(list(ids.values())):
        written += connection.execute(
            update(spans)
            .where(
                spans.c.lane_id == place.lane,
                spans.c.until_run.is_(None),
                spans.c.test_id.in_(chunk),
            )
            .values(until_run=place.run, until_position=place.position)
        ).rowcount
    new = [
        {
            "lane_id": place.lane,
            "test_id": ids[name],
            "outcome": state[0],
            "signature": state[1],
            "from_run": place.run,
            "from_position": place.position,
        }
        for name, state in changes.items()
        if state
    ]
    if new:
        connection.execute(insert(spans), new)
    return written + len(new)


def note_flakes(connection: Connection, place: Place, events: Mapping[str, str], at: float) -> None:
    """Keep that these tests failed (with the outcome given) and passed when retried."""
    if not events:
        return
    ids = test_ids(connection, list(events))
    connection.execute(
        insert(flakes),
        [
            {"lane_id": place.lane, "test_id": ids[n], "run_id": place.run, "outcome": o, "at": at}
            for n, o in events.items()
        ],
    )


def test_ids(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """The ids of tests by name; unknown ones are added."""
    found = _known(connection, names)
    missing = [name for name in names if name not in found]
    if missing:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(tests).on_conflict_do_nothing(index_elements=["name"])
        connection.execute(statement, [{"name": name} for name in missing])
        found |= _known(connection, missing)
    return found


def _known(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for chunk in chunks(names):
        rows = connection.execute(select(tests.c.name, tests.c.id).where(tests.c.name.in_(chunk)))
        found |= dict(rows.all())
    return found


def changed_between(connection: Connection, before: Place, after: Place) -> list[Change]:
    """What changed between two runs of one lane (the older first), by the test's name.

    Reads only the spans that ended or began in between: whatever else there is has not changed."""
    between = (before.position, after.position)
    first = _states(
        connection,
        before.lane,
        spans.c.until_position.between(*between),
        _begun(before),
        _lasting(before),
        not_(_lasting(after)),
    )
    second = _states(
        connection,
        after.lane,
        spans.c.from_position.between(*between),
        _begun(after),
        _lasting(after),
        not_(_begun(before)),
    )
    return [
        Change(test=name, before=first.get(name), after=second.get(name))
        for name in sorted(first.keys() | second.keys())
        if first.get(name) != second.get(name)
    ]


def failing_since(connection: Connection, lane: int, test: str) -> Place | None:
    """The first run of the red period the test is in now; None when it is not failing."""
    first: Place | None = None
    rows = connection.execute(
        select(spans.c.signature, spans.c.from_run, spans.c.from_position, spans.c.until_run)
        .join(tests, tests.c.id == spans.c.test_id)
        .where(spans.c.lane_id == lane, tests.c.name == test)
        .order_by(spans.c.id.desc())
    ).all()
    if not rows or rows[0].until_run is not None:
        return None
    for row in rows:
        if row.signature is None:
            break
        first = Place(lane=lane, run=row.from_run, position=row.from_position)
    return first


def flakiness(connection: Connection, lane: int, since: float) -> list[Flakiness]:
    """The flaky tests of the lane since a time, the flakiest first."""
    total = connection.scalar(
        select(func.count())
        .select_from(runs)
        .where(runs.c.lane_id == lane, runs.c.finished >= since, runs.c.purpose == "routine")
    )
    rows = connection.execute(
        select(tests.c.name, func.count().label("events"))
        .join(flakes, flakes.c.test_id == tests.c.id)
        .where(flakes.c.lane_id == lane, flakes.c.at >= since)
        .group_by(tests.c.name)
        .order_by(func.count().desc(), tests.c.name)
    )
    return [Flakiness(test=name, events=events, runs=total or 0) for name, events in rows]


def chunks(values: Sequence[str] | Sequence[int]) -> Iterator[Sequence[str] | Sequence[int]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


@dataclass(frozen=True, kw_only=True)
class Latest:
    """The open span of a test."""

    outcome: str
    signature: str | None
    from_run: int
    from_position: int


def latest(connection: Connection, lane: int, test: str) -> Latest | None:
    """The last known state of one test, and since when; None when the lane doesn't know it."""
    row = connection.execute(
        select(spans.c.outcome, spans.c.signature, spans.c.from_run, spans.c.from_position)
        .join(tests, tests.c.id == spans.c.test_id)
        .where(spans.c.lane_id == lane, tests.c.name == test, spans.c.until_run.is_(None))
    ).first()
    return Latest(**row._mapping) if row else None
