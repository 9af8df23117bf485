"""What the observations say about every step of a trail: Bayes over the place, the noise, and earlier episodes. Pure.

The hidden history is good at the good end and bad at the bad end, with a *last break* in between: the step that is
sought. Before it the failure may have come and gone (a removal, its revert, the removal again), rarely: a two-state
chain in continuous time, whose unit is the whole trail. A bad step fails with a rate r, a good one with a rate f; both
are unknown and summed out over a small grid, most of whose prior lies on "deterministic". One forward pass over the
observed steps gives the exact probability of every gap between them; inside a gap nothing was observed, so that the
prior weights decide there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from math import exp, log, prod
from typing import Final

from pybots.core.rates import Rates, Seen, grid, promising
from pybots.core.trail import Noise, Observation, Trail

BREAKS: Final = 0.03
"""Earlier breaks expected in a whole trail. About 1-2 % of CPython's commits are reverted, few of them in our range."""
MENDS: Final = 4.0
"""Mends expected in a whole trail that is broken: an earlier episode lasts a quarter of the trail on average."""
ALREADY: Final = 0.01
"""Prior that the good end is bad in truth."""
NEVER: Final = 0.02
"""Prior that the bad end is good in truth: its red was noise."""

RELANDS: Final = 0.85
"""Probability that a step which was reverted and made again, as its messages say, did the same harm both times."""

_TINY: Final = 1e-300


def seen_steps(trail: Trail, noise: Noise, observations: Sequence[Observation]) -> tuple[Seen, ...]:
    """The observed steps, in order; both ends are always among them."""
    counts: dict[int, list[float]] = {
        0: [noise.good_runs - noise.good_failed, noise.good_failed],
        # The failure that started the search was not drawn at random: it says nothing about the rate.
        trail.last: [noise.bad_runs - noise.bad_failed, max(noise.bad_failed - 1, 0)],
    }
    for seen in observations:
        if seen.outcome == "skip":
            continue
        steps = trail.steps_of[seen.index]
        for step in steps:
            # Equal content further apart is one thing, seen once: each place gets its share of the weight.
            count = counts.setdefault(step, [0.0, 0.0])
            count[seen.outcome == "bad"] += seen.times / len(steps)
    return tuple(Seen(step, *counts[step]) for step in sorted(counts))


_Span = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class _Again:
    """A break that was reverted and made again: `bad` says for every seen step whether it is broken; the last break is
    in gap `gap`; the first one in gap `first`."""

    bad: tuple[bool, ...]
    gap: int
    first: int
    prior: float


@dataclass(frozen=True)
class _Chain:
    """What a belief was made from; `shares` are the pairs of rates that explain something, each with its factor."""

    spans: Sequence[_Span]
    again: Sequence[_Again]
    shares: Sequence[tuple[float, Rates]]


@dataclass(frozen=True)
class Belief:
    """The posterior. `gaps[j]` is the probability that the last break is after `steps[j]`, up to and with `steps[j+1]`.

    `already` and `never` are those of no break at all (everything bad, nothing bad); all of them sum to 1."""

    trail: Trail
    seen: tuple[Seen, ...]
    gaps: tuple[float, ...]
    already: float
    never: float
    failing: float
    false: float
    deterministic: float
    chain: _Chain

    @cached_property
    def bad_before(self) -> tuple[float, ...]:
        """For every seen step, the probability that it is bad if the last break is after it."""
        return _bad_before(self.seen, self.chain)

    @cached_property
    def steps(self) -> tuple[int, ...]:
        return tuple(one.step for one in self.seen)

    @cached_property
    def _below(self) -> tuple[float, ...]:
        """The probability that the break is at or before `steps[j]`, given that there is one."""
        total = max(sum(self.gaps), _TINY)
        return (0.0, *(value / total for value in accumulate(self.gaps)))

    def mass(self, first: int, last: int) -> float:
        """The probability that the break is one of the steps first..last."""
        return (self.up_to(last) - self.up_to(first - 1)) * sum(self.gaps)

    def up_to(self, step: int) -> float:
        """The probability that the break is at `step` or before it, given that there is one."""
        gap = max(bisect_left(self.steps, step) - 1, 0)
        below, (low, high) = self.trail.below, self.steps[gap : gap + 2]
        part = (below[step] - below[low]) / (below[high] - below[low])
        return self._below[gap] + part * (self._below[gap + 1] - self._below[gap])

    def step_at(self, share: float) -> int:
        """The first step up to which at least `share` of the probability lies."""
        gap = min(max(bisect_left(self._below, share) - 1, 0), len(self.gaps) - 1)
        below, (low, high) = self.trail.below, self.steps[gap : gap + 2]
        inside = self._below[gap + 1] - self._below[gap]
        part = (share - self._below[gap]) / inside if inside > 0 else 1.0
        return min(bisect_left(below, below[low] + part * (below[high] - below[low]) - 1e-12), high)

    def bad_at(self, step: int) -> float:
        """The probability that `step` is bad if the last break is after it: an earlier episode."""
        place = bisect_right(self.steps, step) - 1
        width = self.trail.below[step] - self.trail.below[self.steps[place]]
        return self.bad_before[place] * exp(-MENDS * width)

    @property
    def top(self) -> int:
        """The likeliest gap."""
        return max(range(len(self.gaps)), key=self.gaps.__getitem__)

    def weight_of_evidence(self, seen: Seen) -> float:
        """log(P(seen | bad) / P(seen | good)) at the mean rates."""
        r, f = min(self.failing, 0.999), max(self.false, 0.001)
        return seen.failed * log(r / f) + seen.passed * log((1 - r) / (1 - f))


def believe(trail: Trail, noise: Noise, observations: Sequence[Observation]) -> Belief:
    """The posterior after these observations."""
    seen = seen_steps(trail, noise, observations)
    rates = grid(noise)
    if noise.certain:
        sure = _weigh(trail, seen, rates[:1])
        if sure is not None:
            return sure
        # Both outcomes at one step: it isn't so certain after all.
    found = _weigh(trail, seen, promising(seen, rates))
    assert found is not None, "some pair of rates always explains what was seen"
    return found


def _weigh(trail: Trail, seen: tuple[Seen, ...], rates: Sequence[Rates]) -> Belief | None:
    """The pairs' posteriors, mixed. None when no pair explains what was seen."""
    spans, again = _spans(trail, seen), _again(trail, seen)
    passes = [(pair, *_pass(seen, spans, again, pair)) for pair in rates]
    best = max(scale for _, scale, _ in passes)
    mixed = [0.0] * (len(seen) + 1)
    shares: list[tuple[float, Rates]] = []
    failing = false = deterministic = 0.0
    for pair, scale, weights in passes:
        factor = exp(max(scale - best, -700.0)) * pair.prior
        share = factor * sum(weights)
        if share <= 0:
            continue
        mixed = [value + factor * weight for value, weight in zip(mixed, weights, strict=True)]
        shares.append((factor, pair))
        failing, false = failing + share * pair.failing, false + share * pair.false
        deterministic += share * (pair.failing == 1.0 and pair.false == 0.0)
    total = sum(mixed)
    if total <= 0:
        return None
    *gaps, already, never = (value / total for value in mixed)
    return Belief(
        trail=trail, seen=seen, gaps=tuple(gaps), already=already, never=never,
        failing=failing / total, false=false / total, deterministic=deterministic / total,
        chain=_Chain(spans, again, shares),
    )  # fmt: skip


def _spans(trail: Trail, seen: Sequence[Seen]) -> list[_Span]:
    """For the gap after each seen step: the chain's transitions over it (good to good, good to bad, bad to good, bad to
    bad), and the prior that the last break is in it when its first step is good, and when it is bad."""
    pace = BREAKS + MENDS
    found: list[_Span] = []
    for one, following in pairwise(seen):
        width = trail.below[following.step] - trail.below[one.step]
        stays = exp(-pace * width)
        bad_to_good = MENDS * (1 - stays) / pace
        good_to_bad = BREAKS * (1 - stays) / pace
        lasting = MENDS / pace
        fading = (1 - stays) / pace / pace
        if following.step - one.step == 1:
            # One step can't mend and break at once.
            after_good, after_bad = width, 0.0
        else:
            after_good = lasting * width + BREAKS * fading
            after_bad = max(lasting * width - MENDS * fading, 0.0)
        found.append(
            (1 - good_to_bad, good_to_bad, bad_to_good, 1 - bad_to_good, after_good, after_bad)
        )
    return found


def _again(trail: Trail, seen: Sequence[Seen]) -> list[_Again]:
    steps = [one.step for one in seen]
    return [
        _Again(
            bad=tuple(first <= step < mend or step >= second for step in steps),
            gap=bisect_left(steps, second) - 1,
            first=bisect_left(steps, first) - 1,
            prior=RELANDS * (trail.below[first] - trail.below[first - 1]),
        )
        for first, mend, second in trail.relandings
    ]


def _likelihoods(seen: Sequence[Seen], pair: Rates) -> tuple[list[float], list[float], float]:
    """(of every seen step if it is bad, if it is good, the logarithm of what both were divided by)."""
    r, f = pair.failing, pair.false
    bad, good, scale = [], [], 0.0
    for one in seen:
        here_bad = r**one.failed * (1 - r) ** one.passed
        here_good = f**one.failed * (1 - f) ** one.passed
        unit = here_bad + here_good
        if unit <= 0:
            return [], [], -1e9
        scale += log(unit)
        bad.append(here_bad / unit)
        good.append(here_good / unit)
    return bad, good, scale


def _pass(
    seen: Sequence[Seen], spans: Sequence[_Span], again: Sequence[_Again], pair: Rates
) -> tuple[float, list[float]]:
    """(log scale, weights of every gap, of `already` and of `never`) for one pair of rates."""
    bad, good, scale = _likelihoods(seen, pair)
    if not bad:
        return scale, [0.0] * (len(seen) + 1)
    after = _after(bad)
    is_good, is_bad = (1 - ALREADY) * good[0], ALREADY * BREAKS * bad[0]
    weights = []
    for place, (gg, gb, bg, bb, from_good, from_bad) in enumerate(spans):
        weights.append((is_good * from_good + is_bad * from_bad) * after[place + 1])
        is_good, is_bad = (
            (is_good * gg + is_bad * bg) * good[place + 1],
            (is_good * gb + is_bad * bb) * bad[place + 1],
        )
    for one in again:
        likelihood = prod(bad[n] if broken else good[n] for n, broken in enumerate(one.bad))
        # Where it was made again, the first one is not the last break.
        weights[one.first] = max(weights[one.first] - one.prior * _before(good, after, one), 0.0)
        weights[one.gap] += one.prior * likelihood
    return scale, [*weights, ALREADY * after[0], NEVER * is_good]


def _after(bad: Sequence[float]) -> list[float]:
    """The likelihood of everything from a seen step on, if all of it is bad."""
    found = [1.0] * (len(bad) + 1)
    for place in range(len(bad) - 1, -1, -1):
        found[place] = found[place + 1] * bad[place]
    return found


def _bad_before(seen: Sequence[Seen], chain: _Chain) -> tuple[float, ...]:
    """`Belief.bad_before`, mixed over the pairs of rates, each with its factor. The chain forward and backward."""
    most = max(factor for factor, _ in chain.shares)
    good_mass, bad_mass = [0.0] * len(seen), [0.0] * len(seen)
    for factor, pair in chain.shares:
        if factor < 0.02 * most:
            continue
        for place, (good, bad) in enumerate(_states(seen, chain.spans, chain.again, pair)):
            good_mass[place] += factor * good
            bad_mass[place] += factor * bad
    return tuple(
        bad / (good + bad) if bad > 0 else 0.0
        for good, bad in zip(good_mass, bad_mass, strict=True)
    )


def _states(
    seen: Sequence[Seen], spans: Sequence[_Span], again: Sequence[_Again], pair: Rates
) -> list[list[float]]:
    """For every seen step the weights of [it is good, it is bad] with the last break after it."""
    bad, good, _ = _likelihoods(seen, pair)
    after = _after(bad)
    then_good, then_bad = [0.0] * len(seen), [0.0] * len(seen)
    for place in range(len(spans) - 1, -1, -1):
        gg, gb, bg, bb, from_good, from_bad = spans[place]
        on_good = good[place + 1] * then_good[place + 1]
        on_bad = bad[place + 1] * then_bad[place + 1]
        then_good[place] = from_good * after[place + 1] + gg * on_good + gb * on_bad
        then_bad[place] = from_bad * after[place + 1] + bg * on_good + bb * on_bad
    found: list[list[float]] = []
    is_good, is_bad = (1 - ALREADY) * good[0], ALREADY * BREAKS * bad[0]
    for place in range(len(seen)):
        found.append([is_good * then_good[place], is_bad * then_bad[place]])
        if place < len(spans):
            gg, gb, bg, bb, _, _ = spans[place]
            is_good, is_bad = (
                (is_good * gg + is_bad * bg) * good[place + 1],
                (is_good * gb + is_bad * bb) * bad[place + 1],
            )
    for one in again:
        weight = one.prior * prod(bad[n] if b else good[n] for n, b in enumerate(one.bad))
        for place in range(one.gap + 1):
            found[place][one.bad[place]] += weight
    return found


def _before(good: Sequence[float], after: Sequence[float], one: _Again) -> float:
    """The likelihood of the first break's being the last one."""
    return prod(good[: one.first + 1]) * after[one.first + 1]
