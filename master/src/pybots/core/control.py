"""The control run: the last good combination once more, now (DESIGN §6). What it is asked, and what its answer means. Pure.

A control runs the lane's last good interpreter, project revision and lock. Whatever fails there as well was not broken by
what changed since: the environment, a drifted dependency or the worker is to blame.

For each id of a suspected breakage the control says one of three things:

- red: bad again, with the same signature. Crashes, timeouts and lack of memory need only be of the same kind (their
  stacks vary); what is missing (an extension, a test, a suite now skipped) need only be missing again.
- green: it was there and well; of what can't be collected, that the suite ran to its end without. Passing only when retried counts as well: it can pass here.
- nothing: not reached, not known there, skipped, or bad in another way. That proves nothing about this failure.

As many reds as greens among those that said something: red. Any green otherwise: green. Silence: "none", and then the
breakage is opened all the same, said to be without a control: a missing answer must not hide a failure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from pybots.core.model import Axis, BreakageState, FailureKind
from pybots.core.outcomes import (
    FLAKY,
    INSTALL,
    RAN,
    TESTS,
    Bad,
    Observed,
    is_extension,
    is_test,
)  # fmt: skip

Answer = Literal["green", "red", "none"]

KINDS: Final[frozenset[FailureKind]] = frozenset(
    {"test", "collection", "install", "crash", "timeout", "memory", "hollow"}
)
"""What a control can be asked. An interpreter that doesn't build needs none: its parent was built."""
SINGLE: Final[frozenset[FailureKind]] = frozenset({"test", "crash", "timeout", "memory"})
"""Kinds whose tests can be run without the rest of their suite."""
MAX_ONLY: Final = 500
AGAIN_AT_LEAST: Final = 3600.0
AGAIN_AT_MOST: Final = 24 * 3600.0
WAIT_SECONDS: Final = 3600.0
"""A control that has not answered by then is given up: news is held for an hour at most (DESIGN §6)."""


@dataclass(frozen=True, kw_only=True)
class Concern:
    """What one suspected breakage asks. `dependency`: the distribution in whose own frames it failed, if any."""

    kind: FailureKind
    signature: str
    ids: tuple[str, ...]
    dependency: str = ""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the control's answer makes of a breakage."""

    control: Answer
    state: BreakageState
    axis: Axis = ""
    blamed: str = ""
    reason: str = ""


def scope(new: Iterable[Bad]) -> tuple[str, ...]:
    """The tests that a control of these failures can be restricted to; (): it needs the whole suite.

    A test that passed alone and failed only after others would pass in any control without these."""
    found = list(new)
    if any(bad.kind not in SINGLE or not is_test(bad.id) or bad.passed_too for bad in found):
        return ()
    ids = tuple(dict.fromkeys(bad.id for bad in found))
    return ids if len(ids) <= MAX_ONLY else ()


def judge(concern: Concern, observed: Observed) -> Judgement:
    """What the control's report says of one suspected breakage."""
    if observed.farm_fault or observed.no_source:
        return unanswered(observed.farm_fault or observed.no_source)
    said = [_of(name, concern, observed) for name in concern.ids]
    reds, greens = said.count("red"), said.count("green")
    if not reds and any(bad.signature == concern.signature for bad in observed.bad.values()):
        reds = 1  # the same failure, met in another test
    if reds and reds >= greens:
        return Judgement(
            control="red",
            state="dismissed",
            axis="dependency" if concern.dependency else "environment",
            blamed=concern.dependency,
            reason="the last good combination fails in the same way now",
        )
    if greens:
        return Judgement(
            control="green", state="open", reason="the last good combination still passes"
        )
    return unanswered("the control run said nothing about it")


def unanswered(reason: str) -> Judgement:
    """There is no answer, and there will be none: opened without a control."""
    return Judgement(control="none", state="open", reason=reason)


def ask_again(opened: float, answered: float, now: float) -> bool:
    """Whether to ask once more about a failure that a red control dismissed, and that lasts.

    What was wrong with the environment then may be over, and the failure be the code's all the same. Asked after an hour,
    then in intervals that grow with its age, once a day at least."""
    return now - answered >= min(AGAIN_AT_MOST, max(AGAIN_AT_LEAST, answered - opened))


def overdue(wanted: float, now: float) -> bool:
    """Whether a control wanted at that time has been waited for long enough."""
    return now - wanted >= WAIT_SECONDS


def _of(name: str, concern: Concern, observed: Observed) -> Literal["red", "green", ""]:
    bad = observed.bad.get(name)
    if bad is not None:
        alike = bad.kind == concern.kind and concern.kind in ("crash", "timeout", "memory")
        return "red" if alike or bad.signature == concern.signature else ""
    if (
        concern.kind == "collection" and name != TESTS
    ):  # it has a state of its own only while it fails
        return "green" if observed.complete else ""
    outcome = observed.states.get(name, ("", None))[0]
    if concern.kind == "hollow" and name != TESTS:
        return _hollow(name, outcome, observed)
    if name in (INSTALL, TESTS):
        return "green" if outcome == "passed" else ""
    return "green" if outcome in RAN or outcome == FLAKY else ""


def _hollow(name: str, outcome: str, observed: Observed) -> Literal["red", "green", ""]:
    """Whether what was missing is missing here as well."""
    if is_extension(name):
        if outcome:
            return "green"
        return "red" if observed.states.get(INSTALL, ("", ""))[1] is None else ""
    if outcome in RAN:
        return "green"
    return "red" if observed.complete or outcome == "skipped" else ""
