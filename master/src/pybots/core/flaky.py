"""What chance explains: the learned rates of flaky tests, what they excuse, and when one has risen. Pure.

A test's past in a lane is the runs (by their number in the lane) in which it failed and a retry showed that to be chance.
From these events comes a Beta posterior of its rate. Of a test without events in its lane the project's other lanes tell
whether it may be excused; without events there nothing is assumed of it.

- Excused: a learned flaky test that fails in all its retries as well. How likely is that, given that it failed at all?
  With rate r and n retries r^n, and for every run before in which it did just that, r^(n+1) more. Below EXCUSED it is no
  longer chance: a flaky test can be broken too. At most one in 1/EXCUSED of its failures is accused wrongly.
- Forgotten: no event in WINDOW runs, or quiet for longer than its rate allows.
- Risen: more events in the last 10, 20 or 40 runs than the rate before explains (beta-binomial tail below RISEN). The
  rate that counts is the test's own: one that is always as flaky is no news, however flaky.
- Calm again: no event in CALM runs.

Crashes and timeouts are not asked about here: they are never explained away.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma
from typing import Final

WINDOW: Final = 400
"""Runs of the lane that are looked back."""
EXCUSED: Final = 5e-4
FORGOTTEN: Final = 1e-3
RISEN: Final = 1e-5
"""Looked at with every event of every flaky test: a farm sees some ten thousand a year."""
RECENT: Final = (10, 20, 40)
BEFORE: Final = 20
"""Runs needed before the recent ones: without them there is no rate that could have risen."""
AT_LEAST: Final = 3
CALM: Final = 30
_PRIOR: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Past:
    """A test's events: numbers of the lane's runs, ascending. `now` is the number of the run being decided.

    `again`: those of them in which all retries had failed, too. `elsewhere`: (events, runs) in the project's other
    lanes, as far as they are looked back."""

    now: int
    events: tuple[int, ...] = ()
    again: frozenset[int] = frozenset()
    elsewhere: tuple[int, int] = (0, 0)

    @property
    def runs(self) -> int:
        """Runs before this one that are looked at."""
        return min(self.now - 1, WINDOW)

    @property
    def known(self) -> tuple[int, ...]:
        """The events before this run that are looked at."""
        return tuple(n for n in self.events if self.now - 1 - self.runs < n < self.now)

    @property
    def streak(self) -> int:
        """Runs right before this one, one after the other, in which all retries had failed."""
        count = 0
        while self.now - 1 - count in self.again:
            count += 1
        return count


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A learned rate: `events` in `runs`. `quiet`: runs since the last event."""

    events: int
    runs: int
    quiet: int = 0

    @property
    def mean(self) -> float:
        return (self.events + _PRIOR) / (self.runs + 2 * _PRIOR)

    def all_fail(self, times: int) -> float:
        """How likely it fails so many times in a row, over all that its rate may be."""
        likely = 1.0
        for n in range(times):
            likely *= (self.events + _PRIOR + n) / (self.runs + 2 * _PRIOR + n)
        return likely


@dataclass(frozen=True, kw_only=True)
class Rise:
    """A rate that has risen: `events` in the last `runs`, and before that."""

    events: int
    runs: int
    events_before: int
    runs_before: int

    def __str__(self) -> str:
        return (
            f"passes only when retried in {self.events} of the last {self.runs} runs,"
            f" in {self.events_before} of the {self.runs_before} before"
        )


def learned(past: Past) -> Rate | None:
    """The rate as it is known before this run; None: not known to be flaky, or forgotten."""
    events = past.known
    return rate(len(events), past.runs, past.now - 1 - events[-1]) if events else None


def rate(events: int, runs: int, quiet: int) -> Rate | None:
    """The rate of so many events in `runs`, unless it is forgotten: the test is quiet for too long."""
    made = Rate(events=events, runs=runs, quiet=quiet)
    return None if not events or (1 - made.mean) ** quiet < FORGOTTEN else made


def excused(past: Past, retries: int) -> bool:
    """Whether chance explains that the test failed in this run and in all its retries."""
    times = retries + past.streak * (retries + 1)
    return any(known.all_fail(times) >= EXCUSED for known in _before(past))


def _before(past: Past) -> list[Rate]:
    """The rates before the streak that is in question, which must not explain itself: over all that is known and, should
    it have risen, lately. Without events what the other lanes know."""
    events = past.known[: len(past.known) - past.streak]
    end, runs = past.now - 1 - past.streak, max(past.runs - past.streak, len(events))
    if not events:
        found = [rate(*past.elsewhere, 0)]
    else:
        lately = sum(n > end - RECENT[-1] for n in events)
        found = [rate(len(events), runs, end - events[-1])]
        if lately > 1:
            found.append(rate(lately, min(runs, RECENT[-1]), end - events[-1]))
    return [one for one in found if one is not None]


def risen(past: Past) -> Rise | None:
    """Whether an event in this run means that the rate has risen."""
    known = past.known
    for runs in RECENT:
        before = past.runs + 1 - runs
        if before < BEFORE:
            break
        recent = sum(n > past.now - runs for n in known) + 1
        earlier = len(known) + 1 - recent
        if recent < AT_LEAST or recent * before <= 2 * earlier * runs:
            continue
        if _tail(recent, runs, earlier + _PRIOR, before - earlier + _PRIOR) < RISEN:
            return Rise(events=recent, runs=runs, events_before=earlier, runs_before=before)
    return None


def calm(past: Past) -> bool:
    """Whether a test whose rate had risen has been quiet for long enough."""
    return not past.known or past.now - 1 - past.known[-1] >= CALM


def _tail(least: int, runs: int, a: float, b: float) -> float:
    """P(at least so many events in `runs`), when the rate is Beta(a, b)."""
    return sum(_mass(n, runs, a, b) for n in range(least, runs + 1))


def _mass(n: int, runs: int, a: float, b: float) -> float:
    choose = lgamma(runs + 1) - lgamma(n + 1) - lgamma(runs - n + 1)
    return exp(choose + _beta(n + a, runs - n + b) - _beta(a, b))


def _beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
