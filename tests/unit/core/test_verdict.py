"""The verdict: DESIGN §2's table, row by row. A lane's runs are played in order; the last one is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from pybots.core.flaky import Past
from pybots.core.model import VERDICTS
from pybots.core.outcomes import COMPLETE, INSTALL, TESTS, Bad, extension, observe
from pybots.core.verdict import (
    Decision,
    LaneHistory,
    decide,
    decide_build,
    repeated,
    repeated_words,
)
from pybots_worker import contract
from pybots_worker.contract import Failure, PhaseResult, Report

ENVIRONMENT = contract.Environment(worker="w", platform="linux-x86_64", abi="debian-12-x86_64")
TYPE = "TypeError: unhashable type"
VALUE = "ValueError: no such thing"


def phase(name: str, ok: bool = True, ended: str = "exit", **more: object) -> PhaseResult:
    values = {"exit_code": 0 if ok else 1, "wall_seconds": 1.0} | more
    return PhaseResult(phase=name, ok=ok, ended=ended, **values)  # type: ignore[arg-type]


def report(
    tests: dict[str, str] | None = None,
    *,
    install: PhaseResult | None = None,
    test: PhaseResult | None = None,
    modules: Sequence[str] = (),
    retried: dict[str, tuple[str, ...]] | None = None,
    source: PhaseResult | None = None,
) -> Report:
    """A report of tests `{id: outcome}` or `{id: "Type: message"}` (failed)."""
    found = [
        make(name, said, (retried or {}).get(name, ())) for name, said in (tests or {}).items()
    ]
    good = all(one.outcome not in contract.BAD_OUTCOMES for one in found)
    phases = [phase("interpreter"), source or phase("source"), install or phase("install")]
    if phases[1].ok and phases[2].ok:
        phases.append(test or phase("test", ok=good))
    return Report(
        contract=1, run=1, attempt=1, kind="project", started=1.0, finished=2.0,
        environment=ENVIRONMENT, phases=tuple(phases), tests=tuple(found), modules=tuple(modules),
    )  # fmt: skip


def make(name: str, said: str, retried: tuple[str, ...] = ()) -> contract.TestOutcome:
    failure, outcome = None, said
    if ": " in said:
        outcome, (kind, _, message) = "failed", said.partition(": ")
        failure = Failure(type=kind, message=message)
    return contract.TestOutcome(id=name, outcome=outcome, failure=failure, retried=retried)  # type: ignore[arg-type]


@dataclass
class Lane:
    """A lane without a ledger."""

    history: LaneHistory = field(default_factory=LaneHistory)

    def run(self, found: Report, revision: str = "1.0") -> Decision:
        decision = decide(
            self.history, observe(found, "anchor"), project="anchor", revision=revision
        )
        before = self.history
        if decision.verdict in ("infra", "unknown"):
            return decision
        states = {n: s for n, s in {**before.states, **decision.changes}.items() if s is not None}
        seen = {
            name: before.seen.get(name, frozenset()) | {state[1]} if state[1] else frozenset[str]()
            for name, state in states.items()
        }
        self.history = LaneHistory(
            states=states,
            compared=True,
            complete=before.complete or states[TESTS][0] in COMPLETE
            if TESTS in states
            else before.complete,
            revision=revision,
            seen=seen,
        )
        return decision


def judge(*reports: Report) -> Decision:
    lane = Lane()
    return [lane.run(one) for one in reports][-1]


AB = {"t::a": "passed", "t::b": "passed"}
A_BAD = AB | {"t::a": TYPE}
AB_BAD = A_BAD | {"t::b": VALUE}
MANY = {
    f"t/test_{m}.py::C{c}::test_{n}": "passed" for m in "ab" for c in range(2) for n in range(5)
}
NO_INSTALL = report(install=phase("install", ok=False, failure=Failure(message="no wheel")))
HANG = phase("test", ok=False, ended="wall_timeout", exit_code=None)
SEGFAULT = phase("test", ok=False, ended="signal", exit_code=None, signal=11)
MEMORY = phase("test", ok=False, ended="memory", exit_code=None)


def skipped(*names: str) -> dict[str, str]:
    return MANY | dict.fromkeys(names, "skipped")


def without(*parts: str) -> dict[str, str]:
    return {name: said for name, said in MANY.items() if not any(part in name for part in parts)}


TABLE = {
    # passed
    "the first run passes": ([report(AB)], "passed", None),
    "passes as before": ([report(AB), report(AB)], "passed", None),
    "an expected failure is no failure": ([report(AB), report(AB | {"t::a": "xfailed"})], "passed", None),
    "a single new skip is often meant": ([report(MANY), report(skipped("t/test_a.py::C0::test_1"))], "passed", None),
    "a new test passes": ([report(AB), report(AB | {"t::c": "passed"})], "passed", None),
    "a runner may plan a test it doesn't run": ([report(MANY | {"t::x": "not_run"}, test=phase("test"))], "passed", None),
    # fixed
    "what was bad passes": ([report(AB), report(A_BAD), report(AB)], "fixed", None),
    "a bad baseline passes": ([report(A_BAD), report(AB)], "fixed", None),
    "it installs again": ([report(AB), NO_INSTALL, report(AB)], "fixed", None),
    "it no longer hangs": ([report(AB), report(test=HANG), report(AB)], "fixed", None),
    # new failure, in all its kinds
    "a test fails": ([report(AB), report(A_BAD)], "new_failure", "test"),
    "a test fails in a lane that is red": ([report(AB), report(A_BAD), report(AB_BAD)], "new_failure", "test"),
    "a test fails in a lane that was never green": ([report(A_BAD), report(AB_BAD)], "new_failure", "test"),
    "a red test fails otherwise": ([report(AB), report(A_BAD), report(AB | {"t::a": VALUE})], "new_failure", "test"),
    "a new test fails": ([report(AB), report(AB | {"t::c": TYPE})], "new_failure", "test"),
    "a strict xfail passes": ([report(AB), report(AB | {"t::a": "xpassed"})], "new_failure", "test"),
    "the runner fails though no test does": ([report(AB), report(AB, test=phase("test", ok=False))], "new_failure", "test"),
    "a module can't be imported": (
        [report({"t.py::a": "passed"}), report({"t.py": "error"})], "new_failure", "collection",
    ),
    "the runner fails before any test": ([report(AB), report(test=phase("test", ok=False, exit_code=4))], "new_failure", "collection"),
    "it does not install": ([report(AB), NO_INSTALL], "new_failure", "install"),
    "the suite crashes": ([report(AB), report(test=SEGFAULT)], "new_failure", "crash"),
    "a test crashes": ([report(AB), report({"t::a": "passed", "t::b": "crashed"}, test=SEGFAULT)], "new_failure", "crash"),
    "the suite hangs": ([report(AB), report(test=HANG)], "new_failure", "timeout"),
    "a test hangs": ([report(AB), report({"t::a": "timed_out", "t::b": "not_run"}, test=HANG)], "new_failure", "timeout"),
    "the suite eats all memory": ([report(AB), report(test=MEMORY)], "new_failure", "memory"),
    "it forks without end": ([report(AB), report(test=phase("test", ok=False, ended="processes"))], "new_failure", "crash"),
    "it prints a gigabyte": ([report(AB), report(test=phase("test", ok=False, ended="log"))], "new_failure", "crash"),
    "it fills its disk": ([report(AB), report(test=phase("test", ok=False, ended="disk"))], "new_failure", "crash"),
    "a crash is not explained away by a retry": (
        [report(AB), report(AB | {"t::a": "crashed"}, retried={"t::a": ("passed",)})], "new_failure", "crash",
    ),
    "a hang is not explained away by a retry": (
        [report(AB), report(AB | {"t::a": "timed_out"}, retried={"t::a": ("passed",)})], "new_failure", "timeout",
    ),
    "it fails when retried too": ([report(AB), report(A_BAD, retried={"t::a": ("failed",)})], "new_failure", "test"),
    # hollow
    "no tests ran": ([report(AB), report()], "new_failure", "hollow"),
    "no tests ran, as pytest says it": ([report(AB), report(test=phase("test", ok=False, exit_code=5))], "new_failure", "hollow"),
    "all were skipped": ([report(AB), report(dict.fromkeys(AB, "skipped"))], "new_failure", "hollow"),
    "a test has gone": ([report(MANY), report(without("C0::test_1"))], "new_failure", "hollow"),
    "a module has gone": ([report(MANY), report(without("test_a"))], "new_failure", "hollow"),
    "a class is skipped": ([report(MANY), report(skipped(*(n for n in MANY if "test_a.py::C0" in n)))], "new_failure", "hollow"),
    "a tenth is skipped": ([report(MANY), report(skipped(*(n for n in MANY if n.endswith("_1"))))], "new_failure", "hollow"),
    "an extension is lost": ([report(AB, modules=["m._c"]), report(AB)], "new_failure", "hollow"),
    "most tests never ran": ([report(AB), report({"t::a": "passed", "t::b": "not_run"})], "new_failure", "hollow"),
    # still failing
    "the first run is a baseline": ([report(A_BAD)], "still_failing", "test"),
    "a first run that doesn't install is one too": ([NO_INSTALL], "still_failing", "install"),
    "a first run without tests is one too": ([report()], "still_failing", "hollow"),
    "fails as before": ([report(AB), report(A_BAD), report(A_BAD)], "still_failing", "test"),
    "one of two is fixed": ([report(AB_BAD), report(A_BAD)], "still_failing", "test"),
    "tests never seen before the first complete run are a baseline": ([NO_INSTALL, report(A_BAD)], "still_failing", "test"),
    "a message that alternates is no news": (
        [report(AB), report(A_BAD), report(AB | {"t::a": VALUE}), report(A_BAD)], "still_failing", "test",
    ),
    "a lost extension stays lost": ([report(AB, modules=["m._c"]), report(AB), report(AB)], "still_failing", "hollow"),
    "vanished tests stay vanished": ([report(MANY), report(without("test_a")), report(without("test_a"))], "still_failing", "hollow"),
    "skipped suites stay skipped": (
        [report(MANY), *[report(skipped(*(n for n in MANY if "test_a" in n)))] * 2], "still_failing", "hollow",
    ),
    "a failing test that is flaky now is not fixed": (
        [report(AB), report(A_BAD), report(A_BAD, retried={"t::a": ("passed",)})], "still_failing", "test",
    ),
    # flaky
    "it passes when retried": ([report(AB), report(A_BAD, retried={"t::a": ("passed",)})], "flaky", None),
    "a first run can be flaky": ([report(A_BAD, retried={"t::a": ("passed",)})], "flaky", None),
    # infra
    "the worker's disk is full": ([report(AB), report(test=phase("test", ok=False, ended="farm_error"))], "infra", None),
    "the sandbox could not be made": ([report(AB), report(test=phase("test", ok=False, ended="sandbox_error"))], "infra", None),
    "it was cancelled": ([report(AB), report(test=phase("test", ok=False, ended="cancelled"))], "infra", None),
    "the interpreter could not be had": (
        [Report(**{f: getattr(report(AB), f) for f in Report.__struct_fields__} | {"phases": (phase("interpreter", ok=False),)})],
        "infra", None,
    ),
    "the package index is down": (
        [report(AB), report(install=phase("install", ok=False, failure=Failure(
            message="uv: exit 2", detail="error: Failed to fetch: http://x/\n  cause: error sending request for url (http://x/)")))],
        "infra", None,
    ),
    "the disk is full for the installer": (
        [report(AB), report(install=phase("install", ok=False, failure=Failure(
            message="uv: exit 2", detail="error: failed to write to file `x/RECORD`: No space left on device (os error 28)")))],
        "infra", None,
    ),
    # unknown
    "its source has gone": ([report(AB), report(source=phase("source", ok=False))], "unknown", None),
}  # fmt: skip


@pytest.mark.parametrize(("reports", "verdict", "kind"), TABLE.values(), ids=TABLE.keys())
def test_the_table(reports: list[Report], verdict: str, kind: str | None) -> None:
    decision = judge(*reports)
    assert (decision.verdict, decision.kind) == (verdict, kind), decision.summary


@pytest.mark.parametrize("reports", [row[0] for row in TABLE.values()], ids=TABLE.keys())
def test_a_first_run_accuses_nobody(reports: list[Report]) -> None:
    """Whatever the first run finds: nothing of it is new."""
    for one in reports:
        decision = judge(one)
        assert decision.new == ()
        assert decision.verdict in ("passed", "still_failing", "flaky", "infra", "unknown")


@pytest.mark.parametrize("reports", [row[0] for row in TABLE.values()], ids=TABLE.keys())
def test_the_same_report_twice_is_never_news(reports: list[Report]) -> None:
    """What lets record skip everything when the digest is the head's: the second time changes nothing."""
    lane = Lane()
    first = [lane.run(one) for one in reports][-1]
    second = lane.run(reports[-1])
    assert second.new == () and second.fixed == () and dict(second.changes) == {}
    if first.verdict not in ("infra", "unknown"):
        if not second.flaky:  # those are decided anew every time
            assert repeated(first.verdict) == second.verdict
        assert second.kind == first.kind


def test_no_verdict_is_forgotten() -> None:
    """Every verdict has rows in a table; `blocked` needs another run's answer and has its own."""
    assert {row[1] for row in (*TABLE.values(), *BLOCKED.values())} == set(VERDICTS)


def dependent(message: str, owner: str = "leaf") -> Failure:
    """A failure that a dependency raised in its own frames."""
    return Failure(
        type="TypeError",
        message=message,
        detail="Traceback (most recent call last):\n"
        '  File "/pybots/source/tests/test_a.py", line 3, in test_a\n    leaf.grow(1)\n'
        f'  File "/pybots/venv/lib/python3.15/site-packages/{owner}/core.py", line 9, in grow\n    hash(x)\n'
        f"TypeError: {message}\n",
    )


def of_leaf(found: dict[str, str], *names: str) -> Report:
    """A report in which these tests fail in the dependency `leaf`."""
    plain = report(found)
    tests = tuple(
        contract.TestOutcome(id=test.id, outcome="failed", failure=dependent("unhashable"))
        if test.id in names
        else test
        for test in plain.tests
    )
    locked = (
        contract.Locked(name="Leaf", version="1"),
        contract.Locked(name="anchor", version="1"),
    )
    phases = (*plain.phases[:-1], phase("test", ok=not names))
    return msgspec.structs.replace(plain, tests=tests, lock=locked, phases=phases)


SIGNED = {bad.id: bad.signature for bad in judge(report(AB), report(AB_BAD)).new}
BLOCKED = {
    "a new failure of a dependency that is red itself": (
        [report(AB), of_leaf(AB, "t::a")], "blocked", {"red_dependencies": frozenset({"leaf"})},
    ),
    "of a dependency that is green": (
        [report(AB), of_leaf(AB, "t::a")], "new_failure", {"red_dependencies": frozenset({"other"})},
    ),
    "a failure of the dependency and one of its own": (
        [report(AB), of_leaf(A_BAD, "t::b")], "new_failure", {"red_dependencies": frozenset({"leaf"})},
    ),
    "still failing, the control was red": (
        [report(AB), report(A_BAD), report(A_BAD)], "blocked", {"blocked": {SIGNED["t::a"]: "environment"}},
    ),
    "still failing, the control was red for one of two": (
        [report(AB), report(AB_BAD), report(AB_BAD)], "still_failing", {"blocked": {SIGNED["t::a"]: "environment"}},
    ),
    "a new failure beside one that is blocked": (
        [report(AB), report(A_BAD), report(AB_BAD)], "new_failure", {"blocked": {SIGNED["t::a"]: "environment"}},
    ),
    "what was blocked passes": (
        [report(AB), report(A_BAD), report(AB)], "fixed", {"blocked": {SIGNED["t::a"]: "environment"}},
    ),
    "a baseline may be blocked": ([of_leaf(AB, "t::a")], "blocked", {"red_dependencies": frozenset({"leaf"})}),
}  # fmt: skip


@pytest.mark.parametrize(("reports", "verdict", "known"), BLOCKED.values(), ids=BLOCKED.keys())
def test_what_something_else_explains_is_blocked(
    reports: list[Report], verdict: str, known: dict[str, Any]
) -> None:
    lane = Lane()
    for one in reports[:-1]:
        lane.run(one)
    lane.history = replace(lane.history, **known)
    decision = lane.run(reports[-1])
    assert decision.verdict == verdict, decision.summary
    if verdict == "blocked":
        assert decision.summary.startswith(("blocked: environment: t::a", "blocked: leaf: t::a"))


# Flaky ------------------------------------------------------------------------


def past(now: int, *events: int, again: Sequence[int] = ()) -> Past:
    return Past(now=now, events=events, again=frozenset(again))


FAILS_ALWAYS = report(A_BAD, retried={"t::a": ("failed", "failed")})
CHANCE = {
    "never flaky before": (past(101), "new_failure"),
    "flaky in a fifth of its runs": (past(101, *range(1, 100, 5)), "flaky"),
    "twice flaky in a hundred": (past(101, 20, 70), "flaky"),
    "once flaky in four hundred": (past(401, 200), "new_failure"),
    "fails in all retries, run after run": (
        past(101, *range(1, 96, 5), 98, 99, 100, again=(98, 99, 100)), "new_failure",
    ),
    "flaky long ago": (past(1000, 100, 120, 140), "new_failure"),
}  # fmt: skip


@pytest.mark.parametrize(("known", "verdict"), CHANCE.values(), ids=CHANCE.keys())
def test_a_learned_rate_explains_what_it_can(known: Past, verdict: str) -> None:
    lane = Lane()
    lane.run(report(AB))
    lane.history = replace(lane.history, flaky={"t::a": known})
    decision = lane.run(FAILS_ALWAYS)
    assert decision.verdict == verdict
    assert [bad.id for bad in decision.excused] == (["t::a"] if verdict == "flaky" else [])
    if verdict == "flaky":
        assert lane.history.states["t::a"] == ("passed", None)


@pytest.mark.parametrize("outcome", ["crashed", "timed_out"])
def test_no_rate_explains_a_crash_or_a_hang(outcome: str) -> None:
    lane = Lane()
    lane.run(report(AB))
    lane.history = replace(lane.history, flaky={"t::a": past(101, *range(1, 100, 2))})
    assert lane.run(report(AB | {"t::a": outcome})).verdict == "new_failure"


def test_a_risen_rate_is_news_beside_the_verdict() -> None:
    lane = Lane()
    lane.run(report(AB))
    lane.history = replace(lane.history, flaky={"t::a": past(200, 20, 120, *range(185, 200, 2))})
    decision = lane.run(report(A_BAD, retried={"t::a": ("passed", "passed")}))
    assert (decision.verdict, [bad.id for bad in decision.risen]) == ("flaky", ["t::a"])
    assert "passes only when retried in 6 of the last 10 runs" in decision.summary


def test_what_fails_after_others_only_is_not_flaky() -> None:
    """Alone it passed, in order it failed again: that is no chance."""
    decision = judge(report(AB), report(A_BAD, retried={"t::a": ("passed", "failed", "failed")}))
    assert decision.verdict == "new_failure"
    assert [bad.retries for bad in decision.new] == [2]


@pytest.mark.parametrize(("code", "verdict"), [(1, "flaky"), (3, "new_failure")])
def test_a_flaky_test_does_not_hide_an_unusual_exit_status(code: int, verdict: str) -> None:
    odd = phase("test", ok=False, exit_code=code)
    decision = judge(report(AB), report(A_BAD, retried={"t::a": ("passed",)}, test=odd))
    assert decision.verdict == verdict
    assert [bad.id for bad in decision.new] == ([TESTS] if code == 3 else [])


def test_an_install_failure_leaves_the_tests_as_they_were() -> None:
    """A test that fails after a gap is new against its last known outcome, not unknown."""
    lane = Lane()
    for one in (report(AB), NO_INSTALL):
        lane.run(one)
    assert lane.history.states["t::a"] == ("passed", None)
    decision = lane.run(report(A_BAD))
    assert decision.verdict == "new_failure"
    assert [bad.id for bad in decision.new] == ["t::a"]
    assert decision.fixed == (INSTALL,)


def test_a_cut_short_suite_says_nothing_of_tests_it_never_reached() -> None:
    decision = judge(report(MANY), report({"t/test_a.py::C0::test_0": "passed"}, test=SEGFAULT))
    assert {bad.id for bad in decision.new} == {TESTS}
    assert decision.changes.keys() == {TESTS}


def test_a_crash_names_its_test_and_not_the_suite_too() -> None:
    decision = judge(report(AB), report({"t::a": "crashed", "t::b": "not_run"}, test=SEGFAULT))
    assert [bad.id for bad in decision.new] == ["t::a"]


def test_renamed_tests_are_not_vanished() -> None:
    renamed = {name.replace("test_a", "test_z"): said for name, said in MANY.items()}
    decision = judge(report(MANY), report(renamed))
    assert decision.verdict == "passed"
    assert sum(state is None for state in decision.changes.values()) == 10


@pytest.mark.parametrize(("revision", "verdict"), [("1.0", "still_failing"), ("2.0", "fixed")])
def test_skipping_a_failed_test_mends_it_only_in_a_new_revision(
    revision: str, verdict: str
) -> None:
    lane = Lane()
    for one in (report(AB), report(A_BAD | {"t::b": "passed"})):
        lane.run(one)
    assert lane.run(report(AB | {"t::a": "skipped"}), revision).verdict == verdict


@pytest.mark.parametrize("revision", ["1.0", "2.0"])
@pytest.mark.parametrize(
    ("said", "skipped", "verdict"),
    [
        ("passed", "abc", "new_failure"), (TYPE, "abc", "new_failure"),  # one that failed hides no suite
        ("passed", "ab", "passed"),  # its third test runs still
    ],
)  # fmt: skip
def test_a_small_suite_that_is_skipped_whole_among_many(
    revision: str, said: str, skipped: str, verdict: str
) -> None:
    many = {f"t/test_m.py::C::test_{n}": "passed" for n in range(100)}
    small = {f"t/test_s.py::test_{n}": "passed" for n in "abc"}
    lane = Lane()
    lane.run(report(many | small))
    lane.run(report(many | small | {"t/test_s.py::test_a": said}))
    gone = {f"t/test_s.py::test_{n}": "skipped" for n in skipped}
    decision = lane.run(report(many | small | gone), revision)
    assert decision.verdict == verdict, decision.summary
    names = {bad.id[-1] for bad in decision.new}
    assert names == (
        set() if verdict == "passed" else set("abc") if said == "passed" else set("bc")
    )


def test_a_new_revision_may_drop_a_few_tests() -> None:
    lane = Lane()
    lane.run(report(MANY), "1.0")
    assert lane.run(report(without("C0::test_1")), "1.1").verdict == "passed"
    assert lane.run(report(without("test_a")), "1.2").verdict == "new_failure"


def test_what_was_lost_comes_back() -> None:
    lane = Lane()
    for one in (report(MANY, modules=["m._c"]), report(without("test_a"))):
        lane.run(one)
    decision = lane.run(report(MANY, modules=["m._c"]))
    assert decision.verdict == "fixed"
    assert extension("m._c") in decision.fixed
    assert len(decision.fixed) == 11


def test_an_extension_replaced_in_a_new_revision_is_not_lost() -> None:
    lane = Lane()
    lane.run(report(AB, modules=["m._speedups"]), "1.0")
    assert lane.run(report(AB, modules=["m._rust"]), "2.0").verdict == "passed"
    assert lane.run(report(AB), "3.0").verdict == "new_failure"


def test_the_gravest_kind_names_the_run() -> None:
    decision = judge(report(AB, modules=["m._c"]), report(A_BAD))
    assert {bad.kind for bad in decision.new} == {"test", "hollow"}
    assert decision.kind == "hollow"


@pytest.mark.parametrize(
    ("reports", "summary"),
    [
        ([report(AB | {"t::c": "skipped"})], "2 passed, 1 skipped"),
        ([report(AB), report(A_BAD)], "new: t::a: TypeError: unhashable type"),
        ([report(A_BAD)], "baseline: t::a: TypeError: unhashable type"),
        ([report(AB), report(A_BAD), report(A_BAD)], "still: t::a: TypeError: unhashable type"),
        ([report(AB), report(A_BAD), report(AB)], "fixed: t::a passes again"),
        ([report(AB), report(AB_BAD), report(AB)], "fixed: 2 tests pass again"),
        ([report(AB), NO_INSTALL, report(AB)], "fixed: it installs again"),
        ([report(AB, modules=["m._c"]), report(AB), report(AB, modules=["m._c"])], "fixed: extension module m._c is back"),
        ([report(AB), report(test=HANG), report(AB)], "fixed: the suite runs to its end again"),
        ([report(AB), NO_INSTALL], "new: the installation: no wheel"),
        ([report(AB), report()], "new: the suite as a whole: no tests ran"),
        ([report(AB), report(A_BAD, retried={"t::a": ("passed",)})], "2 passed, 1 only when retried"),
        ([report(AB), report(test=SEGFAULT)], "new: the suite as a whole: Crash: test was killed by signal 11"),
        ([report(AB, modules=["m._c"]), report(AB)], "new: extension module m._c: the compiled extension module is missing"),
    ],
)  # fmt: skip
def test_the_summary_says_it_in_a_line(reports: list[Report], summary: str) -> None:
    assert judge(*reports).summary == summary


def test_a_repeated_summary_says_still() -> None:
    assert repeated_words("new: t::a: TypeError") == "still: t::a: TypeError"
    assert repeated_words("baseline: t::a: TypeError") == "still: t::a: TypeError"


UNBUILT = Bad(
    id="<compile>", outcome="failed", kind="interpreter", signature="s",
    failure=Failure(message="make: exit status 2"),
)  # fmt: skip
BUILDS = [
    ("published", None, "", "passed", None),
    ("failed", None, "", "fixed", None),
    (None, None, "", "passed", None),
    ("published", UNBUILT, "", "new_failure", "interpreter"),
    ("failed", UNBUILT, "", "still_failing", "interpreter"),
    (None, UNBUILT, "", "still_failing", "interpreter"),
    ("published", None, "disk full", "infra", None),
]


@pytest.mark.parametrize(("previous", "failed", "fault", "verdict", "kind"), BUILDS)
def test_the_verdict_on_an_interpreter(
    previous: str | None, failed: Bad | None, fault: str, verdict: str, kind: str | None
) -> None:
    """Only the commit after one that built is accused of not building."""
    decision = decide_build(previous, failed=failed, farm_fault=fault)
    assert (decision.verdict, decision.kind) == (verdict, kind)
    assert bool(decision.new) == (verdict == "new_failure")
