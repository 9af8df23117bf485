"""people.toml: authors of CPython's commits who want to hear of what is proved to be their commit's doing.

    [person.ada]
    commits = ["ada@users.noreply.example.org", "ada@example.org"]   # as the commits say it
    mail = "ada@example.org"                                         # where the letter goes

Nobody is in it who did not ask: commit addresses are often nobody's, and nobody's letter-box is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pybots.config.checks import MailAddress, Name
from pybots.config.closed import Closed, Several, build, key_text
from pybots.config.errors import Problem, in_order, refuse, shown
from pybots.config.toml import Document, read

Commits = Annotated[Several[MailAddress], Field(min_length=1)]


class Person(Closed):
    """One author: the addresses of their commits, and the one that is written to."""

    commits: Commits
    mail: MailAddress


class People(Closed):
    """The whole file."""

    person: dict[Name, Person] = Field(default_factory=dict)


def load_people(path: Path) -> dict[str, str]:
    """Commit address (in lower case) -> where to write; nobody when there is no file. Raises ConfigErrors."""
    people, problems = examine_people(path)
    refuse(problems)
    return {
        address.lower(): person.mail
        for person in people.person.values()
        for address in person.commits
    }


def examine_people(path: Path) -> tuple[People, list[Problem]]:
    """The file as far as it can be used, and every mistake."""
    document = read(path) if path.exists() else Document(str(path), {})
    built = build(People, document)
    people = built.value or People()
    return people, in_order([*built.problems, *_twice(people, document)])


def _twice(people: People, document: Document) -> Iterator[Problem]:
    """An address can be one person's only."""
    taken: dict[str, str] = {}
    for name, person in people.person.items():
        for index, address in enumerate(person.commits):
            place = ("person", name, "commits", index)
            other = taken.setdefault(address.lower(), name)
            if other != name:
                message = f"{shown(address)} is also {other}'s"
                yield Problem(
                    document.file, key_text(place), message, "leave it with one of them",
                    document.line(place),
                )  # fmt: skip
