"""A first project file, with every guess marked: from a distribution's name, a git URL, or a source folder."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

GUESS: Final = "  # a guess: "
_TEST_GROUPS: Final = ("tests", "test", "testing")


@dataclass(frozen=True)
class Guesses:
    """What a look at a source folder told. Each text that is not empty says why."""

    runner: str = "pytest"
    runner_why: str = "most projects use it; else unittest, trial, django or command"
    args: tuple[str, ...] = ()
    directory: str = "."
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ("pytest",)
    needs_why: str = "what the tests import besides the project"
    compiled: bool = False


def look_at(folder: Path) -> Guesses:
    """Guess from pyproject.toml, tox.ini, setup.cfg and the layout. Nothing is executed."""
    data = _pyproject(folder)
    tests = next((name for name in ("tests", "test") if (folder / name).is_dir()), "")
    groups = tuple(name for name in _TEST_GROUPS if name in data.get("dependency-groups", {}))[:1]
    optional = data.get("project", {}).get("optional-dependencies", {})
    extras = () if groups else tuple(name for name in _TEST_GROUPS if name in optional)[:1]
    runner, why, args, directory = _runner(folder, data, tests)
    return Guesses(
        runner=runner,
        runner_why=why,
        args=args,
        directory=directory,
        extras=extras,
        groups=groups,
        requirements=() if groups or extras or runner != "pytest" else ("pytest",),
        needs_why="pyproject.toml names it" if groups or extras else Guesses.needs_why,
        compiled=_compiled(folder),
    )


def _runner(
    folder: Path, data: dict[str, Any], tests: str
) -> tuple[str, str, tuple[str, ...], str]:
    """Runner, why, arguments, directory."""
    settings = (
        _text(folder / "tox.ini") + _text(folder / "setup.cfg") + _text(folder / "noxfile.py")
    )
    if (folder / "tests" / "runtests.py").is_file():
        return "django", "tests/runtests.py is there", (), "tests"
    if "pytest" in data.get("tool", {}) or _has_pytest_section(folder):
        return "pytest", "it has settings for pytest", (), "."
    if re.search(r"(?<![\w-])trial(?![\w-])", settings):
        return "trial", "its settings run trial", (_package(folder, data),), "."
    if "pytest" in settings:
        return "pytest", "its settings mention pytest", (), "."
    if any(folder.glob("**/conftest.py")):
        return "pytest", "there is a conftest.py", (tests,) if tests else (), "."
    return (
        "unittest",
        "nothing mentions another runner",
        ("discover", "-s", tests) if tests else (),
        ".",
    )


def _has_pytest_section(folder: Path) -> bool:
    for name, section in (("tox.ini", "pytest"), ("setup.cfg", "tool:pytest")):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(_text(folder / name))
        except configparser.Error:
            continue
        if parser.has_section(section):
            return True
    return (folder / "pytest.ini").is_file()


def _compiled(folder: Path) -> bool:
    return any(next(folder.glob(f"**/*.{end}"), None) for end in ("c", "cpp", "pyx", "rs"))


def _package(folder: Path, data: dict[str, Any]) -> str:
    name = str(data.get("project", {}).get("name", folder.name.rpartition("-")[0] or folder.name))
    return name.lower().replace("-", "_")


def _pyproject(folder: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(folder / "pyproject.toml"))
    except tomllib.TOMLDecodeError:
        return {}


def _text(path: Path) -> str:
    try:
        return path.read_bytes()[: 1 << 20].decode("utf-8", "replace")
    except OSError:
        return ""


def draft(name: str, *, index: str, git: str, guesses: Guesses) -> str:
    """The text of a project file that loads. At least one of `index` and `git` is given."""
    lines = [
        f"# {name}: a first draft. `pybots project check {name}.toml`, then `pybots try {name}`.",
        f"title = {_toml(name)}",
        f'homepage = ""{GUESS}fill it in, and the tracker too',
        'tracker = ""',
        'notify = []  # who hears of new failures: ["you@example.org"]',
        "timeout_minutes = 30",
    ]
    if guesses.compiled:
        why = "it has C code; a lost extension is a failure"
        lines.append(f"modules = [{_toml(name.replace('-', '_'))}]{GUESS}{why}")
    if index:
        lines += ["", "[source.release]", f"index = {_toml(index)}"]
    if git:
        lines += ["", "[source.trunk]", f"git = {_toml(git)}"]
    lines += ["", "[install]"]
    for key in ("extras", "groups", "requirements"):
        value = getattr(guesses, key)
        if value:
            lines.append(f"{key} = {_toml(list(value))}{GUESS}{guesses.needs_why}")
    lines += ["", "[test]", f"runner = {_toml(guesses.runner)}{GUESS}{guesses.runner_why}"]
    if guesses.args:
        lines.append(f"args = {_toml(list(guesses.args))}{GUESS}from the layout")
    if guesses.directory != ".":
        lines.append(f"directory = {_toml(guesses.directory)}{GUESS}from the layout")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """JSON's strings and lists of strings are TOML's, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
