"""Which failure a search follows, and what a probe means for it."""

from __future__ import annotations

from typing import Any

from tests.unit.worker import kit_builders as make

from pybots.core.outcomes import Observed, observe
from pybots.core.target import Nothing, Target, choose, judge, matching, not_passing
from pybots_worker import contract


def seen(*tests: contract.TestOutcome, modules: tuple[str, ...] = (), **phase: Any) -> Observed:
    """What a run came to; it failed when one of its tests did."""
    failed = any(test.outcome == "failed" and "passed" not in test.retried for test in tests)
    last = make.make_phase("test", **{"exit_code": int(failed), "ok": not failed, **phase})
    phases = tuple(make.make_phase(name) for name in ("interpreter", "source", "install"))
    return observe(make.make_report(phases=(*phases, last), tests=tests, modules=modules), "p")


def outcome_of(name: str, said: str = "", **changes: Any) -> contract.TestOutcome:
    if not said:
        return contract.TestOutcome(id=name, outcome="passed", **changes)
    kind, _, message = said.partition(": ")
    failure = contract.Failure(type=kind, message=message)
    return contract.TestOutcome(id=name, outcome="failed", failure=failure, **changes)


GONE = "ImportError: cannot import name 'Mapping'"
OTHER = "ValueError: another thing"


def followed(good: Observed, bad: Observed, **wish: Any) -> Target:
    found = choose(good, bad, project="p", **wish)
    assert isinstance(found, Target), found
    return found


def test_what_fails_at_both_ends_is_not_followed() -> None:
    found = choose(seen(outcome_of("a", OTHER)), seen(outcome_of("a", OTHER)), project="p")
    assert isinstance(found, Nothing)
    assert "fails at the good end as well" in found.reason and "another thing" in found.standing[0]


def test_a_new_failure_beside_a_standing_one_is_followed() -> None:
    target = followed(
        seen(outcome_of("a", OTHER), outcome_of("b")),
        seen(outcome_of("a", OTHER), outcome_of("b", GONE)),
    )
    assert target.ids == ("b",) and "Mapping" in target.says


def test_a_test_that_passes_when_retried_is_not_followed() -> None:
    found = choose(
        seen(outcome_of("a")), seen(outcome_of("a", GONE, retried=("passed",))), project="p"
    )
    assert isinstance(found, Nothing) and found.reason == "the bad end passes"


def test_of_several_new_failures_the_one_that_reads_as_asked_for_is_followed() -> None:
    good = seen(outcome_of("a"), outcome_of("b"), outcome_of("c"))
    bad = seen(outcome_of("a", OTHER), outcome_of("b", OTHER), outcome_of("c", GONE))
    assert set(followed(good, bad).ids) <= {"a", "b"}
    assert followed(good, bad, like="ImportError cannot import name").ids == ("c",)


def test_a_test_asked_for_must_pass_at_the_good_end() -> None:
    good, bad = (
        seen(outcome_of("a", OTHER), outcome_of("b")),
        seen(outcome_of("a", OTHER), outcome_of("b", GONE)),
    )
    assert "fails at the good end already" in not_passing(good, ["a"])
    found = choose(good, bad, project="p", tests=("a",))
    assert isinstance(found, Nothing) and found.standing
    assert followed(good, bad, tests=("b",)).ids == ("b",)


def test_a_lost_extension_module_is_followed_though_everything_passes() -> None:
    target = followed(seen(outcome_of("a"), modules=("p._c",)), seen(outcome_of("a")))
    assert target.kind == "hollow" and target.at_install
    states = {name: s for name, s in seen(modules=("p._c",)).states.items() if name != "a"}
    assert judge(target, states, seen(outcome_of("true")), project="p").outcome == "bad"
    assert (
        judge(target, states, seen(outcome_of("true"), modules=("p._c",)), project="p").outcome
        == "good"
    )


def test_only_the_same_signature_is_bad() -> None:
    good = seen(outcome_of("a"), outcome_of("b"))
    target = followed(good, seen(outcome_of("a"), outcome_of("b", GONE)))
    states = {name: s for name, s in good.states.items() if name != "a"}

    def verdict(*tests: contract.TestOutcome, **phase: Any) -> str:
        return judge(target, states, seen(*tests, **phase), project="p", only=("b",)).outcome

    assert verdict(outcome_of("b", GONE)) == "bad"
    assert verdict(outcome_of("b")) == "good"
    assert verdict(outcome_of("b", OTHER)) == "skip"
    assert verdict() == "skip"
    assert verdict(ended="sandbox_error", ok=False) == "fault"


def test_people_name_tests_by_their_ends() -> None:
    good = seen(
        outcome_of("tests/t_a.py::T::test_x"),
        outcome_of("tests/t_b.py::test_x"),
        outcome_of("m.T.test_y"),
    )
    assert matching(good, ["T::test_x"]) == ("tests/t_a.py::T::test_x",)
    assert matching(good, ["test_y"]) == ("m.T.test_y",)
    assert len(matching(good, ["test_x"])) == 2
    assert "no test 'test_z'" in not_passing(good, matching(good, ["test_z"]))
