"""A farm that is nothing but data, for the tests of who is told what, when and in which thread."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pybots.core import alerts
from pybots.core.audiences import Book, Caps, Reader
from pybots.core.rounds import Letter, Scene, Trip
from pybots.core.threads import Broken, Thread

T0 = 1_000_000.0
BOOK = Book(
    list=Reader(address="list@x"),
    admin=Reader(address="admin@x", person=True),
    projects={
        "anchor": (Reader(address="a@x"), Reader(address="shared@x")),
        "buoy": (Reader(address="b@x"), Reader(address="ada@x", person=True)),
        "calm": (Reader(address="c@x", when="digest"), Reader(address="n@x", when="none")),
        "mute": (),
    },
    owners={"attic": Reader(address="bob@x", person=True)},
)


@dataclass
class World:
    """Remembers what `consider` gives back, as the ledger would."""

    now: float = T0
    book: Book = BOOK
    caps: Caps = field(default_factory=Caps)
    broken: dict[int, Broken] = field(default_factory=dict)
    threads: dict[int, Thread] = field(default_factory=dict)
    busy: dict[str, set[int]] = field(default_factory=dict)
    trips: dict[int, Trip] = field(default_factory=dict)
    sent: dict[str, tuple[float, ...]] = field(default_factory=dict)
    held_back: dict[str, int] = field(default_factory=dict)
    letters: list[Letter] = field(default_factory=list)
    look_again: float | None = None

    def breaks(self, number: int, *projects: str, **changes: Any) -> None:
        """A breakage, confirmed unless said otherwise."""
        plain = Broken(
            id=number, branch="main", state="open", good=4, bad=5, opened=self.now,
            signature=f"s{number}", control="green", projects=projects or ("anchor",),
        )  # fmt: skip
        self.broken[number] = replace(plain, **changes)

    def becomes(self, number: int, **changes: Any) -> None:
        self.broken[number] = replace(self.broken[number], **changes)

    def look(self, later: float = 0.0) -> list[Letter]:
        """What is sent now."""
        self.now += later
        scene = Scene(
            now=self.now, book=self.book, caps=self.caps, busy=self.busy, trips=self.trips,
            sent=self.sent, held_back=self.held_back,
        )  # fmt: skip
        seen = [one for one in self.broken.values() if alerts.live(one)]
        made = alerts.consider(seen, self.threads.values(), scene)
        self.broken |= {one.id: one for one in made.breakages}
        self.threads = {one.id: one for one in made.threads}
        for letter in made.letters:
            self.sent[letter.reader] = (*self.sent.get(letter.reader, ()), self.now)
            self.held_back.pop(letter.reader, None)
        for key in made.withheld:
            self.held_back[key] = self.held_back.get(key, 0) + 1
        self.letters += made.letters
        self.look_again = made.look_again
        assert len({letter.key for letter in self.letters}) == len(self.letters), "keys are unique"
        return list(made.letters)


def to(letters: Iterable[Letter]) -> list[str]:
    return [address for letter in letters for address in letter.recipients]


def topics(letters: Iterable[Letter]) -> set[str]:
    return {letter.topic for letter in letters}
