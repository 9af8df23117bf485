"""`pybots-worker`: what a volunteer types."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pybots_worker import doctor, phase
from pybots_worker.reporting import KIT

ROOT: Final = Path.home() / "pybots-worker"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 well, 1 something is not well, 2 wrong usage."""
    options = parser().parse_args(arguments)
    match options.command:
        case "doctor":
            return _doctor(options.root, as_json=options.json)
        case "phase":
            return phase.main([str(options.root), options.job, options.phase])
        case _:
            return _run(options.root)


def parser() -> argparse.ArgumentParser:
    """All commands and options, with their help."""
    top = argparse.ArgumentParser(
        prog="pybots-worker",
        description="Builds CPython and runs projects' tests for a Pybots farm, in a sandbox.",
    )
    top.add_argument("--version", action="version", version=KIT)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="connect to the farm and work, until SIGTERM")
    look = commands.add_parser("doctor", help="say what this machine can do and what it lacks")
    look.add_argument("--json", action="store_true", help="for programs")
    one = commands.add_parser("phase", help="run one phase of a job (the worker calls this itself)")
    for command in (run, look, one):
        command.add_argument(
            "--root", type=Path, default=ROOT, help="the worker's folder (default: %(default)s)"
        )
    one.add_argument("job", help="<run>-<attempt>")
    one.add_argument("phase", choices=phase.PHASES)
    return top


def _doctor(root: Path, *, as_json: bool) -> int:
    found = doctor.diagnose(root)
    if as_json:
        json.dump(found.as_json(), sys.stdout, indent=2)
        print()
    else:
        doctor.show(found, print)
    return 0 if found.ok else 1


def _run(root: Path) -> int:
    # Only here: Twisted takes a while to import, and the other commands need none of it.
    from pybots_worker import bot

    return int(bot.main(root))


if __name__ == "__main__":
    sys.exit(main())
