"""`pybots bisect`: which change made a project's tests fail, found by experiment on this machine, without a master."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pybots.core.model import Project
from pybots.farm import git, local
from pybots.laptop import axes
from pybots.laptop.ends import Wish
from pybots.laptop.grounds import DependencyGround
from pybots.laptop.journal import Journal, open_journal
from pybots.laptop.lab import Ground, Lab
from pybots.laptop.probes import Prober
from pybots.laptop.progress import Progress
from pybots.laptop.revisions import revision_of
from pybots.laptop.search import Search
from pybots.laptop.workbench import (
    LaptopError,
    Workbench,
    alone,
    default_folder,
    open_bench,
)
from pybots.store import StoreError

CONFIRMED, ERROR, UNDECIDED = 0, 1, 2
SHOWN_FILES: Final = 12


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "bisect",
        help="find the change that broke a project, here",
        description=(
            "Builds interpreters and runs the failing tests until one change is left, then proves it: its parent "
            "passes and it fails, several times. Stopped at any moment, the same command goes on. "
            "Exit status: 0 confirmed, 2 undecided, 1 error."
        ),
    )
    parser.add_argument(
        "project", help="a registered project's name, or the path of a project file"
    )
    parser.add_argument(
        "--test", action="append", default=[], metavar="ID", help="follow this test (repeatable)"
    )
    parser.add_argument(
        "--like", default="", metavar="TEXT", help="follow the failure that reads like this"
    )
    parser.add_argument("--good", required=True, metavar="REV", help="where the tests pass")
    parser.add_argument("--bad", required=True, metavar="REV", help="where they fail")
    parser.add_argument(
        "--axis", choices=("cpython", "project", "dependencies"), default="cpython",
        help="what --good and --bad are revisions of; for dependencies: dates or lock files (default: cpython)",
    )  # fmt: skip
    parser.add_argument("--cpython", metavar="URL|PATH", default="", help="CPython's repository")
    parser.add_argument(
        "--on",
        metavar="REV",
        default="main",
        help="the CPython commit, on the other axes (default: main)",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="so many probes at once (default: 1)"
    )
    parser.add_argument(
        "--as-of", default="", metavar="DATE", help="dependencies as they were on that date"
    )
    parser.add_argument("--flavour", default="release")
    parser.add_argument(
        "--source", default="", help="which of the project's sources (default: its first)"
    )
    parser.add_argument(
        "--version", default="", help="which release of the project (default: the file's)"
    )
    parser.add_argument(
        "--recipe", choices=("auto", "probe", "routine"), default="auto",
        help="how interpreters are built: quickly, as users do, or quickly if both ends show it so (default)",
    )  # fmt: skip
    parser.add_argument(
        "--fresh", action="store_true", help="begin again, forget an earlier session"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=default_folder(),
        help="where interpreters and caches are kept",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.set_defaults(run=main)


def main(arguments: argparse.Namespace) -> int:
    console = Console(stderr=arguments.json, highlight=False)
    try:
        with alone(arguments.folder):
            result = _search(arguments, console)
    except (LaptopError, git.GitError, local.LocalError, StoreError, OSError) as error:
        if arguments.json:
            sys.stdout.write(json.dumps({"status": "error", "reason": str(error)}) + "\n")
        console.print(f"[red]error:[/] {escape(str(error))}")
        return ERROR
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from here")
        raise
    if arguments.json:
        sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
    else:
        show(console, result)
    return CONFIRMED if result["status"] == "confirmed" else UNDECIDED


def _search(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    cpython = [arguments.good, arguments.bad] if arguments.axis == "cpython" else [arguments.on]
    bench = open_bench(
        arguments.folder, cpython=arguments.cpython, revisions=cpython, slots=max(arguments.jobs, 1)
    )
    project = bench.project(arguments.project)
    wish = Wish(
        tests=tuple(arguments.test),
        like=arguments.like,
        jobs=max(arguments.jobs, 1),
        how=arguments.recipe,
    )
    search = session(
        bench, project, axis=arguments.axis, good=arguments.good, bad=arguments.bad, on=arguments.on, wish=wish,
        as_of=arguments.as_of, flavour=arguments.flavour, source=arguments.source, version=arguments.version,
        fresh=arguments.fresh, progress=(progress := Progress(console)),
    )  # fmt: skip
    with progress:
        result = search.run()
        ground = search.lab.ground
        if result["culprit"] and isinstance(ground, DependencyGround):
            result = _version(search, bench, ground, result)
        return result


def _version(
    search: Search, bench: Workbench, ground: DependencyGround, result: dict[str, Any]
) -> dict[str, Any]:
    """The package is found: which of its releases? The first answer stands when that can't be told."""
    index = next(n for n, one in enumerate(ground.changes) if one.id == result["culprit"]["id"])
    narrower = axes.versions(bench, ground, index)
    if narrower is None:
        return result
    lab = search.lab
    facts = {"of": lab.journal.folder.name, "package": result["culprit"]["id"]}
    journal = open_journal(bench.farm.folder.root, facts)
    again = Search(lab=replace(lab, ground=narrower, journal=journal), wish=search.wish).run()
    return {**again, "package": result} if again["culprit"] else {**result, "versions": again}


def session(
    bench: Workbench,
    project: Project,
    *,
    good: str,
    bad: str,
    wish: Wish,
    progress: Progress,
    axis: str = "cpython",
    on: str = "",
    as_of: str = "",
    flavour: str = "release",
    source: str = "",
    version: str = "",
    fresh: bool = False,
) -> Search:
    """A session at its beginning, or where it was. Raises LaptopError, git.GitError."""
    install = msgspec.structs.replace(project.install, as_of=as_of) if as_of else project.install
    revision = revision_of(bench, project, source, version=version)
    prober = Prober(bench=bench, project=project, revision=revision, install=install)
    ground = _ground(bench, prober, axis, good, bad, on, flavour, source)
    journal = _journal(bench, ground, prober, wish, flavour, fresh)
    progress.say(f"{project.name} {revision.label}")
    lab = Lab(
        ground=ground, project=project.name, journal=journal, progress=progress, cancel=bench.cancel
    )
    return Search(lab=lab, wish=wish)


def _ground(
    bench: Workbench,
    prober: Prober,
    axis: str,
    good: str,
    bad: str,
    on: str,
    flavour: str,
    source: str,
) -> Ground:
    match axis:
        case "cpython":
            return axes.cpython(bench, prober, good, bad, flavour)
        case "project":
            return axes.project(bench, prober, good, bad, on=on, flavour=flavour, source=source)
        case _:
            return axes.dependencies(bench, prober, good, bad, on=on, flavour=flavour)


def _journal(
    bench: Workbench, ground: Ground, prober: Prober, wish: Wish, flavour: str, fresh: bool
) -> Journal:
    """The journal of exactly this question: everything that could change an answer names it."""
    session = {
        "axis": ground.axis,
        "first": ground.changes[0].id,
        "on": getattr(ground, "sha", ""),
        "changes": [change.id for change in ground.changes] if ground.axis != "cpython" else [],
        "last": ground.changes[-1].id,
        "project": msgspec.to_builtins(prober.project),
        "revision": prober.revision.label,
        "install": msgspec.to_builtins(prober.install),
        "tests": wish.tests,
        "like": wish.like,
        "how": wish.how,
        "flavour": flavour,
        "abi": bench.abi,
    }
    return open_journal(bench.farm.folder.root, session, fresh=fresh)


def show(console: Console, result: dict[str, Any]) -> None:
    """The result for people."""
    if rows := result["evidence"]:
        table = Table(title="Evidence", title_justify="left", box=None, pad_edge=False)
        for name in ("change", "outcome", "for", "seconds", "said"):
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(
                row["id"][:12], row["outcome"], row["purpose"], f"{row['seconds']:.1f}", escape(row["note"][:100])
            )  # fmt: skip
        console.print(table)
    counts = f"{result['probes']} probes, {result['builds']} builds, {result['seconds']:.0f} s"
    if result["failure"]:
        console.print(f"the failure: {escape(result['failure'])}")
    if later := result.get("hid"):
        console.print(f"  since hidden by: {escape(later['failure'])}")
    if (other := result.get("hidden")) and other["culprit"]:
        console.print(f"  before it: {escape(other['failure'])}")
        console.print(
            f"  which began with {other['culprit']['id'][:12]} {escape(other['culprit']['subject'])}"
        )
    if (culprit := result["culprit"]) is None:
        console.print(f"[yellow]undecided:[/] {escape(result['reason'])}; {counts}")
        for line in result["standing"]:
            console.print(f"  fails at both ends: {escape(line)}")
        if found := result["range"]:
            console.print(f"between {found['good'][:12]} (passes) and {found['last'][:12]}")
        return
    console.print(
        f"[bold red]culprit:[/] {culprit['id']}  ({result['confidence']:.1%} sure; {counts})"
    )
    console.print(f"  {escape(culprit['subject'])}")
    console.print(f"  {escape(culprit['author'])}, {culprit['date']}")
    files = culprit["files"]
    for name in files[:SHOWN_FILES]:
        console.print(f"    {escape(name)}")
    if len(files) > SHOWN_FILES:
        console.print(f"    … and {len(files) - SHOWN_FILES} more")
    console.print(f"  {escape(result['reason'])}")
