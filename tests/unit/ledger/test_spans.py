"""Spans: outcomes over time, and the questions they answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, insert, update

from pybots.ledger import schema, spans
from pybots.ledger.engine import Ledger, open_ledger
from pybots.ledger.spans import Change, Place, State

LANE = 1
GOOD: State = ("passed", None)
BAD: State = ("failed", "a" * 64)
WORSE: State = ("failed", "b" * 64)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = open_ledger(tmp_path / "ledger.sqlite")
    with made.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA synchronous=OFF")
    schema.metadata.create_all(made.engine)
    event.listen(made.engine, "connect", lambda raw, _: raw.execute("PRAGMA foreign_keys=OFF"))
    made.engine.dispose()
    yield made
    made.close()


def place(run: int, position: int | None = None) -> Place:
    return Place(lane=LANE, run=run, position=run if position is None else position)


def write(ledger: Ledger, at: Place, **changes: State | None) -> int:
    with ledger.write() as connection:
        return spans.write(connection, at, changes)


def test_a_state_lasts_until_it_changes(ledger: Ledger) -> None:
    write(ledger, place(1), a=GOOD, b=GOOD)
    assert write(ledger, place(5), b=BAD) == 2
    with ledger.read() as connection:
        assert spans.open_states(connection, LANE) == {"a": GOOD, "b": BAD}
        assert spans.states_at(connection, LANE, 4) == {"a": GOOD, "b": GOOD}
        assert spans.states_at(connection, LANE, 0) == {}


def test_no_change_writes_nothing(ledger: Ledger) -> None:
    assert write(ledger, place(1)) == 0


def test_what_changed_between_two_runs(ledger: Ledger) -> None:
    write(ledger, place(1), a=GOOD, b=GOOD, c=GOOD)
    write(ledger, place(2), a=BAD, d=GOOD)
    write(ledger, place(3), a=GOOD, b=BAD)
    write(ledger, place(4), c=None)
    with ledger.read() as connection:
        assert spans.changed_between(connection, place(1), place(4)) == [
            Change(test="b", before=GOOD, after=BAD),
            Change(test="c", before=GOOD, after=None),
            Change(test="d", before=None, after=GOOD),
        ]
        assert spans.changed_between(connection, place(4), place(4)) == []


def test_two_runs_of_one_commit_are_told_apart(ledger: Ledger) -> None:
    """A project's new revision runs on the same commit."""
    write(ledger, place(1, 7), a=GOOD)
    write(ledger, place(2, 7), a=BAD)
    with ledger.read() as connection:
        assert spans.changed_between(connection, place(1, 7), place(2, 7)) == [
            Change(test="a", before=GOOD, after=BAD)
        ]


def test_failing_since_is_the_first_run_of_the_red_period(ledger: Ledger) -> None:
    """Another signature in the middle doesn't end the period; a good run does."""
    for run, state in enumerate([BAD, GOOD, BAD, WORSE]):
        write(ledger, place(run), a=state, b=GOOD)
    with ledger.read() as connection:
        assert spans.failing_since(connection, LANE, "a") == place(2)
        assert spans.failing_since(connection, LANE, "b") is None
        assert spans.failing_since(connection, LANE, "unknown") is None


def test_signatures_of_a_red_period(ledger: Ledger) -> None:
    for run, state in enumerate([("failed", "c" * 64), GOOD, BAD, WORSE]):
        write(ledger, place(run), a=state)
    with ledger.read() as connection:
        seen = spans.signatures_since_good(connection, LANE, ["a"])
    assert seen == {"a": frozenset({"a" * 64, "b" * 64})}


def test_how_flaky_a_test_is(ledger: Ledger) -> None:
    with ledger.write() as connection:
        add_lane(connection, counted=4)
        for number in (1, 3):
            spans.note_flakes(connection, place(number), {"a": "failed"}, at=0.0, nth=number)
        spans.note_flakes(connection, place(2), {"b": "failed"}, at=0.0, nth=2, again=["b"])
    with ledger.read() as connection:
        a, b = spans.flakiness(connection, LANE)
        assert (a.test, a.events, a.runs, a.quiet, a.rate) == ("a", 2, 4, 1, 0.5)
        assert (b.test, b.events, b.runs) == ("b", 1, 4)


def test_a_flaky_test_that_stays_quiet_is_forgotten(ledger: Ledger) -> None:
    with ledger.write() as connection:
        add_lane(connection, counted=4)
        spans.note_flakes(connection, place(1), {"a": "failed"}, at=0.0, nth=4)
        assert [one.test for one in spans.flakiness(connection, LANE)] == ["a"]
        connection.execute(update(schema.lanes).values(counted=5000))
        assert spans.flakiness(connection, LANE) == []
        assert spans.pasts(connection, LANE, ["a", "never"], 5001)["a"].events == ()


def test_the_past_of_a_test_is_what_was_before(ledger: Ledger) -> None:
    with ledger.write() as connection:
        for number in (2, 5, 6):
            spans.note_flakes(
                connection,
                place(number),
                {"a": "failed"},
                at=0.0,
                nth=number,
                again=["a"] * (number > 4),
            )
        past = spans.pasts(connection, LANE, ["a"], 6)["a"]
        assert (past.events, past.streak) == ((2, 5), 1)


def add_lane(connection: Connection, counted: int) -> None:
    connection.execute(
        insert(schema.lanes).values(
            id=LANE, slug="a", project="a", source="s", branch="main", flavour="release",
            platform="p", state="active", reason="", counted=counted,
        )
    )  # fmt: skip


def test_ever(ledger: Ledger) -> None:
    write(ledger, place(1), a=GOOD)
    write(ledger, place(2), a=BAD)
    with ledger.read() as connection:
        assert spans.ever(connection, LANE, "a", ["passed"])
        assert not spans.ever(connection, LANE, "a", ["crashed"])
        assert not spans.ever(connection, LANE, "b", ["passed"])


history = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from([GOOD, BAD, WORSE, None])),
    min_size=1,
    max_size=6,
)


@pytest.mark.deep
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history)
def test_spans_give_back_every_state_that_was_written(
    ledger: Ledger, runs: list[dict[str, State | None]]
) -> None:
    """Whatever happens in whatever order: the states after each run are what they were."""
    with ledger.write() as connection:
        connection.execute(schema.spans.delete())
        known: dict[str, State] = {}
        remembered = []
        for number, after in enumerate(runs, 1):
            changes = {name: state for name, state in after.items() if known.get(name) != state}
            spans.write(connection, place(number), changes)
            known = {n: s for n, s in (known | after).items() if s}
            remembered.append(dict(known))
        assert spans.open_states(connection, LANE) == known
        for number, states in enumerate(remembered, 1):
            assert spans.states_at(connection, LANE, number) == states
        changed = spans.changed_between(connection, place(1), place(len(runs)))
        names = {n for n in "abcd" if remembered[0].get(n) != known.get(n)}
        assert {change.test for change in changed} == names
