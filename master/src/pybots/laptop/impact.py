"""Both sides of a change, project by project: only what differs, and only what differs again when it is tried again.

Tests that fail are retried in the same build; every difference then runs once more alone on both sides: the changed side
must show the same signature, the other side, the control, must pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pybots.core.outcomes import Observed
from pybots.core.target import Target, new_failures
from pybots.laptop.interpreters import BuildFailed
from pybots.laptop.lab import Aim, How, Lab

BASE, HEAD = 0, 1
MOST: Final = 20
"""Differences of one project that are tried again, the gravest first."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A failure that only one side has. `reliable`: it came again there, and the other side passed again."""

    target: Target
    reliable: bool
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.target.kind, "signature": self.target.signature, "says": self.target.says,
            "tests": list(self.target.ids), "reliable": self.reliable, "note": self.note,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Impact:
    """What a change does to one project. `unclear` says why nothing can be said."""

    project: str
    broken: tuple[Difference, ...] = ()
    fixed: tuple[Difference, ...] = ()
    left_out: int = 0
    unclear: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "project": self.project,
            "broken": [one.as_json() for one in self.broken],
            "fixed": [one.as_json() for one in self.fixed],
            "left_out": self.left_out,
            "unclear": self.unclear,
        }


def impact(lab: Lab, how: How) -> Impact:
    """Compare the two changes of the lab's ground: base and head. Raises LaptopError."""
    sides: list[Observed] = []
    for index, name in ((BASE, "base"), (HEAD, "head")):
        try:
            sample, _ = lab.sample(index, how)
        except BuildFailed as error:
            return Impact(project=lab.project, unclear=f"{name}: {error}")
        if trouble := sample.observed.farm_fault or sample.observed.no_source:
            return Impact(project=lab.project, unclear=f"{name}: {trouble}")
        sides.append(sample.observed)
    base, head = sides
    broken = new_failures(base, head, project=lab.project)
    fixed = new_failures(head, base, project=lab.project)
    return Impact(
        project=lab.project,
        broken=tuple(_again(lab, how, broken[:MOST], base, HEAD)),
        fixed=tuple(_again(lab, how, fixed[:MOST], head, BASE)),
        left_out=max(0, len(broken) - MOST) + max(0, len(fixed) - MOST),
    )


def _again(
    lab: Lab, how: How, targets: Sequence[Target], well: Observed, where: int
) -> list[Difference]:
    """Each once more on both sides, by itself; and once more with the whole suite when that does not show it."""
    found = []
    for target in targets:
        note = ""
        for wide in (False, True):
            note = _tried(lab, Aim.narrowed(target, how, well.states, wide=wide), where)
            if not note:
                break
        found.append(Difference(target=target, reliable=not note, note=note))
    return found


def _tried(lab: Lab, aim: Aim, where: int) -> str:
    """Why it is not reliable; '' when it is."""
    for index, wanted in ((where, "bad"), (1 - where, "good")):
        judged, _ = lab.probe(index, aim)
        if judged.outcome != wanted:
            side = "head" if index == HEAD else "base"
            return f"tried again, {side} was {judged.outcome}: {judged.note}"
    return ""


def as_text(one: Difference) -> str:
    """A difference in one line."""
    more = len(one.target.ids) - 1
    tests = f" (and {more} more)" if more else ""
    doubt = "" if one.reliable else f" [not reliable: {one.note}]"
    return f"{one.target.kind}: {one.target.says}{tests}{doubt}"
