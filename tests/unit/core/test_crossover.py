"""Crossover: every cause that two runs can differ by is found, by few trials, and nothing unchanged is ever tried."""

from __future__ import annotations

import json
import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybots.core.crossover import (
    AXES,
    Axis,
    Case,
    Conclusion,
    Mix,
    Next,
    Run,
    decide,
    from_json,
    observe,
    to_json,
)

OLD = Run(interpreter="i1", project="p1", dependencies="d1", worker="w1")
ALL: Mix = frozenset(AXES)


def make_case(*changed: Axis, **more: object) -> Case:
    new = {axis: f"{axis[0]}2" for axis in changed}
    return Case(good=OLD, bad=Run(**{**vars(OLD), **new}), **more)  # type: ignore[arg-type]


def play(case: Case, outcome: object, most: int = 200) -> tuple[Conclusion, list[Next]]:
    """Run the plan to its end. `outcome(mix)` is called for each run."""
    asked: list[Next] = []
    while isinstance(step := decide(case), Next):
        asked.append(step)
        for _ in range(step.times):
            word = outcome(step.new)  # type: ignore[operator]
            case = observe(case, step.new, word, note="no wheel" if word == "skip" else "")
            if word == "skip" or (word == "bad" and step.stop_at_bad):
                break
        assert len(asked) < most
    return step, asked


def needs(*sets: Mix) -> object:
    return lambda new: "bad" if any(one <= new for one in sets) else "good"


@pytest.mark.deep
@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(AXES), min_size=1), st.data())
def test_the_axis_or_the_interaction_is_found(changed: set[Axis], data: st.DataObject) -> None:
    """Whatever set of axes brings the failure; and only axes that changed are tried."""
    cause = frozenset(data.draw(st.sets(st.sampled_from(sorted(changed)), min_size=1)))
    case = make_case(*changed)
    found, asked = play(case, needs(cause))
    assert found.kind == ("axis" if len(cause) == 1 else "interaction")
    assert frozenset(found.axes) == cause
    assert all(step.new <= case.changed for step in asked)
    assert found.rate == 1.0


def test_one_changed_axis_needs_the_two_controls_only() -> None:
    found, asked = play(make_case("interpreter"), needs(frozenset({"interpreter"})))
    assert (found.kind, found.axes) == ("axis", ("interpreter",))
    assert [(step.new, step.times) for step in asked] == [({"interpreter"}, 3), (frozenset(), 3)]


def test_single_axes_come_before_pairs() -> None:
    _, asked = play(
        make_case("interpreter", "project", "dependencies"),
        needs(frozenset({"project", "dependencies"})),
    )
    sizes = [len(step.new) for step in asked[2:5]]
    assert sizes == [1, 1, 1] and len(asked[5].new) == 2


def test_a_cheaper_axis_is_tried_first() -> None:
    case = make_case("interpreter", "project", costs={"interpreter": 40.0, "project": 1.0})
    _, asked = play(case, needs(frozenset({"project"})))
    assert asked[2].new == {"project"}


def test_it_is_flaky_when_the_bad_run_passes_again() -> None:
    found, asked = play(make_case(*AXES), lambda new: "good")
    assert found.kind == "flaky" and "passed 8 times" in found.reason
    assert {step.new for step in asked} == {ALL}


def test_it_is_flaky_when_both_runs_fail_as_often() -> None:
    chance = random.Random(1)
    found, _ = play(make_case("project"), lambda new: chance.choice(("good", "bad")))
    assert found.kind == "flaky" and "the good run fails too" in found.reason


def test_it_is_the_environment_when_the_good_run_fails_now() -> None:
    found, asked = play(make_case("interpreter", "project"), lambda new: "bad")
    assert found.kind == "environment" and not found.axes
    assert len({step.new for step in asked}) == 2


@pytest.mark.parametrize(("word", "kind"), [("bad", "environment"), ("good", "flaky")])
def test_two_equal_runs_are_flaky_or_the_environment(word: str, kind: str) -> None:
    found, asked = play(make_case(), lambda new: word)
    assert found.kind == kind
    assert {step.new for step in asked} == {frozenset()}


def test_two_changes_that_each_bring_it_are_several() -> None:
    """The counter-trial sees it: without the first it still fails."""
    found, _ = play(
        make_case("interpreter", "dependencies"),
        needs(frozenset({"interpreter"}), frozenset({"dependencies"})),
    )
    assert found.kind == "several" and found.axes == ("interpreter", "dependencies")


def test_what_could_not_be_tested_is_named_as_missing() -> None:
    """The old project does not install on the new interpreter: nobody can tell."""
    found, _ = play(
        make_case("interpreter", "project"),
        lambda new: "skip" if len(new) == 1 else "bad" if new else "good",
    )
    assert found.kind == "undecided"
    assert len(found.missing) == 2 and all("no wheel" in one for one in found.missing)
    assert "it is the interpreter or the project" in found.reason


def test_a_skipped_mix_is_replaced_by_another_that_tells() -> None:
    case = make_case("interpreter", "project", "dependencies")

    def outcome(new: Mix) -> str:
        if new == {"interpreter"}:
            return "skip"
        return "bad" if "interpreter" in new else "good"

    found, _ = play(case, outcome)
    assert (found.kind, found.axes) == ("axis", ("interpreter",))


def test_a_run_that_can_t_be_repeated_leaves_it_undecided() -> None:
    found, _ = play(make_case("project"), lambda new: "skip")
    assert found.kind == "undecided" and "the bad run again" in found.missing[0]
    found, _ = play(make_case("project"), lambda new: "bad" if new else "skip")
    assert found.kind == "undecided" and "the good run again" in found.missing[0]


@pytest.mark.deep
@pytest.mark.parametrize("axis", AXES)
def test_a_rare_failure_gets_the_passes_it_needs(axis: Axis) -> None:
    """At a failing rate of about a half, one pass proves nothing."""
    right = 0
    for seed in range(20):
        chance = random.Random(f"{axis}/{seed}")
        found, _ = play(
            make_case(*AXES),
            lambda new, chance=chance: "bad" if axis in new and chance.random() < 0.5 else "good",
        )
        right += found.axes == (axis,)
        assert found.kind in ("axis", "flaky", "interaction", "undecided", "several")
    assert right >= 16


def test_every_conclusion_lists_what_each_trial_rules_out() -> None:
    found, asked = play(make_case("interpreter", "project"), needs(frozenset({"project"})))
    assert [one.new for one in found.evidence] == list(dict.fromkeys(step.new for step in asked))
    told = {one.what: one.rules_out for one in found.evidence}
    assert told == {
        "the bad run again": "a failure that came once",
        "the good run again": "the environment, and time",
        "new interpreter, old project": "that the interpreter alone brings it",
        "new project, old interpreter": "that the interpreter is needed for it",
    }


def test_a_mix_is_made_of_both_runs() -> None:
    """The dependencies of a mix are the recorded lock of one of the two runs."""
    case = make_case("interpreter", "dependencies")
    assert case.run(frozenset({"interpreter"})) == Run(
        interpreter="i2", project="p1", dependencies="d1", worker="w1"
    )


@settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from(AXES), st.sampled_from(["good", "bad", "skip"]))))
def test_a_case_survives_json(rows: list[tuple[Axis, str]]) -> None:
    case = make_case("interpreter", "worker", costs={"worker": 2.0})
    for axis, word in rows:
        case = observe(case, frozenset({axis}), word, note="why")  # type: ignore[arg-type]
    assert from_json(json.loads(json.dumps(to_json(case)))) == case
    with pytest.raises(ValueError, match="version 9"):
        from_json({**to_json(case), "version": 9})


def test_whatever_comes_it_ends(most: int = 120) -> None:
    """Any consistent answers, also impossible ones, lead to a conclusion."""
    mixes = [frozenset(some) for n in range(5) for some in combinations(AXES, n)]
    for seed in range(60):
        chance = random.Random(seed)
        words = {new: chance.choice(("good", "bad", "skip")) for new in mixes}
        found, _ = play(make_case(*AXES), lambda new, words=words: words[new], most)
        assert found.reason and found.evidence
