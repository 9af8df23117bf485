"""Who is told what, and in which thread: breakages in, letters out. Pure. First version (DESIGN §6 grows it).

- A new failure (or one that is back): the list and the project's own addresses, one letter for all of a run's news.
- A breakage that reaches another project: that project's addresses only, in the breakage's thread.
- Fixed: when the last breakage of a thread is, one letter into that thread.
- An interpreter that doesn't build, and builds again: the list. The first one ever of its kind: the admin only.
- The farm's own faults: the admin only, once a day for each worker.
- Still failing, flaky, unknown, another lane of the same project: nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Audience = Literal["list", "project", "admin"]
Topic = Literal[
    "new", "again", "joined", "fixed", "unbuilt", "unbuilt_first", "built_again", "farm_fault"
]


@dataclass(frozen=True, kw_only=True)
class Book:
    """The addresses: the list's, the admin's, each project's own."""

    list: str = ""
    admin: str = ""
    projects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, projects: Iterable[str]) -> tuple[str, ...]:
        """The own addresses of these projects, each once."""
        return _unique(a for project in projects for a in self.projects.get(project, ()))

    def public(self, projects: Iterable[str] = ()) -> tuple[str, ...]:
        """The list, and these projects."""
        return _unique([self.list, *self.of(projects)])


@dataclass(frozen=True, kw_only=True)
class Touch:
    """A breakage that a run opened, opened again or joined. `new_project`: no other lane of the run's project is in it."""

    breakage: int
    how: Literal["opened", "joined", "reopened"]
    thread: str
    new_project: bool = False


@dataclass(frozen=True, kw_only=True)
class Closed:
    """A breakage that is fixed. `projects` were in it; `thread_open`: others of its thread are not fixed yet."""

    breakage: int
    thread: str
    projects: tuple[str, ...] = ()
    thread_open: bool = False


@dataclass(frozen=True, kw_only=True)
class Letter:
    """What to send. `key` is unique for ever: deciding twice sends once. `thread` "": the letter begins a thread."""

    key: str
    topic: Topic
    audience: Audience
    recipients: tuple[str, ...]
    breakages: tuple[int, ...] = ()
    thread: str = ""


def thread_key(run: int) -> str:
    """The key of the letter that a run's new breakages begin their thread with."""
    return f"new:{run}"


def of_run(
    run: int, project: str, touched: Sequence[Touch], closed: Sequence[Closed], book: Book
) -> list[Letter]:
    """The letters that a project's run causes."""
    return _addressed([*_worse(run, project, touched, book), *_better(run, closed, book, "fixed")])


def _worse(run: int, project: str, touched: Sequence[Touch], book: Book) -> list[Letter]:
    news = [touch for touch in touched if touch.how != "joined"]
    if news:
        opened = [touch for touch in news if touch.how == "opened"]
        return [
            Letter(
                key=thread_key(run),
                topic="new" if opened else "again",
                audience="list",
                recipients=book.public([project]),
                breakages=tuple(touch.breakage for touch in touched),
                thread="" if opened else news[0].thread,
            )
        ]
    return [
        Letter(
            key=f"joined:{run}:{touch.breakage}",
            topic="joined",
            audience="project",
            recipients=book.of([project]),
            breakages=(touch.breakage,),
            thread=touch.thread,
        )
        for touch in touched
        if touch.new_project
    ]


def _better(run: int, closed: Sequence[Closed], book: Book, topic: Topic) -> list[Letter]:
    letters = []
    for thread in dict.fromkeys(one.thread for one in closed if not one.thread_open):
        done = [one for one in closed if one.thread == thread]
        projects = [project for one in done for project in one.projects]
        letters.append(
            Letter(
                key=f"fixed:{run}:{min(one.breakage for one in done)}",
                topic=topic,
                audience="list",
                recipients=book.public(projects),
                breakages=tuple(one.breakage for one in done),
                thread=thread,
            )
        )
    return letters


def of_build(
    run: int, touched: Sequence[Touch], closed: Sequence[Closed], *, first_ever: bool, book: Book
) -> list[Letter]:
    """The letters that an interpreter's build causes. `first_ever`: it failed, and none of its kind ever built."""
    if first_ever:
        return _addressed(
            [
                Letter(
                    key=thread_key(run), topic="unbuilt_first", audience="admin",
                    recipients=_unique([book.admin]),
                )
            ]
        )  # fmt: skip
    letters = [
        Letter(
            key=thread_key(run),
            topic="unbuilt",
            audience="list",
            recipients=book.public(),
            breakages=(touch.breakage,),
            thread="" if touch.how == "opened" else touch.thread,
        )
        for touch in touched
        if touch.how != "joined"
    ]
    return _addressed([*letters, *_better(run, closed, book, "built_again")])


def of_fault(worker: str, day: str, book: Book) -> list[Letter]:
    """The farm could not do its work after several attempts: the admin, once a day (`2026-01-31`) for each worker."""
    return _addressed(
        [
            Letter(
                key=f"fault:{worker}:{day}", topic="farm_fault", audience="admin",
                recipients=_unique([book.admin]),
            )
        ]
    )  # fmt: skip


def _addressed(letters: Iterable[Letter]) -> list[Letter]:
    return [letter for letter in letters if letter.recipients]


def _unique(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(address for address in addresses if address))
