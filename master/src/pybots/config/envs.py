"""What tox.ini and noxfile.py say of running the tests, as far as it can be read without executing anything."""

from __future__ import annotations

import ast
import configparser
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement

FACTOR: Final = re.compile(r"^[\w.!,{}-]+\s*:\s+")
"""`py312,lint: pytest`: a line for some environments only."""


@dataclass(frozen=True)
class Told:
    """The requirements, requirements files, extras and groups of the tests; `commands` as text, `session` of nox."""

    requirements: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    commands: str = ""
    session: str = ""

    @property
    def needs(self) -> bool:
        """Whether it says what the tests need."""
        return bool(self.requirements or self.files or self.extras or self.groups)


def of_tox(text: str) -> Told:
    """The section `[testenv]` of a tox.ini. What holds for some environments only is left out."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return Told()
    if not parser.has_section("testenv"):
        return Told()
    section = parser["testenv"]
    requirements, files = [], []
    for line in _lines(section.get("deps", "")):
        if found := re.fullmatch(r"(-r|--requirement)[ =]?(\{tox_?ini_?dir\}/)?([^{}]+)", line):
            files.append(found[3].strip())
        elif _requirement(line):
            requirements.append(line)
    return Told(
        requirements=tuple(requirements),
        files=tuple(name for name in files if not name.startswith("/") and ".." not in name),
        extras=tuple(_names(section.get("extras", ""))),
        groups=tuple(_names(section.get("dependency_groups", ""))),
        commands=section.get("commands", ""),
    )


def _lines(text: str) -> list[str]:
    lines = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not FACTOR.match(line) and not line.startswith("#")]


def _names(text: str) -> list[str]:
    words = re.split(r"[\s,]+", " ".join(_lines(text)))
    return [word for word in words if re.fullmatch(r"[A-Za-z0-9][\w.-]*", word)]


def _requirement(line: str) -> bool:
    try:
        Requirement(line)
    except InvalidRequirement:
        return False
    return True


def of_nox(text: str) -> Told:
    """The session of a noxfile.py whose name speaks of tests, and what it installs in plain words."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Told()
    sessions = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any("session" in ast.dump(d) for d in node.decorator_list)
    }
    wanted = [name for name in sessions if name in ("tests", "test", "unit", "unittests", "pytest")]
    name = next(iter(wanted or [name for name in sessions if "test" in name]), "")
    words = _installed(sessions[name]) if name else []
    files = [word for before, word in pairwise(["", *words]) if before in ("-r", "--requirement")]
    plain = [word for word in words if not word.startswith(("-", ".")) and word not in files]
    extras = [found[1] for word in words if (found := re.fullmatch(r"\.\[([\w.,\s-]+)\]", word))]
    return Told(
        session=name,
        requirements=tuple(word for word in plain if _requirement(word)),
        files=tuple(file for file in files if not file.startswith("/") and ".." not in file),
        extras=tuple(name for text in extras for name in _names(text)),
    )


def _installed(session: ast.FunctionDef) -> list[str]:
    """The words of all its calls of `install`, as far as they are plain strings."""
    calls = [
        node
        for node in ast.walk(session)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "install"
    ]
    arguments = (argument for call in calls for argument in call.args)
    return [
        argument.value
        for argument in arguments
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
