"""`pybots init` and `pybots upgrade`: a farm's folder made, and brought up to date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

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


def init(arguments: argparse.Namespace) -> int:
    folder = make_folder(arguments.farm)
    write_settings(folder.config, {})
    print(
        f"{folder.root} is ready: see {folder.config.name}, then `pybots check --farm {arguments.farm}`"
    )
    return DONE


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
