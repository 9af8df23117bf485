"""Which of the packages that changed between two locks did it, alone or together with others. Pure.

The machinery is that of `bisect`: the packages are put in a row, and "the first k of them new, the others old" is a
succession from the good lock to the bad one. Its culprit is a package that is needed for the failure. If that package
alone (with those found before) doesn't bring it, the rest of what is needed is among the packages before it in the row,
and these are searched the same way. So one package of n costs about log2(n) + 1 trials, an interaction of j packages j
times as many. A mix that can't be installed is a `skip`. Afterwards the culprit's versions, oldest first, are candidates
of an ordinary bisection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil, log
from typing import Any, Final

from pybots.core import bisect
from pybots.core.trail import Candidate, Noise, Observation, Outcome

Names = frozenset[str]
FEW: Final = 0.03
"""A failure at the known rate that is missed with less than this probability counts as absent."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """`times` runs with these packages new and all others old."""

    new: Names
    outcome: Outcome
    times: int = 1
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Delta:
    """The packages that changed, the most suspected first, and what was tried so far."""

    packages: tuple[str, ...]
    noise: Noise
    enough: float = 0.95
    tried: tuple[Tried, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Run the tests concerned with these packages new and all others old."""

    new: Names
    why: str


@dataclass(frozen=True, kw_only=True)
class Packages:
    """Final: these packages, all together, bring the failure. `confidence` in 0..1."""

    names: tuple[str, ...]
    confidence: float


@dataclass(frozen=True, kw_only=True)
class SomeOf:
    """Final: `names` are needed, and something of `among` too, which can't be told apart, for this reason."""

    names: tuple[str, ...]
    among: tuple[str, ...]
    confidence: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class Searching:
    """Not known yet: `names` are needed for certain, and something of `among`."""

    names: tuple[str, ...]
    among: tuple[str, ...]


def start(packages: Sequence[str], *, noise: Noise | None = None, enough: float = 0.95) -> Delta:
    """ValueError when there is no package, or one comes twice."""
    if not packages or len(set(packages)) < len(packages):
        raise ValueError("a delta needs packages, each of them once")
    return Delta(packages=tuple(packages), noise=noise or Noise(), enough=enough)


def observe(
    delta: Delta, new: Iterable[str], outcome: Outcome, *, times: int = 1, note: str = ""
) -> Delta:
    """The delta after `times` runs. KeyError names packages that are not among those that changed."""
    names = frozenset(new)
    if unknown := names - set(delta.packages):
        raise KeyError(f"not among the packages that changed: {', '.join(sorted(unknown))}")
    return replace(
        delta,
        tried=(*delta.tried, Tried(new=names, outcome=outcome, times=times, note=note)),
    )


def next_trials(
    delta: Delta, *, idle_workers: int = 1, running: Iterable[Names] = ()
) -> list[Trial]:
    """What the idle workers should try now, most useful first; none once the conclusion is final."""
    at, busy = _walk(delta), set(running)
    if at.alone is not None:
        why = "whether these alone bring it"
        return [] if at.alone in busy or idle_workers < 1 else [Trial(new=at.alone, why=why)]
    if at.state is None:
        return []
    row = _row(at)
    places = [place for place, new in enumerate(row) if new in busy]
    return [
        Trial(new=row[probe.index], why=probe.why)
        for probe in bisect.next_probes(at.state, idle_workers=idle_workers, running=places)
    ]


def conclusion(delta: Delta) -> Packages | SomeOf | Searching | bisect.NoChange:
    """What is known now. Only `Searching` asks for more trials."""
    at = _walk(delta)
    if at.found is not None:
        return at.found
    return Searching(names=at.needed, among=at.pool)


@dataclass(frozen=True, kw_only=True)
class _At:
    """Where the search stands: packages known to be needed, those still in question, and what is open: a bisection, or
    whether `alone` brings the failure."""

    needed: tuple[str, ...]
    pool: tuple[str, ...]
    state: bisect.State | None = None
    alone: Names | None = None
    found: Packages | SomeOf | bisect.NoChange | None = None


def _walk(delta: Delta) -> _At:
    """The whole search again, from the trials."""
    at, sure = _At(needed=(), pool=delta.packages), 1.0
    while True:
        state = _state(delta, at)
        found = bisect.conclusion(state)
        if isinstance(found, bisect.Undecided):
            return replace(at, state=state)
        if isinstance(found, bisect.NoChange):
            return replace(at, found=found)
        sure = min(sure, found.confidence)
        if isinstance(found, bisect.Range):
            among = at.pool[found.first - 1 : found.last]
            some = SomeOf(names=at.needed, among=among, confidence=sure, reason=found.reason)
            return replace(at, found=some)
        at = _At(needed=(*at.needed, at.pool[found.index - 1]), pool=at.pool[: found.index - 1])
        says = _says(delta, frozenset(at.needed), state.view.belief.failing) if at.pool else "bad"
        if says is None:
            return replace(at, alone=frozenset(at.needed))
        if says == "skip":
            reason = "these alone can't be installed"
            some = SomeOf(names=at.needed, among=at.pool, confidence=sure, reason=reason)
            return replace(at, found=some)
        if says == "bad":
            return replace(at, found=Packages(names=at.needed, confidence=sure))


def _says(delta: Delta, new: Names, rate: float) -> Outcome | None:
    """What the trials of one mix say; None when there are too few. `rate` is how often a failure shows, in 0..1."""
    seen = [one for one in delta.tried if one.new == new]
    failed = sum(one.times for one in seen if one.outcome == "bad")
    passed = sum(one.times for one in seen if one.outcome == "good")
    if failed and failed >= FEW * passed:
        return "bad"
    needed = 1 if rate > 1 - FEW else ceil(log(FEW) / log(1 - rate))
    if passed >= max(needed, 1):
        return "good"
    return "skip" if seen and not passed and not failed else None


def _row(at: _At) -> list[Names]:
    """The mixes of the succession: needed and none of the pool, then one more of the pool each."""
    return [frozenset((*at.needed, *at.pool[:count])) for count in range(len(at.pool) + 1)]


def _state(delta: Delta, at: _At) -> bisect.State:
    """The bisection over the row, with every trial that was one of its mixes."""
    row = _row(at)
    places = {new: place for place, new in enumerate(row)}
    state = bisect.start(
        [Candidate(key=str(place)) for place in range(len(row))],
        good=0,
        bad=len(row) - 1,
        noise=delta.noise,
        enough=delta.enough,
    )
    return bisect.replay(
        state,
        [
            Observation(index=places[one.new], outcome=one.outcome, times=one.times, note=one.note)
            for one in delta.tried
            if one.new in places
        ],
    )


def to_json(delta: Delta) -> dict[str, Any]:
    """Plain JSON of a delta, to be kept and resumed."""
    tried = [{**asdict(one), "new": sorted(one.new)} for one in delta.tried]
    return {"version": 1, **asdict(delta), "packages": list(delta.packages), "tried": tried}


def from_json(data: Mapping[str, Any]) -> Delta:
    """The delta that `to_json` wrote. ValueError, TypeError or KeyError when it is none of ours."""
    if data["version"] != 1:
        raise ValueError(f"a delta of version {data['version']!r}, not 1")
    delta = start(data["packages"], noise=Noise(**data["noise"]), enough=data["enough"])
    for row in data["tried"]:
        new, outcome = row["new"], row["outcome"]
        delta = observe(delta, new, outcome, times=row["times"], note=row["note"])
    return delta
