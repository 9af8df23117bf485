"""`pybots python`: the interpreter of a commit, built here or taken from the cache, to be used outside the sandbox."""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from pybots.farm import git, local
from pybots.laptop import grounds
from pybots.laptop.interpreters import Built, Interpreters
from pybots.laptop.progress import Progress
from pybots.laptop.workbench import LaptopError, alone, default_folder, open_bench
from pybots.store import StoreError

DONE, ERROR = 0, 1


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "python",
        help="build a commit's interpreter here and print its path",
        description=(
            "Prints the path of the interpreter of a CPython commit, built first unless it was built here before. "
            "It lies in a folder of its own and finds its library beside itself, wherever that folder is moved: run "
            "it, or make environments of it (`PATH -m venv DIR`). Compiling extensions with it is right for its "
            "headers too; only sysconfig's record of the installation prefix names the place it was built for. "
            "Exit status: 0 its path was printed, 1 error."
        ),
    )
    parser.add_argument("rev", metavar="REV", help="commit, tag or branch")
    parser.add_argument("--cpython", metavar="URL|PATH", default="", help="CPython's repository")
    parser.add_argument("--flavour", default="release")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="not optimised, without pip and byte-code: what probes run on",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=default_folder(),
        help="where interpreters and caches are kept",
    )
    parser.add_argument(
        "--json", action="store_true", help="print path, commit, key and build times as JSON"
    )
    parser.set_defaults(run=main)


def main(arguments: argparse.Namespace) -> int:
    console = Console(stderr=True, highlight=False)
    try:
        with alone(arguments.folder):
            built, path = _made(arguments, console)
    except (LaptopError, git.GitError, local.LocalError, StoreError, OSError) as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return ERROR
    if arguments.json:
        said = {
            "path": str(path), "commit": built.ref.commit, "key": built.ref.key,
            "build": {name: round(seconds, 2) for name, seconds in built.phases.items()},
        }  # fmt: skip
        sys.stdout.write(json.dumps(said) + "\n")
    else:
        sys.stdout.write(f"{path}\n")
    return DONE


def _made(arguments: argparse.Namespace, console: Console) -> tuple[Built, Path]:
    bench = open_bench(arguments.folder, cpython=arguments.cpython, revisions=[arguments.rev])
    sha = bench.resolve(arguments.rev)
    flavour = bench.flavour(arguments.flavour, sha)
    maker = grounds.makers(bench, flavour)["probe" if arguments.quick else "routine"]
    with Progress(console) as progress:
        progress.begin(f"building Python {sha[:12]} ({flavour.name})")
        built = maker.get(sha)
    return built, unfolded(maker, built, bench.farm.folder.root / "pythons")


def unfolded(maker: Interpreters, built: Built, where: Path) -> Path:
    """The interpreter's own copy in a folder of this machine; there as a whole or not at all.

    A copy, for what a person does to it must not reach the cache that probes are mounted from."""
    home = where / built.ref.key[:16]
    if not home.exists():
        part = where / f".new-{secrets.token_hex(6)}"
        where.mkdir(parents=True, exist_ok=True)
        try:
            with maker.held(built) as prefix:
                shutil.copytree(prefix, part, symlinks=True)
            part.rename(home)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return home / "bin" / "python3"
