"""What a control is asked, and what its answer means."""

from __future__ import annotations

import pytest

from pybots.core.control import Concern, ask_again, judge, overdue, scope
from pybots.core.model import Counts
from pybots.core.outcomes import INSTALL, TESTS, Bad, Observed, State, extension
from pybots_worker.contract import Failure

A, B = "t.py::a", "t.py::b"
EXT = extension("m._c")
OK: State = ("passed", None)


def bad(name: str, signature: str = "s", kind: str = "test") -> Bad:
    return Bad(
        id=name, outcome="failed", kind=kind, signature=signature, failure=Failure(message="no")  # type: ignore[arg-type]
    )  # fmt: skip


def seen(
    states: dict[str, State] | None = None, *found: Bad, complete: bool = True, **more: str
) -> Observed:
    return Observed(
        states={INSTALL: OK, TESTS: OK} | (states or {}) | {one.id: ("failed", one.signature) for one in found},
        bad={one.id: one for one in found}, flaky={}, counts=Counts(), complete=complete, **more,
    )  # fmt: skip


def concern(*ids: str, kind: str = "test", dependency: str = "") -> Concern:
    return Concern(kind=kind, signature="s", ids=ids, dependency=dependency)  # type: ignore[arg-type]


ANSWERS = {
    "it passes": (concern(A), seen({A: OK}), "green"),
    "it passes when retried": (concern(A), seen({A: ("flaky", None)}), "green"),
    "it fails in the same way": (concern(A), seen({}, bad(A)), "red"),
    "it fails otherwise": (concern(A), seen({}, bad(A, "other")), "none"),
    "it is not there": (concern(A), seen(), "none"),
    "it is skipped": (concern(A), seen({A: ("skipped", None)}), "none"),
    "another test fails in the same way": (concern(A), seen({}, bad(B)), "red"),
    "one of two fails in the same way": (concern(A, B), seen({A: OK}, bad(B)), "red"),
    "one of two passes, the other is not there": (concern(A, B), seen({A: OK}), "green"),
    "it crashes again, elsewhere": (concern(A, kind="crash"), seen({}, bad(A, "other", "crash")), "red"),
    "it crashed and fails now": (concern(A, kind="crash"), seen({}, bad(A, "other")), "none"),
    "its module can be collected": (concern("t.py", kind="collection"), seen({A: OK}), "green"),
    "its module can't be collected either": (
        concern("t.py", kind="collection"), seen({}, bad("t.py", kind="collection")), "red",
    ),
    "the suite is cut short before its module": (
        concern("t.py", kind="collection"), seen({A: OK}, complete=False), "none",
    ),
    "it installs": (concern(INSTALL, kind="install"), seen(), "green"),
    "it does not install either": (concern(INSTALL, kind="install"), seen({}, bad(INSTALL, kind="install")), "red"),
    "the suite ends well": (concern(TESTS, kind="timeout"), seen(), "green"),
    "the suite hangs too": (concern(TESTS, kind="timeout"), seen({}, bad(TESTS, "x", "timeout")), "red"),
    "the suite is cut short by a test": (concern(TESTS, kind="timeout"), seen({TESTS: ("partial", None)}), "none"),
    "the extension is there": (concern(EXT, kind="hollow"), seen({EXT: OK}), "green"),
    "the extension is missing too": (concern(EXT, kind="hollow"), seen(), "red"),
    "the extension's project does not install": (
        concern(EXT, kind="hollow"), seen({}, bad(INSTALL, "x", "install")), "none",
    ),
    "the tests are there": (concern(A, B, kind="hollow"), seen({A: OK, B: OK}), "green"),
    "the tests have gone here too": (concern(A, B, kind="hollow"), seen(), "red"),
    "the tests are skipped here too": (concern(A, kind="hollow"), seen({A: ("skipped", None)}), "red"),
    "the suite did not get there": (concern(A, kind="hollow"), seen(complete=False), "none"),
    "the worker is full": (concern(A), seen(farm_fault="disk"), "none"),
    "the source has gone": (concern(A), seen(no_source="gone"), "none"),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "observed", "answer"), ANSWERS.values(), ids=ANSWERS.keys())
def test_the_answers(asked: Concern, observed: Observed, answer: str) -> None:
    judged = judge(asked, observed)
    assert judged.control == answer
    assert judged.state == ("dismissed" if answer == "red" else "open")
    assert judged.axis == ("environment" if answer == "red" else "")
    assert judged.reason


def test_a_dependency_that_fails_now_with_the_old_interpreter_is_blamed_by_name() -> None:
    judged = judge(concern(A, dependency="leaf"), seen({}, bad(A)))
    assert (judged.axis, judged.blamed) == ("dependency", "leaf")


def test_only_tests_that_can_be_run_alone_restrict_a_control() -> None:
    assert scope([bad(A), bad(B), bad(A)]) == (A, B)
    assert scope([bad(A), bad(B, kind="crash")]) == (A, B)
    assert scope([bad(A), bad(EXT, kind="hollow")]) == ()
    assert scope([bad("t.py", kind="collection")]) == ()
    assert scope([bad(INSTALL, kind="install")]) == ()
    assert scope([bad(TESTS, kind="timeout")]) == ()
    assert scope([bad(f"t.py::{n}") for n in range(501)]) == ()


def test_what_was_dismissed_is_asked_about_in_growing_intervals_and_daily_at_least() -> None:
    answered, hour, asked = 600.0, 3600.0, []
    for quarter in range(1, 5 * 24 * 4):
        if ask_again(0.0, answered, quarter * hour / 4):
            answered = quarter * hour / 4
            asked.append(answered / hour)
    assert asked == [1.25, 2.5, 5, 10, 20, 40, 64, 88, 112]


def test_a_control_is_waited_for_an_hour_at_most() -> None:
    assert not overdue(100.0, 3699.0)
    assert overdue(100.0, 3700.0)
