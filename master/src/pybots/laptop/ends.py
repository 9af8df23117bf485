"""Reproducing both ends of a search: the bad one must show a failure that the good one does not have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from pybots.core.outcomes import Observed, observe
from pybots.core.target import Nothing, Target, choose, matching, not_passing
from pybots.core.trail import Noise
from pybots.laptop.interpreters import BuildFailed
from pybots.laptop.lab import Aim, How, Lab


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
    for how in _ways(wish):
        found = _look(lab, wish, how)
        if isinstance(found, Aim):
            lab.journal.add("aim", aim=msgspec.to_builtins(found))
            return found
        nothing = found
        if nothing.standing:
            break
        lab.progress.say(f"with interpreters built the {how} way: {found.reason}")
    raise Unseen(nothing)


def _ways(wish: Wish) -> Iterator[How]:
    if wish.how != "routine":
        yield "probe"
    if wish.how != "probe":
        yield "routine"


def _look(lab: Lab, wish: Wish, how: How) -> Aim | Nothing:
    good = _end(lab, "good", 0, how)
    if isinstance(good, Nothing):
        return good
    tests = matching(good, wish.tests)
    if tests and (reason := not_passing(good, tests)):
        return Nothing(reason=reason, standing=tuple(good.bad))
    last = len(lab.ground.changes) - 1
    bad = _end(lab, "bad", last, how)
    if isinstance(bad, Nothing):
        return bad
    target = choose(good, bad, project=lab.project, tests=tests, like=wish.like)
    if isinstance(target, Nothing):
        return target
    lab.progress.say(f"new at the bad end: {target.says}")
    return _again(lab, target, how, good, _runs(lab, target, how))


def _end(lab: Lab, name: str, index: int, how: How) -> Observed | Nothing:
    """What the whole suite says at an end; kept, for a session that goes on."""
    kept = f"{name}-{how}"
    report = lab.journal.report(kept)
    if report is None:
        try:
            sample, facts = lab.sample(index, how)
        except BuildFailed as error:
            return Nothing(reason=f"the {name} end can't be tested: {error}")
        report = sample.report
        if not (sample.observed.farm_fault or sample.observed.no_source):
            lab.journal.keep_report(kept, report)
            lab.journal.add("end", end=name, how=how, **facts)
    found = observe(report, lab.project)
    if trouble := found.farm_fault or found.no_source:
        return Nothing(reason=f"the {name} end can't be tested: {trouble}")
    counts, flaky = found.counts, f", {found.counts.flaky} flaky" if found.counts.flaky else ""
    lab.progress.say(f"{name} end: {counts.passed} passed, {len(found.bad)} bad{flaky}")
    return found


def _runs(lab: Lab, target: Target, how: How) -> int:
    """How often the bad end has shown it: once, and every retry in the same build."""
    report = lab.journal.report(f"bad-{how}")
    tests = report.tests if report else ()
    return 1 + max((len(test.retried) for test in tests if test.id in target.ids), default=0)


def _again(lab: Lab, target: Target, how: How, good: Observed, runs: int) -> Aim | Nothing:
    """See that the tests concerned alone show it at both ends; else all of them must."""
    last = len(lab.ground.changes) - 1
    said: dict[str, Any] = {}
    for wide in (False, True):
        aim = Aim.narrowed(target, how, good.states, wide=wide)
        said = {}
        for name, index, wanted in (("bad", last, "bad"), ("good", 0, "good")):
            judged, facts = lab.probe(index, aim)
            lab.journal.add("again", end=name, outcome=judged.outcome, note=judged.note, **facts)
            said[name] = judged
            if judged.outcome != wanted:
                break
        else:
            certain = target.kind in ("install", "collection") or target.at_install
            noise = Noise(
                bad_runs=runs + 1, bad_failed=runs + 1, good_runs=2,
                witnesses=target.witnesses, certain=certain,
            )  # fmt: skip
            return replace(aim, noise=noise)
    words = "; ".join(
        f"the {name} end again: {one.outcome}, {one.note}" for name, one in said.items()
    )
    return Nothing(reason=f"the failure does not show reliably ({target.says}); {words}")
