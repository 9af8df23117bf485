"""`pybots-worker`: what a volunteer types."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pybots_worker import doctor, farmlink, joining, phase, service, settings, signs, welcome
from pybots_worker.joining import JoinError, Wishes
from pybots_worker.reporting import KIT
from pybots_worker.service import ServiceError
from pybots_worker.settings import SettingsError

ROOT: Final = Path.home() / "pybots-worker"
WELL, TROUBLE = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 well, 1 something is not well, 2 wrong usage."""
    options = parser().parse_args(arguments)
    try:
        return int(options.do(options))
    except (
        JoinError, SettingsError, farmlink.LinkError, farmlink.Turned, welcome.CodeError,
        ServiceError, OSError,
    ) as error:  # fmt: skip
        print(f"pybots-worker: {error}", file=sys.stderr)
        return TROUBLE


def parser() -> argparse.ArgumentParser:
    """All commands and options, with their help."""
    top = argparse.ArgumentParser(
        prog="pybots-worker",
        description="Builds CPython and runs projects' tests for a Pybots farm, in a sandbox.",
    )
    top.add_argument("--version", action="version", version=KIT)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    join = commands.add_parser("join", help="join a farm with an invitation, and start to work")
    join.add_argument("farm", metavar="URL", help="the farm's address")
    join.add_argument(
        "code",
        nargs="?",
        default="",
        help="the invitation; left out: asked for, or read from stdin",
    )
    join.add_argument("--name", default="", help="what the worker would like to be called")
    join.add_argument(
        "--slots", type=int, default=0, help="builds at a time (default: by processors)"
    )
    join.add_argument("--yes", action="store_true", help="don't ask")
    join.add_argument("--no-start", action="store_true", help="join only; `run` starts it later")
    run = commands.add_parser("run", help="connect to the farm and work, until SIGTERM")
    look = commands.add_parser("doctor", help="say what this machine can do and what it lacks")
    look.add_argument("--json", action="store_true", help="for programs")
    stop = commands.add_parser("pause", help="take no more jobs; what runs is finished")
    stop.add_argument(
        "--for", dest="length", default="", metavar="TIME", help="such as 90m, 8h, 2d"
    )
    go = commands.add_parser("resume", help="take jobs again")
    leave = commands.add_parser("leave", help="leave the farm and remove everything from here")
    leave.add_argument("--yes", action="store_true", help="don't ask")
    keep = commands.add_parser("service", help="keep the worker running with systemd")
    keep.add_argument(
        "action",
        choices=("install", "remove", "show"),
        help="install: now and after every boot; remove: no more; show: print the unit",
    )
    one = commands.add_parser("phase", help="run one phase of a job (the worker calls this itself)")
    for command, do in (
        (join, _join), (run, _run), (look, _doctor), (stop, _pause), (go, _resume),
        (leave, _leave), (keep, _service), (one, _phase),
    ):  # fmt: skip
        command.set_defaults(do=do)
        command.add_argument(
            "--root", type=Path, default=ROOT, help="the worker's folder (default: %(default)s)"
        )
    one.add_argument("job", help="<run>-<attempt>")
    one.add_argument("phase", choices=phase.PHASES)
    return top


def _join(options: argparse.Namespace) -> int:
    code = welcome.read_code(options.code or _asked_code())
    url = farmlink.address(options.farm)
    wishes = Wishes(name=options.name, slots=options.slots)
    way, found = joining.prepare(options.root, url, code)
    doctor.show(found, print)
    if not found.ok:
        print(
            "this machine cannot work yet: see → above, then give the command again",
            file=sys.stderr,
        )
        return TROUBLE
    planned = joining.plan(options.root, found.facts, wishes)
    print(f"\nA worker for {url} in {options.root}:")
    for line in joining.terms(planned, found.facts):
        print(f"  {line}")
    if not _agreed("Join?", options):
        return TROUBLE
    answer = joining.join(options.root, way, code, planned, found.facts, wishes)
    print(f"\njoined {answer.farm} as {answer.name} ({answer.state})")
    if answer.words:
        print(answer.words)
    print(
        f"your rules are in {options.root / settings.FILE}: slaves/README.md, or /join at the farm"
    )
    if signs.runner(options.root):
        _tell(options.root)
        print("the worker that runs here goes on with its new credential")
        return WELL
    if options.no_start:
        return WELL
    print("working; Ctrl-C stops it", flush=True)
    return _run(options)


def _asked_code() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("invitation: ")
    return sys.stdin.readline()


def _agreed(question: str, options: argparse.Namespace) -> bool:
    """Nobody is there to be asked when a program calls."""
    if options.yes or not sys.stdin.isatty():
        return True
    return input(f"{question} [Y/n] ").strip().lower() in ("", "y", "yes")


def _doctor(options: argparse.Namespace) -> int:
    found = doctor.diagnose(options.root)
    if options.json:
        json.dump(found.as_json(), sys.stdout, indent=2)
        print()
    else:
        doctor.show(found, print)
    return WELL if found.ok else TROUBLE


def _expect_worker(root: Path) -> None:
    """Raises JoinError."""
    if not (root / settings.FILE).exists():
        raise JoinError(f"there is no worker in {root}: `pybots-worker join` makes one")


def _pause(options: argparse.Namespace) -> int:
    _expect_worker(options.root)
    until = time.time() + _seconds(options.length) if options.length else None
    signs.pause(options.root, until)
    _tell(options.root)
    print(
        f"paused{f' for {options.length}' if options.length else ''}; what runs is finished first"
    )
    return WELL


def _resume(options: argparse.Namespace) -> int:
    _expect_worker(options.root)
    signs.resume(options.root)
    _tell(options.root)
    print("working again")
    return WELL


def _tell(root: Path) -> None:
    """The running worker looks at once."""
    if pid := signs.runner(root):
        os.kill(pid, signal.SIGHUP)


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d{1,5})([mhd])", text)
    if not found:
        raise JoinError(f"{text!r} is no length of time: write 90m, 8h or 2d")
    return int(found[1]) * {"m": 60.0, "h": 3600.0, "d": 86_400.0}[found[2]]


def _leave(options: argparse.Namespace) -> int:
    if not options.yes and not sys.stdin.isatty():
        raise JoinError("this removes the worker: say --yes")
    if not _agreed(f"Remove the worker in {options.root}?", options):
        return TROUBLE
    joining.leave(options.root, print)
    return WELL


def _service(options: argparse.Namespace) -> int:
    match options.action:
        case "show":
            print(service.unit(options.root, system=os.geteuid() == 0), end="")
        case "remove":
            if not service.remove(print):
                print("there is no such service")
        case _:
            if not settings.load(options.root).farm:
                raise JoinError(f"{options.root} has not joined a farm yet")
            service.install(options.root, print)
    return WELL


def _phase(options: argparse.Namespace) -> int:
    return phase.main([str(options.root), options.job, options.phase])


def _run(options: argparse.Namespace) -> int:
    _expect_worker(options.root)
    # Only here: Twisted takes a while to import, and the other commands need none of it.
    from pybots_worker import bot

    return int(bot.main(options.root))


if __name__ == "__main__":
    sys.exit(main())
