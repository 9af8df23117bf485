"""How often a broken commit fails and a sound one does: the pairs of rates that come into question. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Final

from pybots.core.trail import Noise

_FAILING: Final = (
    (1.0, 0.2), (0.95, 0.1), (0.88, 0.1), (0.8, 0.12), (0.7, 0.12), (0.6, 0.12), (0.45, 0.1), (0.3, 0.08), (0.15, 0.06),
)  # fmt: skip
_FALSE: Final = ((0.0, 0.6), (0.02, 0.12), (0.06, 0.1), (0.14, 0.08), (0.25, 0.06), (0.4, 0.04))
_DETERMINISTIC: Final = (0.22, 0.95)
"""Prior that the failure is deterministic, when one test shows it, and when many do."""


@dataclass(frozen=True)
class Rates:
    """A bad step fails with rate `failing`, a good one with rate `false`. `prior` is this pair's share."""

    failing: float
    false: float
    prior: float


def grid(noise: Noise) -> tuple[Rates, ...]:
    """The pairs of rates that come into question before anything is seen. Their priors sum to 1."""
    low, high = _DETERMINISTIC
    sure = high - (high - low) / max(noise.witnesses, 1)
    slab = [
        (r, f, share * part)
        for r, share in _FAILING
        for f, part in _FALSE
        if r > f + 0.09 and (r, f) != (1.0, 0.0)
    ]
    total = sum(weight for *_, weight in slab)
    rest = [Rates(r, f, (1 - sure) * weight / total) for r, f, weight in slab]
    return (Rates(1.0, 0.0, sure), *rest)


@dataclass(frozen=True)
class Seen:
    """Everything observed at one step: runs that passed and runs that failed (fractions where keys are shared)."""

    step: int
    passed: float
    failed: float


def promising(seen: Sequence[Seen], rates: Sequence[Rates]) -> list[Rates]:
    """The pairs worth a pass: those that explain the counts at the best split not much worse than the best pair."""
    good_passed, good_failed, bad_passed, bad_failed = _split(seen)

    def fits(pair: Rates) -> float:
        return (
            log(pair.prior)
            + bad_failed * log(max(pair.failing, 1e-9))
            + bad_passed * log(max(1 - pair.failing, 1e-9))
            + good_failed * log(max(pair.false, 1e-9))
            + good_passed * log(max(1 - pair.false, 1e-9))
        )

    marks = [fits(pair) for pair in rates]
    best = max(marks)
    kept = [pair for pair, mark in zip(rates[1:], marks[1:], strict=True) if mark > best - 7]
    return [
        rates[0],
        *kept,
    ]  # a deterministic failure that came and went explains what no split does


def _split(seen: Sequence[Seen]) -> tuple[float, float, float, float]:
    """The counts on both sides of the split that calls the fewest runs wrong: passed, failed, passed, failed."""
    passed_above = sum(one.passed for one in seen)
    failed_above = sum(one.failed for one in seen)
    passed = failed = 0.0
    best = (float("inf"), 0.0, 0.0, 0.0, 0.0)
    for one in seen[:-1]:
        passed, failed = passed + one.passed, failed + one.failed
        passed_above, failed_above = passed_above - one.passed, failed_above - one.failed
        best = min(best, (failed + passed_above, passed, failed, passed_above, failed_above))
    return best[1:]
