"""`pybots init` and `pybots upgrade`: a farm's folder made, and brought up to date."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any, Final

from pybots.config.farm import load_farm
from pybots.farm import authority
from pybots.farm.home import Folder
from pybots.farm.setup import make_folder, write_settings
from pybots.ledger import migrate

DONE, FAILED = 0, 1
FOLDER: Final = Path("farm")


def add_parser(commands: Any) -> None:
    for name, run, text in (
        (
            "init",
            init,
            "make a farm's folder: settings, secrets, an empty ledger; keeps what is there",
        ),
        ("upgrade", upgrade, "bring a farm's ledger up to date; stop the farm first"),
    ):
        parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        parser.add_argument(
            "--farm", type=Path, default=FOLDER, metavar="FOLDER", help="where it lives"
        )
        parser.set_defaults(run=run)
        if name == "init":
            _add_tls(parser)


def _add_tls(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tls",
        action="store_true",
        help="make the farm's own certificate authority: workers and pages speak TLS",
    )
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="with --tls: a name or address under which this machine is reached (repeatable)",
    )
    parser.add_argument(
        "--proxy",
        action="store_true",
        help="with --tls: workers only; the pages stand behind a proxy that speaks TLS",
    )


def init(arguments: argparse.Namespace) -> int:
    if (arguments.host or arguments.proxy) and not arguments.tls:
        print("--host and --proxy belong to --tls", file=sys.stderr)
        return FAILED
    folder = make_folder(arguments.farm)
    write_settings(folder.config, {})
    if arguments.tls:
        _tls(folder, arguments)
    print(
        f"{folder.root} is ready: see {folder.config.name}, then `pybots check --farm {arguments.farm}`"
    )
    return DONE


def _tls(folder: Folder, arguments: argparse.Namespace) -> None:
    """The authority and its certificate first: settings that ask for them are never without."""
    before = load_farm(folder.config)
    names = [*dict.fromkeys([*before.tls.names, *arguments.host])]
    authority.establish(folder, names, time.time())
    changes: dict[str, Any] = {"tls.on": True, "web.tls": not arguments.proxy}
    if names:
        changes["tls.names"] = names
    write_settings(folder.config, changes)
    print(f"workers{'' if arguments.proxy else ' and pages'} speak TLS from the next start on")


def upgrade(arguments: argparse.Namespace) -> int:
    ledger = arguments.farm / "ledger.sqlite"
    if not ledger.exists():
        print(f"no ledger in {arguments.farm}; `pybots init` makes one", file=sys.stderr)
        return FAILED
    try:
        print(f"{ledger} is at {migrate.upgrade(ledger)}")
    except migrate.SchemaError as error:
        print(error, file=sys.stderr)
        return FAILED
    return DONE
