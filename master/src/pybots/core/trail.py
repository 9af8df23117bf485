"""What a bisection searches: the candidates, what was observed at them, and how noisy the failure is. Pure data.

A *candidate* is one change of a succession, oldest first: a commit of a first-parent history, a revision of a project,
a version of a dependency, a package of a delta. Neighbours with the same content key are one interpreter: they form one
*step* of the `Trail`, which is probed once and whose first candidate is blamed. Steps with the same key further apart
(a revert restored the old content) share their observations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Final, Literal

Outcome = Literal["good", "bad", "skip"]
"""`bad` is the one signature that is searched, nothing else; a commit that doesn't build, or fails otherwise, is `skip`."""

OUTCOMES: Final[tuple[Outcome, ...]] = ("good", "bad", "skip")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One change. Its index is its place in the succession.

    `weight` is how much likelier than another it is a priori (a change to tests alone: less than 1; never 0).
    `undoes` is the index of the earlier candidate that this one reverts, when its message says so."""

    key: str
    label: str = ""
    weight: float = 1.0
    undoes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Observation:
    """`times` runs of the tests concerned at candidate `index`, all with the same `outcome`.

    `worker` and `owner` say whose machine it was, `note` what else there is to say (why it was skipped)."""

    index: int
    outcome: Outcome
    times: int = 1
    worker: str = ""
    owner: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How the failure behaved at the two ends before the search: runs and how many of them failed with the signature.

    The failing rate and the false-fail rate (the control's) are learned from these and from every later observation.
    `witnesses` is how many different tests show the failure: what one test alone says is likelier noise.
    `certain` takes the failure for deterministic whatever comes (a compiler's error, or a test of this module)."""

    bad_runs: int = 1
    bad_failed: int = 1
    good_runs: int = 1
    good_failed: int = 0
    witnesses: int = 1
    certain: bool = False

    @classmethod
    def of_rates(cls, failing: float = 1.0, false: float = 0.0, runs: int = 10) -> Noise:
        """From rates in 0..1 known from elsewhere (a lane's flaky rate), worth as much as `runs` runs at each end."""
        return cls(
            bad_runs=runs,
            bad_failed=max(1, round(failing * runs)),
            good_runs=runs,
            good_failed=min(runs - 1, round(false * runs)),
        )


@dataclass(frozen=True)
class Trail:
    """The candidates from the good end to the bad end, in steps. Step 0 is the good end; the last one is the bad end."""

    candidates: tuple[Candidate, ...]
    good: int
    bad: int

    def __post_init__(self) -> None:
        if not 0 <= self.good < self.bad < len(self.candidates):
            raise ValueError(
                f"good {self.good} and bad {self.bad} must be in this order within {len(self.candidates)} candidates"
            )
        if self.candidates[self.good].key == self.candidates[self.bad].key:
            raise ValueError("both ends have the same content: nothing changed on this axis")

    @cached_property
    def firsts(self) -> tuple[int, ...]:
        """The index of the first candidate of every step. Step 0 starts at the good end itself."""
        found = [self.good]
        for index in range(self.good + 1, self.bad + 1):
            if self.candidates[index].key != self.candidates[index - 1].key:
                found.append(index)
        return tuple(found)

    @property
    def last(self) -> int:
        """The step of the bad end: also the number of steps one of which is the culprit."""
        return len(self.firsts) - 1

    @cached_property
    def steps_of(self) -> Mapping[int, tuple[int, ...]]:
        """The steps that have a candidate's content, by the candidate's index (within the range)."""
        by_key: dict[str, list[int]] = {}
        for step, index in enumerate(self.firsts):
            by_key.setdefault(self.candidates[index].key, []).append(step)
        return {
            index: tuple(by_key[self.candidates[index].key])
            for index in range(self.good, self.bad + 1)
        }

    @cached_property
    def step_at(self) -> Mapping[int, int]:
        """The step that a candidate belongs to, by the candidate's index."""
        found: dict[int, int] = {}
        for step, index in enumerate(self.firsts):
            end = self.firsts[step + 1] if step < self.last else self.bad + 1
            found.update(dict.fromkeys(range(index, end), step))
        return found

    @cached_property
    def below(self) -> tuple[float, ...]:
        """The prior that the culprit is one of the steps 1..i, for every step i. Ends with 1."""
        weights = [max(self.candidates[index].weight, 1e-9) for index in self.firsts[1:]]
        total = sum(weights)
        return (0.0, *(value / total for value in accumulate(weights)))

    @cached_property
    def undone(self) -> Mapping[int, int]:
        """The step that says it reverts a step, by the reverted one; the first to say so counts."""
        found: dict[int, int] = {}
        for index in range(self.good + 1, self.bad + 1):
            target = self.step_at.get(self.candidates[index].undoes or self.good, 0)
            if 0 < target < self.step_at[index]:
                found.setdefault(target, self.step_at[index])
        return found

    @cached_property
    def relandings(self) -> tuple[tuple[int, int, int], ...]:
        """(a step, the step that reverts it, the step that reverts the revert), as their messages say."""
        undone = self.undone
        return tuple((step, mend, undone[mend]) for step, mend in undone.items() if mend in undone)

    def end_of(self, step: int) -> int:
        """The index of the last candidate of a step."""
        return self.firsts[step + 1] - 1 if step < self.last else self.bad

    def __len__(self) -> int:
        return len(self.firsts)


def candidates_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Candidate, ...]:
    """Candidates from plain JSON objects with the fields of `Candidate`."""
    return tuple(Candidate(**row) for row in rows)
