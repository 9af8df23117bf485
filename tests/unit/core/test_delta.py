"""Delta: the package that changed it among many, alone or together with others, with few trials."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybots.core.bisect import NoChange
from pybots.core.delta import (
    Delta,
    Names,
    Packages,
    Searching,
    SomeOf,
    conclusion,
    from_json,
    next_trials,
    observe,
    start,
    to_json,
)
from pybots.core.trail import Noise

SURE = Noise(bad_runs=10, bad_failed=10, good_runs=10, witnesses=10)


def search(delta: Delta, outcome: Callable[[Names], str], workers: int = 1) -> tuple[object, Delta]:
    while isinstance(found := conclusion(delta), Searching):
        trials = next_trials(delta, idle_workers=workers)
        assert 0 < len(trials) <= workers
        for trial in trials:
            assert trial.new <= set(delta.packages)
            delta = observe(delta, trial.new, outcome(trial.new))  # type: ignore[arg-type]
        assert len(delta.tried) < 300
    assert next_trials(delta) == []
    return found, delta


@pytest.mark.deep
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 3), st.integers(1, 3), st.data())
def test_the_packages_are_found(
    count: int, together: int, workers: int, data: st.DataObject
) -> None:
    """One package, or two or three that must be new together: exactly these, in about log2(n) trials each."""
    names = [f"p{number}" for number in range(count)]
    cause = data.draw(st.sets(st.sampled_from(names), min_size=1, max_size=together))
    found, delta = search(
        start(names, noise=SURE), lambda new: "bad" if cause <= new else "good", workers
    )
    assert isinstance(found, Packages) and set(found.names) == cause
    assert found.confidence > 0.9
    if workers == 1:
        assert len(delta.tried) <= len(cause) * (ceil(log2(count)) + 1)


def test_a_mix_that_can_t_be_installed_is_not_judged() -> None:
    """`b` and `c` conflict unless they are both new: the row goes round it."""
    found, _ = search(
        start(list("abcdef"), noise=SURE),
        lambda new: "skip" if ("b" in new) != ("c" in new) else "bad" if "e" in new else "good",
    )
    assert isinstance(found, Packages) and found.names == ("e",)


def test_packages_that_only_install_together_stay_together() -> None:
    found, _ = search(
        start(list("abcd"), noise=SURE),
        lambda new: "skip" if ("b" in new) != ("c" in new) else "bad" if "c" in new else "good",
    )
    assert isinstance(found, SomeOf) and found.among == ("b", "c")
    assert "can't be tested" in found.reason


def test_needed_packages_that_can_t_be_installed_alone_say_so() -> None:
    found, _ = search(
        start(list("abcd"), noise=SURE),
        lambda new: "skip" if new == {"d"} else "bad" if "d" in new else "good",
    )
    assert isinstance(found, SomeOf) and found.names == ("d",)
    assert found.among == ("a", "b", "c") and "alone" in found.reason


def test_a_bad_lock_that_does_not_fail_ends_it() -> None:
    delta = start(["a", "b"])
    delta = observe(delta, ["a", "b"], "good", times=30)
    assert isinstance(conclusion(delta), NoChange)


def test_a_trial_under_way_is_not_asked_for_again() -> None:
    delta = start(list("abcdefgh"), noise=SURE)
    (first,) = next_trials(delta)
    (second,) = next_trials(delta, running=[first.new])
    assert first.new != second.new


def test_foreign_packages_are_refused() -> None:
    with pytest.raises(ValueError, match="each of them once"):
        start(["a", "a"])
    with pytest.raises(KeyError, match="z"):
        observe(start(["a"]), ["z"], "bad")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sets(st.sampled_from("abcd")), st.sampled_from(["good", "bad", "skip"])))
)
def test_a_delta_survives_json(rows: list[tuple[set[str], str]]) -> None:
    delta = start(list("abcd"), noise=SURE)
    for new, word in rows:
        delta = observe(delta, new, word, note="n")  # type: ignore[arg-type]
    again = from_json(json.loads(json.dumps(to_json(delta))))
    assert again == delta and next_trials(again) == next_trials(delta)
