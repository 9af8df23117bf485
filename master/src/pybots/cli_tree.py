"""`pybots tree …`: what the admin says about the farm, beside the computed facts on every page."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from pybots.core import tree as words
from pybots.farm import tree
from pybots.farm.home import Farm, open_farm
from pybots.farm.tree import Entry
from pybots.ledger import migrate

DONE, FAILED = 0, 1
FOLDER: Final = Path("farm")
VERBS: Final[dict[str, tuple[words.TreeState, str]]] = {
    "open": ("open", "all is well again"),
    "throttle": ("throttled", "the farm is slower than usual"),
    "close": ("closed", "the farm's answers are not to be trusted, or not to be had"),
    "maintenance": ("maintenance", "the farm is being worked on"),
}


def add_parser(commands: Any) -> None:
    """Add `tree` to the `pybots` command."""
    parser = commands.add_parser("tree", help="say on every page how the farm is, and why")
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    for verb, (state, help_text) in VERBS.items():
        made = actions.add_parser(
            verb,
            help=help_text,
            description=f"Says on every page that the farm is {state}. It is a sign: nothing is stopped by it."
            " Exit status: 0 said, 1 the reason is missing.",
        )
        made.add_argument("text", nargs="?", default="", metavar="WHY", help="shown on every page")
        made.set_defaults(run=main_set, state=state)
        _common(made)
    show = actions.add_parser(
        "show", help="what was said so far", description="The newest word first. Exit status: 0."
    )
    show.add_argument("--last", type=int, default=10, metavar="N", help="so many (default 10)")
    show.set_defaults(run=main_show)
    _common(show)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--farm", type=Path, default=FOLDER, metavar="FOLDER", help="where the farm lives"
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def _open(arguments: argparse.Namespace) -> Farm:
    migrate.check(arguments.farm / "ledger.sqlite")
    return open_farm(arguments.farm)


def main_set(arguments: argparse.Namespace) -> int:
    farm = _open(arguments)
    try:
        word = words.word(arguments.state, arguments.text, getpass.getuser())
    except words.Unfit as error:
        print(error, file=sys.stderr)
        return FAILED
    _print([tree.put(farm, word)], arguments.json)
    return DONE


def main_show(arguments: argparse.Namespace) -> int:
    farm = _open(arguments)
    with farm.ledger.read() as connection:
        found = tree.history(connection, limit=max(1, arguments.last))
    _print(found, arguments.json)
    return DONE


def _print(entries: list[Entry], as_json: bool) -> None:
    if as_json:
        print(json.dumps([as_dict(entry) for entry in entries], indent=2))
        return
    if not entries:
        print("open: nobody has said anything else")
    for entry in entries:
        at = time.strftime("%Y-%m-%d %H:%M", time.gmtime(entry.at))
        said = f": {entry.word.text}" if entry.word.text else ""
        print(f"{at} UTC  {entry.word.state}{said} ({entry.word.by})")


def as_dict(entry: Entry) -> dict[str, Any]:
    """An entry for programs."""
    return {
        "id": entry.id,
        "at": entry.at,
        "state": entry.word.state,
        "text": entry.word.text,
        "by": entry.word.by,
    }
