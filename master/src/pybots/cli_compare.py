"""`pybots compare`: what passed in one release and fails in another, as far as the farm knows."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from pybots.core.compare import Name
from pybots.farm import compare
from pybots.farm.compare import Cause, Comparison
from pybots.farm.home import open_farm
from pybots.ledger import migrate

WELL, WORSE, UNCLEAR, ERROR = 0, 1, 2, 3
FOLDER: Final = Path("farm")
GROUPS: Final = (
    ("lost", "passed then, not known now"),
    ("new", "fail now; what they were then is not known"),
    ("same", "failed then, and still do"),
    ("fixed", "failed then, pass now"),
)


def add_parser(commands: Any) -> None:
    """Add `compare` to the `pybots` command."""
    parser = commands.add_parser(
        "compare",
        help="what passed in one release and fails in another",
        description="Compares what the farm knows of two branches, tags or commits, parked lanes included; nothing is run."
        " Exit status: 0 nothing that passed fails now, 1 something does, 2 nothing does but some lanes are not known now,"
        " 3 error.",
    )
    parser.add_argument("since", metavar="SINCE", help="the older one: a branch, tag or commit")
    parser.add_argument("tag", metavar="TAG", help="the newer one")
    parser.add_argument(
        "--farm", type=Path, default=FOLDER, metavar="FOLDER", help="where the farm lives"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print it as JSON")
    form.add_argument("--blockers", action="store_true", help="only the list for an issue")
    parser.set_defaults(run=main)


def main(arguments: argparse.Namespace) -> int:
    migrate.check(arguments.farm / "ledger.sqlite")
    farm = open_farm(arguments.farm)
    try:
        with farm.ledger.read() as connection:
            found = compare.comparison(connection, arguments.tag, arguments.since, farm.clock())
    except compare.NoSide as error:
        print(error, file=sys.stderr)
        return ERROR
    if arguments.json:
        print(json.dumps(as_dict(found), indent=2))
    elif arguments.blockers:
        print(compare.as_text(found, farm.config.url), end="")
    else:
        _print(found)
    if found.found.worse:
        return WORSE
    return UNCLEAR if found.found.unknown else WELL


def as_dict(one: Comparison) -> dict[str, Any]:
    """The comparison for programs: causes with their lanes, and every other group by name."""
    return {
        "since": one.then.name,
        "tag": one.now.name,
        "lanes": one.found.total,
        "passing": len(one.found.well) + len(one.found.fresh),
        "unknown": one.found.unknown,
        "worse": [_cause(cause) for cause in one.causes],
        **{group: [name._asdict() for name in getattr(one.found, group)] for group, _ in GROUPS},
    }


def _cause(cause: Cause) -> dict[str, Any]:
    return {
        "breakage": cause.number or None,
        "title": cause.title,
        "disposition": cause.disposition,
        "person": cause.person,
        "first_bad": cause.first.sha if cause.first is not None else None,
        "sure": cause.sure,
        "lanes": [name._asdict() for name in cause.names],
    }


def _print(one: Comparison) -> None:
    found = one.found
    print(
        f"{one.now.name} since {one.then.name}: {found.total} lanes, {len(found.well) + len(found.fresh)} pass,"
        f" {len(found.worse)} got worse, {found.unknown} unknown"
    )
    for cause in one.causes:
        title = f"breakage {cause.number}: {cause.title}" if cause.number else cause.title
        said = f" ({cause.disposition}{', ' + cause.person if cause.person else ''})"
        print(f"\n{title}{said if cause.disposition else ''}")
        if cause.first is not None:
            print(
                f"  {'since' if cause.sure else 'seen at'} {cause.first.sha[:12]} {cause.first.title}"
            )
        _names(cause.names)
    for group, words in GROUPS:
        names = getattr(found, group)
        if names:
            print(f"\n{words}:")
            _names(names)


def _names(names: tuple[Name, ...]) -> None:
    for name in names:
        print(f"  {name.project} {name.source}, {name.flavour} on {name.platform}")
