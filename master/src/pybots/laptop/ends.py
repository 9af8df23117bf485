"""Reproducing both ends of a search: the bad one must show a failure that the good one does not have."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec
from packaging.utils import canonicalize_name

from pybots.core.outcomes import Observed, observe
from pybots.core.target import Judged, Nothing, Target, choose, matching, not_passing
from pybots.core.trail import Noise
from pybots.laptop.interpreters import BuildFailed
from pybots.laptop.lab import Aim, How, Lab
from pybots_worker import contract

INSIDE: Final = 12
"""Commits in between that are tried, where the ends that were named don't tell."""
Seen = dict[int, Observed | Nothing]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the person asked for: tests (ids, or ends of ids), how the failure reads, parallel probes, the recipe."""

    tests: tuple[str, ...] = ()
    like: str = ""
    jobs: int = 1
    how: Literal["auto", "probe", "routine"] = "auto"


class Unseen(Exception):
    """The ends don't show what is to be searched; the text says why. `standing`: failures that both have."""

    def __init__(self, nothing: Nothing) -> None:
        super().__init__(nothing.reason)
        self.standing = nothing.standing


def find(lab: Lab, wish: Wish) -> Aim:
    """The failure to follow. Raises Unseen.

    First with quickly built interpreters; with routine ones when the ends don't show it that way. A failure that
    both ends have is no matter of how they were built: then nothing is built again."""
    for row in lab.journal.of("aim"):
        return msgspec.convert(row["aim"], Aim)
    nothing = Nothing(reason="")
    for number, how in enumerate(_ways(wish)):
        found = _look(lab, wish, how, inside=not number)
        if isinstance(found, Aim):
            lab.journal.add("aim", aim=msgspec.to_builtins(found))
            return found
        nothing = found
        if nothing.standing or nothing.final:
            break
        lab.progress.say(f"with interpreters built the {how} way: {found.reason}")
    raise Unseen(nothing)


def hidden(lab: Lab, wish: Wish, aim: Aim, index: int) -> Aim | None:
    """Another failure to follow: the one at `index`, before which that of `aim` can't be seen. None when there is none, or
    it reads less like what was asked for."""
    seen: Seen = {at: _sampled(lab, at, aim.how) for at in (aim.first, index)}
    found = _best(lab, wish, seen)
    if found is None or found[2].signature == aim.target.signature:
        return None
    first, last, target = found
    if target.like < aim.target.like:
        return None
    lab.progress.say(f"before that, at {lab.ground.changes[index].short}: {target.says}")
    again = _again(lab, target, aim.how, first, last, seen)
    return again if isinstance(again, Aim) else None


def _ways(wish: Wish) -> Iterator[How]:
    if wish.how != "routine":
        yield "probe"
    if wish.how != "probe":
        yield "routine"


# -- which two commits show it -------------------------------------------------------------------


def _look(lab: Lab, wish: Wish, how: How, *, inside: bool) -> Aim | Nothing:
    """The ends that were named; with `inside` two commits between them where these don't tell."""
    last = len(lab.ground.changes) - 1
    seen: Seen = {0: _sampled(lab, 0, how)}
    good = seen[0]
    if isinstance(good, Observed):
        tests = matching(good, wish.tests)
        if tests and (reason := not_passing(good, tests)):
            return Nothing(reason=reason, standing=tuple(good.bad))
    seen[last] = _sampled(lab, last, how)
    why = _compared(lab, wish, seen, 0, last)
    found = None if isinstance(why, Nothing) else (0, last, why)
    if isinstance(why, Nothing) and why.inside and inside:
        found = _inside(lab, wish, how, seen, why)
    if found is None:
        assert isinstance(why, Nothing)
        return why
    first, last, target = found
    lab.progress.say(f"new at {lab.ground.changes[last].short}: {target.says}")
    return _again(lab, target, how, first, last, seen)


def _inside(
    lab: Lab, wish: Wish, how: How, seen: Seen, why: Nothing
) -> tuple[int, int, Target] | None:
    """Look at commits in between until two of them show it."""
    lab.progress.say(f"{why.reason}; looking in between")
    for _ in range(INSIDE):
        place = _between(seen)
        if place is None:
            break
        seen[place] = _sampled(lab, place, how)
        if found := _best(lab, wish, seen):
            return found
    return None


def _between(seen: Seen) -> int | None:
    """The middle of the widest gap, of those whose two sides differ if there are any."""
    places = sorted(seen)
    gaps = [
        (_nature(seen[low]) != _nature(seen[high]), high - low, low)
        for low, high in itertools.pairwise(places)
        if high - low > 1
    ]
    if not gaps:
        return None
    _, width, low = max(gaps)
    return low + width // 2


def _nature(one: Observed | Nothing) -> frozenset[str]:
    if isinstance(one, Nothing):
        return frozenset({"?"})
    return frozenset(bad.signature for bad in one.bad.values())


def _best(lab: Lab, wish: Wish, seen: Seen) -> tuple[int, int, Target] | None:
    """The two commits, good and bad, whose failure reads most like what was asked for; the nearest ones of several."""
    found = [
        (first, last, target)
        for first in seen
        for last in seen
        if first < last and isinstance(target := _compared(lab, wish, seen, first, last), Target)
    ]
    return max(found, key=lambda one: (one[2].like, one[0] - one[1]), default=None)


def _compared(lab: Lab, wish: Wish, seen: Seen, first: int, last: int) -> Target | Nothing:
    good, bad = seen[first], seen[last]
    for end in (good, bad):
        if isinstance(end, Nothing):
            return end
    assert isinstance(good, Observed) and isinstance(bad, Observed)
    changes = lab.ground.changes
    tests = matching(good, wish.tests)
    found = choose(good, bad, project=lab.project, tests=tests, like=wish.like)
    if isinstance(found, Target) and changes[first].key == changes[last].key:
        return Nothing(reason=f"the same content passes and fails: {found.says}")
    return found


def _sampled(lab: Lab, index: int, how: How) -> Observed | Nothing:
    """What the whole suite says at a change; kept, for a session that goes on."""
    name = {0: "good end", len(lab.ground.changes) - 1: "bad end"}.get(index, lab.ground.changes[index].short)  # fmt: skip
    report = lab.journal.report(_kept(index, how))
    if report is None:
        try:
            sample, facts = lab.sample(index, how)
        except BuildFailed as error:
            return Nothing(reason=f"the {name} can't be tested: {error}", inside=True)
        report = sample.report
        if not (sample.observed.farm_fault or sample.observed.no_source):
            lab.journal.keep_report(_kept(index, how), report)
            lab.journal.add("end", end=name, how=how, **facts)
    found = observe(report, lab.project)
    if trouble := found.farm_fault or found.no_source:
        return Nothing(reason=f"the {name} can't be tested: {trouble}")
    counts, flaky = found.counts, f", {found.counts.flaky} flaky" if found.counts.flaky else ""
    lab.progress.say(f"{name}: {counts.passed} passed, {len(found.bad)} bad{flaky}")
    return found


def _kept(index: int, how: How) -> str:
    return f"{index}-{how}"


# -- whether they show it reliably ---------------------------------------------------------------


def _again(
    lab: Lab,
    target: Target,
    how: How,
    first: int,
    last: int,
    seen: Mapping[int, Observed | Nothing],
) -> Aim | Nothing:
    """See that the tests concerned alone show it at both ends; else all of them must.

    Where the ends had other dependencies, both are given those of the good one: that alone may mend it."""
    good = seen[first]
    assert isinstance(good, Observed)
    runs = _runs(lab, target, how, last)
    said: dict[str, Judged] = {}
    pins = _pins(lab, first, last, how)
    for wide in (False, True):
        plain = Aim.narrowed(target, how, good.states, wide=wide)
        aim = replace(plain, first=first, last=last)
        if pins:
            pinned = replace(aim, pins=pins)
            judged = _once_more(lab, "bad", last, pinned)
            if judged.outcome == "good" and _once_more(lab, "bad", last, aim).outcome == "bad":
                return Nothing(reason=_drifted(pins, _lock(lab, last, how)), final=True)
            aim = pinned if judged.outcome == "bad" else aim
        said = {}
        for name, index in (("bad", last), ("good", first)):
            said[name] = _once_more(lab, name, index, aim)
            if said[name].outcome != name:
                break
        else:
            return replace(aim, noise=_noise(target, runs))
    words = "; ".join(
        f"the {name} end again: {one.outcome}, {one.note}" for name, one in said.items()
    )
    return Nothing(reason=f"the failure does not show reliably ({target.says}); {words}")


def _once_more(lab: Lab, name: str, index: int, aim: Aim) -> Judged:
    judged, facts = lab.probe(index, aim)
    lab.journal.add("again", end=name, outcome=judged.outcome, note=judged.note, **facts)
    return judged


def _noise(target: Target, runs: int) -> Noise:
    certain = target.kind in ("install", "collection") or target.at_install
    return Noise(
        bad_runs=runs + 1, bad_failed=runs + 1, good_runs=2,
        witnesses=target.witnesses, certain=certain,
    )  # fmt: skip


def _runs(lab: Lab, target: Target, how: How, last: int) -> int:
    """How often the bad end has shown it: once, and every retry in the same build."""
    report = lab.journal.report(_kept(last, how))
    tests = report.tests if report else ()
    return 1 + max((len(test.retried) for test in tests if test.id in target.ids), default=0)


Lock = tuple[contract.Locked, ...]


def _lock(lab: Lab, index: int, how: How) -> Lock:
    """What was installed there beside the project."""
    report = lab.journal.report(_kept(index, how))
    own = canonicalize_name(lab.project)
    return tuple(pin for pin in report.lock if canonicalize_name(pin.name) != own) if report else ()


def _pins(lab: Lab, first: int, last: int, how: How) -> Lock:
    """The good end's dependencies, where the bad end had others; not on the axis of the dependencies themselves."""
    good, bad = _lock(lab, first, how), _lock(lab, last, how)
    return good if good and bad and good != bad and lab.ground.axis != "dependencies" else ()


def _drifted(good: Lock, bad: Lock) -> str:
    was = {pin.name: pin.version for pin in good}
    said = [
        f"{pin.name} {was.get(pin.name, '(not there)')} → {pin.version}"
        for pin in bad
        if was.get(pin.name) != pin.version
    ]
    what = ", ".join(said[:5]) or "what is installed"
    return f"the dependencies brought it ({what}): with those of the good end the bad end passes"
