"""What chance explains, by simulated tests whose rates are known."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pybots.core import flaky
from pybots.core.flaky import Past


@dataclass
class Told:
    """What a simulated year of one test came to."""

    failures: int = 0
    accused: list[int] = field(default_factory=list)
    risen: list[int] = field(default_factory=list)


def live(rate: Callable[[int], float], runs: int, seed: int, *, retries: int = 3) -> Told:
    """A test through so many runs, judged as the farm judges it."""
    chance, told = random.Random(seed), Told()
    events: list[int] = []
    again: set[int] = set()
    for now in range(1, runs + 1):
        fails = [chance.random() < rate(now) for _ in range(retries + 1)]
        if not fails[0]:
            continue
        told.failures += 1
        past = Past(now=now, events=tuple(events), again=frozenset(again))
        if all(fails) and not flaky.excused(past, retries):
            told.accused.append(now)
            continue
        events.append(now)
        again.update([now] if all(fails) else [])
        if flaky.risen(past):
            told.risen.append(now)
    return told


RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3)


@pytest.mark.deep
def test_flaky_tests_are_hardly_ever_accused() -> None:
    """At most once in a thousand of their failures, news of risen rates included (the issue's number)."""
    all_told = [
        live(lambda _, rate=rate: rate, 250, seed)  # type: ignore[misc]
        for rate in RATES
        for seed in range(60)
    ]
    failures = sum(told.failures for told in all_told)
    mailed = sum(bool(told.accused) + bool(told.risen) for told in all_told)
    assert failures > 8000
    assert mailed <= failures / 1000


@pytest.mark.parametrize(("rate", "within"), [(0.0, 1), (0.005, 2), (0.02, 3), (0.1, 4), (0.3, 6)])
def test_a_flaky_test_that_breaks_is_accused_soon(rate: float, within: int) -> None:
    for seed in range(40):
        told = live(lambda now: rate if now <= 150 else 1.0, 150 + within, seed)
        assert [n for n in told.accused if n > 150], f"seed {seed}"


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.4), (0.01, 0.4), (0.05, 0.7)])
def test_a_rate_that_rises_is_seen(before: float, after: float) -> None:
    seen = [live(lambda now: before if now <= 150 else after, 190, seed) for seed in range(40)]
    # Seen either as a rise or, so often failing three times in a row, as broken.
    assert sum(bool(told.risen or told.accused) for told in seen) >= 38


def test_a_first_event_proves_no_rate() -> None:
    assert flaky.learned(Past(now=50)) is None
    assert not flaky.excused(Past(now=50), 1)
    assert flaky.risen(Past(now=50)) is None


def test_what_the_projects_other_lanes_know_excuses_a_first_event() -> None:
    """As far as chance goes: a test that seldom comes and goes there is not excused here, and never twice in a row."""
    assert flaky.excused(Past(now=50, elsewhere=(20, 100)), 3)
    assert not flaky.excused(Past(now=50, elsewhere=(1, 100)), 3)
    twice = Past(now=50, events=(49,), again=frozenset({49}), elsewhere=(20, 100))
    assert not flaky.excused(twice, 3)
    calm = Past(now=200, events=(150,), elsewhere=(20, 100))
    assert not flaky.excused(calm, 3), "its own past speaks"


def test_a_rate_that_has_risen_lately_excuses_too() -> None:
    seldom = (10, 60, 110, 160)
    assert not flaky.excused(Past(now=201, events=seldom), 3)
    assert flaky.excused(Past(now=201, events=(*seldom, 175, 185, 195)), 3)


def test_a_young_lane_accuses_soon_as_well() -> None:
    """What is in question does not count as a proof that it is chance."""
    assert flaky.excused(Past(now=6, events=(2,)), 3)
    again = Past(now=9, events=(2, 6, 7, 8), again=frozenset({6, 7, 8}))
    assert not flaky.excused(again, 3)


def test_a_rate_is_forgotten_when_the_test_stays_quiet() -> None:
    often = Past(now=51, events=tuple(range(1, 51, 2)))
    assert flaky.learned(often)
    assert flaky.learned(Past(now=151, events=often.events)) is None
    seldom = Past(now=151, events=(40,))
    assert flaky.learned(seldom), "what is seldom flaky may well be quiet for a hundred runs"
    assert flaky.learned(Past(now=40 + flaky.WINDOW + 1, events=(40,))) is None


def test_a_streak_ends_with_a_retry_that_passed() -> None:
    assert Past(now=10, events=(7, 8, 9), again=frozenset({7, 8, 9})).streak == 3
    assert Past(now=10, events=(7, 8, 9), again=frozenset({7, 8})).streak == 0


def test_calm_needs_quiet_runs() -> None:
    assert not flaky.calm(Past(now=31, events=(1,)))
    assert flaky.calm(Past(now=32, events=(1,)))
    assert flaky.calm(Past(now=2))
