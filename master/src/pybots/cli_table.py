"""`pybots project table`: the registry's projects run here on a CPython and on the system's Python, and the table of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from pybots.config.farm import built_in_projects
from pybots.core.model import Project
from pybots.farm import git, local, sources
from pybots.laptop import suites, table
from pybots.laptop.installed import SYSTEM, installed
from pybots.laptop.interpreters import Built, Interpreters
from pybots.laptop.workbench import (
    LaptopError,
    Workbench,
    alone,
    default_folder,
    open_bench,
    silent,
)
from pybots.store import StoreError
from pybots_worker import contract
from pybots_worker.sandbox import Sink

OK, ERROR = 0, 3
TROUBLES: Final = (LaptopError, git.GitError, local.LocalError, StoreError, OSError, ValueError)


def add_parser(actions: Any) -> None:
    """Add `table` to `pybots project`."""
    parser = actions.add_parser(
        "table",
        help="run projects here on a CPython and a control, and make the table of it",
        description=(
            "Runs each project's job, as `pybots try` does, on a commit of CPython and on an installed Python as the "
            "control, and writes the table. What has been run is kept in FOLDER/table and not run again while "
            "interpreter and version are the same: stop it and go on whenever you like. Exit status: 0 made, 3 error."
        ),
    )
    parser.add_argument("projects", nargs="*", metavar="NAME|FILE", help="default: all registered")
    parser.add_argument("--cpython", default="", metavar="URL|PATH", help="CPython's repository")
    parser.add_argument("--commit", default="main", metavar="REV", help="commit, tag or branch")
    parser.add_argument("--flavour", default="release")
    parser.add_argument(
        "--control", type=Path, default=SYSTEM, metavar="PYTHON",
        help=f"the control, installed below /usr (default: {SYSTEM})",
    )  # fmt: skip
    parser.add_argument(
        "--only", choices=("python", "control"), help="run one side of the table only"
    )
    parser.add_argument("--source", default="", help="of each project (default: its first)")
    parser.add_argument("--folder", type=Path, default=default_folder(), help="as of `pybots try`")
    parser.add_argument("--again", action="store_true", help="run also what has been run")
    parser.add_argument(
        "--times", action="store_true", help="only time installing again, of what has been run"
    )
    parser.add_argument(
        "--show", action="store_true", help="run nothing; the table of what there is"
    )
    parser.add_argument("--log", action="store_true", help="show the jobs' logs")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put it into this page, between its markers"
    )
    parser.set_defaults(run=main)


def main(arguments: argparse.Namespace) -> int:
    console = Console(stderr=True, highlight=False)
    results = arguments.folder / "table"
    try:
        if not arguments.show:
            with alone(arguments.folder):
                _run(arguments, console, results)
        section = table.render(
            suites.load_all(results, "python"), suites.load_all(results, "control"), _files()
        )
        if arguments.write:
            page = table.put_in(arguments.write.read_text(encoding="utf-8"), section)
            arguments.write.write_text(page, encoding="utf-8")
        else:
            sys.stdout.write(section)
    except TROUBLES as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return ERROR
    return OK


def _files() -> dict[str, str]:
    """The registered projects' files, whose comments explain what is red."""
    return {path.stem: path.read_text("utf-8") for path in built_in_projects().glob("*.toml")}


def _run(arguments: argparse.Namespace, console: Console, results: Path) -> None:
    bench = open_bench(arguments.folder, cpython=arguments.cpython, revisions=[arguments.commit])
    sink: Sink = _loud if arguments.log else silent
    sides: dict[str, Built] = {}
    if arguments.only != "python" and not arguments.times:
        sides["control"] = installed(bench, arguments.control)
    if arguments.only != "control":
        sides["python"] = _built(bench, arguments, console, sink)
    for project in _projects(bench, arguments.projects):
        source = arguments.source or next(iter(project.sources))
        for side, built in sides.items():
            path = suites.path_of(results, project.name, source, side)
            said = _timed if arguments.times else _one
            console.print(said(bench, project, source, built, path, arguments.again, sink))


def _loud(_stream: str, data: bytes) -> None:
    sys.stderr.write(data.decode("utf-8", "replace"))


def _built(bench: Workbench, arguments: argparse.Namespace, console: Console, sink: Sink) -> Built:
    sha = bench.resolve(arguments.commit)
    flavour = bench.flavour(arguments.flavour, sha)
    maker = Interpreters(bench=bench, flavour=flavour, recipe=flavour.recipe())
    key = maker.key(sha)
    # What `pybots try` has built in this folder is taken from its store.
    known = sources.note(bench.farm, f"built:{key}")
    if known and bench.farm.store.has(known["sha256"]) and not maker.has(sha):
        ref = contract.InterpreterRef(
            key=key,
            commit=sha,
            branch="main",
            flavour=flavour.name,
            blob=bench.blob(known["sha256"]),
        )
        return Built(ref=ref)
    if not maker.has(sha):
        console.print(f"building CPython {sha[:12]} ({flavour.name})")
    return maker.get(sha, sink)


def _projects(bench: Workbench, names: Sequence[str]) -> list[Project]:
    return [bench.project(name) for name in names] or list(bench.farm.projects.values())


def _timed(
    bench: Workbench,
    project: Project,
    source: str,
    built: Built,
    path: Path,
    _again: bool,
    sink: Sink,
) -> str:
    """Installing timed once more for a cell that is there; in a line for who waits."""
    known = suites.load(path)
    try:
        revision = suites.revision_of(bench, project, source)
    except LaptopError as error:
        return f"{project.name}: left out, {escape(str(error))}"
    if known is None or (known.key, known.revision) != (built.ref.key, revision.label):
        return f"{project.name}: left out, its tests have not been run"
    result = suites.time_again(bench, project, revision, built, known, sink)
    suites.save(path, result)
    if not result.cold or result.warm is None:
        return f"{project.name}: was not installed"
    return f"{project.name}: cold {result.cold:.1f} s, warm {result.warm:.1f} s"


def _one(
    bench: Workbench,
    project: Project,
    source: str,
    built: Built,
    path: Path,
    again: bool,
    sink: Sink,
) -> str:
    """One cell, run unless it is there; in a line for who waits."""
    side = path.suffixes[-2].removeprefix(".")
    if lacking := sorted(project.facts - bench.facts):
        return f"{project.name}: left out, this machine lacks {', '.join(lacking)}"
    try:
        revision = suites.revision_of(bench, project, source)
    except LaptopError as error:
        return f"{project.name}: left out, {escape(str(error))}"
    known = suites.load(path)
    if known and not again and (known.key, known.revision) == (built.ref.key, revision.label):
        return f"{project.name} {side}: kept"
    result = suites.run(bench, project, source, revision, built, times=side == "python", sink=sink)
    suites.save(path, result)
    said = result.trouble or (
        f"{result.tests} tests, {result.failed} failed, {result.skipped} skipped, {result.seconds:.0f} s"
    )
    return f"{project.name} {revision.label} {side}: {escape(said)}"
