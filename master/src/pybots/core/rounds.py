"""One thread's next round of letters: what is new in it, whether that may be said yet, and to whom. Pure.

News wait until the interpreter's lanes have finished and the controls are in, an hour at most; then one round tells all of
them. A breakage that an open breaker saw is not told until that breaker, or somebody, has said whose doing it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from pybots.core import audiences
from pybots.core.again import ASKING
from pybots.core.audiences import Audience, Book, Caps, Desk
from pybots.core.threads import Broken, Thread, Told, blocked

HOLD_SECONDS: Final = 3600.0
"""News wait this long at most for lanes and controls."""
MANY_LANES: Final = 4
"""Lanes alone are news when they have doubled since they were told of, and are this many."""
FLAPS: Final = 3
"""A breakage that has come back this often is left to the digest; the letter about the time before says so."""

Change = Literal["opened", "again", "more", "known", "fixed", "withdrawn"]
"""What is new about a breakage. `more`: projects or lanes. `known`: an axis, a culprit, or a control confirmed it."""
Topic = Literal["opened", "again", "more", "known", "fixed", "withdrawn", "mended", "pointer"]
Trip = Literal["open", "python", "farm", "over"]
"""A breaker: not decided yet, CPython's doing, the farm's, or all passed again before any control could tell."""

_WEIGHT: Final[tuple[Change, ...]] = ("opened", "again", "more", "known", "withdrawn", "fixed")


@dataclass(frozen=True, kw_only=True)
class Letter:
    """What to send. `key` is unique for ever: deciding twice sends once. `begins`: the reader's first in this thread.

    `root`: the key of that first letter. `news`: (breakage, what is new). `held_back`: letters that the reader's cap
    kept from them since the last one."""

    key: str
    topic: Topic
    reader: str
    audience: Audience
    recipients: tuple[str, ...]
    thread: int
    root: str
    news: tuple[tuple[int, Change], ...] = ()
    project: str = ""
    held_back: int = 0
    points_to: int = 0

    @property
    def begins(self) -> bool:
        return self.root == self.key


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a decision needs besides threads and breakages.

    `busy`: branch -> positions of commits that have runs under way. `trips`: breaker -> what came of it. `sent`: reader ->
    when they got letters. `held_back`: reader -> letters their cap kept from them."""

    now: float
    book: Book
    caps: Caps = field(default_factory=Caps)
    busy: Mapping[str, Collection[int]] | None = None
    trips: Mapping[int, Trip] | None = None
    sent: Mapping[str, tuple[float, ...]] | None = None
    held_back: Mapping[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Round:
    """What came of a thread: itself, its members as told now, letters, whom a cap kept from a letter, when to look again."""

    thread: Thread
    members: tuple[Broken, ...]
    letters: tuple[Letter, ...] = ()
    withheld: tuple[str, ...] = ()
    look_again: float | None = None


def tellable(broken: Broken, trip: Trip | None, *, late: bool) -> bool:
    """Whether readers may hear of it. `late`: the hour is over, a suspicion is said as one."""
    if not broken.answered and (trip == "open" or (trip == "farm" and broken.control != "green")):
        return False
    if broken.state == "suspected":
        return late and broken.control != "red"
    return broken.state == "open" or blocked(broken)


def change(broken: Broken, trip: Trip | None, *, late: bool) -> Change | None:
    """What is new against what was told. None: nothing, or nothing that may be said."""
    told = broken.told
    if broken.axis == "flaky" and (told is None or told.state != "open"):
        return None
    if told is None:
        return "opened" if tellable(broken, trip, late=late) else None
    if told.state != "open":
        back = told.state == "withdrawn" or broken.reopened > told.reopened
        heard = back and broken.reopened <= FLAPS and tellable(broken, trip, late=late)
        return "again" if heard else None
    if broken.state == "fixed":
        return "fixed"
    if (broken.state == "dismissed" and not blocked(broken)) or broken.axis == "flaky":
        return "withdrawn"
    doubled = bool(broken.projects) and broken.lanes >= max(MANY_LANES, 2 * told.lanes)
    if doubled or set(broken.projects) - set(told.projects):
        return "more"
    known = (broken.axis, broken.blamed) not in (("", ""), (told.axis, told.blamed))
    if broken.axis == "cpython" and told.good is not None and told.bad - told.good == 1:
        known = (told.good, told.bad) != (broken.good, broken.bad)  # no other commit had been told
    return "known" if known or (broken.state == "open" and not told.sure) else None


def pending(broken: Broken, trip: Trip | None) -> bool:
    """Whether a control run may still say something about it."""
    waits = ("", "wanted", *ASKING)  # those: the new combination is run once more
    return broken.state == "suspected" and broken.control in waits and trip != "open"


def next_round(thread: Thread, members: Sequence[Broken], scene: Scene) -> Round:
    """What the thread says now. Its members are the breakages that are in it."""
    trips = scene.trips or {}
    since = scene.now if thread.since is None else thread.since
    deadline = since + HOLD_SECONDS
    late = scene.now >= deadline
    found = {one.id: change(one, trips.get(one.trip), late=late) for one in members}
    changes = {number: what for number, what in found.items() if what}
    waits = [one for one in members if pending(one, trips.get(one.trip))]
    if not _worth_saying(members, changes):
        return _silent(thread, members, trips, waits, since, deadline)
    concerned = [one for one in members if one.id in changes or one in waits]
    if not late and (waits or any(_busy(one, scene) for one in concerned)):
        return Round(
            thread=replace(thread, since=since), members=tuple(members), look_again=deadline
        )
    return _say(thread, members, changes, scene, since)


def _worth_saying(members: Iterable[Broken], changes: Mapping[int, Change]) -> bool:
    """A fix alone is said when it is the thread's last one."""
    if any(what != "fixed" for what in changes.values()):
        return True
    return bool(changes) and not _standing(members, changes)


def _standing(members: Iterable[Broken], changes: Mapping[int, Change]) -> list[Broken]:
    """What readers will hold for broken once these changes are told."""
    return [
        one
        for one in members
        if changes.get(one.id) in ("opened", "again")
        or (one.told and one.told.state == "open" and changes.get(one.id) not in ("fixed", "withdrawn"))
    ]  # fmt: skip


def _busy(broken: Broken, scene: Scene) -> bool:
    low = broken.bad - 1 if broken.good is None else broken.good
    positions = (scene.busy or {}).get(broken.branch, ())
    return any(low < position <= broken.bad for position in positions)


def _silent(
    thread: Thread,
    members: Sequence[Broken],
    trips: Mapping[int, Trip],
    waits: Sequence[Broken],
    since: float,
    deadline: float,
) -> Round:
    """Nothing to say. A thread that never said anything ends when nothing in it can become news."""
    kept = [one for one in members if trips.get(one.trip) in ("open", "farm") and _lasts(one)]
    alive = waits or kept
    if thread.state == "held" and not alive:
        thread = replace(thread, state="closed", since=None)
    else:
        thread = replace(thread, since=since if waits else None)
    return Round(thread=thread, members=tuple(members), look_again=deadline if waits else None)


def _lasts(broken: Broken) -> bool:
    return broken.state in ("suspected", "open") and broken.axis != "flaky"


def _say(
    thread: Thread,
    members: Sequence[Broken],
    changes: Mapping[int, Change],
    scene: Scene,
    since: float,
) -> Round:
    ends = not _standing(members, changes)
    topic = _topic(changes.values())
    public = {
        one.id for one in members if not blocked(one) or (one.told and one.told.state == "open")
    }
    wanted: list[tuple[Desk, Topic, dict[int, Change]]] = []
    for desk in audiences.of_list(scene.book):
        heard = {number: what for number, what in changes.items() if number in public}
        if heard and not (ends and desk.key not in thread.told):
            wanted.append((desk, _topic(heard.values()), heard))
    for project in _projects(members, changes):
        heard = _of_project(project, members, changes, public)
        for desk in audiences.of_project(scene.book, project):
            if heard and not (ends and desk.key not in thread.told):
                wanted.append((desk, _topic(heard.values()), heard))
    waits = _room_for_the_list(wanted, scene, topic)
    if waits > scene.now:  # what the list has to know is not dropped: all of the round waits
        return Round(thread=replace(thread, since=since), members=tuple(members), look_again=waits)
    letters, withheld = _letters(thread, wanted, scene)
    told = {**{letter.reader: letter.key for letter in letters if letter.begins}, **thread.told}
    said = replace(
        thread, state="closed" if ends else "sent", since=None, number=thread.number + 1, told=told
    )
    return Round(
        thread=said,
        members=tuple(_now_told(one, changes.get(one.id)) for one in members),
        letters=tuple(letters),
        withheld=tuple(withheld),
    )


def _topic(changes: Iterable[Change]) -> Topic:
    return min(changes, key=_WEIGHT.index)


def _projects(members: Iterable[Broken], changes: Mapping[int, Change]) -> list[str]:
    return sorted({name for one in members if one.id in changes for name in _everybody(one)})


def _everybody(broken: Broken) -> tuple[str, ...]:
    """The projects it is in, or that were told they are."""
    return (*broken.projects, *(broken.told.projects if broken.told else ()))


def _of_project(
    project: str, members: Iterable[Broken], changes: Mapping[int, Change], public: Collection[int]
) -> dict[int, Change]:
    """What is new for a project. That others are in it too is not; that it is in it itself now is `opened`."""
    heard: dict[int, Change] = {}
    for one in members:
        what = changes.get(one.id)
        told = one.told is not None and project in one.told.projects
        if what in ("fixed", "withdrawn"):
            if told:
                heard[one.id] = what
        elif what is not None and project in one.projects and not (told and what == "more"):
            heard[one.id] = what if told or what in ("opened", "again") else _first(one)
    return heard


def _first(broken: Broken) -> Change:
    """What a project hears that comes into a breakage later."""
    return "again" if broken.reopened else "opened"


def _room_for_the_list(
    wanted: Iterable[tuple[Desk, Topic, dict[int, Change]]], scene: Scene, topic: Topic
) -> float:
    if topic in ("more", "known"):
        return scene.now
    return max(
        (
            audiences.room(scene.caps, desk, scene.sent or {}, scene.now)
            for desk, _, _ in wanted
            if desk.audience == "list"
        ),
        default=scene.now,
    )


def _letters(
    thread: Thread, wanted: Iterable[tuple[Desk, Topic, dict[int, Change]]], scene: Scene
) -> tuple[list[Letter], list[str]]:
    letters, withheld = [], []
    for desk, topic, heard in wanted:
        if audiences.room(scene.caps, desk, scene.sent or {}, scene.now) > scene.now:
            withheld.append(desk.key)
            continue
        key = f"thread:{thread.id}:{thread.number}:{desk.key}"
        letters.append(
            Letter(
                key=key, topic=topic, reader=desk.key, audience=desk.audience,
                recipients=desk.addresses, thread=thread.id, root=thread.told.get(desk.key, key),
                news=tuple(sorted(heard.items())), project=desk.project,
                held_back=(scene.held_back or {}).get(desk.key, 0),
            )
        )  # fmt: skip
    return letters, withheld


def _now_told(broken: Broken, what: Change | None) -> Broken:
    if what is None:
        return broken
    if what in ("fixed", "withdrawn"):
        assert broken.told is not None
        state: Literal["fixed", "withdrawn"] = "fixed" if what == "fixed" else "withdrawn"
        return replace(broken, told=replace(broken.told, state=state, reopened=broken.reopened))
    before = broken.told.projects if broken.told and what in ("more", "known") else ()
    told = Told(
        state="open", projects=tuple(sorted({*before, *broken.projects})), lanes=broken.lanes,
        axis=broken.axis, blamed=broken.blamed, reopened=broken.reopened,
        sure=broken.state != "suspected", good=broken.good, bad=broken.bad,
    )  # fmt: skip
    return replace(broken, told=told)


def pointer(thread: Thread, first: Thread, scene: Scene) -> Round:
    """The closing word of a thread whose cause is another's: where the story goes on, to everybody who was told."""
    desks = [*audiences.of_list(scene.book)]
    for project in sorted(scene.book.projects):
        desks += audiences.of_project(scene.book, project)
    letters = [
        Letter(
            key=f"thread:{thread.id}:{thread.number}:{desk.key}", topic="pointer", reader=desk.key,
            audience=desk.audience, recipients=desk.addresses, thread=thread.id,
            root=thread.told[desk.key], project=desk.project, points_to=first.id,
        )
        for desk in desks
        if desk.key in thread.told
    ]  # fmt: skip
    pointed = replace(
        thread, state="pointed", since=None, number=thread.number + 1, points_to=first.id
    )
    return Round(thread=pointed, members=(), letters=tuple(letters))


def mended(thread: Thread, broken: int, scene: Scene) -> Round:
    """A last word to everybody who was told: which change mended it."""
    book = scene.book
    desks = [*audiences.of_list(book)]
    for project in sorted(book.projects):
        desks += audiences.of_project(book, project)
    letters = [
        Letter(
            key=f"thread:{thread.id}:{thread.number}:{desk.key}", topic="mended", reader=desk.key,
            audience=desk.audience, recipients=desk.addresses, thread=thread.id,
            root=thread.told[desk.key], project=desk.project, news=((broken, "fixed"),),
        )
        for desk in desks
        if desk.key in thread.told
        and audiences.room(scene.caps, desk, scene.sent or {}, scene.now) <= scene.now
    ]  # fmt: skip
    return Round(
        thread=replace(thread, number=thread.number + 1), members=(), letters=tuple(letters)
    )
