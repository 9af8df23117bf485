"""A first project file, with every guess marked: from a distribution's name, a git URL, or a source folder."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pybots.config import envs

GUESS: Final = "  # a guess: "
NO_TESTS: Final = (
    "# No tests were seen in what was looked at; many sdists leave them out. If the repository has them, name it:",
    "# [source.trunk]",
    '# git = "https://…"',
)
_NO_PACKAGES: Final = frozenset({"tests", "test", "docs", "doc", "examples", "benchmarks"})
_TEST_GROUPS: Final = ("tests", "test", "testing")
_HOMES: Final = ("homepage", "home", "documentation", "docs", "source", "repository", "github")
_TRACKERS: Final = (
    "tracker",
    "issues",
    "bug tracker",
    "issue tracker",
    "bugs",
    "bug reports",
    "issues tracker",
)


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
    requirement_files: tuple[str, ...] = ()
    needs_why: str = "what the tests import besides the project"
    compiled: bool = False
    module: str = ""
    homepage: str = ""
    tracker: str = ""
    testless: bool = False
    """No tests were seen: many sdists leave them out."""


def look_at(folder: Path) -> Guesses:
    """Guess from pyproject.toml, tox.ini, setup.cfg and the layout. Nothing is executed."""
    data = _pyproject(folder)
    tests = _tests(folder)
    groups = tuple(name for name in _TEST_GROUPS if name in data.get("dependency-groups", {}))[:1]
    optional = data.get("project", {}).get("optional-dependencies", {})
    extras = () if groups else tuple(name for name in _TEST_GROUPS if name in optional)[:1]
    runner, why, args, directory = _runner(folder, data, tests)
    named = bool(groups or extras)
    told, teller = envs.of_tox(_text(folder / "tox.ini")), "tox.ini"
    if not told.needs:
        told, teller = envs.of_nox(_text(folder / "noxfile.py")), "noxfile.py"
    from_told = not named and told.needs
    if runner in ("tox", "nox"):
        told, named, from_told = envs.Told(), False, False
        groups, extras = (), ()
    files = tuple(name for name in told.files if (folder / name).is_file()) if from_told else ()
    plain = ("pytest",) if runner == "pytest" and not named else ()
    urls = _urls(folder, data)
    return Guesses(
        runner=runner,
        runner_why=why,
        args=args,
        directory=directory,
        extras=told.extras if from_told else extras,
        groups=told.groups if from_told else groups,
        requirements=told.requirements if from_told else plain,
        requirement_files=files,
        needs_why="pyproject.toml names it"
        if named
        else f"{teller} names it"
        if from_told
        else Guesses.needs_why,
        homepage=urls[0],
        tracker=urls[1],
        compiled=_compiled(folder),
        module=_module(folder, _package(folder, data)),
        testless=not tests and not _test_files(folder),
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
    if tests and any(b"import pytest" in path.read_bytes() for path in _files(folder / tests)):
        return "pytest", "its tests import it", (tests,), "."
    if any(folder.glob("**/conftest.py")):
        return "pytest", "there is a conftest.py", (tests,) if tests else (), "."
    if session := envs.of_nox(_text(folder / "noxfile.py")).session:
        return "nox", "its noxfile.py has this session", (session,), "."
    commands = envs.of_tox(_text(folder / "tox.ini")).commands
    if commands and "unittest" not in commands:
        return "tox", "its tox.ini runs something else than the runners known here", ("py",), "."
    return (
        "unittest",
        "nothing mentions another runner",
        (("discover", "-s", tests, *(("-t", ".") if "/" in tests else ()))) if tests else (),
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


def _tests(folder: Path) -> str:
    """The folder of the tests, from the top; "" when none is seen."""
    places = [
        folder / "tests",
        folder / "test",
        *sorted(folder.glob("*/tests")),
        *sorted(folder.glob("src/*/tests")),
        *sorted(folder.glob("*/test")),
        *sorted(folder.glob("src/*/test")),
    ]
    found = (path for path in places if path.is_dir())
    return next((path.relative_to(folder).as_posix() for path in found), "")


def _test_files(folder: Path) -> bool:
    """Whether anything is named as tests are."""
    return any(
        next(folder.glob(f"**/{name}"), None)
        for name in ("test_*.py", "*_test.py", "tests.py", "testing/*.py")
    )


def _files(tests: Path) -> list[Path]:
    """Some of the tests' files."""
    return [
        path
        for path in sorted(tests.glob("**/*.py"))[:200]
        if path.is_file() and not path.is_symlink()
    ]


def _module(folder: Path, name: str) -> str:
    """The import name: a package of that name, else the first there is; "" when none is seen."""
    places = [
        path.parent
        for top in (folder / "src", folder)
        for path in sorted(top.glob("*/__init__.py"))
    ]
    names = [
        path.name for path in places if path.name not in _NO_PACKAGES and path.name.isidentifier()
    ]
    return name if name in names else next(iter(names), "")


def _urls(folder: Path, data: dict[str, Any]) -> tuple[str, str]:
    """(homepage, tracker) by what pyproject.toml or an sdist's PKG-INFO calls them; "" where nothing is said."""
    found = {str(k).lower(): str(v) for k, v in _table(data.get("project", {}), "urls").items()}
    for line in _text(folder / "PKG-INFO").partition("\n\n")[0].splitlines():
        if line.startswith("Project-URL: "):
            name, _, address = line.removeprefix("Project-URL: ").partition(", ")
            found.setdefault(name.lower(), address)
        elif line.startswith("Home-page: "):
            found.setdefault("homepage", line.removeprefix("Home-page: "))
    return tuple(  # type: ignore[return-value] # two of them
        next((found[n] for n in names if re.fullmatch(r"https?://[^\s\"@]+", found.get(n, ""))), "")
        for names in (_HOMES, _TRACKERS)
    )


def _table(data: Any, key: str) -> dict[str, Any]:
    found = data.get(key, {}) if isinstance(data, dict) else {}
    return found if isinstance(found, dict) else {}


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
        f"homepage = {_toml(guesses.homepage)}{GUESS}{'as its metadata says' if guesses.homepage else 'fill it in'}",
        f"tracker = {_toml(guesses.tracker)}{GUESS}{'as its metadata says' if guesses.tracker else 'fill it in'}",
        'notify = []  # who hears of new failures: ["you@example.org"]',
        "timeout_minutes = 30",
    ]
    if guesses.compiled:
        why = "it has C code; a lost extension is a failure"
        module = guesses.module or re.sub(r"\W", "_", name)
        lines.append(f"modules = [{_toml(module)}]{GUESS}{why}")
    if index:
        lines += ["", "[source.release]", f"index = {_toml(index)}"]
    if git:
        lines += ["", "[source.trunk]", f"git = {_toml(git)}"]
    lines += ["", "[install]"]
    for key in ("extras", "groups", "requirements", "requirement_files"):
        value = getattr(guesses, key)
        if value:
            lines.append(f"{key} = {_toml(list(value))}{GUESS}{guesses.needs_why}")
    if guesses.testless:
        lines += ["", *NO_TESTS]
    lines += ["", "[test]", f"runner = {_toml(guesses.runner)}{GUESS}{guesses.runner_why}"]
    if guesses.args:
        lines.append(f"args = {_toml(list(guesses.args))}{GUESS}from the layout")
    if guesses.directory != ".":
        lines.append(f"directory = {_toml(guesses.directory)}{GUESS}from the layout")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """JSON's strings and lists of strings are TOML's, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
