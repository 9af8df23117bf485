"""What tox.ini and noxfile.py say of running the tests, as far as it can be read without executing anything."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from pybots.config import metadata, strange

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
    parser = strange.sections(text)
    if not parser.has_section("testenv"):
        return Told()
    section = parser["testenv"]
    return _told(
        _lines(section.get("deps", "")),
        _names(section.get("extras", "")),
        _names(section.get("dependency_groups", "")),
        section.get("commands", ""),
    )


def of_tox_table(data: dict[str, Any]) -> Told:
    """The table `env_run_base` of a tox.toml, or of pyproject.toml's `[tool.tox]`."""
    base = strange.table(data, "env_run_base")
    commands = base.get("commands")
    return _told(
        strange.strings(base.get("deps")),
        _names(" ".join(strange.strings(base.get("extras")))),
        _names(" ".join(strange.strings(base.get("dependency_groups")))),
        "\n".join(
            shlex.join(strange.strings(one))
            for one in (commands if isinstance(commands, list) else ())
        ),
    )


def _told(deps: Iterable[str], extras: list[str], groups: list[str], commands: str) -> Told:
    requirements, files = [], []
    for line in deps:
        if found := re.fullmatch(
            r"(-r|--requirement)[ =]?(\{tox_?(ini_?dir|root)\}/)?([^{}]+)", line
        ):
            files.append(found[4].strip())
        elif strange.is_requirement(line):
            requirements.append(line)
    return Told(
        requirements=tuple(requirements),
        files=tuple(name for name in files if strange.plain_path(name)),
        extras=tuple(extras),
        groups=tuple(groups),
        commands=commands,
    )


def words_after(commands: str, runner: str) -> tuple[str, ...]:
    """The arguments that tox's commands give to `unittest` (`python -m unittest …`), or the plain ones, that are no
    options or their values, to `pytest`. Empty when nothing certain is there."""
    for line in commands.replace("\\\n", " ").splitlines():
        words = _words(FACTOR.sub("", line.strip()))
        if runner == "pytest" and (at := _pytest_at(words)):
            return tuple(
                word
                for before, word in pairwise(["", *words[at:]])
                if not word.startswith("-") and (not before.startswith("-") or "=" in before)
            )
        if runner == "unittest" and ("-m", "unittest") in pairwise(words):
            return tuple(words[words.index("unittest") + 1 :])
    return ()


def _pytest_at(words: list[str]) -> int:
    """Where pytest's arguments begin; 0 when it is not run."""
    return next((at for at, word in enumerate(words, 1) if word in ("pytest", "py.test")), 0)


def _words(line: str) -> list[str]:
    """A command's words, with the tree's own folder and what is given after `--` taken out; empty when more is
    substituted there."""
    line = re.sub(r"\{posargs(:[^{}]*)?\}", "", line)
    line = re.sub(r"\{tox_?(ini_?dir|root)\}(\{?/\}?)?", "", line)
    try:
        words = shlex.split(line.lstrip("-! "))
    except ValueError:
        return []
    certain = not any(set(word) & set("{}$&|;<>\x00") for word in words)
    return [word for word in words if word] if certain else []


def _lines(text: str) -> list[str]:
    lines = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not FACTOR.match(line) and not line.startswith("#")]


def _names(text: str) -> list[str]:
    words = re.split(r"[\s,]+", " ".join(_lines(text)))
    return [word for word in words if metadata.NAME.fullmatch(word)]


def of_nox(text: str) -> Told:
    """The session of a noxfile.py whose name speaks of tests, and what it installs in plain words."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Told()
    sessions = {
        _session_name(node): node
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(_is_session(decorator) for decorator in node.decorator_list)
    }
    wanted = [name for name in sessions if name in ("tests", "test", "unit", "unittests", "pytest")]
    name = next(iter(wanted or [name for name in sessions if "test" in name]), "")
    words = _installed(sessions[name]) if name else []
    files = [word for before, word in pairwise(["", *words]) if before in ("-r", "--requirement")]
    plain = [word for word in words if not word.startswith(("-", ".")) and word not in files]
    extras = [found[1] for word in words if (found := re.fullmatch(r"\.\[([\w.,\s-]+)\]", word))]
    return Told(
        session=name,
        requirements=tuple(word for word in plain if strange.is_requirement(word)),
        files=tuple(file for file in files if strange.plain_path(file)),
        extras=tuple(name for text in extras for name in _names(text)),
    )


def _is_session(decorator: ast.expr) -> bool:
    """`@nox.session`, `@session(…)`, `@nox_poetry.session`."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return "session" in name


def _session_name(function: ast.FunctionDef) -> str:
    """What the decorator calls it: `@nox.session(name="unit")`; else the function's name."""
    for decorator in function.decorator_list:
        for given in decorator.keywords if isinstance(decorator, ast.Call) else ():
            plain = given.value.value if isinstance(given.value, ast.Constant) else None
            if given.arg == "name" and isinstance(plain, str) and plain.isprintable() and plain:
                return plain
    return function.name


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
