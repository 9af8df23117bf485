"""Who is told what, when, and in which thread: breakages in, letters and the time to look again out. Pure.

- Breakages that may share a cause share a thread (`threads`); a thread's news wait for lanes and controls, an hour at most,
  and are told in one round (`rounds`): the list in one letter with a row for each project, each project in its own.
- Told are transitions only: opened, back again, in more projects or lanes, axis or culprit known, withdrawn, fixed.
  Still failing, flaky, unknown: nobody at once; the digest counts them.
- When most lanes of a worker, a platform or the farm turn red together, a breaker (`breaker`) holds all of it.
- The farm's own faults: the admin, and the worker's owner. Never a project, never the list.

`consider` may be asked as often as one likes: what was told is part of what goes in and what comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from pybots.core import audiences, rounds, threads
from pybots.core.audiences import Audience, Book, Desk
from pybots.core.rounds import Letter, Round, Scene
from pybots.core.threads import Broken, Thread

FORGET_SECONDS: Final = 30 * audiences.DAY
"""What a dependency broke and nobody was told of within this time is no news any more."""

Alarm = Literal[
    "unbuilt_first", "farm_fault", "breaker", "missing", "back", "quarantine", "rejected", "differs"
]
"""Letters of the farm to its own people."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What `consider` came to: all threads and breakages as they are now, letters in order, readers whose cap was
    reached (a reader is there once for each letter), and when to look again even if nothing happens."""

    threads: tuple[Thread, ...]
    breakages: tuple[Broken, ...]
    letters: tuple[Letter, ...]
    withheld: tuple[str, ...] = ()
    look_again: float | None = None


def consider(breakages: Sequence[Broken], known: Iterable[Thread], scene: Scene) -> Outcome:
    """The next letters. `breakages`: all that stand, and all that were told of as standing; `known`: their threads."""
    assigned, all_threads = threads.assign(breakages, known, scene.now)
    members: dict[int, list[Broken]] = {}
    for broken in assigned:
        members.setdefault(broken.thread, []).append(broken)
    done: list[Round] = []
    for thread in sorted(all_threads, key=lambda one: one.id):
        mine = members.get(thread.id, [])
        scene = _spent(scene, done[-1].letters if done else ())
        done.append(rounds.next_round(thread, mine, scene) if mine else _alone(thread))
    done = _pointed(done, scene)
    loose = members.get(0, [])
    return Outcome(
        threads=tuple(one.thread for one in done),
        breakages=(*loose, *(member for one in done for member in one.members)),
        letters=tuple(letter for one in done for letter in one.letters),
        withheld=tuple(key for one in done for key in one.withheld),
        look_again=min((one.look_again for one in done if one.look_again), default=None),
    )


def _alone(thread: Thread) -> Round:
    """A thread of which nothing stands any more. What it never told is not told now, and it waits for nothing."""
    state = "closed" if thread.state == "held" else thread.state
    return Round(thread=replace(thread, state=state, since=None), members=())


def _spent(scene: Scene, letters: Iterable[Letter]) -> Scene:
    """The scene after these letters: they count towards caps, and what was held back has been said."""
    sent, held_back = dict(scene.sent or {}), dict(scene.held_back or {})
    for letter in letters:
        sent[letter.reader] = (*sent.get(letter.reader, ()), scene.now)
        held_back.pop(letter.reader, None)
    return replace(scene, sent=sent, held_back=held_back)


def _pointed(done: Sequence[Round], scene: Scene) -> list[Round]:
    """Threads that turn out to have one cause: the later ones end with a pointer, and their breakages move over."""
    first: dict[tuple[str, ...], int] = {}
    found = list(done)
    for index, one in enumerate(found):
        if one.thread.state != "sent" or one.letters or one.thread.since is not None:
            continue
        why = threads.cause(one.thread, one.members)
        if why is None:
            continue
        if why not in first:
            first[why] = index
            continue
        goal = found[first[why]]
        found[index] = rounds.pointer(one.thread, goal.thread, scene)
        told = {**one.thread.told, **goal.thread.told}
        moved = tuple(replace(member, thread=goal.thread.id) for member in one.members)
        found[first[why]] = replace(
            goal, thread=replace(goal.thread, told=told), members=(*goal.members, *moved)
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A letter of the farm to its own people. `key` is unique for ever."""

    key: str
    topic: Alarm
    desk: Desk

    @property
    def audience(self) -> Audience:
        return self.desk.audience


def of_first_build(run: int, book: Book) -> list[Notice]:
    """An interpreter does not build, and none of its kind ever did: nobody is accused, the admin looks."""
    return [
        Notice(key=f"first:{run}", topic="unbuilt_first", desk=desk)
        for desk in audiences.of_admin(book)
    ]


def of_fault(worker: str, day: str, book: Book) -> list[Notice]:
    """The farm could not do its work after several attempts: admin and owner, once a day (`2026-01-31`) for each worker."""
    return _notices(f"fault:{worker}:{day}", "farm_fault", _farms_people(book, worker))


def of_missing(worker: str, last_seen: float, book: Book) -> list[Notice]:
    """A worker is gone: its owner, once for each absence; the admin where it has no owner."""
    desks = audiences.of_owner(book, worker)
    if not desks and worker not in book.owners:
        desks = audiences.of_admin(book)
    return _notices(f"missing:{worker}:{int(last_seen)}", "missing", desks)


def of_back(missed: str, worker: str, book: Book) -> list[Notice]:
    """A missing worker is back: its owner, who was told. `missed`: the key of that letter."""
    return _notices(f"back:{missed}"[:180], "back", audiences.of_owner(book, worker))


def of_quarantine(worker: str, kind: str, day: str, book: Book) -> list[Notice]:
    """A worker gets no work for now: admin and owner, once a day for each kind of trouble."""
    return _notices(f"quarantine:{worker}:{kind}:{day}", "quarantine", _farms_people(book, worker))


def of_opinion(number: int, book: Book) -> list[Notice]:
    """Two owners' workers say different things of one run: the admin."""
    return _notices(f"differs:{number}", "differs", audiences.of_admin(book))


def of_breaker(trip: int, state: str, worker: str, book: Book) -> list[Notice]:
    """Most lanes turned red together: the admin when it is undecided for an hour, admin and owner when it is the farm."""
    desks = audiences.of_admin(book) if state == "open" else _farms_people(book, worker)
    return _notices(f"breaker:{trip}:{state}", "breaker", desks)


def of_rejected(letter: int, book: Book) -> list[Notice]:
    """A mail server refused a letter for good: the admin."""
    return _notices(f"rejected:{letter}", "rejected", audiences.of_admin(book))


def _farms_people(book: Book, worker: str) -> list[Desk]:
    admin = audiences.of_admin(book)
    taken = {address for desk in admin for address in desk.addresses}
    return [
        *admin,
        *(one for one in audiences.of_owner(book, worker) if one.addresses[0] not in taken),
    ]


def _notices(key: str, topic: Alarm, desks: Iterable[Desk]) -> list[Notice]:
    return [
        Notice(key=key if desk.audience == "admin" else f"{key}:{desk.audience}", topic=topic, desk=desk)
        for desk in desks
    ]  # fmt: skip


def live(broken: Broken) -> bool:
    """Whether `consider` needs to see it: it stands, or readers hold it for standing."""
    told_open = broken.told is not None and broken.told.state == "open"
    return threads.concerns_mail(broken) or told_open
