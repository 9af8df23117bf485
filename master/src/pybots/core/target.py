"""The one failure a search follows: chosen from what differs between the two ends, and told from every other failure. Pure.

What is bad at the good end already is standing red and never followed; what passes when retried proves nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

from pybots.core import hollow
from pybots.core.model import FailureKind
from pybots.core.normal import one_line
from pybots.core.outcomes import INSTALL, TESTS, Bad, Observed, State, is_extension, is_test
from pybots.core.verdict import SEVERITY

Outcome = Literal["good", "bad", "skip", "fault"]
"""`fault`: this machine, the network or the source; it says nothing and is tried again."""

MOST: Final = 40
"""Tests that are run again at a probe, of those that show the failure."""
OTHER: Final = "another failure"
"""What the note of a probe begins with that failed, but not so."""
MODULES: Final = 3
"""The same for modules that can't be collected: where they can, all their tests run."""
_WORD = re.compile(r"[A-Za-z_][\w.]{3,}")


@dataclass(frozen=True, kw_only=True)
class Target:
    """The failure: its signature, the ids that show it (in order), and what it says."""

    signature: str
    kind: FailureKind
    ids: tuple[str, ...]
    says: str
    witnesses: int = 1
    like: float = 0.0
    """How much it reads as the failure that was asked for, in 0..1."""

    @property
    def at_install(self) -> bool:
        """Whether installing alone shows it, so that no test need run."""
        return all(name == INSTALL or is_extension(name) for name in self.ids)

    def concerned(
        self, good: Mapping[str, State], only: Collection[str], *, wide: bool = False
    ) -> dict[str, State]:
        """Of the good end's states those that a probe can have; it runs the tests `only`, or with `wide` all of them."""
        installed = not wide and self.at_install
        return {
            name: state
            for name, state in good.items()
            if not is_test(name) or not (installed or (only and name not in only))
        }

    def only(self, good: Mapping[str, State]) -> tuple[str, ...]:
        """The tests to run at a probe; empty: all of them, for the failure is one of the suite as a whole.

        A suite that can't be collected shows that with any one of its tests, which the good end must have passed."""
        if self.kind == "hollow" or self.at_install:
            return ()
        if all(is_test(name) for name in self.ids):
            return self.ids[: MODULES if self.kind == "collection" else MOST]
        if self.kind == "collection":
            passed = (
                name for name, state in good.items() if is_test(name) and state[0] == "passed"
            )
            return tuple(islice(passed, 1))
        return ()


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """There is nothing to follow, and why. `standing` are failures of both ends, in words.

    `inside`: these ends don't tell, so it is worth looking in between. `final`: it is known what brings it, and that this
    is not on the axis that is searched."""

    reason: str
    standing: tuple[str, ...] = ()
    inside: bool = False
    final: bool = False


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a probe means for a target, and in what words."""

    outcome: Outcome
    note: str = ""


def choose(
    good: Observed, bad: Observed, *, project: str, tests: Sequence[str] = (), like: str = ""
) -> Target | Nothing:
    """The failure to follow from `good` to `bad`. `tests` restricts it to these; `like` is how it reads, if known."""
    for name, end in (("good", good), ("bad", bad)):
        if trouble := end.farm_fault or end.no_source:
            return Nothing(reason=f"the {name} end could not be tested: {trouble}")
    _, found, _ = hollow.completed(good.states, bad, project=project, same=True)
    standing = {one.signature for one in good.bad.values()}
    asked = {name for name in tests if name in good.states or name in found}
    if tests and (gone := not_passing(good, tests)):
        return Nothing(reason=gone, standing=_lines(good.bad))
    groups = _groups(good, found, standing, asked)
    if not groups:
        return Nothing(
            reason=_why_none(good, found, standing), standing=_lines(good.bad),
            inside=_hides(good, found, standing) or bool(like and not found),
        )  # fmt: skip
    return _target(max(groups, key=lambda one: _worth(one, like)), like)


def new_failures(good: Observed, bad: Observed, *, project: str) -> list[Target]:
    """Every failure that `bad` has and `good` has not, the gravest first. Both must have been tested."""
    _, found, _ = hollow.completed(good.states, bad, project=project, same=True)
    standing = {one.signature for one in good.bad.values()}
    groups = _groups(good, found, standing, set())
    return [_target(one) for one in sorted(groups, key=lambda one: _worth(one, ""), reverse=True)]


def _groups(
    good: Observed, found: Mapping[str, Bad], standing: Collection[str], asked: Collection[str]
) -> list[list[Bad]]:
    """What is new, by signature."""
    groups: dict[str, list[Bad]] = defaultdict(list)
    for one in found.values():
        wanted = not asked or one.id in asked or not is_test(one.id) or _covers(one.id, asked)
        if wanted and one.signature not in standing and _was_good(good, one.id):
            groups[one.signature].append(one)
    return list(groups.values())


def _target(group: Sequence[Bad], like: str = "") -> Target:
    return Target(
        signature=group[0].signature,
        kind=group[0].kind,
        ids=tuple(one.id for one in group),
        says=_line(group[0]),
        witnesses=len(group),
        like=_likeness(group[0], like),
    )


def _worth(group: Sequence[Bad], like: str) -> tuple[float, int, int]:
    """Which failure is followed: the one that reads as asked for, then the gravest, then the one seen most."""
    return (_likeness(group[0], like), -SEVERITY.index(group[0].kind), len(group))


def _likeness(one: Bad, like: str) -> float:
    wanted = set(_WORD.findall(like))
    said = set(
        _WORD.findall(f"{one.id} {one.failure.type} {one.failure.message} {one.failure.detail}")
    )
    return round(len(wanted & said) / len(wanted), 1) if wanted else 0.0


def _was_good(good: Observed, name: str) -> bool:
    """It was good there, or it is a name that only failures have (a module that cannot be collected)."""
    if name in good.flaky:
        return False
    state = good.states.get(name)
    return state[1] is None and state[0] != "not_run" if state else good.complete


def _covers(name: str, asked: Collection[str]) -> bool:
    """A module or folder that cannot be collected takes its tests with it."""
    return any(
        test.startswith((f"{name}::", f"{name}.", name if name.endswith("/") else "\0"))
        for test in asked
    )


def not_passing(good: Observed, tests: Sequence[str]) -> str:
    red = [name for name in tests if name in good.bad]
    flaky = [name for name in tests if name in good.flaky]
    gone = [name for name in tests if name not in good.states]
    if red:
        return f"{red[0]} fails at the good end already: {_line(good.bad[red[0]])}"
    if flaky:
        return f"{flaky[0]} is flaky at the good end: it failed and passed when retried"
    return f"the good end has no test {gone[0]!r}" if len(gone) == len(tests) else ""


def _why_none(good: Observed, found: Mapping[str, Bad], standing: Collection[str]) -> str:
    if not found:
        return "the bad end passes"
    if good.bad and not _hides(good, found, standing):
        return "what fails at the bad end fails at the good end as well"
    return "what fails at the bad end can't be compared: the good end never ran it to its end"


def _hides(good: Observed, found: Mapping[str, Bad], standing: Collection[str]) -> bool:
    """Whether something may be new at the bad end that the good one never came to: it failed earlier, and otherwise."""
    return not good.complete and any(one.signature not in standing for one in found.values())


def matching(good: Observed, wanted: Sequence[str]) -> tuple[str, ...]:
    """The ids that people mean: each id itself, or every one of which it is the end (`test_b`, `T::test_b`) or start."""
    found: list[str] = []
    for text in wanted:
        ends = tuple(mark + text for mark in ("/", "::", "."))
        names = [text] if text in good.states else []
        names = names or [
            name
            for name in good.states
            if is_test(name)
            and (name.endswith(ends) or name.startswith((f"{text}::", f"{text}[", f"{text}.")))
        ]
        found += names or [text]
    return tuple(dict.fromkeys(found))


def judge(
    target: Target,
    good: Mapping[str, State],
    seen: Observed,
    *,
    project: str,
    only: Collection[str] = (),
) -> Judged:
    """What a probe's report means. `good` are the states of the good end, as far as the probe ran the same: all of it, or
    the tests `only`."""
    if seen.farm_fault or seen.no_source:
        return Judged(outcome="fault", note=seen.farm_fault or seen.no_source)
    states, bad, _ = hollow.completed(good, seen, project=project, same=True)
    if target.kind == "hollow":
        hits = [one for one in bad.values() if one.kind == "hollow" and one.id in target.ids]
    else:
        hits = [one for one in bad.values() if one.signature == target.signature]
    if hits:
        return Judged(outcome="bad", note=_line(hits[0]))
    others = [bad[name] for name in (INSTALL, *target.ids, TESTS) if name in bad]
    if others or (only and bad):
        other = others[0] if others else next(iter(bad.values()))
        return Judged(outcome="skip", note=f"{OTHER}: {_line(other)}")
    if not target.at_install and not _any_passed(states):
        return Judged(outcome="skip", note="none of the tests concerned ran")
    return Judged(outcome="good", note="passes")


def _any_passed(states: Mapping[str, State]) -> bool:
    return any(
        is_test(name) and state[0] in ("passed", "xfailed") for name, state in states.items()
    )


def _lines(bad: Mapping[str, Bad]) -> tuple[str, ...]:
    return tuple(_line(one) for one in list(bad.values())[:10])


def _line(one: Bad) -> str:
    said = f"{one.failure.type}: {one.failure.message}" if one.failure.type else one.failure.message
    return one_line(f"{one.id}: {said}", 300)
