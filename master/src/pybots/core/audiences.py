"""Who can be told: readers, what they chose, and how much of it they get a day. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Audience = Literal["list", "project", "person", "owner", "admin"]
"""For whom a text is written. `person`: one human being's own copy, with links that act in their name."""

When = Literal["now", "digest", "none"]
"""At once, once a day when there was something, or never."""

DAY: Final = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Reader:
    """An address and what it chose. `person`: it is one human being's, not a mailing list."""

    address: str
    when: When = "now"
    person: bool = False


@dataclass(frozen=True, kw_only=True)
class Book:
    """Everybody's address: the list's, the admin's, each project's own, each worker's owner."""

    list: Reader | None = None
    admin: Reader | None = None
    projects: Mapping[str, tuple[Reader, ...]] = field(default_factory=dict)
    owners: Mapping[str, Reader] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Caps:
    """Letters a day at most, for each reader of a kind. What is more waits, or is only counted."""

    list: int = 24
    project: int = 8
    owner: int = 4
    admin: int = 24

    def of(self, audience: Audience) -> int:
        return self.project if audience == "person" else int(getattr(self, audience))


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One letter's addressees. `key` names the reader for ever: `list`, `admin`, `project:x`, `person:x:a@b`, `owner:w`."""

    key: str
    audience: Audience
    addresses: tuple[str, ...]
    project: str = ""


def of_list(book: Book) -> list[Desk]:
    """The list, if there is one that hears at once."""
    return _one("list", "list", book.list)


def of_admin(book: Book) -> list[Desk]:
    """The farm's admin."""
    return _one("admin", "admin", book.admin)


def of_owner(book: Book, worker: str) -> list[Desk]:
    """The owner of a worker."""
    return _one(f"owner:{worker}", "owner", book.owners.get(worker))


def _one(key: str, audience: Audience, reader: Reader | None) -> list[Desk]:
    if reader is None or not reader.address or reader.when != "now":
        return []
    return [Desk(key=key, audience=audience, addresses=(reader.address,))]


def of_project(book: Book, project: str) -> list[Desk]:
    """A project's own addresses: persons each for themselves, all others together. The list is not told twice."""
    known = {book.list.address} if book.list else set()
    readers = [one for one in book.projects.get(project, ()) if one.address and one.when == "now"]
    readers = [one for one in readers if one.address not in known]
    together = unique(one.address for one in readers if not one.person)
    desks = [
        Desk(
            key=f"person:{project}:{address}", audience="person", addresses=(address,),
            project=project,
        )
        for address in unique(one.address for one in readers if one.person)
        if address not in together
    ]  # fmt: skip
    if together:
        plain = Desk(
            key=f"project:{project}", audience="project", addresses=together, project=project
        )
        desks.insert(0, plain)
    return desks


def room(caps: Caps, desk: Desk, sent: Mapping[str, tuple[float, ...]], now: float) -> float:
    """When the reader may get one more letter: `now`, or the time at which the oldest of a full day's is a day old."""
    today = sorted(at for at in sent.get(desk.key, ()) if at > now - DAY)
    cap = max(1, caps.of(desk.audience))
    return now if len(today) < cap else today[-cap] + DAY


def unique(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(address for address in addresses if address))
