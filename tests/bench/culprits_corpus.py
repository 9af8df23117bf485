"""A case of a corpus as a project file would have it: the release pinned, its commands as they stand.

The environment of a case is made by uv, so what an ordinary virtual environment brings along is added where a command needs
it: setuptools and wheel for a `setup.py`; `pip install …` becomes uv's.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pybots.core.model import IndexSource, Project
from pybots_worker import contract, layout

SOURCE: Final = layout.SOURCE
BUILDERS: Final = {"setuptools": "setuptools==52.0.0", "wheel": "wheel==0.36.2"}
"""Of the time between CPython 3.8 and 3.11: the newest ones fail on alphas."""
RUNNERS: Final[Mapping[str, contract.Runner]] = {"pytest": "pytest", "unittest": "unittest"}

_TEST_IN_NOTE: Final = re.compile(r"(?:[\w/]+\.py::)?(?:\w+::)*\btest_\w+\b(?!\.py)")
_SHELL: Final = re.compile(r"&&|\|\||[;|<>`$()*?\n]")
_ASSIGNED: Final = re.compile(r"^[A-Za-z_]\w*=")
_BELOW: Final = re.compile(r"\s*cd\s+([\w.][\w./-]*)\s*&&\s*")
_PYTHON: Final = re.compile(r"python[\d.]*")
_PIP: Final = re.compile(r"\b(?:python[\d.]*\s+-m\s+)?pip[\d.]*\s+(?:-q\s+)?install\b")
_NOT_OF_UV: Final = re.compile(r"\s--(?:no-use-pep517|use-pep517|user|disable-pip-version-check)\b")


def project_of(case: Mapping[str, Any]) -> Project:
    """Raises KeyError for a case that does not say what is tested."""
    name = re.sub(r"[^a-z0-9._-]", "-", str(case["project"]).lower())
    given = {str(key): str(value) for key, value in (case.get("env") or {}).items()}
    test, env = test_of(str(case.get("test") or "python -m pytest -q"), given)
    return Project(
        name=name,
        title=str(case["project"]),
        sources={"release": IndexSource(name=str(case["project"]), version=str(case["version"]))},
        install=install_of(case),
        test=test,
        env=env,
    )


# -- installing ----------------------------------------------------------------------------------


def install_of(case: Mapping[str, Any]) -> contract.Install:
    """Requirements, then the project if the case installs it, then the case's own command in the tree."""
    as_of = str(case.get("as_of") or "")
    wish = case.get("install_project")
    options = set(re.findall(r"[a-z][a-z-]+", wish)) if isinstance(wish, str) else set()
    # Nothing is said of what is installed: the project is, the ordinary way.
    project = ("requirements" not in case and wish is None) or bool(wish)
    commands: list[tuple[str, ...]] = []
    if project and "no-deps" in options:  # which is no matter of a project file
        commands.append((*_uv_install(as_of), *_options(options), "."))
    if case.get("install"):
        commands.append(("sh", "-c", with_uv(str(case["install"]), as_of)))
    return contract.Install(
        project=project and "no-deps" not in options,
        editable="editable" in options,
        build_isolation="no-build-isolation" not in options,
        requirements=requirements_of(case),
        as_of=as_of,
        commands=tuple(commands),
    )


def requirements_of(case: Mapping[str, Any]) -> tuple[str, ...]:
    """The case's own, and what its commands take for granted."""
    given = case.get("requirements")
    found = tuple(map(str, given)) if given is not None else ("pytest",)
    said = f"{case.get('install') or ''} {case.get('test') or ''}"
    builds = "setup.py" in said or "no-build-isolation" in str(case.get("install_project") or "")
    if not builds:
        return found
    names = {re.split(r"[^\w.-]", line.strip(), maxsplit=1)[0].lower() for line in found}
    return (*found, *(pin for name, pin in BUILDERS.items() if name not in names))


def with_uv(command: str, as_of: str) -> str:
    """The command with uv's `pip install` in place of pip's, which its environment hasn't got."""
    if not _PIP.search(command):
        return command
    return _PIP.sub(shlex.join(_uv_install(as_of)), _NOT_OF_UV.sub("", command))


def _uv_install(as_of: str) -> tuple[str, ...]:
    newest = ("--exclude-newer", as_of) if as_of else ()
    return (layout.UV, "pip", "install", "--python", f"{layout.VENV}/bin/python", *newest)


def _options(options: set[str]) -> list[str]:
    known = ("no-deps", "no-build-isolation", "editable")  # `--editable` is followed by the folder
    return [f"--{word}" for word in known if word in options]


# -- testing -------------------------------------------------------------------------------------


def test_of(command: str, env: Mapping[str, str]) -> tuple[contract.Test, dict[str, str]]:
    """How the command's tests run, and its environment. pytest and unittest tell of every test; else the exit status tells.

    `python -m` puts the folder it is called in first on the path; the runners of the kit don't."""
    folder, rest = _below(command)
    words = _words(rest)
    own: dict[str, str] = {}
    while words and _ASSIGNED.match(words[0]):
        name, _, own[name] = words.pop(0).partition("=")
    runner, args, here = _runner(words)
    if runner is None or _SHELL.search(rest):
        plain = not (folder or own or _SHELL.search(command)) and words
        args = words if plain else ["sh", "-c", command]
        return contract.Test(runner="command", args=tuple(args)), dict(env)
    kept = {**env, **own}
    base = f"{SOURCE}/{folder}".rstrip("/")
    given = [part for part in kept.pop("PYTHONPATH", "").split(":") if part]
    paths = [*([base] if here else []), *(_absolute(base, part) for part in given)]
    if paths:
        kept["PYTHONPATH"] = ":".join(paths)
    return contract.Test(runner=runner, args=tuple(args), directory=folder or "."), kept


def _below(command: str) -> tuple[str, str]:
    """The folder of the tree that the command goes to first, and the rest."""
    found = _BELOW.match(command)
    if found is None or ".." in found[1].split("/"):
        return "", command
    folder = "" if found[1] in (".", "./") else found[1].rstrip("/").removeprefix("./")
    return folder, command[found.end() :]


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # the shell will say what is wrong with it
        return []


def _runner(words: Sequence[str]) -> tuple[contract.Runner | None, list[str], bool]:
    """The runner, its arguments, and whether the folder is put on the path; None: the kit has none for this."""
    match words:
        case [python, "-m", module, *args] if module in RUNNERS and _PYTHON.fullmatch(python):
            return RUNNERS[module], args, True
        case ["pytest" | "py.test", *args]:
            return "pytest", args, False
    return None, [], False


def _absolute(base: str, path: str) -> str:
    return path if path.startswith("/") else f"{base}/{path}".replace("/./", "/").removesuffix("/.")


# -- decoys --------------------------------------------------------------------------------------


def completed(decoy: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A decoy with what it leaves unsaid taken from the case of the same release, if there is one."""
    same = ("project", "version")
    like = next((case for case in cases if all(case.get(k) == decoy.get(k) for k in same)), {})
    kept = ("requirements", "test", "env", "install", "install_project", "as_of")
    return {key: like[key] for key in kept if key in like} | dict(decoy)


def tests_named(note: str) -> tuple[str, ...]:
    """The tests that a decoy's note speaks of."""
    return tuple(dict.fromkeys(_TEST_IN_NOTE.findall(note)))
