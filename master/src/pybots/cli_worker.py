"""`pybots worker invite | list | approve | pause | revoke | rename | rekey | retire`: whose machines work for the farm."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pybots.core.model import WorkerState
from pybots.farm import authority, invitations, kit, workers
from pybots.farm.home import Farm, open_farm
from pybots.farm.invitations import USUAL_DAYS, Wish
from pybots.farm.workers import RosterError
from pybots.ledger import migrate
from pybots.ledger.engine import Record
from pybots_worker.welcome import KINDS, Code

DONE, FAILED = 0, 1
FOLDER: Final = Path("farm")
VENV: Final = "~/pybots-worker/venv"

STATES: Final[dict[str, tuple[WorkerState, str, str]]] = {
    "approve": ("approved", "give it work: after joining, a pause, or a quarantine", "is approved"),
    "pause": ("paused", "give it no more work; it stays connected", "is paused"),
    "revoke": ("revoked", "end its connection now and for ever; its credential is void", "is revoked"),
    "retire": ("retired", "it has left: the same, without a reproach", "is retired"),
}  # fmt: skip


def add_parser(commands: Any) -> None:
    """Add `worker` to the `pybots` command."""
    worker = commands.add_parser(
        "worker", help="invite volunteers' machines, and decide about them"
    )
    actions = worker.add_subparsers(dest="action", required=True, metavar="action")
    _add_invite(actions)
    listing = actions.add_parser(
        "list",
        help="the workers, and the invitations that can still be used",
        description="Lists workers and open invitations. Exit status: 0.",
    )
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.set_defaults(run=main_list)
    for name, (_, text, _said) in STATES.items():
        one = _about(actions, name, text, main_state)
        one.add_argument(
            "--reason", default="", metavar="TEXT", help="shown on its page and to its owner"
        )
    _about(
        actions,
        "rename",
        "call it otherwise; it learns that by itself, and what it runs begins again",
        main_rename,
    ).add_argument("new", metavar="NEW", help="its new name")
    _about(
        actions,
        "rekey",
        "make its credential worthless, and print what its owner gives for a new one",
        main_rekey,
    )
    for action in actions.choices.values():
        action.add_argument(
            "--farm", type=Path, default=FOLDER, metavar="FOLDER", help="the farm (default: farm)"
        )


def _about(actions: Any, name: str, text: str, run: Callable[..., int]) -> Any:
    description = (
        f"{text[0].upper()}{text[1:]}. At once, without a restart. Exit status: 0 done, 1 refused."
    )
    parser = actions.add_parser(name, help=text, description=description)
    parser.add_argument("worker", metavar="WORKER", help="its name, as `list` shows it")
    parser.set_defaults(run=run)
    return parser


def _add_invite(actions: Any) -> None:
    parser = actions.add_parser(
        "invite",
        help="print a one-time code for one machine",
        description="Prints a code that is worth one worker, once, and the command for the volunteer. The code is shown "
        "now and never again. Exit status: 0 invited, 1 refused.",
    )
    parser.add_argument(
        "--owner", required=True, metavar="NAME", help="whose machine, as pages show it"
    )
    parser.add_argument(
        "--email", default="", metavar="ADDRESS", help="where its owner hears of it"
    )
    parser.add_argument(
        "--name", default="", metavar="NAME", help="the worker's (default: after its owner)"
    )
    parser.add_argument(
        "--projects", nargs="+", default=[], metavar="NAME", help="it may run these only"
    )
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS, default=[],
        help="it may do this kind of work only; `project`: tests, on interpreters that others built",
    )  # fmt: skip
    parser.add_argument(
        "--trust", default="farm", metavar="GROUP",
        help="workers of one group run each other's interpreters (default: farm)",
    )  # fmt: skip
    parser.add_argument(
        "--review", action="store_true", help="it waits for `approve` after joining"
    )
    parser.add_argument(
        "--days",
        type=float,
        default=USUAL_DAYS,
        metavar="N",
        help="how long the code holds (default: 7)",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=main_invite)


def _farm(arguments: argparse.Namespace) -> Farm:
    """Raises SchemaError when there is no ledger, or another one."""
    farm = open_farm(arguments.farm)
    migrate.check(farm.folder.ledger)
    return farm


def main_invite(arguments: argparse.Namespace) -> int:
    farm = _farm(arguments)
    wish = Wish(
        owner=arguments.owner, email=arguments.email, name=arguments.name,
        projects=tuple(arguments.projects), kinds=tuple(arguments.kinds), trust=arguments.trust,
        review=arguments.review, days=arguments.days,
    )  # fmt: skip
    try:
        number, code = invitations.invite(farm, wish, authority.der(farm.folder))
    except RosterError as error:
        return _refused(error)
    return _print_code(farm, number, code, as_json=arguments.json)


def _print_code(farm: Farm, number: int, code: Code, *, as_json: bool = False) -> int:
    command = join_command(farm, code)
    if as_json:
        made = {"invitation": number, "code": str(code), "url": farm.config.url, "command": command}
        print(json.dumps(made, indent=2))
        return DONE
    print(f"invitation {number}, for one machine, once:\n\n  {code}\n")
    print(f"The whole command, for a machine with Python 3.11 or later:\n\n{command}\n")
    return DONE


def join_command(farm: Farm, code: Code) -> str:
    """What a volunteer pastes: the kit from the farm, checked by its digest, into a folder of its own; then `join`."""
    url = farm.config.url
    made = kit.kit()
    # pip knows nothing of the farm's own authority; the digest says what it may install.
    host = urlsplit(url).netloc
    trust = f" --trusted-host {host}" if farm.config.web.tls else ""
    return (
        f"  python3 -m venv {VENV} &&\n"
        f"  {VENV}/bin/pip install -q{trust} '{url}kit/{made.name}#sha256={made.sha256}' &&\n"
        f"{_only_join(farm, code)}"
    )


def _only_join(farm: Farm, code: Code) -> str:
    """The same for a machine that has the kit."""
    return f"  {VENV}/bin/pybots-worker join {farm.config.url} {code}"


def main_list(arguments: argparse.Namespace) -> int:
    farm = _farm(arguments)
    rows, open_ones = workers.everyone(farm), invitations.standing(farm)
    if arguments.json:
        made = {
            "workers": [_described(row) for row in rows],
            "invitations": [
                {
                    "invitation": one.id,
                    "owner": one.owner,
                    "expires": one.expires,
                    "worker": one.worker,
                }
                for one in open_ones
            ],
        }
        print(json.dumps(made, indent=2))
        return DONE
    for row in rows:
        print(_line(row))
    for one in open_ones:
        days = (one.expires - time.time()) / 86_400
        what = f"a new credential of {one.worker}" if one.worker else f"for {one.owner}"
        print(
            f"invitation {one.id}  {what}, holds for {days:.1f} days; `revoke invitation-{one.id}`"
        )
    return DONE


def _described(row: Record) -> dict[str, Any]:
    names = ("name", "state", "reason", "owner", "email", "platform", "abi", "slots", "trust", "connected", "resting", "last_seen")  # fmt: skip
    return {name: getattr(row, name) for name in names}


def _line(row: Record) -> str:
    state = "resting" if row.resting and row.state == "approved" else row.state
    link = "connected" if row.connected else "away"
    why = row.resting if state == "resting" else row.reason
    return f"{row.name:24} {state:12} {link:10} {row.platform} {row.abi}  {row.owner}{f'  ({why})' if why else ''}"


def main_state(arguments: argparse.Namespace) -> int:
    farm, action = _farm(arguments), arguments.action
    state, _, said = STATES[action]
    kind, _, number = arguments.worker.partition("-")
    try:
        if action == "revoke" and kind == "invitation" and number.isdecimal():
            invitations.withdraw(farm, int(number))
            print(f"invitation {number} is worth nothing now")
            return DONE
        workers.set_state(farm, arguments.worker, state, arguments.reason)
    except RosterError as error:
        return _refused(error)
    print(f"{arguments.worker} {said}")
    return DONE


def main_rename(arguments: argparse.Namespace) -> int:
    try:
        workers.rename(_farm(arguments), arguments.worker, arguments.new)
    except RosterError as error:
        return _refused(error)
    print(f"{arguments.worker} is called {arguments.new} now")
    return DONE


def main_rekey(arguments: argparse.Namespace) -> int:
    farm = _farm(arguments)
    try:
        number, code = invitations.rekey(farm, arguments.worker, authority.der(farm.folder))
    except RosterError as error:
        return _refused(error)
    print(
        f"{arguments.worker} is let in no more. Its owner gives this on its machine (invitation {number}, once):\n"
    )
    print(_only_join(farm, code))
    print(
        "\nNothing is installed anew. A worker that runs there goes on by itself; else the command starts it."
    )
    return DONE


def _refused(error: RosterError) -> int:
    print(error, file=sys.stderr)
    return FAILED
