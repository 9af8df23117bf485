"""Which change on one axis: bisection that is k-ary, noise-aware, skips, and keeps to adjacent good and bad. Pure.

    state = start(candidates, good=0, bad=len(candidates) - 1, noise=Noise(bad_runs=3, bad_failed=3, good_runs=3))
    print(expected(state, workers=2).rounds)
    while not is_final(found := conclusion(state)):
        for probe in next_probes(state, idle_workers=2):
            state = observe(state, probe.index, outcome_of(probe))      # "good", "bad" or "skip"

A state is its start and its observations and nothing else: `to_json` and `from_json` keep it, `replay` makes it anew.
Every function is deterministic. Nothing outside (good, bad] is ever probed or blamed, but both ends may be probed again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from math import ceil, log2
from typing import Any, Final, Literal

from pybots.core import probing
from pybots.core.posterior import Belief, believe
from pybots.core.trail import Candidate, Noise, Observation, Outcome, Trail, candidates_of
from pybots.core.view import Episode, View, credible

CERTAINTY: Final = 3.0
"""Bits that a noisy search needs to be sure of its answer, beyond those that find it (seen in the synthetic benchmark)."""
PROOF: Final = 3.0
"""Runs that make sure of a change that a noiseless search found, when the failure may well be a noisy one (likewise)."""

Cost = Callable[[int], float]
"""What one probe at a candidate's index costs, in any unit (seconds to build and to test it)."""


@dataclass(frozen=True, kw_only=True)
class Undecided:
    """The search goes on: the culprit is in (`first` - 1, `last`] with probability `confidence`."""

    first: int
    last: int
    confidence: float
    earlier: tuple[Episode, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Culprit:
    """Final: the candidate at `index`; `parent` is the one before it. `confidence` is calibrated, in 0..1.

    `earlier` are the failure's earlier episodes in this range: the breakage is then not the first of its kind."""

    index: int
    parent: int
    confidence: float
    reason: str
    earlier: tuple[Episode, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Range:
    """Final: one of `first`..`last`, and why it can't be said more exactly (`reason`).

    The parent of the range is `first` - 1. `first` > `last` never happens."""

    first: int
    last: int
    confidence: float
    reason: str
    earlier: tuple[Episode, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NoChange:
    """Final: nothing on this axis did it: the good end fails too, or the bad end doesn't fail."""

    confidence: float
    reason: str


Conclusion = Undecided | Culprit | Range | NoChange


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Run the tests concerned once at candidate `index`. What is built already is asked for again where that tells more.

    `stage` is "confirm" once a noiseless search has found its change and only makes sure of it."""

    index: int
    why: str = ""
    stage: Literal["search", "confirm"] = "search"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is still to come, about: `probes` in all, in `rounds` with all workers busy."""

    probes: int
    rounds: int


@dataclass(frozen=True, kw_only=True)
class State:
    """A bisection so far. `enough` is the confidence at which a noisy search stops."""

    trail: Trail
    noise: Noise
    enough: float = 0.95
    observations: tuple[Observation, ...] = field(default=())

    @cached_property
    def view(self) -> View:
        return View(
            self.trail, believe(self.trail, self.noise, self.observations), self.observations
        )


def start(
    candidates: Sequence[Candidate],
    *,
    good: int,
    bad: int,
    noise: Noise | None = None,
    enough: float = 0.95,
) -> State:
    """A search for the change after `good` up to and including `bad` (indices).

    ValueError when the ends are not in this order or have the same content key."""
    return State(trail=Trail(tuple(candidates), good, bad), noise=noise or Noise(), enough=enough)


def observe(
    state: State,
    index: int,
    outcome: Outcome,
    *,
    times: int = 1,
    worker: str = "",
    owner: str = "",
    note: str = "",
) -> State:
    """The state after `times` runs at `index`. IndexError when the index is outside good..bad."""
    if not state.trail.good <= index <= state.trail.bad:
        raise IndexError(f"{index} is outside {state.trail.good}..{state.trail.bad}")
    seen = Observation(
        index=index, outcome=outcome, times=times, worker=worker, owner=owner, note=note
    )
    return replace(state, observations=(*state.observations, seen))


def replay(state: State, observations: Iterable[Observation]) -> State:
    """The start of `state` with these observations instead of its own."""
    return replace(state, observations=tuple(observations))


def next_probes(
    state: State,
    *,
    idle_workers: int = 1,
    running: Collection[int] = (),
    cost: Cost | None = None,
) -> list[Probe]:
    """What `idle_workers` should probe now, most useful first, given that the probes at `running` (indices) are under way.

    At most one probe a worker; fewer when more would not help; none once the conclusion is final. `cost` matters where
    one worker is idle: several share the range evenly."""
    view = state.view
    if idle_workers < 1 or is_final(conclusion(state)):
        return []
    busy = [step for index in running for step in state.trail.steps_of[index]]
    if (undo := view.unproved_mend) is not None and undo not in busy:
        return [_probe(state, undo, "whether the revert mended it")]
    price = _step_cost(state.trail, cost)
    if view.clean and view.high - view.low > 1:
        if idle_workers == 1 and not busy:
            step = probing.halve(view.belief, view.low, view.high, view.untested, price)
            steps = [] if step is None else [step]
        else:
            steps = probing.spread(
                view.belief, view.low, view.high, idle_workers, busy, view.untested
            )
        if steps or busy:
            return [_probe(state, step, "halves the range") for step in steps]
    if idle_workers == 1 and not busy:
        step = probing.sharpest(view.belief, view.untested, price) if price else view.best
        steps = [] if step is None else [step]
    else:
        steps = probing.spread_noisy(view.belief, idle_workers, busy, view.untested)
        if not steps and not busy and view.best is not None:
            steps = [view.best]
    if view.clean:
        return [_probe(state, step, "makes sure of the change found", "confirm") for step in steps]
    return [_probe(state, step, "tells most about a noisy failure") for step in steps]


def _probe(
    state: State, step: int, why: str, stage: Literal["search", "confirm"] = "search"
) -> Probe:
    return Probe(index=state.trail.firsts[step], why=why, stage=stage)


def _step_cost(trail: Trail, cost: Cost | None) -> probing.StepCost | None:
    return (lambda step: cost(trail.firsts[step])) if cost else None


def conclusion(state: State) -> Conclusion:
    """What is known now. Only `Undecided` asks for more probes."""
    view = state.view
    belief, trail = view.belief, state.trail
    if belief.already + belief.never >= state.enough:
        return _no_change(belief)
    top = belief.top
    low, high = belief.steps[top], belief.steps[top + 1]
    earlier = view.episodes(low)
    if view.unproved_mend is None and belief.gaps[top] >= state.enough:
        if high - low == 1:
            return Culprit(
                index=trail.firsts[high],
                parent=trail.firsts[high] - 1,
                confidence=belief.gaps[top],
                reason="the parent passes and this fails",
                earlier=earlier,
            )
        if all(step in view.untested.skipped for step in range(low + 1, high)):
            return Range(
                first=trail.firsts[low + 1],
                last=trail.firsts[high],
                confidence=belief.gaps[top],
                reason="the commits in between can't be tested",
                earlier=earlier,
            )
    first, last = credible(belief, state.enough)
    if view.exhausted:
        return Range(
            first=trail.firsts[first],
            last=trail.firsts[last],
            confidence=belief.mass(first, last),
            reason="no probe that is left can tell more",
            earlier=earlier,
        )
    return Undecided(
        first=trail.firsts[first],
        last=trail.firsts[last],
        confidence=belief.mass(first, last),
        earlier=earlier,
    )


def _no_change(belief: Belief) -> NoChange:
    if belief.already > belief.never:
        return NoChange(confidence=belief.already, reason="the good end fails too")
    return NoChange(confidence=belief.never, reason="the bad end does not fail")


def give_up(state: State, reason: str) -> Conclusion:
    """The final word when no more may be probed (budget spent, overtaken): a range where there would be no culprit yet."""
    found = conclusion(state)
    if not isinstance(found, Undecided):
        return found
    return Range(
        first=found.first,
        last=found.last,
        confidence=found.confidence,
        reason=reason,
        earlier=found.earlier,
    )


def is_final(found: Conclusion) -> bool:
    return not isinstance(found, Undecided)


def expected(state: State, *, workers: int = 1) -> Expected:
    """How many probes the search needs from here, about; before the first one: what to tell the person who waits.

    A noiseless search halves; a noisy one must get the entropy that is left, and then certainty, at the bits of one run."""
    view, belief = state.view, state.view.belief
    reach = log2(workers + 1)
    untested = view.untested
    skips = len(untested.skipped) / (len(untested.skipped) + len(untested.tested) + 4)
    if view.clean:
        sizes = belief.trail.below
        shares = [
            (sizes[step] - sizes[step - 1]) / (sizes[view.high] - sizes[view.low])
            for step in range(view.low + 1, view.high + 1)
        ]
        bits = -sum(share * log2(share) for share in shares)
        needed = bits / (1 - skips)
        rounds = ceil(needed / reach - 1e-9)
        probes = rounds if workers == 1 else min(rounds * workers, view.high - view.low - 1)
        proof = round((1 - belief.deterministic) * PROOF)
        return Expected(probes=probes + proof, rounds=rounds + ceil(proof / workers))
    bits = sum(
        -share * log2(share / (high - low))
        for share, low, high in zip(belief.gaps, belief.steps, belief.steps[1:], strict=False)
        if share > 1e-6
    )
    needed = (bits + CERTAINTY) / probing.capacity(belief.failing, belief.false) / (1 - skips)
    return Expected(probes=ceil(needed), rounds=ceil(needed / workers))


def to_json(state: State) -> dict[str, Any]:
    """Plain JSON of all there is in a state. Fields that have their default value are left out of the rows."""
    return {
        "version": 1,
        "candidates": [_row(one, Candidate(key="")) for one in state.trail.candidates],
        "good": state.trail.good,
        "bad": state.trail.bad,
        "noise": asdict(state.noise),
        "enough": state.enough,
        "observations": [
            _row(one, Observation(index=-1, outcome="skip")) for one in state.observations
        ],
    }


def from_json(data: Mapping[str, Any]) -> State:
    """The state that `to_json` wrote. ValueError, TypeError or KeyError when it is none of ours."""
    if data["version"] != 1:
        raise ValueError(f"a bisection of version {data['version']!r}, not 1")
    state = start(
        candidates_of(data["candidates"]),
        good=data["good"],
        bad=data["bad"],
        noise=Noise(**data["noise"]),
        enough=data["enough"],
    )
    for row in data["observations"]:
        index, outcome, more = row["index"], row.get("outcome", "skip"), {**row}
        more.pop("index"), more.pop("outcome", None)
        state = observe(state, index, outcome, **more)
    return state


def _row(one: Any, plain: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from those of `plain`."""
    ours, theirs = asdict(one), asdict(plain)
    return {name: value for name, value in ours.items() if value != theirs[name]}
