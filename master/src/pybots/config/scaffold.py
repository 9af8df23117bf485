"""A first project file, with every guess marked: from a distribution's name, a git URL, or a source folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

GUESS: Final = "  # a guess: "
NO_TESTS: Final = (
    "# No tests were seen in what was looked at; many sdists leave them out. If the repository has them, name it",
    "# (`pybots project new {name} --git {git}` looks there):",
)
TRUNK: Final = (
    "# What is about to be released has lanes of its own; without the '#' it is tested too:"
)


@dataclass(frozen=True, kw_only=True)
class Guesses:
    """What a look at a source folder told. `why` has the reason of each key that is a guess."""

    title: str = ""
    homepage: str = ""
    tracker: str = ""
    repository: str = ""
    runner: str = "pytest"
    args: tuple[str, ...] = ()
    directory: str = "."
    project: bool = True
    path: str = "."
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    requirement_files: tuple[str, ...] = ()
    editable: bool = False
    wants: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    testless: bool = False
    """No tests were seen: many sdists leave them out."""
    why: Mapping[str, str] = field(default_factory=dict)


BLIND: Final = Guesses(
    requirements=("pytest",),
    why={
        "runner": "most projects use it; else unittest, trial, django or command",
        "requirements": "what the tests import besides the project",
    },
)
"""Without a look at anything."""


def draft(name: str, *, index: str, git: str, guesses: Guesses) -> str:
    """The text of a project file that loads. At least one of `index` and `git` is given."""
    lines = [
        f"# {name}: a first draft. Look at each line that is marked as a guess.",
        f"title = {_toml(guesses.title or name)}",
        f"homepage = {_toml(guesses.homepage)}{_told(guesses.homepage)}",
        f"tracker = {_toml(guesses.tracker)}{_told(guesses.tracker)}",
        'notify = []  # who hears of new failures: ["you@example.org"]',
        "timeout_minutes = 30",
        *_keys(guesses, "wants", "modules"),
        *_sources(name, index, git, guesses),
        "",
        "[install]",
        *([] if guesses.project else [f"project = false{_because(guesses, 'project')}"]),
        *([] if guesses.path == "." else _keys(guesses, "path")),
        *_keys(guesses, "extras", "groups", "requirements", "requirement_files", "editable"),
        "",
        "[test]",
        f"runner = {_toml(guesses.runner)}{_because(guesses, 'runner')}",
        *_keys(guesses, "args"),
    ]
    if guesses.directory != ".":
        lines += _keys(guesses, "directory")
    return "\n".join(lines) + "\n"


def _sources(name: str, index: str, git: str, guesses: Guesses) -> list[str]:
    lines = ["", "[source.release]", f"index = {_toml(index)}"] if index else []
    if git:
        return [*lines, "", "[source.trunk]", f"git = {_toml(git)}"]
    known = guesses.repository
    if not guesses.testless and not known:
        return lines
    said = [one.format(name=name, git=known or "https://…") for one in NO_TESTS]
    return [
        *lines,
        "",
        *(said if guesses.testless else [TRUNK]),
        "# [source.trunk]",
        f"# git = {_toml(known or 'https://…')}{_told(known)}",
    ]


def _told(value: str) -> str:
    return GUESS + ("as its metadata says" if value else "fill it in")


def _keys(guesses: Guesses, *names: str) -> list[str]:
    """The lines of the keys that are not empty."""
    found = ((name, getattr(guesses, name)) for name in names)
    return [f"{name} = {_toml(value)}{_because(guesses, name)}" for name, value in found if value]


def _because(guesses: Guesses, name: str) -> str:
    return GUESS + guesses.why.get(name, "look at it")


def _toml(value: Any) -> str:
    """JSON's strings, lists of strings and true are TOML's, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
