"""From events to outcomes: whatever the suite did to itself, every test that was to run has one."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.worker import kit_builders as make

from pybots_worker import contract
from pybots_worker.contract import TestOutcome as Outcome
from pybots_worker.runners import results as module
from pybots_worker.runners.results import Results, interrupted, read_events, with_retries

START_A, END_A = {"e": "start", "id": "a"}, {"e": "end", "id": "a", "outcome": "passed"}
SEGFAULT = make.make_ending(ended="signal", signal=11, exit_code=None, detail="killed by SIGSEGV")


def told(data: bytes, **ending: object) -> dict[str, str]:
    results = read_events(data, make.make_ending(**ending))
    return {name: test.outcome for name, test in results.tests.items()}


def test_a_test_that_began_and_ended_has_its_outcome() -> None:
    end = {**END_A, "outcome": "failed", "seconds": 0.5, "type": "E", "message": "m", "detail": "d"}
    test = read_events(make.events(START_A, end), make.make_ending()).tests["a"]
    assert (test.outcome, test.seconds) == ("failed", 0.5)
    assert test.failure and (test.failure.type, test.failure.detail) == ("E", "d")


def test_the_test_that_ran_when_everything_ended_crashed_and_the_rest_was_not_run() -> None:
    data = make.events(
        {"e": "collected", "ids": ["a", "b", "c"]}, START_A, END_A, {"e": "start", "id": "b"}
    )
    results = read_events(data, SEGFAULT)
    assert {k: v.outcome for k, v in results.tests.items()} == {
        "a": "passed",
        "b": "crashed",
        "c": "not_run",
    }
    failure = results.tests["b"].failure
    assert failure and failure.type == "Signal" and "SIGSEGV" in failure.message


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [
        ("wall_timeout", "timed_out"),
        ("cpu_timeout", "timed_out"),
        ("memory", "crashed"),
        ("signal", "crashed"),
        ("exit", "crashed"),
        ("log", "crashed"),
        ("cancelled", "not_run"),
    ],
)
def test_how_the_run_ended_says_what_became_of_the_running_test(ended: str, outcome: str) -> None:
    assert interrupted(make.make_ending(ended=ended)) == outcome


def test_two_tests_of_one_name_are_two_tests() -> None:
    assert told(make.events(START_A, END_A, START_A, {**END_A, "outcome": "failed"})) == {
        "a": "passed",
        "a#2": "failed",
    }


def test_the_same_name_in_two_processes_at_once_is_two_tests() -> None:
    data = make.events(
        START_A, {**START_A, "pid": 2}, {**END_A, "pid": 2, "outcome": "failed"}, END_A
    )
    assert told(data) == {"a": "passed", "a#2": "failed"}


def test_a_worker_of_xdists_that_crashed_is_told_of_by_its_controller() -> None:
    data = make.events(
        {"e": "collected", "ids": ["a", "b"], "pid": 2},
        {"e": "collected", "ids": ["a", "b"], "pid": 3},
        {"e": "start", "id": "a", "pid": 2},
        {"e": "start", "id": "b", "pid": 3},
        {"e": "end", "id": "a", "outcome": "crashed", "pid": 1},
        {"e": "end", "id": "b", "outcome": "passed", "pid": 3},
    )
    assert told(data) == {"a": "crashed", "b": "passed"}


def test_a_module_that_every_worker_tells_of_counts_once() -> None:
    one = {"e": "end", "id": "m.py", "outcome": "error", "once": True}
    assert told(make.events(one, {**one, "pid": 2})) == {"m.py": "error"}


@pytest.mark.parametrize(
    "line",
    [
        b"rubbish",
        b"{}",
        b"[]",
        b'{"e": "end", "id": "x", "outcome": "great"}',
        b'{"e": "end", "id": 5}',
        b'{"e": "end", "id": "x", "seconds": "long"}',
        b'{"e": "start", "id": "\\ud800"}',
        b"\xff\xfe",
        b'{"e": "end", "id": "half',
        b'{"e":"end","id":"' + b"x" * (5 << 20) + b'"}',
    ],
    ids=str,
)
def test_a_line_that_is_no_event_is_counted_and_left_out(line: bytes) -> None:
    results = read_events(make.events(START_A, END_A) + line + b"\n", make.make_ending())
    assert list(results.tests) == ["a"] and results.refused == 1


@pytest.mark.parametrize("seconds", [-5.0, 1e300])
def test_a_duration_is_bounded(seconds: float) -> None:
    data = make.events(START_A, {**END_A, "seconds": seconds})
    assert 0 <= read_events(data, make.make_ending()).tests["a"].seconds <= 1e7


def test_words_are_bounded_and_can_be_encoded() -> None:
    end = {
        **END_A,
        "outcome": "failed",
        "type": "T" * 9000,
        "message": "m\0" * 30_000,
        "reason": "r" * 9000,
    }
    test = read_events(make.events(START_A, end), make.make_ending()).tests["a"]
    report = make.make_report(tests=(test,))
    assert contract.decode_report(contract.encode(report)).tests == (test,)


def test_what_may_be_retried_are_failures_that_happened() -> None:
    kinds: tuple[Any, ...] = (
        "passed",
        "failed",
        "error",
        "crashed",
        "timed_out",
        "not_run",
        "xpassed",
        "skipped",
    )
    results = Results(tests={kind: Outcome(id=kind, outcome=kind) for kind in kinds})
    assert results.to_retry == ("failed", "error", "crashed", "timed_out")


def test_each_retry_adds_what_it_said() -> None:
    first = {name: Outcome(id=name, outcome="failed") for name in ("a", "b", "c")}
    again = Results(
        tests={"a": Outcome(id="a", outcome="passed"), "b": Outcome(id="b", outcome="failed")}
    )
    third = Results(tests={"b": Outcome(id="b", outcome="passed")})
    merged = with_retries(first, [(("a", "b", "c"), again), (("b",), third)])
    assert [test.retried for test in merged] == [("passed",), ("failed", "passed"), ("not_run",)]


def test_a_retry_finds_the_numbered_ones_again() -> None:
    data = make.events(START_A, {**END_A, "outcome": "failed"})
    assert list(read_events(data, make.make_ending(), ["a#2"]).tests) == ["a#2"]


def test_a_file_of_nothing_but_lines_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_LINES", 10)
    results = read_events(make.events(START_A, END_A) + b"\n" * 1000, make.make_ending())
    assert list(results.tests) == ["a"] and results.refused == 9
