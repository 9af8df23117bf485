"""A project's report in normal form: stable ids, one state each, signatures, counts, and a digest of it all. Pure.

Besides tests, a report says things about the run as a whole; they are states of reserved ids, so that one history
answers for all of them: INSTALL (could it be installed), TESTS (did the suite run to its end), and one id for every
compiled extension module that was there.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pybots.core.blame import Owners, blamed
from pybots.core.faults import farm_fault, no_source, phase_failure
from pybots.core.model import Counts, FailureKind
from pybots.core.normal import stable_id
from pybots.core.signatures import named, signature
from pybots_worker.contract import (
    BAD_OUTCOMES,
    Failure,
    PhaseResult,
    Report,
    TestOutcome,
)  # fmt: skip

State = tuple[str, str | None]
"""(outcome, signature). A state is bad exactly when it has a signature."""

INSTALL: Final = "<install>"
TESTS: Final = "<tests>"
_EXTENSION: Final = "<extension "

FLAKY: Final = "flaky"
"""The outcome of a test that failed and passed when retried: no evidence either way (the event is kept apart)."""

NEVER_RUN: Final = 0.1
"""Share of planned tests that may be missing from a suite that ended well: runners don't always keep to their plans."""

RAN: Final = frozenset(
    {"passed", "failed", "error", "xfailed", "xpassed", "crashed", "timed_out", FLAKY}
)
COMPLETE: Final = frozenset({"passed", "failed"})
"""Outcomes of TESTS that mean: the suite ran to its end, so a test that is missing is gone."""

_PASSED: Final[State] = ("passed", None)
_PARTIAL: Final[State] = ("partial", None)
_NEVER: Final[State] = ("not_run", None)

_NEVER_EXPLAINED: Final = frozenset({"crashed", "timed_out"})
_FAILED_AGAIN: Final = BAD_OUTCOMES - {"not_run"}
_TESTS_FAILED: Final = 1
"""What pytest, unittest, trial and django exit with when a test failed."""
_NOTHING_RAN_CODES: Final = frozenset({None, 0, 5})
"""5: what pytest and (since 3.12) unittest say when there were no tests."""

_ENDINGS: Final[Mapping[str, tuple[str, FailureKind]]] = {
    "wall_timeout": ("timed_out", "timeout"),
    "cpu_timeout": ("timed_out", "timeout"),
    "memory": ("crashed", "memory"),
}
_ORDER: Final = (
    "crashed",
    "timed_out",
    "error",
    "failed",
    "xpassed",
    "not_run",
    FLAKY,
    "passed",
    "xfailed",
    "skipped",
)
_WORST: Final = {outcome: rank for rank, outcome in enumerate(_ORDER)}
_SUFFIX = re.compile(r"(?:\.(?:cpython|pypy)[\w-]*|\.abi3|\.cp\d+[\w-]*)?\.(?:so|pyd|dylib)$")
_COLLECTION = re.compile(
    r"collection failure|unittest\.loader\.(?:_FailedTest|ModuleImportFailure)|while importing test module"
    r"|Failed to import test module|import file mismatch"
)
_MODULES = re.compile(r"^(?:[^:\[]*\.py|\(collection\)|[^:\[]*/)$")
"""pytest names what it could not collect by its file or folder."""
_COLLECTION_IDS = re.compile(r"(?:^|[.:])(?:_FailedTest|ModuleImportFailure)\b")


@dataclass(frozen=True, kw_only=True)
class Bad:
    """Something that did not go well, with what it said."""

    id: str
    outcome: str
    kind: FailureKind
    signature: str
    failure: Failure
    retries: int = 0
    """How many retries failed as well."""
    passed_too: bool = False
    """Whether a retry passed: it came and went, or fails only after other tests."""
    dependency: str = ""
    """The distribution to blame as far as the failure itself says (see core/blame.py); "": none."""

    @classmethod
    def of_farm(cls, reason: str) -> Bad:
        """The farm's own fault, in the form that letters show."""
        return cls(
            id="<farm>", outcome="error", kind="test", signature="", failure=Failure(message=reason)
        )


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What an attempt found, normalised.

    With `farm_fault` or `no_source` it says nothing about the code under test, and everything else is empty."""

    states: Mapping[str, State]
    bad: Mapping[str, Bad]
    flaky: Mapping[str, str]
    counts: Counts
    complete: bool
    reasons: Mapping[str, str] = field(default_factory=dict)  # of skipped tests
    farm_fault: str = ""
    no_source: str = ""

    @classmethod
    def of_farm(cls, fault: str) -> Observed:
        """What a report says that is the farm's own fault: nothing."""
        return cls(states={}, bad={}, flaky={}, counts=Counts(), complete=False, farm_fault=fault)

    @property
    def ran(self) -> int:
        """How many tests were really run."""
        return self.counts.total - self.counts.skipped - self.counts.not_run

    def without(self, excused: Collection[Bad]) -> Observed:
        """The same with these failures taken for flaky ones: no evidence either way."""
        if not excused:
            return self
        events = {bad.id: bad.outcome for bad in excused}
        return replace(
            self,
            states={**self.states, **dict.fromkeys(events, (FLAKY, None))},
            bad={name: bad for name, bad in self.bad.items() if name not in events},
            flaky={**self.flaky, **events},
        )

    def digest(self) -> str:
        """Equal for two reports exactly when they say the same about every id."""
        lines = sorted(
            f"{name}\0{state[0]}\0{state[1] or ''}\n" for name, state in self.states.items()
        )
        return hashlib.sha256("".join(lines).encode("utf-8", "replace")).hexdigest()


def observe(
    report: Report, project: str, *, runner: str = "", names: Iterable[str] = ()
) -> Observed:
    """The normal form of a project's report.

    `runner` tells which exit statuses are usual ("": a test runner's), `names` are further names the project goes by."""
    fault, gone = farm_fault(report), no_source(report)
    phases = {result.phase: result for result in report.phases}
    sheet = _Sheet(project, runner, Owners.of((project, *names), report.lock))
    counts = Counts()
    if not fault and not gone:
        sheet.install(report, phases["install"])
        if phases["install"].ok:
            counts = sheet.tests(report, phases["test"])
    return Observed(
        states=sheet.states,
        bad=sheet.bad,
        flaky=sheet.flaky,
        counts=counts,
        complete=sheet.states.get(TESTS, _NEVER)[0] in COMPLETE,
        reasons=sheet.reasons,
        farm_fault=fault,
        no_source="" if fault else gone,
    )


def extension(module: str) -> str:
    """The reserved id of a compiled module, given as import name or as file (`a/_b.cpython-313-….so`)."""
    name = _SUFFIX.sub("", module).replace("/", ".").strip(".")
    return f"{_EXTENSION}{stable_id(name)}>"


def is_extension(name: str) -> bool:
    return name.startswith(_EXTENSION)


def extension_name(name: str) -> str:
    """The module that a reserved id stands for."""
    return name[len(_EXTENSION) : -1]


def is_test(name: str) -> bool:
    """Whether an id is a project's test and not one of the farm's own."""
    return not name.startswith("<")


class _Sheet:
    """What is being gathered about one report."""

    def __init__(self, project: str, runner: str, owners: Owners) -> None:
        self.project = project
        self.runner = runner
        self.owners = owners
        self.states: dict[str, State] = {}
        self.bad: dict[str, Bad] = {}
        self.flaky: dict[str, str] = {}
        self.reasons: dict[str, str] = {}

    def mark(
        self, name: str, outcome: str, kind: FailureKind, failure: Failure, *, retries: int = 0,
        passed_too: bool = False,
    ) -> None:  # fmt: skip
        sig = signature(kind, failure, project=self.project, where=name)
        self.states[name] = (outcome, sig)
        self.bad[name] = Bad(
            id=name, outcome=outcome, kind=kind, signature=sig, failure=failure, retries=retries,
            passed_too=passed_too, dependency=blamed(kind, failure, self.owners),
        )  # fmt: skip

    def install(self, report: Report, phase: PhaseResult) -> None:
        if not phase.ok:
            self.mark(INSTALL, "failed", "install", phase_failure(phase))
            return
        self.states[INSTALL] = _PASSED
        for module in report.modules:
            self.states[extension(module)] = _PASSED

    def tests(self, report: Report, phase: PhaseResult) -> Counts:
        """The state of every test and of TESTS. Tests that were never reached have no state."""
        tally: Counter[str] = Counter()
        for name, test in _worst(report.tests).items():
            outcome = test.outcome if test.outcome == "not_run" else self._test(name, test)
            tally["passed" if outcome == FLAKY else outcome] += 1
        counts = Counts(**tally, flaky=len(self.flaky))
        self._suite(phase, counts)
        return counts

    def _test(self, name: str, test: TestOutcome) -> str:
        outcome = test.outcome
        if outcome not in BAD_OUTCOMES:
            self.states[name] = (outcome, None)
            if test.reason and outcome == "skipped":
                self.reasons[name] = test.reason
        elif test.retried[-1:] == ("passed",) and outcome not in _NEVER_EXPLAINED:
            # The last word counts: the kit retries alone first, then in order, lest what fails after others only
            # is taken for chance.
            self.states[name] = (FLAKY, None)
            self.flaky[name] = outcome
            return FLAKY
        else:
            failure = test.failure or Failure(message=test.reason)
            again = sum(word in _FAILED_AGAIN for word in test.retried)
            kind, passed = _kind(name, outcome, failure), "passed" in test.retried
            self.mark(name, outcome, kind, failure, retries=again, passed_too=passed)
        return outcome

    def _suite(self, phase: PhaseResult, counts: Counts) -> None:
        """What TESTS comes to. The suite is not blamed for what a test of its own is blamed for already."""
        kinds = {bad.kind for bad in self.bad.values()}
        if phase.ended != "exit":
            if kinds & {"crash", "timeout", "memory"}:
                self.states[TESTS] = _PARTIAL
            else:
                outcome, kind = _ENDINGS.get(phase.ended, ("crashed", "crash"))
                self.mark(TESTS, outcome, kind, phase_failure(phase))
        elif kinds & {"collection", "crash", "timeout"}:
            self.states[TESTS] = _PARTIAL
        elif counts.not_run > NEVER_RUN * counts.total or counts.total == counts.skipped:
            # Also beside a red test: a suite that gives up early must not look like "still failing".
            self._nothing_ran(phase, counts)
        elif counts.not_run and kinds:
            self.states[TESTS] = _PARTIAL
        elif phase.exit_code and (not (kinds or self.flaky) or self._unusual(phase)):
            self.mark(TESTS, "failed", "test", phase_failure(phase))
        else:
            self.states[TESTS] = _PASSED

    def _unusual(self, phase: PhaseResult) -> bool:
        """An exit status that no failing test explains, flaky or not: an internal error of the runner, say.

        What a command of the project's own exits with when a test fails is its own affair."""
        return self.runner != "command" and phase.exit_code != _TESTS_FAILED

    def _nothing_ran(self, phase: PhaseResult, counts: Counts) -> None:
        """The runner ended as if all were well, or without a word on any test."""
        if phase.exit_code not in _NOTHING_RAN_CODES and not counts.not_run:
            self.mark(TESTS, "error", "collection", phase_failure(phase))
            return
        said = "no tests ran"
        if counts.not_run:
            said = f"{counts.not_run:,} of {counts.total:,} tests were never run"
        elif counts.skipped:
            reason = next(iter(self.reasons.values()), "")
            every = "the only one was" if counts.skipped == 1 else f"all {counts.skipped:,} were"
            said = f"no tests ran, {every} skipped" + (reason and f": {reason}")
        if phase.failure:
            said = f"{said}: {phase.failure.message}"
        self._hollow(said)

    def _hollow(self, said: str) -> None:
        sig = named("hollow", TESTS, self.project)
        self.states[TESTS] = ("not_run", sig)
        self.bad[TESTS] = Bad(
            id=TESTS, outcome="not_run", kind="hollow", signature=sig, failure=Failure(message=said)
        )


def _worst(tests: Iterable[TestOutcome]) -> dict[str, TestOutcome]:
    """Each id once, in normal form: of several results under one id the worst stands."""
    kept: dict[str, TestOutcome] = {}
    for test in tests:
        name = stable_id(test.id)
        before = kept.setdefault(name, test)
        if before is not test and _WORST[test.outcome] < _WORST[before.outcome]:
            kept[name] = test
    return kept


def _kind(name: str, outcome: str, failure: Failure) -> FailureKind:
    if outcome == "crashed":
        return "memory" if failure.type == "MemoryLimit" else "crash"
    if outcome == "timed_out":
        return "timeout"
    if outcome == "error" and (failure.type == "CollectError" or _MODULES.search(name)):
        return "collection"
    if _COLLECTION_IDS.search(name) or _COLLECTION.search(
        f"{failure.type} {failure.message[:2000]}"
    ):
        return "collection"
    return "test"
