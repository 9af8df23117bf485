"""Bisection: exact and short when noiseless, honest when noisy, and never outside its range."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybots.core.bisect import (
    Candidate,
    Conclusion,
    Cost,
    Culprit,
    NoChange,
    Noise,
    Range,
    State,
    Undecided,
    conclusion,
    expected,
    from_json,
    give_up,
    is_final,
    next_probes,
    observe,
    replay,
    start,
    to_json,
)
from pybots.core.trail import Trail

SURE = Noise(bad_runs=10, bad_failed=10, good_runs=10, witnesses=10)
"""A deterministic failure that is known well."""


def make(count: int, noise: Noise = SURE, **more: object) -> State:
    """A range of `count` candidates after the good one, all different."""
    candidates = [Candidate(key=str(number)) for number in range(count + 1)]
    return start(candidates, good=0, bad=count, noise=noise, **more)  # type: ignore[arg-type]


def search(
    state: State,
    outcome: Callable[[int], str],
    workers: int = 1,
    most: int = 400,
    cost: Cost | None = None,
) -> tuple[Conclusion, State]:
    """Rounds of probes until the conclusion is final."""
    while not is_final(found := conclusion(state)):
        probes = next_probes(state, idle_workers=workers, cost=cost)
        assert 0 < len(probes) <= workers
        for probe in probes:
            state = observe(state, probe.index, outcome(probe.index))  # type: ignore[arg-type]
        assert len(state.observations) < most
    assert next_probes(state, idle_workers=workers) == []
    return found, state


def broken_at(culprit: int) -> Callable[[int], str]:
    return lambda index: "bad" if index >= culprit else "good"


def culprit(found: Conclusion) -> Culprit:
    assert isinstance(found, Culprit), found
    return found


@pytest.mark.deep
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3000), st.data())
def test_a_noiseless_search_is_exact_in_the_least_probes(count: int, data: st.DataObject) -> None:
    """ceil(log2 n) probes find it, whatever the culprit; at most a few more make sure of it."""
    truth = data.draw(st.integers(1, count))
    state, stages = make(count), []
    while not is_final(found := conclusion(state)):
        (probe,) = next_probes(state)
        stages.append(probe.stage)
        state = observe(state, probe.index, broken_at(truth)(probe.index))  # type: ignore[arg-type]
    assert (culprit(found).index, culprit(found).parent) == (truth, truth - 1)
    assert stages.count("search") <= ceil(log2(count))
    assert stages.count("confirm") <= 2 and sorted(stages, reverse=True) == stages
    assert not culprit(found).earlier


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 500), st.integers(2, 6), st.data())
def test_several_workers_divide_the_range_evenly(
    count: int, workers: int, data: st.DataObject
) -> None:
    truth = data.draw(st.integers(1, count))
    state, rounds = make(count), 0
    while not is_final(found := conclusion(state)):
        probes = next_probes(state, idle_workers=workers)
        assert len({probe.index for probe in probes}) == len(probes) <= workers
        for probe in probes:
            state = observe(state, probe.index, broken_at(truth)(probe.index))  # type: ignore[arg-type]
        rounds += 1
    assert culprit(found).index == truth
    assert rounds <= ceil(log2(count) / log2(workers + 1)) + 1


def test_a_probe_under_way_is_not_asked_for_again() -> None:
    state = make(100)
    first = next_probes(state)[0].index
    second = next_probes(state, running=[first])[0].index
    third = next_probes(state, running=[first, second])[0].index
    assert len({first, second, third}) == 3
    assert next_probes(state, idle_workers=0) == []


@pytest.mark.deep
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.data())
def test_nothing_outside_the_range_is_probed_or_blamed(count: int, data: st.DataObject) -> None:
    """Whatever the outcomes, however contradictory; and it always comes to an end or asks on."""
    low = data.draw(st.integers(0, 5))
    candidates = [Candidate(key=str(n)) for n in range(low + count + 4)]
    state = start(candidates, good=low, bad=low + count)
    for _ in range(30):
        found = conclusion(state)
        if isinstance(found, Culprit):
            assert low <= found.parent < found.index <= low + count
        elif isinstance(found, (Range, Undecided)):
            assert low < found.first <= found.last <= low + count
        assert isinstance(found, NoChange) or 0 <= found.confidence <= 1 + 1e-9
        if is_final(found):
            break
        probes = next_probes(state, idle_workers=data.draw(st.integers(1, 3)))
        assert all(low <= probe.index <= low + count for probe in probes)
        probe = probes[-1]
        state = observe(state, probe.index, data.draw(st.sampled_from(["good", "bad", "skip"])))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=300), st.data())
def test_equal_content_is_one_probe_and_its_first_commit_is_blamed(
    docs: list[bool], data: st.DataObject
) -> None:
    """`docs[i]`: candidate i + 1 changes nothing that matters."""
    keys = [0]
    for same in docs:
        keys.append(keys[-1] + (not same))
    if keys[-1] == 0:
        keys.append(1)
    truth = data.draw(st.integers(1, keys[-1]))
    state = start([Candidate(key=str(k)) for k in keys], good=0, bad=len(keys) - 1, noise=SURE)
    found, state = search(state, lambda index: "bad" if keys[index] >= truth else "good")
    assert culprit(found).index == keys.index(truth)
    assert culprit(found).parent == keys.index(truth) - 1
    assert len(state.observations) <= ceil(log2(keys[-1])) + 2


def test_ends_with_the_same_content_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing changed on this axis"):
        start([Candidate(key="a"), Candidate(key="a")], good=0, bad=1)
    with pytest.raises(ValueError, match="in this order"):
        start([Candidate(key="a"), Candidate(key="b")], good=1, bad=0)
    with pytest.raises(IndexError, match="outside"):
        observe(make(3), 9, "good")


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 200), st.data())
def test_what_can_t_be_tested_is_never_asked_twice_nor_judged(
    count: int, data: st.DataObject
) -> None:
    """Any set of commits that don't build: the answer is the culprit, or the smallest range that only they blur."""
    truth = data.draw(st.integers(1, count))
    skipped = data.draw(st.sets(st.integers(1, count - 1)))
    found, state = search(
        make(count), lambda n: "skip" if n in skipped else broken_at(truth)(n), most=count + 20
    )
    asked = [seen.index for seen in state.observations if seen.outcome == "skip"]
    assert len(asked) == len(set(asked))
    first, last = truth, truth
    while last in skipped:
        last += 1
    while first - 1 in skipped:
        first -= 1
    if first == last:
        assert culprit(found).index == truth
    else:
        assert isinstance(found, Range) and (found.first, found.last) == (first, last)
        assert "can't be tested" in found.reason


def test_a_stretch_that_does_not_build_is_left_quickly() -> None:
    """200 commits in the middle don't build: a few probes are lost to them, not dozens."""
    found, state = search(make(1000), lambda n: "skip" if 400 <= n < 600 else broken_at(700)(n))
    assert culprit(found).index == 700
    assert sum(seen.outcome == "skip" for seen in state.observations) <= 5


def test_break_revert_break_is_told_by_adjacent_good_and_bad() -> None:
    """The present breakage is searched after the last good probe, and the earlier episode is reported."""

    def outcome(index: int) -> str:
        return "bad" if 20 <= index < 40 or index >= 90 else "good"

    state = make(100)
    for index in (30, 60):
        state = observe(state, index, outcome(index))  # type: ignore[arg-type]
    found, _ = search(state, outcome)
    assert culprit(found).index == 90
    (episode,) = culprit(found).earlier
    assert (episode.after_good, episode.bad, episode.good_again) == (0, 30, 60)


def test_a_revert_that_says_so_is_looked_at_before_anyone_is_named() -> None:
    """The search falls upon the first episode; the message of a later commit says that it was undone."""
    candidates = [Candidate(key=str(n), undoes={70: 10, 90: 70}.get(n)) for n in range(101)]
    state = start(candidates, good=0, bad=100, noise=SURE)

    def outcome(index: int) -> str:
        return "bad" if 10 <= index < 70 or index >= 90 else "good"

    found, state = search(state, outcome)
    assert culprit(found).index == 90
    assert [one.bad for one in culprit(found).earlier]
    assert any(70 <= seen.index < 90 for seen in state.observations)


def test_a_revert_that_restored_the_content_shares_its_outcome() -> None:
    """Step 3 has the good end's content again: it is good without a probe, so the break is after it."""
    keys = ["a", "b", "c", "a", "d", "e"]
    state = start([Candidate(key=key) for key in keys], good=0, bad=5, noise=SURE)
    state = observe(state, 3, "good")
    found, _ = search(state, broken_at(4))
    assert culprit(found).index == 4


@pytest.mark.deep
@pytest.mark.parametrize(("failing", "false"), [(0.9, 0.0), (0.6, 0.0), (0.8, 0.1)])
def test_a_noisy_failure_is_repeated_until_it_is_clear(failing: float, false: float) -> None:
    """At least seven of eight right at a confidence of 0.95 (16 histories each; seeds are fixed)."""
    right = 0
    for seed in range(16):
        chance = random.Random(f"{failing}/{false}/{seed}")
        truth = chance.randint(1, 200)
        found, _ = search(
            make(200, Noise.of_rates(failing, false)),
            lambda n, chance=chance, truth=truth: (
                "bad" if chance.random() < (failing if n >= truth else false) else "good"
            ),
            most=1000,
        )
        right += isinstance(found, Culprit) and found.index == truth
    assert right >= 14


def test_one_lucky_pass_does_not_mislead_for_good() -> None:
    """The first broken commit that is probed passes once; later runs fail, and the search turns back."""
    lucky: list[int] = []

    def outcome(index: int) -> str:
        if index >= 40 and not lucky:
            lucky.append(index)
            return "good"
        return broken_at(40)(index)

    found, state = search(make(100, Noise(bad_runs=4, bad_failed=3, good_runs=4)), outcome)
    assert culprit(found).index == 40 < lucky[0]
    assert state.observations[0].outcome == "good"


def test_one_test_s_word_counts_less_than_many() -> None:
    """The same observations: less sure, hence more probes, when one test alone shows the failure."""
    counts, sure = [], []
    for witnesses in (1, 20):
        noise = Noise(bad_runs=2, bad_failed=2, good_runs=2, witnesses=witnesses)
        found, state = search(make(256, noise), broken_at(77))
        assert culprit(found).index == 77
        counts.append(len(state.observations))
        sure.append(culprit(replay_first(state, 8)).confidence if counts[-1] == 8 else 0.0)
    assert counts[0] > counts[1] == 8 and sure[1] > 0.95


def replay_first(state: State, count: int) -> Conclusion:
    return conclusion(replay(state, state.observations[:count]))


def test_a_good_end_that_fails_ends_the_search() -> None:
    state = make(100, Noise())
    for _ in range(12):
        state = observe(state, 0, "bad")
    for index in (1, 20, 50):
        state = observe(state, index, "bad")
    found = conclusion(state)
    assert isinstance(found, NoChange) and "good end fails" in found.reason


def test_a_bad_end_that_passes_ends_the_search() -> None:
    state = make(100, Noise())
    for _ in range(30):
        state = observe(state, 100, "good")
    found = conclusion(state)
    assert isinstance(found, NoChange) and "bad end does not fail" in found.reason


def test_giving_up_says_a_range_and_why() -> None:
    state = observe(make(64), 32, "bad")
    found = give_up(state, "the budget is spent")
    assert isinstance(found, Range)
    assert (found.first, found.last, found.reason) == (1, 32, "the budget is spent")
    done, state = search(state, broken_at(7))
    assert give_up(state, "too late") == done


def test_it_says_what_to_expect_before_it_starts() -> None:
    assert expected(make(1024)).probes == 10
    assert expected(make(1024), workers=3).rounds == 5
    noisy = expected(make(1024, Noise.of_rates(0.6)))
    assert 20 < noisy.probes < 60
    state = make(1024)
    for _ in range(3):
        state = observe(state, next_probes(state)[0].index, "bad")
    assert expected(state).probes == 7


def test_a_cheap_neighbour_is_preferred_only_where_it_tells_enough() -> None:
    """Building far from 500 costs four times as much; a little off the middle is worth it, the edge is not."""

    def cost(index: int) -> float:
        return 10.0 if abs(index - 560) <= 20 else 40.0

    chosen = next_probes(make(1000), cost=cost)[0].index
    assert 540 <= chosen <= 580
    edge = next_probes(make(1000), cost=lambda index: 10.0 if index <= 20 else 40.0)[0].index
    assert 450 <= edge <= 550
    found, _ = search(make(1000), broken_at(123), cost=cost)
    assert culprit(found).index == 123


def test_a_likelier_candidate_is_probed_sooner() -> None:
    candidates = [Candidate(key=str(n), weight=50.0 if n == 80 else 1.0) for n in range(101)]
    state = start(candidates, good=0, bad=100, noise=SURE)
    _, state = search(state, broken_at(80))
    assert len(state.observations) <= 4


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["good", "bad", "skip"])), max_size=8)
)
def test_a_state_is_its_start_and_its_observations(rows: list[tuple[int, str]]) -> None:
    """Plain JSON keeps it whole, and replaying makes it anew."""
    candidates = [Candidate(key=str(n // 2), label=f"c{n}", weight=1 + n % 3) for n in range(21)]
    first = start(candidates, good=0, bad=20, noise=Noise(bad_runs=3, bad_failed=2))
    state = first
    for index, word in rows:
        state = observe(state, index, word, worker="w", owner="ann", note="x")  # type: ignore[arg-type]
    again = from_json(json.loads(json.dumps(to_json(state))))
    assert again == state == replay(first, state.observations)
    assert next_probes(again) == next_probes(state)
    assert conclusion(again) == conclusion(state)


def test_a_foreign_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 2"):
        from_json({**to_json(make(3)), "version": 2})


def test_a_trail_knows_its_steps() -> None:
    trail = Trail(tuple(Candidate(key=key) for key in "aabbbca"), 0, 5)
    assert trail.firsts == (0, 2, 5)
    assert (trail.last, trail.end_of(0), trail.end_of(1)) == (2, 1, 4)
    assert trail.below == (0.0, 0.5, 1.0)
