"""`pybots breakage list | show | set`: what is broken, and what people say about it."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pybots.core import dispositions
from pybots.core.digest import Standing
from pybots.core.dispositions import DISPOSITIONS, USUAL_DAYS, WORDS, Unfit
from pybots.farm import answers
from pybots.farm.answers import Answered, NoBreakage
from pybots.farm.home import Farm, open_farm
from pybots.ledger import migrate

DONE, FAILED = 0, 1
FOLDER: Final = Path("farm")


def add_parser(commands: Any) -> None:
    """Add `breakage` to the `pybots` command."""
    breakage = commands.add_parser("breakage", help="list breakages, and say whose they are")
    actions = breakage.add_subparsers(dest="action", required=True, metavar="action")
    listing = actions.add_parser(
        "list",
        help="what is broken, untriaged first, the oldest first",
        description="Lists the open and suspected breakages. Exit status: 0.",
    )
    listing.add_argument("--untriaged", action="store_true", help="only what nobody has answered")
    listing.set_defaults(run=main_list)
    show = actions.add_parser(
        "show",
        help="one breakage and its answer",
        description="Shows one breakage. Exit status: 0 it is there, 1 it is not.",
    )
    show.add_argument("number", type=int, metavar="NUMBER", help="as in /breakage/NUMBER")
    show.set_defaults(run=main_show)
    setting = actions.add_parser(
        "set",
        help="answer: whose bug it is, who looks after it, where it is reported",
        description="Answers about a breakage; what is not given stays as it is. An answer ends after a while, then the"
        " breakage is untriaged again. Exit status: 0 set, 1 no such breakage or an unfit answer.",
    )
    setting.add_argument("number", type=int, metavar="NUMBER", help="as in /breakage/NUMBER")
    words = "; ".join(f"{name}: {said}" for name, said in WORDS.items())
    setting.add_argument("--disposition", choices=DISPOSITIONS, help=words)
    setting.add_argument("--person", metavar="NAME", help='who looks after it; "" for nobody')
    setting.add_argument("--issue", metavar="URL", help="where it is reported")
    setting.add_argument("--note", metavar="TEXT", help="a sentence for everybody")
    until = setting.add_mutually_exclusive_group()
    until.add_argument(
        "--days", type=float, metavar="N", help=f"how long it holds (usually {USUAL_DAYS:.0f} days)"
    )
    until.add_argument("--for-ever", action="store_true", help="it never ends by itself")
    setting.set_defaults(run=main_set)
    for parser in (listing, show, setting):
        parser.add_argument(
            "--farm", type=Path, default=FOLDER, metavar="FOLDER", help="where the farm lives"
        )
        parser.add_argument("--json", action="store_true", help="print it as JSON")


def _open(arguments: argparse.Namespace) -> Farm:
    migrate.check(arguments.farm / "ledger.sqlite")
    return open_farm(arguments.farm)


def main_list(arguments: argparse.Namespace) -> int:
    farm = _open(arguments)
    found = [
        one
        for one in answers.standing(farm)
        if one.disposition == "untriaged" or not arguments.untriaged
    ]
    if arguments.json:
        print(json.dumps([asdict(one) for one in found], indent=2))
    else:
        _table(found, farm.clock())
    return DONE


def _table(found: Sequence[Standing], now: float) -> None:
    if not found:
        print("nothing is broken")
    for one in found:
        age = int((now - one.since) // 86_400)
        who = f" {one.person}" if one.person else ""
        where = ", ".join(one.projects[:3]) or "CPython"
        more = f" and {len(one.projects) - 3} more" if len(one.projects) > 3 else ""
        suspected = " (suspected)" if one.suspected else ""
        print(
            f"{one.id:>6}  {age:>4} d  {one.disposition}{who}{suspected}  {where}{more}: {one.title}"
        )


def main_show(arguments: argparse.Namespace) -> int:
    farm = _open(arguments)
    try:
        _print(farm, answers.get(farm, arguments.number), arguments.json)
    except NoBreakage as error:
        print(error, file=sys.stderr)
        return FAILED
    return DONE


def main_set(arguments: argparse.Namespace) -> int:
    farm = _open(arguments)
    try:
        before = answers.get(farm, arguments.number)
        given = dispositions.answer(
            _or(arguments.disposition, before.disposition),
            now=farm.clock(),
            person=_or(arguments.person, before.person),
            issue=_or(arguments.issue, before.issue),
            note=_or(arguments.note, before.note),
            days=None if arguments.for_ever else _or(arguments.days, USUAL_DAYS),
        )
        after = answers.put(
            farm, arguments.number, given, f"{getpass.getuser()}, by pybots breakage"
        )
    except (NoBreakage, Unfit) as error:
        print(error, file=sys.stderr)
        return FAILED
    _print(farm, after, arguments.json)
    return DONE


def _or(given: Any, before: Any) -> Any:
    return before if given is None else given


def _print(farm: Farm, one: Answered, as_json: bool) -> None:
    address = f"{farm.config.url.rstrip('/')}/breakage/{one.id}"
    if as_json:
        print(json.dumps({**asdict(one), "url": address}, indent=2))
        return
    print(f"breakage {one.id}: {one.title}")
    facts = {
        "state": one.state,
        "disposition": WORDS.get(one.disposition, one.disposition),
        "person": one.person,
        "issue": one.issue,
        "note": one.note,
        "decided by": one.decided_by,
        "holds until": _day(one.expires) if one.expires else "",
        "page": address,
    }
    for name, value in facts.items():
        if value:
            print(f"  {name}: {value}")


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))
