"""Where to probe next: the most information for the cost, away from what can't be tested. Pure.

Information is that of one run about the place of the break: a run at a step fails with the failing rate when the break is
at the step or before it, with the false-fail rate when it is after it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, log2
from typing import Final

from pybots.core.posterior import Belief

StepCost = Callable[[int], float]

WINDOW: Final = 96
"""Steps looked at around the best place, and as many again spread over the rest of the range."""
NOTHING: Final = 0.002
"""Bits: a run that gives less than this is not worth having."""
BUILT: Final = 0.85
"""An interpreter that was probed already is taken when it gives this share of the best information."""


@dataclass(frozen=True)
class Untested:
    """The steps that could not be tested, and how likely that is for the others. They come in stretches.

    `tested` are the steps that could be, in order; both ends are among them."""

    skipped: frozenset[int]
    tested: tuple[int, ...]

    def chance(self, step: int) -> float:
        """The probability that `step` can't be tested either."""
        if step in self.skipped:
            return 1.0
        if not self.skipped:
            return 0.0
        base = (len(self.skipped) + 0.2) / (len(self.skipped) + len(self.tested) + 4)
        place = bisect_right(self._firsts, step)
        near = max((self._near(step, n) for n in (place - 1, place)), default=0.0)
        return base + (1 - base) * near

    @cached_property
    def stretches(self) -> list[tuple[int, int]]:
        """(first, last) of the skipped steps with nothing tested in between, in order."""
        found: list[tuple[int, int]] = []
        marks = sorted([(step, True) for step in self.skipped] + [(s, False) for s in self.tested])
        previous = False
        for step, skip in marks:
            if skip and previous:
                found[-1] = (found[-1][0], step)
            elif skip:
                found.append((step, step))
            previous = skip
        return found

    @cached_property
    def _firsts(self) -> list[int]:
        return [first for first, _ in self.stretches]

    def _near(self, step: int, number: int) -> float:
        """What the stretch of this number says about `step`."""
        if not 0 <= number < len(self.stretches):
            return 0.0
        first, last = self.stretches[number]
        if first < step < last:
            return 0.8
        if bisect_right(self.tested, step) != bisect_right(self.tested, first):
            return 0.0  # something in between could be tested
        away = first - step if step < first else step - last
        return 0.6 * exp(-(away - 1) / (last - first + 1.5))


def entropy(share: float) -> float:
    """Of a coin, in bits."""
    if share <= 0.0 or share >= 1.0:
        return 0.0
    return -share * log2(share) - (1 - share) * log2(1 - share)


def information(share: float, failing: float, false: float) -> float:
    """Bits that one run gives about the break, which is at the step or before it with probability `share`; the run fails
    at the rate `failing` then, and at the rate `false` otherwise."""
    fails = share * failing + (1 - share) * false
    return max(entropy(fails) - share * entropy(failing) - (1 - share) * entropy(false), 0.0)


def gain(belief: Belief, step: int) -> float:
    """Bits that one run at `step` gives. Less where it would fail anyway, in an earlier episode."""
    r, f = belief.failing, belief.false
    return information(belief.up_to(step), r, f + (r - f) * belief.bad_at(step))


def best_share(failing: float, false: float) -> float:
    """The share at which one run gives the most: 1/2 for a deterministic failure."""
    if failing - false < 1e-6:
        return 0.5
    odds = 2 ** ((entropy(failing) - entropy(false)) / (failing - false))
    return min(max((1 / (1 + odds) - false) / (failing - false), 0.05), 0.95)


def capacity(failing: float, false: float) -> float:
    """The most bits that one run can give."""
    return information(best_share(failing, false), failing, false)


def halve(
    belief: Belief, low: int, high: int, untested: Untested, cost: StepCost | None
) -> int | None:
    """The step strictly between `low` and `high` that halves them best; None when none can be tested."""
    below = belief.trail.below
    width = below[high] - below[low]

    def worth(step: int) -> float:
        bits = entropy((below[step] - below[low]) / width)
        return bits * (1 - untested.chance(step)) / (cost(step) if cost else 1.0)

    middle = _middle(below, low, high)
    if cost is None and not untested.skipped:
        return middle if low < middle < high else None
    places = [step for step in around(middle, low + 1, high - 1) if step not in untested.skipped]
    return max(places, key=lambda step: (worth(step), -abs(step - middle)), default=None)


def _middle(below: Sequence[float], low: int, high: int) -> int:
    """The step that cuts the weight between two steps most evenly, and strictly inside if there is one."""
    half = (below[low] + below[high]) / 2
    cut = bisect_left(below, half - 1e-12, low, high)
    if cut > low and half - below[cut - 1] < below[cut] - half - 1e-12:
        cut -= 1
    return min(max(cut, low + 1), high - 1) if high - low > 1 else low


def around(middle: int, first: int, last: int) -> Iterable[int]:
    """Steps first..last: all near the middle, some far from it."""
    near = range(max(first, middle - WINDOW // 2), min(last, middle + WINDOW // 2) + 1)
    stride = max((last - first) // WINDOW, 1)
    return sorted({*near, *range(first, last + 1, stride)})


def sharpest(belief: Belief, untested: Untested, cost: StepCost | None) -> int | None:
    """The step whose next run tells most about a noisy failure; None when no run would tell anything."""
    last = belief.trail.last
    target = belief.step_at(best_share(belief.failing, belief.false))
    window = around(target, 1, last) if cost or untested.skipped else range(target - 1, target + 2)
    gains = {
        step: gain(belief, step) * (1 - untested.chance(step)) / (cost(step) if cost else 1.0)
        for step in {*window, *belief.steps}
        if 0 <= step <= last and step not in untested.skipped
    }
    best = max(gains, key=lambda step: (gains[step], step))
    built = max((step for step in belief.steps), key=gains.__getitem__)
    chosen = built if gains[built] >= BUILT * gains[best] else best
    return chosen if gain(belief, chosen) >= NOTHING else None


def spread(
    belief: Belief, low: int, high: int, count: int, busy: Collection[int], untested: Untested
) -> list[int]:
    """`count` steps strictly between a good step `low` and a bad step `high` that, together with those that are busy, cut
    the range into even parts. Fewer when there aren't as many."""
    below = belief.trail.below
    free = {s for s in range(low + 1, high) if s not in untested.skipped and s not in busy}
    found: list[int] = []
    for share in _cuts(below[low], below[high], count, [below[step] for step in busy]):
        middle = min(max(bisect_left(below, share - 1e-12), low + 1), high - 1)
        near = [step for step in around(middle, low + 1, high - 1) if step in free]
        if not near:
            break
        taken = min(near, key=lambda s: (abs(below[s] - share) + untested.chance(s), s))
        free.discard(taken)
        found.append(taken)
    return found


def spread_noisy(
    belief: Belief, count: int, busy: Collection[int], untested: Untested
) -> list[int]:
    """`count` steps that cut the posterior of a noisy failure into even parts, together with those that are busy. A step
    comes more than once where repeating it tells most."""

    def worth(step: int) -> float:
        return gain(belief, step) * (1 - untested.chance(step)) / (1 + found.count(step))

    found: list[int] = []
    for share in _cuts(0.0, 1.0, count, [belief.up_to(step) for step in busy]):
        middle = belief.step_at(share)
        reach = WINDOW if untested.skipped else 1
        places = range(max(middle - reach, 0), min(middle + reach, belief.trail.last) + 1)
        best = max((s for s in places if s not in untested.skipped), key=worth, default=None)
        if best is not None and worth(best) > 0:
            found.append(best)
    return found


def _cuts(low: float, high: float, count: int, pins: Iterable[float]) -> list[float]:
    """`count` numbers that, with the pins, cut low..high into parts as even as can be. The middle ones come first."""
    edges = sorted({low, high, *(pin for pin in pins if low < pin < high)})
    parts = [0] * (len(edges) - 1)
    for _ in range(count):
        widest = max(
            range(len(parts)), key=lambda n: ((edges[n + 1] - edges[n]) / (parts[n] + 1), -n)
        )
        parts[widest] += 1
    found = [
        edges[place] + (edges[place + 1] - edges[place]) * number / (many + 1)
        for place, many in enumerate(parts)
        for number in range(1, many + 1)
    ]
    return sorted(found, key=lambda cut: abs(cut - (low + high) / 2))
