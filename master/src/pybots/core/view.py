"""What follows from a bisection's observations: adjacent good and bad, episodes, what can't be tested, what is left. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pybots.core import probing
from pybots.core.posterior import Belief
from pybots.core.probing import Untested
from pybots.core.trail import Observation, Trail


@dataclass(frozen=True, kw_only=True)
class Episode:
    """A time of failure before the present one: bad from (`after_good`, `bad`] on, good again by `good_again`. Indices."""

    after_good: int
    bad: int
    good_again: int


@dataclass(frozen=True)
class View:
    """What follows from a state: the posterior, what can't be tested, and the adjacent good and bad. In steps."""

    trail: Trail
    belief: Belief
    observations: tuple[Observation, ...]

    @cached_property
    def marks(self) -> tuple[tuple[int, bool], ...]:
        """(step, is bad) of every step whose runs say clearly what it is, in order; from the good end to the bad end."""
        weights = [(one.step, self.belief.weight_of_evidence(one)) for one in self.belief.seen]
        inner = [(step, weight > 0) for step, weight in weights[1:-1] if abs(weight) > 1.0]
        return ((0, False), *inner, (self.trail.last, True))

    @cached_property
    def high(self) -> int:
        """The first bad step after `low`."""
        return next(step for step, bad in self.marks if bad and step > self.low)

    @cached_property
    def low(self) -> int:
        """The last good step: the present failure began after it."""
        return max(step for step, bad in self.marks if not bad)

    @cached_property
    def clean(self) -> bool:
        """Whether a deterministic failure, come and gone at most, explains every run."""
        ends = self.belief.seen[0], self.belief.seen[-1]
        return not any(one.passed and one.failed for one in self.belief.seen) and not (
            ends[0].failed or ends[1].passed
        )

    @cached_property
    def untested(self) -> Untested:
        skipped = {
            step
            for seen in self.observations
            if seen.outcome == "skip"
            for step in self.trail.steps_of[seen.index]
        }
        return Untested(frozenset(skipped - set(self.belief.steps)), self.belief.steps)

    @cached_property
    def unproved_mend(self) -> int | None:
        """The step of a candidate that says it reverts the one found, while nobody has looked whether it did."""
        top = self.belief.top
        if self.belief.steps[top + 1] - self.belief.steps[top] > 1:
            return None
        found = self.belief.steps[top + 1]
        mend = self.trail.undone.get(found)
        if mend is None:
            return None
        again = self.trail.undone.get(mend, self.trail.last)
        mended = range(mend, again)
        if any(step in mended for step in self.belief.steps):
            return None
        return next((step for step in mended if step not in self.untested.skipped), None)

    @cached_property
    def best(self) -> int | None:
        """The step whose next run tells most, at equal cost."""
        return probing.sharpest(self.belief, self.untested, None)

    @property
    def exhausted(self) -> bool:
        """Whether nothing can be learned any more: what is left can't be tested."""
        halving = self.clean and any(
            step not in self.untested.skipped for step in range(self.low + 1, self.high)
        )
        return not halving and self.unproved_mend is None and self.best is None

    def episodes(self, until: int) -> tuple[Episode, ...]:
        """The times of failure up to step `until`, which is good."""
        found: list[Episode] = []
        good, bad = 0, None
        for step, is_bad in self.marks:
            if step > until:
                break
            if is_bad and bad is None:
                bad = step
            elif not is_bad:
                if bad is not None:
                    firsts = self.trail.firsts
                    found.append(
                        Episode(after_good=firsts[good], bad=firsts[bad], good_again=firsts[step])
                    )
                good, bad = step, None
        return tuple(found)


def credible(belief: Belief, enough: float) -> tuple[int, int]:
    """The first and last step of the shortest run of gaps, around the likeliest, that holds the probability `enough`."""
    first = last = belief.top
    held = belief.gaps[first]
    while held < enough and (first > 0 or last < len(belief.gaps) - 1):
        before = belief.gaps[first - 1] if first > 0 else -1.0
        after = belief.gaps[last + 1] if last < len(belief.gaps) - 1 else -1.0
        if before > after:
            first, held = first - 1, held + before
        else:
            last, held = last + 1, held + after
    return belief.steps[first] + 1, belief.steps[last + 1]
