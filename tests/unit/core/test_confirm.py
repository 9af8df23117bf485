"""Confirmation: nobody is named before the parent passed and the culprit failed often enough, elsewhere too."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from pybots.core.bisect import Candidate, State, conclusion, is_final, next_probes, observe, start
from pybots.core.confirm import Confirmed, Judgement, More, Unproved, judge
from pybots.core.trail import Noise, Outcome

SURE = Noise(bad_runs=5, bad_failed=5, good_runs=5, witnesses=10)
Run = Callable[[int, str], str]
"""(index, owner) -> outcome"""


def make(count: int = 50, noise: Noise = SURE) -> State:
    candidates = [Candidate(key=str(number)) for number in range(count + 1)]
    return start(candidates, good=0, bad=count, noise=noise)


def broken_at(culprit: int) -> Run:
    return lambda index, owner: "bad" if index >= culprit else "good"


def run(state: State, index: int, outcome: Run, owner: str = "ann") -> State:
    word: Outcome = outcome(index, owner)  # type: ignore[assignment]
    return observe(state, index, word, owner=owner, worker=f"{owner}-1")


def search(state: State, outcome: Run) -> State:
    while not is_final(conclusion(state)):
        state = run(state, next_probes(state)[0].index, outcome)
        assert len(state.observations) < 500
    return state


def prove(
    state: State, outcome: Run, owners: tuple[str, ...] = (), **more: object
) -> tuple[Judgement, State, list[More]]:
    """Confirm to the end; the search goes on where a run contradicts it."""
    asked: list[More] = []
    while isinstance(judged := judge(state, owners=owners, **more), More):  # type: ignore[arg-type]
        asked.append(judged)
        if not judged.runs:
            state = run(state, next_probes(state)[0].index, outcome)
        for ask in judged.runs:
            others = [one for one in owners if one not in ask.not_by]
            for number in range(ask.times):
                first_elsewhere = ask.elsewhere and number == 0
                state = run(state, ask.index, outcome, others[-1] if first_elsewhere else "ann")
        assert len(state.observations) < 800
    return judged, state, asked


def test_a_deterministic_culprit_is_confirmed_by_a_few_runs() -> None:
    state = search(make(), broken_at(20))
    judged, proved, _ = prove(state, broken_at(20))
    assert isinstance(judged, Confirmed)
    assert (judged.index, judged.parent) == (20, 19)
    assert judged.parent_runs.passed >= 2 and judged.culprit_runs.failed >= 2
    assert judged.confidence >= 0.97
    assert len(proved.observations) - len(state.observations) <= 6
    assert "one owner" in judged.reason


def test_a_second_owner_s_worker_is_asked_where_there_is_one() -> None:
    state = search(make(), broken_at(20))
    judged, _, asked = prove(state, broken_at(20), owners=("ann", "bob"))
    assert isinstance(judged, Confirmed)
    assert judged.parent_runs.owners == judged.culprit_runs.owners == ("ann", "bob")
    assert all(ask.elsewhere and ask.not_by == ("ann",) for ask in asked[0].runs)
    assert "2 owners" in judged.reason
    alone, _, _ = prove(state, broken_at(20))
    assert isinstance(alone, Confirmed) and alone.confidence < judged.confidence


def test_a_difference_of_one_machine_is_not_confirmed() -> None:
    """On bob's worker nothing ever fails."""
    state = search(make(), broken_at(20))

    def outcome(index: int, owner: str) -> str:
        return broken_at(20)(index, owner) if owner == "ann" else "good"

    judged, _, _ = prove(state, outcome, owners=("ann", "bob"))
    assert not (isinstance(judged, Confirmed) and judged.culprit_runs.owners == ("bob",))
    if isinstance(judged, Confirmed):
        assert judged.culprit_runs.passed > 0


def test_a_rarer_failure_needs_more_runs() -> None:
    """The parent's passes count for less when the culprit passes often too."""
    counts = []
    for failing in (1.0, 0.5):
        chance = random.Random(5)

        def outcome(index: int, owner: str, f: float = failing, c: random.Random = chance) -> str:
            return "bad" if index >= 20 and c.random() < f else "good"

        noise = Noise.of_rates(failing)
        judged, _, _ = prove(search(make(noise=noise), outcome), outcome)
        assert isinstance(judged, Confirmed) and judged.index == 20
        counts.append(judged.parent_runs.passed)
    assert counts[1] >= 2 * counts[0]


def test_a_slight_culprit_seen_by_one_test_alone_needs_more() -> None:
    plain, slight = (
        prove(
            search(make(noise=Noise(bad_runs=3, bad_failed=3, good_runs=3)), broken_at(20)),
            broken_at(20),
            slight=flag,
        )
        for flag in (False, True)
    )
    assert isinstance(plain[0], Confirmed) and isinstance(slight[0], Confirmed)
    assert slight[0].culprit_runs.failed > plain[0].culprit_runs.failed
    many = prove(search(make(), broken_at(20)), broken_at(20), slight=True)[0]
    assert isinstance(many, Confirmed) and many.culprit_runs.failed < 4


def test_a_parent_that_fails_sends_the_search_back() -> None:
    """In the search the parent only happened to pass; the right one is confirmed in the end."""
    lucky = {20: 1, 24: 1, 22: 1, 21: 1}

    def outcome(index: int, owner: str) -> str:
        if lucky.get(index, 0):
            lucky[index] -= 1
            return "good"
        return broken_at(20)(index, owner)

    judged, _, _ = prove(search(make(), outcome), outcome)
    assert isinstance(judged, Confirmed) and judged.index == 20


def test_a_range_is_never_a_name() -> None:
    """The commits around the culprit don't build: a range, with a confidence and the reason."""
    state = search(make(), lambda n, owner: "skip" if 18 <= n <= 22 else broken_at(20)(n, owner))
    judged = judge(state)
    assert isinstance(judged, Unproved)
    assert (judged.first, judged.last) == (18, 23)
    assert judged.confidence > 0.9 and "can't be tested" in judged.reason


def test_a_search_without_a_change_names_nobody() -> None:
    state = observe(make(noise=Noise()), 50, "good", times=30)
    judged = judge(state)
    assert isinstance(judged, Unproved) and judged.confidence < 0.05
    assert "bad end" in judged.reason


def test_an_unfinished_search_has_to_go_on_first() -> None:
    judged = judge(make())
    assert isinstance(judged, More) and judged.runs == ()


@pytest.mark.parametrize("enough", [0.9999])
def test_what_can_t_be_reached_on_one_machine_is_said(enough: float) -> None:
    judged, proved, _ = prove(search(make(), broken_at(20)), broken_at(20), enough=enough)
    assert isinstance(judged, Unproved)
    assert (judged.first, judged.last) == (20, 20)
    assert "one owner" in judged.reason or "not make it surer" in judged.reason
    assert len(proved.observations) < 60
