"""Which axis changed it: the interpreter, the project, the dependencies, the worker, two of them together, or none. Pure.

Given a last good and a first bad run, `decide` names the cheapest next trial or concludes. A trial runs the tests
concerned in a *mix*: the axes named in it are as in the bad run, all others as in the good one. Order (DESIGN §6):

1. the bad run again: does it fail again, and how often (flaky)?
2. the good run again, now: does it still pass (environment, time)?
3. single axes, the most suspected for its cost first; pairs and more only when no single one explains the failure;
4. the counter-trial: everything new but the axis found. It must pass.

What is sought is the smallest set of axes that brings the failure: a mix fails exactly when it holds that set. Each trial
rules out some sets, and the last one left is the answer; when none is left, several changes bring it independently. Axes
on which the two runs agree are never tried. Outcomes are those of one signature: another failure is `skip`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from math import ceil, log
from typing import Any, Final, Literal, get_args

from pybots.core.trail import Outcome

Axis = Literal["interpreter", "project", "dependencies", "worker"]
AXES: Final[tuple[Axis, ...]] = get_args(Axis)
Mix = frozenset[Axis]
"""The axes that are new; all others are old."""

SUSPICION: Final[Mapping[Axis, float]] = {
    "interpreter": 0.5, "dependencies": 0.25, "project": 0.15, "worker": 0.1,
}  # fmt: skip
"""How likely each axis is to be the one, before any trial. A watched trunk changes most often."""
AGAIN: Final = 3
"""Runs of a control that must agree before it is believed."""
SAMPLE: Final = 8
"""Runs of a control whose runs don't agree: enough to know the rate."""
MISSED: Final = 0.03
"""A mix is called good when a failure at the known rate would have been missed with less than this probability."""
MOST_RUNS: Final = 20


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run was made of: an interpreter's key, a project's revision, a lock's digest, a worker's name."""

    interpreter: str
    project: str
    dependencies: str
    worker: str


@dataclass(frozen=True, kw_only=True)
class Tried:
    """`times` runs of a mix with one outcome; `note` says why it was skipped."""

    new: Mix
    outcome: Outcome
    times: int = 1
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Case:
    """The two runs and what was tried since. `costs` are those of a trial of each axis alone, in any unit."""

    good: Run
    bad: Run
    costs: Mapping[Axis, float] = field(default_factory=dict)
    tried: tuple[Tried, ...] = ()

    @property
    def changed(self) -> Mix:
        """The axes on which the runs differ."""
        return frozenset(
            axis for axis in AXES if getattr(self.good, axis) != getattr(self.bad, axis)
        )

    def run(self, new: Mix) -> Run:
        """What a mix is made of."""
        return Run(**{axis: getattr(self.bad if axis in new else self.good, axis) for axis in AXES})

    def tally(self, new: Mix) -> Tally:
        seen = [one for one in self.tried if one.new & self.changed == new]
        return Tally(
            passed=sum(one.times for one in seen if one.outcome == "good"),
            failed=sum(one.times for one in seen if one.outcome == "bad"),
            skipped=sum(one.times for one in seen if one.outcome == "skip"),
            note=next((one.note for one in reversed(seen) if one.note), ""),
        )


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What the runs of one mix came to."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    note: str = ""

    @property
    def runs(self) -> int:
        return self.passed + self.failed

    @property
    def rate(self) -> float:
        return self.failed / self.runs if self.runs else 0.0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One line of the evidence: what was run, what came of it, and what that rules out."""

    new: Mix
    what: str
    passed: int
    failed: int
    skipped: int
    rules_out: str


@dataclass(frozen=True, kw_only=True)
class Next:
    """Run this mix `times` times (stop early at a failure when `stop_at_bad`)."""

    new: Mix
    times: int
    why: str
    stop_at_bad: bool = False


Kind = Literal["axis", "interaction", "several", "flaky", "environment", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """`axis`: `axes` holds one. `interaction`: all of `axes` together. `several`: each of `axes` (or more) by itself.

    `flaky`: no change did it; `environment`: the good run fails now as well: the machine, the network, the date.
    `undecided`: `missing` says what could not be learned. `rate` is the failing rate of the bad run, in 0..1."""

    kind: Kind
    axes: tuple[Axis, ...]
    reason: str
    rate: float
    evidence: tuple[Evidence, ...]
    missing: tuple[str, ...] = ()


def observe(case: Case, new: Mix, outcome: Outcome, *, times: int = 1, note: str = "") -> Case:
    """The case after `times` more runs of a mix."""
    seen = Tried(new=new & case.changed, outcome=outcome, times=times, note=note)
    return replace(case, tried=(*case.tried, seen))


def decide(case: Case) -> Next | Conclusion:
    """The cheapest next trial, or the conclusion."""
    return _bad_again(case) or _good_again(case) or _which(case)


def _bad_again(case: Case) -> Next | Conclusion | None:
    """Step 1. None when the bad run fails again and its rate is known well enough."""
    whole, seen = case.changed, case.tally(case.changed)
    if seen.skipped and not seen.runs:
        why = "the bad run could not be repeated"
        return _conclude(case, "undecided", (), why, missing=(_missing(case, whole),))
    wanted = AGAIN if not (seen.passed and seen.failed) else SAMPLE
    if seen.runs < wanted:
        return Next(new=whole, times=wanted - seen.runs, why="does it fail again?")
    if not seen.failed:
        if seen.runs < SAMPLE:
            return Next(
                new=whole,
                times=SAMPLE - seen.runs,
                why="it passed when repeated: how rare is the failure?",
            )
        return _conclude(case, "flaky", (), f"the bad run passed {seen.passed} times when repeated")
    return None


def _good_again(case: Case) -> Next | Conclusion | None:
    """Step 2. None when the good run still passes (or fails far more rarely than the bad one)."""
    whole, none = case.tally(case.changed), case.tally(frozenset())
    if not case.changed:
        if whole.passed:
            why = f"nothing changed, and it fails {whole.failed} times of {whole.runs}"
            return _conclude(case, "flaky", (), why)
        return _conclude(
            case, "environment", (), "nothing changed between the runs, and it fails each time"
        )
    if none.skipped and not none.runs:
        return _conclude(
            case, "undecided", (), "the good run could not be repeated",
            missing=(_missing(case, frozenset()),),
        )  # fmt: skip
    wanted = max(AGAIN, _passes(case)) if not none.failed else SAMPLE
    if none.runs < wanted:
        return Next(new=frozenset(), times=wanted - none.runs, why="does the good run still pass?")
    if not none.passed:
        return _conclude(case, "environment", (), "the good run fails now as well, unchanged")
    if none.failed and none.rate > whole.rate / 4:
        why = f"the good run fails too: {none.failed} of {none.runs}, the bad one {whole.failed} of {whole.runs}"
        return _conclude(case, "flaky", (), why)
    return None


def _which(case: Case) -> Next | Conclusion:
    """Steps 3 and 4."""
    left = _sets_left(case)
    if not left:
        return _several(case)
    for new in _order(case):
        says = _says(case, new)
        if says is None and _tells(new, left):
            return _trial(case, new, f"is it the {_names(new)}?")
    if len(left) > 1:
        missing = tuple(_missing(case, new) for new in _order(case) if _says(case, new) == "skip")
        told = " or ".join(f"the {_names(one)}" for one in left)
        return _conclude(case, "undecided", _union(left), f"it is {told}", missing=missing)
    (found,) = left
    return _counter_trial(case, found)


def _counter_trial(case: Case, found: Mix) -> Next | Conclusion:
    """Step 4: without each axis of the set that was found, everything else new must pass."""
    missing = []
    for axis in sorted(found, key=AXES.index):
        rest = case.changed - {axis}
        says = _says(case, rest)
        if says is None:
            return _trial(case, rest, f"does it pass with the old {axis}?")
        if says == "skip":
            missing.append(_missing(case, rest))
    kind: Kind = "axis" if len(found) == 1 else "interaction"
    reason = f"the new {_names(found)} brings the failure, and nothing else does"
    if len(found) > 1:
        reason = f"only {_names(found)} together bring the failure"
    if len(case.changed) == 1:
        reason = f"nothing but the {_names(found)} changed"
    return _conclude(case, kind, found, reason, missing=tuple(missing))


def _several(case: Case) -> Conclusion:
    """No single set explains the trials: the smallest mixes that fail do so each by itself."""
    failing = [new for new in _mixes(case.changed) if new and _says(case, new) == "bad"]
    least = [new for new in failing if not any(other < new for other in failing)]
    if len(least) > 1:
        told = " and ".join(f"the new {_names(one)}" for one in least)
        return _conclude(case, "several", _union(least), f"{told} bring it independently")
    return _conclude(
        case, "undecided", _union(least), "the trials contradict each other",
        missing=("a set of axes that fits every trial: one change may hide another",),
    )  # fmt: skip


def _sets_left(case: Case) -> list[Mix]:
    """The sets of axes that explain every trial so far, smallest first."""
    says = {new: _says(case, new) for new in _mixes(case.changed)}
    return [
        one
        for one in _mixes(case.changed)
        if one
        and all(
            (word != "bad" or one <= new) and (word != "good" or not one <= new)
            for new, word in says.items()
        )
    ]


def _says(case: Case, new: Mix) -> Literal["good", "bad", "skip"] | None:
    """What is known of a mix; None when it needs (more) runs."""
    if not new:
        return "good"  # step 2 saw to it
    if new == case.changed:
        return "bad"
    seen, none = case.tally(new), case.tally(frozenset())
    if not none.failed:
        if seen.failed:
            return "bad"
        if seen.passed >= _passes(case):
            return "good"
    elif seen.runs >= SAMPLE or seen.runs >= 2 * _passes(case):
        # The good run fails now and then: nearer to which of the two?
        return "bad" if seen.rate > (none.rate + case.tally(case.changed).rate) / 2 else "good"
    return "skip" if seen.skipped else None


def _passes(case: Case) -> int:
    """How many passes it takes to call a mix good, at the failing rate of the bad run. Few runs don't prove that it always
    fails: three of three count as seven in eight."""
    whole = case.tally(case.changed)
    rate = (whole.failed + 0.5) / (whole.runs + 1)
    return min(ceil(log(MISSED) / log(1 - rate)), MOST_RUNS)


def _trial(case: Case, new: Mix, why: str) -> Next:
    seen, noisy = case.tally(new), case.tally(frozenset()).failed > 0
    wanted = min(SAMPLE, 2 * _passes(case)) if noisy else _passes(case)
    return Next(new=new, times=max(wanted - seen.runs, 1), why=why, stop_at_bad=not noisy)


def _tells(new: Mix, left: list[Mix]) -> bool:
    """Whether a trial of the mix would rule out some of the sets that are left."""
    return 0 < sum(one <= new for one in left) < len(left)


def _order(case: Case) -> list[Mix]:
    """The mixes worth trying: few axes first; among the single ones the most suspected for its cost."""

    def merit(new: Mix) -> float:
        return -sum(SUSPICION[axis] / case.costs.get(axis, 1.0) for axis in new)

    inner = [new for new in _mixes(case.changed) if new and new != case.changed]
    return sorted(inner, key=lambda new: (len(new), merit(new)))


def _mixes(changed: Mix) -> list[Mix]:
    """All subsets, smallest first, in the order of the axes."""
    axes = sorted(changed, key=AXES.index)
    return [frozenset(some) for n in range(len(axes) + 1) for some in combinations(axes, n)]


def _union(sets: list[Mix]) -> Mix:
    return frozenset().union(*sets)


def _names(new: Mix) -> str:
    return " and ".join(sorted(new, key=AXES.index))


def describe(case: Case, new: Mix) -> str:
    """A mix in words: `new interpreter, old project and dependencies`; unchanged axes are not named."""
    if new == case.changed:
        return "the bad run again"
    if not new:
        return "the good run again"
    return f"new {_names(new)}, old {_names(case.changed - new)}"


def _missing(case: Case, new: Mix) -> str:
    note = case.tally(new).note
    return f"{describe(case, new)}: could not be tested" + (f" ({note})" if note else "")


def _conclude(
    case: Case, kind: Kind, axes: Mix | tuple[()], reason: str, missing: tuple[str, ...] = ()
) -> Conclusion:
    return Conclusion(
        kind=kind,
        axes=tuple(sorted(axes, key=AXES.index)),
        reason=reason,
        rate=case.tally(case.changed).rate,
        evidence=evidence(case),
        missing=missing,
    )


def evidence(case: Case) -> tuple[Evidence, ...]:
    """Every mix that was tried, in the order of its first trial."""
    order = list(dict.fromkeys(one.new & case.changed for one in case.tried))
    return tuple(_evidence(case, new) for new in order)


def _evidence(case: Case, new: Mix) -> Evidence:
    seen = case.tally(new)
    return Evidence(
        new=new,
        what=describe(case, new),
        passed=seen.passed,
        failed=seen.failed,
        skipped=seen.skipped,
        rules_out=_rules_out(case, new, seen),
    )


def _rules_out(case: Case, new: Mix, seen: Tally) -> str:
    if not seen.runs:
        return "nothing: it could not be tested"
    if new == case.changed:
        return "a failure that came once" if seen.failed else "that the change always fails"
    if not new:
        return "the environment, and time" if seen.passed else "every change between the two runs"
    says = _says(case, new)
    if says == "bad":
        return f"that the {_names(case.changed - new)} is needed for it"
    if says == "good":
        return f"that the {_names(new)} alone brings it"
    return "nothing yet: too few runs"


def to_json(case: Case) -> dict[str, Any]:
    """Plain JSON of a case, to be kept and resumed."""
    tried = [
        {"new": sorted(one.new), "outcome": one.outcome, "times": one.times, "note": one.note}
        for one in case.tried
    ]
    return {
        "version": 1, "good": asdict(case.good), "bad": asdict(case.bad), "costs": dict(case.costs), "tried": tried,
    }  # fmt: skip


def from_json(data: Mapping[str, Any]) -> Case:
    """The case that `to_json` wrote. ValueError, TypeError or KeyError when it is none of ours."""
    if data["version"] != 1:
        raise ValueError(f"a crossover of version {data['version']!r}, not 1")
    tried = tuple(Tried(**{**row, "new": frozenset(row["new"])}) for row in data["tried"])
    return Case(good=Run(**data["good"]), bad=Run(**data["bad"]), costs=data["costs"], tried=tried)
