"""The investigator's choices, played against small worlds whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pybots.core import investigator
from pybots.core.crossover import Axis, Mix, Run
from pybots.core.inquiry import WAYS, Ask, Change, Inquiry, More, Seen, renewed
from pybots.core.investigator import Answer, decide
from pybots.core.trail import Outcome

GOOD = Run(interpreter="a", project="1.0", dependencies="x", worker="")
WORKERS = ("ann", "bob", "cem")


def make_changes(count: int, **same: int) -> list[Change]:
    """`count` changes after the good end; `c3=2` gives change 3 the content of change 2."""
    keys = {f"c{number}": f"k{number}" for number in range(count + 1)}
    keys |= {name: f"k{number}" for name, number in same.items()}
    return [
        Change(id=name, key=keys[name], title=f"Change {name}", files=("Lib/a.py", "Lib/b.py"))
        for name in keys
    ]


def make_inquiry(
    count: int = 20, changed: Sequence[Axis] = ("interpreter",), **more: Any
) -> Inquiry:
    bad = replace(GOOD, **dict.fromkeys(changed, "new"))
    changes: Mapping[Axis, Sequence[Change]] = {
        axis: make_changes(count) for axis in changed if axis != "worker"
    }
    plain = Inquiry(good=GOOD, bad=bad, changes=changes, bad_runs=3, good_runs=2)
    return replace(plain, **more)


Truth = Callable[[Ask, int], Outcome]


def broken_at(place: int, axis: Axis = "interpreter") -> Truth:
    """Change `place` of the axis brings it, always."""

    def outcome(ask: Ask, _: int) -> Outcome:
        if ask.place is not None:
            return "bad" if ask.place >= place else "good"
        return "bad" if axis in ask.new else "good"

    return outcome


def play(
    inquiry: Inquiry, truth: Truth, *, workers: Sequence[str] = WORKERS[:1], idle: int = 1
) -> tuple[Answer, list[Ask]]:
    """Make every probe that is asked for, until there is an answer."""
    inquiry = replace(inquiry, owners=frozenset(workers))
    made: list[Ask] = []
    for _ in range(500):
        step = decide(inquiry, idle=idle)
        if isinstance(step, Answer):
            return step, made
        assert 0 < len(step.asks) <= idle, step
        for ask in step.asks:
            fitting = [name for name in workers if name not in ask.not_by and ask.on in ("", name)]
            name = fitting[len(made) % len(fitting)]
            seen = Seen(
                way=ask.way, stage=ask.stage, new=ask.new, place=ask.place, outcome=truth(ask, len(made)),
                worker=name, owner=name, note="said so",
            )  # fmt: skip
            inquiry = replace(inquiry, seen=(*inquiry.seen, seen))
            made.append(ask)
    raise AssertionError("no end")


def test_both_ends_are_asked_at_once_with_the_quick_recipe() -> None:
    step = decide(make_inquiry(bad_runs=1, good_runs=1), idle=2)
    assert isinstance(step, More)
    assert [(ask.stage, ask.way, sorted(ask.new)) for ask in step.asks] == [
        ("cross", 0, ["interpreter"]), ("cross", 0, []),
    ]  # fmt: skip


def test_the_commit_is_found_among_many_and_proved() -> None:
    answer, made = play(make_inquiry(100), broken_at(37))
    assert (answer.status, answer.axis, answer.last) == ("confirmed", "interpreter", 37)
    assert answer.confidence >= 0.97
    assert len(made) < 20
    lines = {line.what: line for line in answer.evidence}
    assert lines["c36 Change c36"].failed == 0 and lines["c36 Change c36"].passed >= 2
    assert lines["c37 Change c37"].failed >= 2


def test_several_idle_workers_share_the_range() -> None:
    """And a second owner sees both sides before anybody is named."""
    answer, made = play(make_inquiry(100), broken_at(64), workers=WORKERS, idle=3)
    assert (answer.status, answer.last) == ("confirmed", 64)
    assert "workers of" in answer.reason and "one owner" not in answer.reason
    assert any(ask.stage == "search" and ask.place not in (0, 100) for ask in made)


def test_one_commit_alone_is_proved_too() -> None:
    answer, _ = play(make_inquiry(1), broken_at(1))
    assert (answer.status, answer.first, answer.last) == ("confirmed", 1, 1)


def test_what_is_under_way_is_not_asked_for_twice() -> None:
    inquiry = make_inquiry()
    step = decide(inquiry, idle=4)
    assert isinstance(step, More)
    again = decide(renewed(inquiry, *step.asks), idle=4)
    assert isinstance(again, More) and again.asks == ()


def test_an_end_that_the_quick_recipe_hides_is_shown_by_the_routine_one() -> None:
    def truth(ask: Ask, number: int) -> Outcome:
        return broken_at(5)(ask, number) if WAYS[ask.way].how == "routine" else "good"

    answer, made = play(make_inquiry(), truth)
    assert (answer.status, answer.last) == ("confirmed", 5)
    assert [ask.way for ask in made[:3]] == [0, 0, 0] or made[0].way == 0
    assert {ask.way for ask in made} == {0, 1, 2}


def test_a_failure_that_never_comes_again_names_nobody() -> None:
    answer, made = play(make_inquiry(), lambda ask, _: "good")
    assert answer.status == "undecided" and "does not show" in answer.reason
    assert answer.first == answer.last == 0
    assert len(made) < 40


def test_a_good_run_that_fails_now_is_the_environment() -> None:
    answer, _ = play(make_inquiry(bad_runs=3, good_runs=1), lambda ask, _: "bad")
    assert answer.status in ("environment", "flaky"), answer
    assert answer.axis == ""


def test_the_axis_is_found_among_several() -> None:
    for axis in ("project", "dependencies"):
        inquiry = make_inquiry(4, ("interpreter", "project", "dependencies"))
        answer, made = play(inquiry, broken_at(3, axis))
        assert (answer.status, answer.axis, answer.last) == ("confirmed", axis, 3), answer
        assert any(0 < len(ask.new) < 3 for ask in made)


def test_a_machine_that_brings_it_is_named_as_the_environment() -> None:
    inquiry = make_inquiry(8, ("interpreter", "worker"))
    inquiry = replace(
        inquiry, good=replace(GOOD, worker="ann"), bad=replace(inquiry.bad, worker="bob")
    )
    answer, made = play(inquiry, broken_at(1, "worker"), workers=WORKERS)
    assert (answer.status, answer.axis) == ("environment", "worker")
    assert all(ask.on == ("bob" if "worker" in ask.new else "ann") for ask in made)


def test_changes_that_are_not_known_yet_are_asked_for() -> None:
    inquiry = replace(make_inquiry(8, ("project",)), changes={})
    step: More | Answer = decide(inquiry, idle=2)
    while isinstance(step, More) and step.asks:
        for ask in step.asks:
            inquiry = renewed(inquiry, ask, outcome=broken_at(1, "project")(ask, 0))
        step = decide(inquiry, idle=2)
    assert step == More(axis="project")


def test_an_axis_without_a_succession_is_the_answer() -> None:
    inquiry = replace(make_inquiry(8, ("project",)), changes={"project": ()})
    answer, _ = play(inquiry, broken_at(1, "project"))
    assert (answer.status, answer.axis) == ("axis", "project")


def test_commits_that_cannot_be_tested_leave_a_range() -> None:
    def truth(ask: Ask, number: int) -> Outcome:
        if ask.place is not None and 4 <= ask.place <= 6:
            return "skip"
        return broken_at(6)(ask, number)

    answer, _ = play(make_inquiry(12), truth)
    assert (answer.status, answer.first, answer.last) == ("range", 4, 7)
    assert "can't be tested" in answer.reason


def test_a_noisy_failure_takes_more_probes_and_names_the_same() -> None:
    def truth(ask: Ask, number: int) -> Outcome:
        return "good" if number % 3 == 2 else broken_at(9)(ask, number)

    answer, made = play(make_inquiry(16, bad_runs=1), truth)
    assert answer.status in ("confirmed", "range")
    assert answer.first <= 9 <= answer.last
    quiet, few = play(make_inquiry(16, bad_runs=1), broken_at(9))
    assert quiet.last == 9 and len(few) < len(made)


def test_what_another_breakage_was_traced_to_is_looked_at_first() -> None:
    plain, many = play(make_inquiry(200), broken_at(150))
    hinted, few = play(make_inquiry(200, suspects=frozenset({"c150"})), broken_at(150))
    assert plain.last == hinted.last == 150
    assert len(few) < len(many)


def test_a_farm_that_loses_its_probes_gives_up_with_what_is_known() -> None:
    inquiry = make_inquiry(20)
    lost = Seen(way=0, stage="search", new=frozenset({"interpreter"}), place=3, outcome="lost")
    for _ in range(3):
        step = decide(inquiry, idle=1)
        assert isinstance(step, More)
        inquiry = renewed(inquiry, *step.asks, outcome=broken_at(5)(step.asks[0], 0))
    inquiry = replace(inquiry, seen=(*inquiry.seen, *[lost] * investigator.MOST_LOST))
    answer = decide(inquiry, idle=1)
    assert isinstance(answer, Answer)
    assert answer.status == "range" and "lost" in answer.reason
    assert answer.first <= 5 <= answer.last


def test_more_projects_are_worth_more_and_age_counts() -> None:
    worth = investigator.worth
    assert worth(projects=5, age=0) > worth(projects=1, age=0)
    assert worth(projects=1, age=86_400 * 3) > worth(projects=2, age=0)
    assert worth(projects=1, age=1e9) == 31


def test_everything_is_remembered_by_what_was_seen() -> None:
    """The same inquiry gives the same answer: a farm that was killed goes on where it was."""
    inquiry = make_inquiry(40)
    assert decide(inquiry, idle=2) == decide(replace(inquiry), idle=2)
    whole: Mix = frozenset({"interpreter"})
    assert investigator.given_up(inquiry, "overtaken").reason == "overtaken"
    assert whole == frozenset({"interpreter"})
