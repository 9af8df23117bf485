"""`pybots reproduce`: a failure's capsule, run again here; does the same failure appear?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from pybots.farm import capsules, git, local
from pybots.farm.home import open_farm
from pybots.laptop import reproduce
from pybots.laptop.progress import Progress
from pybots.laptop.workbench import LaptopError, alone, default_folder, open_bench
from pybots.store import StoreError

REPRODUCED, ERROR, NOT = 0, 1, 2
WORDS: Final = {
    "reproduced": "[bold red]the same failure[/]",
    "passed": "[green]not reproduced: it passes[/]",
    "other": "[yellow]not reproduced: it fails otherwise[/]",
    "unclear": "[yellow]not reproduced: it could not be tried[/]",
}


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "reproduce",
        help="run a failure's capsule again, here",
        description=(
            "Builds the capsule's interpreter, installs its project with its lock, runs its tests and says whether "
            "the same failure appears: the same signature. Exit status: 0 reproduced, 2 not, 1 error."
        ),
    )
    parser.add_argument(
        "what", metavar="BREAKAGE|FILE", help="a capsule's file, or a breakage's number with --farm"
    )
    parser.add_argument("--farm", type=Path, help="the folder of the farm that has the breakage")
    parser.add_argument("--save", type=Path, metavar="FILE", help="only write the capsule there")
    parser.add_argument(
        "--cpython",
        metavar="URL|PATH",
        default="",
        help="CPython's repository (default: the capsule's)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=default_folder(),
        help="where interpreters and caches are kept",
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.set_defaults(run=main)


def main(arguments: argparse.Namespace) -> int:
    console = Console(stderr=arguments.json, highlight=False)
    try:
        capsule = capsule_of(arguments.what, arguments.farm)
        if arguments.save:
            arguments.save.write_bytes(capsules.encode(capsule))
            console.print(f"written: {escape(str(arguments.save))}")
            return REPRODUCED
        with alone(arguments.folder), Progress(console) as progress:
            where = arguments.cpython or capsule.python.repository
            bench = open_bench(arguments.folder, cpython=where, revisions=[capsule.python.commit])
            found = reproduce.run(bench, capsule, progress)
    except (
        LaptopError,
        capsules.CapsuleError,
        git.GitError,
        local.LocalError,
        StoreError,
        OSError,
    ) as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return ERROR
    if arguments.json:
        said = {
            "answer": found.answer, "said": found.said, "signature": capsule.signature,
            "commit": capsule.python.commit, "project": capsule.project, "seconds": round(found.seconds, 1),
        }  # fmt: skip
        sys.stdout.write(json.dumps(said, ensure_ascii=False) + "\n")
    else:
        console.print(f"{WORDS[found.answer]} ({capsule.signature[:16]}): {escape(found.said)}")
    return REPRODUCED if found.answer == "reproduced" else NOT


def capsule_of(what: str, farm: Path | None) -> capsules.Capsule:
    """From a file, or from a farm's ledger by the breakage's number. Raises CapsuleError, LaptopError."""
    if farm is None or not what.isdecimal():
        if what.isdecimal() and not Path(what).exists():
            raise LaptopError(
                f"breakage {what} of which farm? Name its folder with --farm, or give the capsule's file"
            )
        return capsules.decode(reproduce.load(Path(what)))
    return capsules.of_breakage(open_farm(farm), int(what))
