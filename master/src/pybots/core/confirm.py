"""Is it proved? The parent passes and the culprit fails, several times each, with a second owner's worker. Pure.

    while isinstance(judged := judge(state, owners=owners), More):
        for ask in judged.runs: ... state = observe(state, ask.index, outcome, owner=..., worker=...)

The runs that confirm are observations of the same search, so that every doubt has one account: how noisy the failure is,
whether the parent only happened to pass, whether there was an earlier episode. What the search can't know is added here:
a difference that is a machine's and not the change's, until a second owner's worker has seen both sides. When a run
contradicts, the search itself goes on (`conclusion` is undecided again) and says where.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from pybots.core.bisect import (
    Culprit,
    NoChange,
    Range,
    State,
    conclusion,
    give_up,
)
from pybots.core.posterior import Belief, believe
from pybots.core.trail import Observation

ENOUGH: Final = 0.97
"""Below this confidence nobody is named."""
LEAST: Final = 2
"""Runs that must have gone as they should on each side, however deterministic the failure looks."""
LEAST_SLIGHT: Final = 4
"""The same for a slight culprit: a small change that one test alone complains about."""
MACHINE: Final = 0.01
"""Prior that a difference seen on one owner's workers only is theirs and not the change's."""
MACHINE_SLIGHT: Final = 0.02
SUREST: Final = 0.995
"""More than this is not asked of the search: what is left is then the machines' doubt."""
GAIN: Final = 0.0002
"""A run that would raise the confidence by less is not worth having."""
AT_ONCE: Final = 8
"""Runs asked for at once, on one side."""
MOST: Final = 60
"""Runs on one side after which more of them won't help."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """`times` more runs at candidate `index`, expected to end with `expect`; with `elsewhere` on the worker of an owner
    that is not among `not_by`."""

    index: int
    times: int
    expect: str
    elsewhere: bool = False
    not_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Side:
    """What the runs at the parent or at the culprit came to, and whose workers they were made on."""

    index: int
    passed: int
    failed: int
    owners: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed"


@dataclass(frozen=True, kw_only=True)
class More:
    """Not proved yet: make these runs. An empty `runs` means that the search itself has to go on first."""

    runs: tuple[Ask, ...]
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """The culprit may be named."""

    index: int
    parent: int
    confidence: float
    reason: str
    parent_runs: Side
    culprit_runs: Side


@dataclass(frozen=True, kw_only=True)
class Unproved:
    """Nobody may be named: it is one of `first`..`last` (indices), for this reason."""

    first: int
    last: int
    confidence: float
    reason: str


Judgement = More | Confirmed | Unproved


def judge(
    state: State, *, owners: Collection[str] = (), slight: bool = False, enough: float = ENOUGH
) -> Judgement:
    """Whether the search's culprit is proved; if not, which runs would prove it.

    `owners` are those whose workers could take a run (none: one machine, a laptop). `slight` is for a culprit that changes
    little; it needs more evidence while one test alone fails."""
    found = conclusion(state)
    if isinstance(found, (Range, NoChange)):
        return _unproved(state, found.reason)
    if not isinstance(found, Culprit):
        return More(runs=(), confidence=found.confidence)
    slight = slight and state.noise.witnesses == 1
    parent, culprit = side(state, found.parent), side(state, found.index)
    if max(parent.passed + parent.failed, culprit.passed + culprit.failed) > MOST:
        return _unproved(
            state, f"{MOST} runs did not make it clear: parent {parent}, culprit {culprit}"
        )
    sure = found.confidence * (1 - _machine(parent, culprit, slight))
    if runs := _runs(state, found, (parent, culprit), owners, slight, enough):
        return More(runs=runs, confidence=sure)
    if sure < enough:
        doubt = "more runs would not make it surer"
        machine = found.confidence >= min(enough, SUREST)
        return _unproved(state, "only one owner's workers could be asked" if machine else doubt)
    return Confirmed(
        index=found.index,
        parent=found.parent,
        confidence=sure,
        reason=_reason(parent, culprit),
        parent_runs=parent,
        culprit_runs=culprit,
    )


def side(state: State, index: int) -> Side:
    """All runs at candidates with the content of `index`, the ends' earlier runs included."""
    trail, noise = state.trail, state.noise
    key = trail.candidates[index].key
    passed = failed = 0
    if key == trail.candidates[trail.good].key:
        passed, failed = noise.good_runs - noise.good_failed, noise.good_failed
    elif key == trail.candidates[trail.bad].key:
        passed, failed = noise.bad_runs - noise.bad_failed, noise.bad_failed
    seen = [one for one in state.observations if trail.candidates[one.index].key == key]
    return Side(
        index=index,
        passed=passed + sum(one.times for one in seen if one.outcome == "good"),
        failed=failed + sum(one.times for one in seen if one.outcome == "bad"),
        owners=tuple(sorted({one.owner for one in seen if one.owner and one.outcome != "skip"})),
    )


def _machine(parent: Side, culprit: Side, slight: bool) -> float:
    """The probability that the difference is a machine's."""
    both = set(parent.owners) & set(culprit.owners)
    prior = MACHINE_SLIGHT if slight else MACHINE
    return prior / 20 if len(both) > 1 else prior


def _runs(
    state: State,
    found: Culprit,
    sides: tuple[Side, Side],
    owners: Collection[str],
    slight: bool,
    enough: float,
) -> tuple[Ask, ...]:
    """The runs that are missing; none when there is nothing more to ask for."""
    parent, culprit = sides
    least = LEAST_SLIGHT if slight else LEAST
    more_parent, more_culprit, helps = _for_confidence(state, found, slight, enough)
    wanted = (
        (parent, max(more_parent, least - parent.passed), "good"),
        (culprit, max(more_culprit, least - culprit.failed), "bad"),
    )
    runs = [
        Ask(
            index=one.index,
            times=max(count, 1),
            expect=expect,
            elsewhere=_elsewhere(one, owners),
            not_by=one.owners if _elsewhere(one, owners) else (),
        )
        for one, count, expect in wanted
        if count > 0 or _elsewhere(one, owners)
    ]
    if not runs and not helps and (step := state.view.best) is not None:
        # Repeating these two tells no more: a doubt is elsewhere (an earlier episode).
        index = state.trail.firsts[step]
        runs.append(Ask(index=index, times=1, expect="bad" if index >= found.index else "good"))
    return tuple(runs)


def _elsewhere(one: Side, owners: Collection[str]) -> bool:
    """Whether another owner's worker could see this side, and none has yet."""
    return len(one.owners) < 2 and bool(set(owners) - set(one.owners))


def _for_confidence(
    state: State, found: Culprit, slight: bool, enough: float
) -> tuple[int, int, bool]:
    """How many more passes of the parent and failures of the culprit would make it sure enough, and whether they would."""
    target = enough / (1 - (MACHINE_SLIGHT if slight else MACHINE))
    belief, added, counts = state.view.belief, list(state.observations), [0, 0]
    culprit = state.trail.step_at[found.index]
    mass = belief.mass(culprit, culprit)
    while mass < min(target, SUREST) and max(counts) < AT_ONCE:
        before = _before(belief, culprit)
        late = before < 1 - mass - before
        added.append(
            Observation(index=found.index, outcome="bad")
            if late
            else Observation(index=found.parent, outcome="good")
        )
        belief = believe(state.trail, state.noise, added)
        gained, mass = belief.mass(culprit, culprit) - mass, belief.mass(culprit, culprit)
        if gained < GAIN:
            return counts[0], counts[1], False
        counts[late] += 1
    return counts[0], counts[1], True


def _before(belief: Belief, step: int) -> float:
    """The probability that the break was before `step`."""
    return belief.already + (belief.mass(1, step - 1) if step > 1 else 0.0)


def _unproved(state: State, reason: str) -> Unproved:
    found = conclusion(state)
    if isinstance(found, NoChange):
        trail = state.trail
        return Unproved(
            first=trail.good + 1, last=trail.bad, confidence=1 - found.confidence, reason=reason
        )
    if isinstance(found, Culprit):
        return Unproved(
            first=found.index, last=found.index, confidence=found.confidence, reason=reason
        )
    ended = give_up(state, reason)
    assert isinstance(ended, Range)
    return Unproved(
        first=ended.first, last=ended.last, confidence=ended.confidence, reason=ended.reason
    )


def _reason(parent: Side, culprit: Side) -> str:
    both = set(parent.owners) & set(culprit.owners)
    where = f"on workers of {len(both)} owners" if len(both) > 1 else "on one owner's workers"
    return f"{where}, parent: {parent}; culprit: {culprit}"
