"""Outcomes over time: one row per (lane, test) and change. Written by routine runs at the lane's head only.

A span says: from this run on (inclusive) until that run (exclusive; NULL: still) the test's outcome was this one. Bad
outcomes carry a signature, good ones don't. A run that finds what the head found writes nothing here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, insert, not_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pybots.core import flaky
from pybots.core.outcomes import FLAKY, RAN
from pybots.ledger import schema

spans, tests, flakes, lanes = schema.spans, schema.tests, schema.flakes, schema.lanes

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
    """In how many of its lane's last runs a test failed by chance. `quiet`: runs since it did."""

    test: str
    events: int
    runs: int
    quiet: int = 0

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


def count_bad(connection: Connection, lane: int) -> int:
    """How many ids are bad in the lane's last known state."""
    found = select(func.count()).where(
        spans.c.lane_id == lane, spans.c.until_run.is_(None), spans.c.signature.is_not(None)
    )
    return int(connection.scalar(found) or 0)


def bad_signatures(connection: Connection, lane: int) -> frozenset[str]:
    """The signatures of all that is bad in the lane's last known state."""
    found = connection.scalars(
        select(spans.c.signature).where(
            spans.c.lane_id == lane, spans.c.until_run.is_(None), spans.c.signature.is_not(None)
        )
    )
    return frozenset(found)


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


def never_good(connection: Connection, lane: int, names: Collection[str]) -> frozenset[str]:
    """Those of the names that have never run well in the lane."""
    good: set[str] = set()
    for chunk in chunks(list(names)):
        good |= set(
            connection.scalars(
                select(tests.c.name)
                .join(spans, spans.c.test_id == tests.c.id)
                .where(
                    spans.c.lane_id == lane,
                    tests.c.name.in_(chunk),
                    spans.c.signature.is_(None),
                    spans.c.outcome.in_(RAN),
                )
            )
        )
    return frozenset(names) - good


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


def forgive(connection: Connection, place: Place, names: Sequence[str]) -> None:
    """What these tests have shown since this run, the lane's last, was chance: no evidence either way."""
    ids = test_ids(connection, names)
    for chunk in chunks(list(ids.values())):
        connection.execute(
            update(spans)
            .where(
                spans.c.lane_id == place.lane,
                spans.c.from_run == place.run,
                spans.c.until_run.is_(None),
                spans.c.test_id.in_(chunk),
            )
            .values(outcome=FLAKY, signature=None)
        )


def note_flakes(
    connection: Connection,
    place: Place,
    events: Mapping[str, str],
    at: float,
    *,
    nth: int,
    again: Collection[str] = (),
) -> None:
    """Keep that these tests failed (with the outcome given) by chance, in the lane's run number `nth`.

    `again`: those whose retries failed as well, and whose learned rate explains it."""
    if not events:
        return
    ids = test_ids(connection, list(events))
    connection.execute(
        insert(flakes),
        [
            {
                "lane_id": place.lane,
                "test_id": ids[name],
                "run_id": place.run,
                "outcome": outcome,
                "at": at,
                "nth": nth,
                "again": name in again,
            }
            for name, outcome in events.items()
        ],
    )


def pasts(
    connection: Connection, lane: int, names: Collection[str], now: int
) -> dict[str, flaky.Past]:
    """The flaky events of these tests before the lane's run number `now`; every name has a past, if an empty one."""
    events: dict[str, list[tuple[int, bool]]] = {name: [] for name in names}
    for chunk in chunks(list(names)):
        rows = connection.execute(
            select(tests.c.name, flakes.c.nth, flakes.c.again)
            .join(tests, tests.c.id == flakes.c.test_id)
            .where(
                flakes.c.lane_id == lane,
                tests.c.name.in_(chunk),
                flakes.c.nth > now - 1 - flaky.WINDOW,
                flakes.c.nth < now,
            )
            .order_by(flakes.c.nth)
        )
        for name, nth, again in rows:
            events[name].append((nth, again))
    return {
        name: flaky.Past(
            now=now,
            events=tuple(nth for nth, _ in found),
            again=frozenset(nth for nth, again in found if again),
        )
        for name, found in events.items()
    }


def flaky_elsewhere(
    connection: Connection, lane: int, names: Collection[str]
) -> dict[str, tuple[int, int]]:
    """Of these tests: their flaky events in the project's other lanes, and how many runs that is; without any, nothing."""
    mine = select(lanes.c.project).where(lanes.c.id == lane).scalar_subquery()
    others = connection.execute(
        select(lanes.c.id, lanes.c.counted).where(lanes.c.project == mine, lanes.c.id != lane)
    ).all()
    runs = sum(min(row.counted, flaky.WINDOW) for row in others)
    found: dict[str, tuple[int, int]] = {}
    for chunk in chunks(list(names)):
        rows = connection.execute(
            select(tests.c.name, func.count())
            .select_from(flakes)
            .join(tests, tests.c.id == flakes.c.test_id)
            .join(lanes, lanes.c.id == flakes.c.lane_id)
            .where(
                flakes.c.lane_id.in_([row.id for row in others]),
                tests.c.name.in_(chunk),
                flakes.c.nth > lanes.c.counted - flaky.WINDOW,
            )
            .group_by(tests.c.name)
        )
        found |= {name: (count, max(runs, count)) for name, count in rows}
    return found


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


def flaked_in(connection: Connection, lane: int, nth: int) -> int | None:
    """The run that was the lane's run number `nth` and had a flaky event."""
    found: int | None = connection.scalar(
        select(flakes.c.run_id).where(flakes.c.lane_id == lane, flakes.c.nth == nth).limit(1)
    )
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


@dataclass(frozen=True, kw_only=True)
class Failing:
    """A test that fails now, and the first run of its red period."""

    test: str
    since: Place


def failing_now(connection: Connection, lane: int, *, limit: int) -> list[Failing]:
    """The first `limit` tests by name that fail in the lane's last known state, and since when."""
    found = bad_now(connection, lane)[:limit]
    since = ((name, failing_since(connection, lane, name)) for name in found)
    return [Failing(test=name, since=place) for name, place in since if place]


def flakiness(connection: Connection, lane: int, *, limit: int = 100) -> list[Flakiness]:
    """The tests that are known to be flaky in the lane now, the flakiest first."""
    counted = connection.scalar(select(lanes.c.counted).where(lanes.c.id == lane)) or 0
    runs = min(counted, flaky.WINDOW)
    events = (
        select(
            flakes.c.test_id,
            func.count().label("events"),
            (counted - func.max(flakes.c.nth)).label("quiet"),
        )
        .where(flakes.c.lane_id == lane, flakes.c.nth > counted - runs)
        .group_by(flakes.c.test_id)
        .subquery()
    )
    rows = connection.execute(
        select(tests.c.name, events.c.events, events.c.quiet)
        .join(events, events.c.test_id == tests.c.id)
        .order_by(events.c.events.desc(), tests.c.name)
        .limit(limit)
    )
    return [
        Flakiness(test=row.name, events=row.events, runs=runs, quiet=row.quiet)
        for row in rows
        if flaky.rate(row.events, runs, row.quiet)
    ]


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
