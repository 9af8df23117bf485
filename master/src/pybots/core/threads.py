"""Which breakages are one story: those that may have the same cause share a mail thread. Pure.

A thread stands for a range of commits, (good, bad]. Every breakage in it may have been caused by each of them, so a thread's
range is what all its breakages have in common: it only becomes narrower.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, Literal

from pybots.core.audiences import DAY
from pybots.core.normal import shape
from pybots.core.signatures import VAGUE
from pybots.core.telling import COMMON, MIN_WORDS

JOINABLE_SECONDS: Final = 7 * DAY
"""A thread that was begun longer ago takes no further breakage in: readers have forgotten it. Unless it says the same as
one that still stands there: a lane that showed nothing for a while meets the old change late."""

State = Literal["suspected", "open", "fixed", "dismissed"]
ThreadState = Literal["held", "sent", "closed", "pointed"]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What readers last heard of a breakage; what it is compared with to see what is new."""

    state: Literal["open", "fixed", "withdrawn"]
    projects: tuple[str, ...] = ()
    lanes: int = 0
    axis: str = ""
    blamed: str = ""
    reopened: int = 0
    sure: bool = True
    good: int | None = None
    bad: int = 0


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A breakage as the alerts see it. `projects` and `lanes` are in it now, or were when it was fixed.

    `control`: "" | "wanted" | "green" | "red" | "none". `axis`: "" | "dependency" | "environment" | "flaky" | …
    `kin`: what it says (see `kin`). `trip`: the breaker that saw it (0: none). `answered`: somebody gave it a disposition.
    `thread` 0: in none yet."""

    id: int
    branch: str
    state: State
    good: int | None
    bad: int
    opened: float
    signature: str = ""
    kin: str = ""
    control: str = ""
    axis: str = ""
    blamed: str = ""
    reopened: int = 0
    projects: tuple[str, ...] = ()
    lanes: int = 1
    trip: int = 0
    answered: bool = False
    thread: int = 0
    told: Told | None = None


@dataclass(frozen=True, kw_only=True)
class Thread:
    """A story in mail. Its id is that of the breakage it began with. `since`: news are waiting since then.

    `told`: reader's key -> the key of the first letter that reader got. `number`: letters' rounds so far."""

    id: int
    branch: str
    good: int | None
    bad: int
    begun: float
    state: ThreadState = "held"
    since: float | None = None
    number: int = 0
    told: Mapping[str, str] = field(default_factory=dict)
    points_to: int = 0


@lru_cache(maxsize=4096)  # asked of all that stands whenever mail is considered
def kin(kind: str, title: str) -> str:
    """What a failure says, by which failures know each other whose frames tell them apart: one error met in many tests.

    "" where that is too little to be known by."""
    name, _, message = title.partition(": ")
    if kind not in ("test", "collection") or name.rsplit(".", 1)[-1] in VAGUE:
        return ""
    if len(message.split()) < MIN_WORDS or any(f"'{one}'" in message for one in COMMON):
        return ""
    return shape(title)


def blocked(broken: Broken) -> bool:
    """Not CPython's change but a dependency's: the projects that use it are told, the public is not."""
    return broken.state == "dismissed" and broken.axis == "dependency" and bool(broken.blamed)


def concerns_mail(broken: Broken) -> bool:
    """Whether it can ever become a letter. What only comes and goes is for the digest."""
    if broken.axis == "flaky":
        return False
    return broken.state in ("suspected", "open") or blocked(broken)


def assign(
    breakages: Sequence[Broken], threads: Iterable[Thread], now: float
) -> tuple[list[Broken], list[Thread]]:
    """Put every breakage that concerns mail into a thread, beginning new ones; ranges become narrower."""
    known = {thread.id: thread for thread in threads}
    inside: dict[int, list[Broken]] = {}
    for broken in breakages:
        inside.setdefault(broken.thread, []).append(broken)
    assigned = []
    for broken in sorted(breakages, key=lambda one: one.id):
        if not broken.thread and concerns_mail(broken):
            thread = _fitting(broken, known.values(), inside, now) or _begin(broken)
            known[thread.id] = narrowed(thread, broken)
            broken = replace(broken, thread=thread.id)
            inside.setdefault(thread.id, []).append(broken)
        elif broken.axis == "cpython" and broken.thread in known:  # its one commit is known by now
            known[broken.thread] = narrowed(known[broken.thread], broken)
        assigned.append(broken)
    return assigned, list(known.values())


def _begin(broken: Broken) -> Thread:
    return Thread(
        id=broken.id, branch=broken.branch, good=broken.good, bad=broken.bad, begun=broken.opened,
        since=broken.opened,
    )  # fmt: skip


def _fitting(
    broken: Broken, threads: Iterable[Thread], inside: Mapping[int, Sequence[Broken]], now: float
) -> Thread | None:
    """The best thread that may share its cause: the same failure first, then the same words, then the same bad commit, then
    the newest."""

    def worth(thread: Thread) -> tuple[bool, bool, bool, int]:
        members = inside.get(thread.id, ())
        same = any(one.signature == broken.signature for one in members)
        return same, _says(broken, members), thread.bad == broken.bad, thread.id

    fitting = [
        one
        for one in threads
        if one.state in ("held", "sent")
        and (now - one.begun < JOINABLE_SECONDS or _says(broken, inside.get(one.id, ())))
        and (overlap(one, broken) or _own_change(one, broken, inside.get(one.id, ())))
    ]
    return max(fitting, key=worth, default=None)


def _says(broken: Broken, members: Iterable[Broken]) -> bool:
    """Whether it says what one of these says that still stands."""
    return bool(broken.kin) and any(
        one.kin == broken.kin and one.state == "open" for one in members
    )


def _own_change(thread: Thread, broken: Broken, members: Iterable[Broken]) -> bool:
    """No CPython commit lies in between: the project itself changed, and all it broke at that moment is one story."""
    return (
        (thread.branch, thread.good, thread.bad) == (broken.branch, broken.good, broken.bad)
        and thread.good == thread.bad
        and any(set(one.projects) & set(broken.projects) for one in members)
    )


def overlap(thread: Thread, broken: Broken) -> bool:
    """Whether one commit may have caused all of them. Where no good commit is known, the first bad one speaks."""
    if thread.branch != broken.branch:
        return False
    low = max(_low(thread.good, thread.bad), _low(broken.good, broken.bad))
    return low < min(thread.bad, broken.bad)


def _low(good: int | None, bad: int) -> int:
    return bad - 1 if good is None else good


def narrowed(thread: Thread, broken: Broken) -> Thread:
    """The thread with what it has in common with one more breakage."""
    if not overlap(thread, broken):
        return thread  # it came back at another place: the story is the same, its first range stays
    goods = [one for one in (thread.good, broken.good) if one is not None]
    return replace(thread, good=max(goods, default=None), bad=min(thread.bad, broken.bad))


def cause(thread: Thread, members: Iterable[Broken]) -> tuple[str, ...] | None:
    """What caused all of a thread, once that is known: ("commit", branch, position) or ("dependency", name)."""
    blamed = {(one.axis, one.blamed) for one in members if one.state in ("open", "dismissed")}
    if len(blamed) == 1:
        axis, name = next(iter(blamed))
        if axis == "dependency" and name:
            return ("dependency", name)
    if thread.good is None or thread.bad - thread.good != 1:
        return None
    if any(axis in ("project", "dependency", "environment", "flaky") for axis, _ in blamed):
        return None
    return ("commit", thread.branch, str(thread.bad))
