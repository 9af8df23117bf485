"""`pybots check` and `pybots project …`: what is wrong with the configuration, and a first project file."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pybots import cli_registry, cli_table
from pybots.config.checks import distribution, git_address
from pybots.config.checks import name as check_name
from pybots.config.errors import Problem, refuse
from pybots.config.examine import examine
from pybots.config.looking import look_at
from pybots.config.meanings import explained
from pybots.config.projects import ProjectFile, examine_project
from pybots.config.scaffold import BLIND, Guesses, draft
from pybots.core.model import GitBranch, Own, Project, Source
from pybots.laptop.peek import peek
from pybots.laptop.workbench import LaptopError

OK: Final = 0
MISTAKES: Final = 1
MASTER_TIMEOUT: Final = 120

NO_LEDGER: Final = Problem(
    "master.cfg", "", "there is no ledger yet, Buildbot's own check was left out",
    "`pybots up` makes it", level="warning",
)  # fmt: skip

WRITTEN: Final = """\
written: {path}; look at the lines marked as a guess, then
    pybots project check {path}
    pybots project show {path}
    pybots try {path}"""

# What Buildbot's own check reads: the same call as in master/master.cfg, for the farm being checked.
MASTER_CFG: Final = """\
from pathlib import Path
from pybots.glue.farmmaster import configure
BuildmasterConfig = configure(Path({root!r}))
"""


def add_parsers(commands: Any) -> None:
    """Add `check` and `project` to the `pybots` command."""
    check = commands.add_parser(
        "check",
        help="find every mistake in the configuration",
        description="Reads farm.toml, every project and the secrets, and names all mistakes at once, each with file, "
        "key and mend; then runs Buildbot's own check. Exit status: 0 no mistakes, 1 mistakes.",
    )
    _farm_option(check)
    check.add_argument("--json", action="store_true", help="print the problems as JSON")
    check.set_defaults(run=main_check)
    project = commands.add_parser("project", help="check, draft or list project files")
    actions = project.add_subparsers(dest="action", required=True, metavar="action")
    _add_check(actions)
    _add_new(actions)
    listing = actions.add_parser("list", help="list the registered projects")
    _farm_option(listing)
    listing.add_argument("--json", action="store_true", help="print them as JSON")
    listing.set_defaults(run=main_list)
    cli_table.add_parser(actions)
    cli_registry.add_parsers(actions)
    schema = actions.add_parser("schema", help="print the project file's JSON schema, for editors")
    schema.set_defaults(run=main_schema)


def _farm_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--farm", type=Path, default=Path("farm"), metavar="FOLDER", help="the farm (default: farm)"
    )


def _add_check(actions: Any) -> None:
    parser = actions.add_parser(
        "check",
        help="check one project file",
        description="Exit status: 0 the file is right, 1 it has mistakes.",
    )
    parser.add_argument(
        "project", metavar="FILE|NAME", help="a project file, or a registered project"
    )
    _farm_option(parser)
    parser.add_argument("--json", action="store_true", help="print the problems as JSON")
    parser.set_defaults(run=main_project_check)


def _add_new(actions: Any) -> None:
    parser = actions.add_parser(
        "new",
        help="write a first project file, guesses marked",
        description="Writes <directory>/NAME.toml after a look at the repository or the newest sdist: pyproject.toml, tox.ini, "
        "noxfile.py, setup.cfg and the layout; nothing of it is executed. "
        "Exit status: 0 written, 1 refused.",
    )
    parser.add_argument("name", metavar="NAME", help="the project's name: a-z, 0-9, '-'")
    parser.add_argument("--git", default="", metavar="URL", help="its repository")
    parser.add_argument("--index", default="", metavar="NAME", help="its name on the package index")
    parser.add_argument(
        "--source", type=Path, metavar="FOLDER", help="a checkout or unpacked sdist to look at"
    )
    parser.add_argument(
        "--offline", action="store_true", help="look at nothing but --source, fetch nothing"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path("projects"),
        help="where to write (default: projects)",
    )
    parser.set_defaults(run=main_new)


def main_check(arguments: argparse.Namespace) -> int:
    """All mistakes of the farm's files; when there are none, Buildbot's as well."""
    root = arguments.farm.resolve()
    found = examine(root)
    problems = list(found.problems)
    if not root.is_dir():
        mend = "`pybots up` makes one; give another with --farm"
        problems.insert(0, Problem(str(root), "", "there is no farm here", mend))
    elif not found.errors:
        problems += buildbots_own(root) if (root / "ledger.sqlite").is_file() else [NO_LEDGER]
    summary = f"{len(found.registry.projects)} projects, no mistakes"
    return _tell(problems, summary, as_json=arguments.json)


def buildbots_own(root: Path) -> list[Problem]:
    """What `buildbot checkconfig` says of the configuration made for this farm. It runs as a process of its own:
    loading the configuration has side effects in Buildbot."""
    with tempfile.TemporaryDirectory(prefix="pybots-check-") as folder:
        config = Path(folder) / "master.cfg"
        config.write_text(MASTER_CFG.format(root=str(root)), encoding="utf-8")
        try:
            done = subprocess.run(
                [str(Path(sys.executable).with_name("buildbot")), "checkconfig", str(config)],
                cwd=folder, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True, text=True, timeout=MASTER_TIMEOUT, check=False,
            )  # fmt: skip
        except OSError as error:
            mend = "install Pybots again: ./pybots does it"
            return [Problem("master.cfg", "", f"Buildbot cannot be run: {error.strerror}", mend)]
        except subprocess.TimeoutExpired:
            return [
                Problem(
                    "master.cfg", "", f"Buildbot's check took over {MASTER_TIMEOUT} s", "try again"
                )
            ]
    if done.returncode == 0:
        return []
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    words = " / ".join(line.strip() for line in lines[-4:])[:500]
    mend = f"this is a fault of Pybots: report it with the output of `pybots check --farm {root}`"
    return [Problem("master.cfg", "", f"Buildbot refuses the configuration: {words}", mend)]


def main_project_check(arguments: argparse.Namespace) -> int:
    path = _project_path(arguments.project, arguments.farm.resolve())
    project, problems = examine_project(path)
    summary = f"{path}: {project.title}, no mistakes" if project else ""
    return _tell(problems, summary, as_json=arguments.json)


def _project_path(given: str, root: Path) -> Path:
    """The file meant: a path, or the name of a registered project. Raises ConfigErrors."""
    path = Path(given)
    if path.suffix == ".toml" or path.is_file():
        return path
    files = examine(root).registry.files
    if given not in files:
        mend = "give a file, or a name `pybots project list` shows"
        refuse([Problem(given, "", "is neither a file nor a registered project", mend)])
    return Path(files[given])


def main_new(arguments: argparse.Namespace) -> int:
    problems = list(_new_problems(arguments))
    if problems:
        return _tell(problems, "", as_json=False)
    index = arguments.index or ("" if arguments.git else arguments.name)
    try:
        guesses = _guesses(arguments, index)
    except LaptopError as error:
        mend = "correct --git or --index, or write a draft without a look: --offline"
        return _tell([Problem("", "", str(error), mend)], "", as_json=False)
    text = draft(arguments.name, index=index, git=arguments.git, guesses=guesses)
    path: Path = arguments.directory / f"{arguments.name}.toml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        mend = "choose another folder with --directory"
        problem = Problem(str(path), "", f"cannot be written: {error.strerror}", mend)
        return _tell([problem], "", as_json=False)
    _, problems = examine_project(path)
    return _tell(problems, WRITTEN.format(path=path), as_json=False)


def _guesses(arguments: argparse.Namespace, index: str) -> Guesses:
    """What a look at the sources tells. Raises LaptopError."""
    if arguments.source:
        return look_at(arguments.source)
    if arguments.offline:
        return BLIND
    with peek(index, arguments.git) as tree:
        return look_at(tree)


def _new_problems(arguments: argparse.Namespace) -> Iterable[Problem]:
    checks: list[tuple[str, Callable[[str], str], str]] = [("NAME", check_name, arguments.name)]
    if arguments.git:
        checks.append(("--git", git_address, arguments.git))
    if arguments.index:
        checks.append(("--index", distribution, arguments.index))
    for key, check, value in checks:
        try:
            check(value)
        except ValueError as error:
            context = getattr(error, "context", None) or {}
            mend = _smaller(value) if key == "NAME" else ""
            yield Problem("", key, f"{value!r} {error}", mend or context.get("mend", ""))
    path = arguments.directory / f"{arguments.name}.toml"
    if path.exists():
        yield Problem(str(path), "", "is there already", "choose another name, or edit it")
    if arguments.source and not arguments.source.is_dir():
        yield Problem(str(arguments.source), "", "is not a folder", "give an unpacked source tree")


def _smaller(name: str) -> str:
    """How a distribution's name ("Sphinx") is written as a project's; "" when it is not merely its capitals."""
    try:
        return f"write {check_name(name.lower())}" if name.isascii() else ""
    except ValueError:
        return ""


def main_list(arguments: argparse.Namespace) -> int:
    found = examine(arguments.farm.resolve())
    refuse(found.registry.problems)
    projects = found.registry.projects
    if arguments.json:
        print(json.dumps([_described(project) for project in projects.values()], indent=2))
        return OK
    width = max(map(len, projects), default=0)
    for name, project in projects.items():
        marks = ", ".join([project.test.runner, *project.sources, *["starter"][: project.starter]])
        print(f"{name:<{width}}  {project.title}  ({marks})")
    return OK


def _described(project: Project) -> dict[str, Any]:
    return {
        "name": project.name,
        "title": project.title,
        "runner": project.test.runner,
        "starter": project.starter,
        "timeout_minutes": project.timeout_minutes,
        "sources": {name: _from(source) for name, source in project.sources.items()},
    }


def _from(source: Source) -> dict[str, Any]:
    kind = {GitBranch: "git", Own: "own"}.get(type(source), "index")
    return {"kind": kind, **asdict(source)}


def main_schema(arguments: argparse.Namespace) -> int:
    print(json.dumps(explained(ProjectFile.model_json_schema()), indent=2, ensure_ascii=False))
    return OK


def _tell(problems: Sequence[Problem], summary: str, *, as_json: bool) -> int:
    """Print what was found; the exit status."""
    wrong = sum(problem.level == "error" for problem in problems)
    if as_json:
        rows = [asdict(problem) for problem in problems]
        print(json.dumps({"ok": not wrong, "problems": rows}, indent=2))
        return MISTAKES if wrong else OK
    for problem in problems:
        print(problem, file=sys.stderr)
    count = f"{wrong} mistake{'s' if wrong != 1 else ''}"
    print(count if wrong else summary, file=sys.stderr if wrong else sys.stdout)
    return MISTAKES if wrong else OK
