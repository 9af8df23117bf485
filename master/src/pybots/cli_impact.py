"""`pybots impact`: what a change of CPython does to projects, before it is merged."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape

from pybots.core.model import Project
from pybots.farm import git, local
from pybots.laptop import grounds
from pybots.laptop.changes import Change
from pybots.laptop.impact import Impact, as_text, impact
from pybots.laptop.journal import Journal
from pybots.laptop.lab import Lab
from pybots.laptop.probes import Prober
from pybots.laptop.progress import Progress
from pybots.laptop.revisions import revision_of
from pybots.laptop.workbench import LaptopError, Workbench, alone, default_folder, open_bench
from pybots.store import StoreError

SAME, BROKEN, UNCLEAR, ERROR = 0, 1, 2, 3


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "impact",
        help="what a change of CPython breaks, before it is merged",
        description=(
            "Runs projects' tests on both sides of a change and prints only the differences: failures are retried, "
            "and each one that differs runs again alone on both sides. "
            "Exit status: 0 nothing is broken by it, 1 something is, 2 it could not be told, 3 error."
        ),
    )
    parser.add_argument("range", metavar="BASE..HEAD", help="the two commits of CPython")
    parser.add_argument(
        "--project", action="append", default=[], metavar="NAME",
        help="a project's name or file (repeatable; default: the starter projects)",
    )  # fmt: skip
    parser.add_argument("--cpython", metavar="URL|PATH", default="", help="CPython's repository")
    parser.add_argument("--flavour", default="release")
    parser.add_argument(
        "--as-of", default="", metavar="DATE", help="dependencies as they were on that date"
    )
    parser.add_argument(
        "--quick", action="store_true", help="unoptimised interpreters, as probes use"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=default_folder(),
        help="where interpreters and caches are kept",
    )
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    parser.set_defaults(run=main)


def main(arguments: argparse.Namespace) -> int:
    console = Console(stderr=arguments.json, highlight=False)
    try:
        with alone(arguments.folder), Progress(console) as progress:
            base, head, found = _compared(arguments, progress)
    except (LaptopError, git.GitError, local.LocalError, StoreError, OSError) as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return ERROR
    if arguments.json:
        said = {"base": base, "head": head, "projects": [one.as_json() for one in found]}
        sys.stdout.write(json.dumps(said, ensure_ascii=False) + "\n")
    else:
        _show(console, found)
    if any(one.reliable for each in found for one in each.broken):
        return BROKEN
    doubtful = any(each.unclear or any(not one.reliable for one in each.broken) for each in found)
    return UNCLEAR if doubtful else SAME


def _compared(arguments: argparse.Namespace, progress: Progress) -> tuple[str, str, list[Impact]]:
    before, dots, after = arguments.range.partition("..")
    if not dots or not before:
        raise LaptopError(f"{arguments.range!r} is no BASE..HEAD")
    ends = [before, after.lstrip(".") or "HEAD"]
    bench = open_bench(arguments.folder, cpython=arguments.cpython, revisions=ends)
    base, head = (bench.resolve(name) for name in ends)
    names = arguments.project or [one.name for one in bench.farm.projects.values() if one.starter]
    found = []
    for project in [bench.project(name) for name in names]:
        progress.say(project.name)
        found.append(_one(bench, project, base, head, arguments, progress))
    return base, head, found


def _one(
    bench: Workbench,
    project: Project,
    base: str,
    head: str,
    arguments: argparse.Namespace,
    progress: Progress,
) -> Impact:
    install = msgspec.structs.replace(
        project.install, as_of=arguments.as_of or project.install.as_of
    )
    prober = Prober(
        bench=bench, project=project, revision=revision_of(bench, project), install=install
    )
    ground = grounds.CPythonGround(
        changes=[Change(id=sha, key=sha) for sha in (base, head)],
        makers=grounds.makers(bench, bench.flavour(arguments.flavour, head)),
        prober=prober,
    )
    lab = Lab(
        ground=ground, project=project.name, journal=Journal(folder=bench.farm.folder.logs),
        progress=progress, cancel=bench.cancel,
    )  # fmt: skip
    return impact(lab, "probe" if arguments.quick else "routine")


def _show(console: Console, found: list[Impact]) -> None:
    silent = [one.project for one in found if not (one.broken or one.fixed or one.unclear)]
    for one in found:
        for word, colour, differences in (
            ("broken", "red", one.broken),
            ("fixed", "green", one.fixed),
        ):
            for difference in differences:
                console.print(f"[{colour}]{word}[/] {one.project}: {escape(as_text(difference))}")
        if one.left_out:
            console.print(f"{one.project}: and {one.left_out} more differences")
        if one.unclear:
            console.print(f"[yellow]unclear[/] {one.project}: {escape(one.unclear)}")
    if silent:
        console.print(f"no difference: {', '.join(silent)}")
