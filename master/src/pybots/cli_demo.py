"""`pybots demo`: the whole story on a miniature CPython, in about a minute, with nothing fetched."""

from __future__ import annotations

import argparse
import email
import email.policy
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from sqlalchemy import select

from pybots import cli_up
from pybots.farm import commits, cycle, local, news, progress
from pybots.farm.home import Farm, open_farm
from pybots.farm.setup import make_folder, write_settings
from pybots.ledger import schema
from pybots.miniature.registry import write_project_files
from pybots.miniature.world import World
from pybots.supervisor import Supervisor

PROJECTS: Final = ("sprout", "anchor", "fern")
MARK: Final = ".pybots-demo"
WAIT_SECONDS: Final = 180.0
DONE, FAILED = 0, 1


class DemoError(Exception):
    """The demo did not go as told; the text says where to look."""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "demo",
        help="a miniature farm: a commit breaks a project, a mail comes, the fix lands",
        description=(
            "Runs a real master, page and worker over a miniature CPython with a real configure, make and install. "
            "Needs no network and no CPython. Exit status: 0 the story was told, 1 it was not."
        ),
    )
    parser.add_argument(
        "--farm", type=Path, default=Path("demo-farm"), help="where it lives; made anew each time"
    )
    parser.add_argument("--port", type=int, help="the status page's port")
    parser.add_argument(
        "--no-wait",
        action="store_true",
        help="end after the story instead of keeping the page open",
    )
    parser.add_argument(
        "--yes", action="store_true", help="install missing system packages without asking"
    )
    parser.set_defaults(run=main)


def main(arguments: argparse.Namespace) -> int:
    console = cli_up.make_console()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        world, farm = prepare(arguments.farm, arguments.port)
    except (DemoError, local.LocalError) as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return FAILED
    running = cli_up.start(farm)
    story = Story(world=world, farm=farm, running=running, console=console, stop=stop)
    try:
        console.print(f"Pybots demo: the page is at [bold]{farm.config.url}[/]")
        story.tell()
        if not arguments.no_wait:
            console.print(f"\nLook around at [bold]{farm.config.url}[/]; Ctrl-C ends the demo.")
            stop.wait()
    except DemoError as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return FAILED
    finally:
        running.stop()
    return DONE


def prepare(root: Path, port: int | None) -> tuple[World, Farm]:
    """A new miniature world and a farm over it. Refuses to remove a folder that no demo made."""
    if root.exists():
        if not (root / MARK).exists():
            raise DemoError(f"{root} is no demo's folder; give another one with --farm")
        shutil.rmtree(root)
    root.mkdir(parents=True)
    (root / MARK).touch()
    world = World.create(root / "world", projects=PROJECTS)
    folder = make_folder(root / "farm")
    names = write_project_files(world, folder.projects, notify="maintainer@example.org")
    port = port or cli_up.free_port(8010)
    pb_port, www_port = cli_up.free_port(9989), cli_up.free_port(8011)
    write_settings(
        folder.config,
        {
            "name": "Pybots demo",
            "projects": names,
            "cpython.repository": str(world.cpython),
            "cpython.poll_seconds": 5,
            "web.port": port,
            "buildbot.pb_port": pb_port,
            "buildbot.www_port": www_port,
            "store.reserve_bytes": 100 << 20,
        },
    )
    farm = open_farm(folder.root)
    local.enrol_local(farm)
    return world, farm


@dataclass
class Story:
    """The demo's acts. Each waits for something that really happened: a verdict in the ledger, a mail in the Maildir."""

    world: World
    farm: Farm
    running: Supervisor
    console: Console
    stop: threading.Event
    event: int = 0
    mails: int = 0

    def tell(self) -> None:
        self.say(
            "A farm watches a miniature CPython and runs three projects on two of its commits."
        )
        self.wait(self._calm, "the first cycle")
        self.say(
            "A commit arrives that removes a function which the project [bold]anchor[/] uses …"
        )
        bad = self.commit("break-anchor")
        self.wait(lambda: self._verdict(bad, "new_failure"), "the red cell")
        self.say(f"… its cell is red: {self.farm.config.url}commit/{bad}")
        self.show_mail()
        self.say("The commit is reverted …")
        good = self.commit("fix-anchor")
        self.wait(lambda: self._verdict(good, "fixed"), "the fix")
        self.say("… the cell is green again, and the thread is closed:")
        self.show_mail()

    def commit(self, kind: str) -> str:
        """A commit, announced as a webhook would. Returns its sha."""
        sha = self.world.commit(kind)
        news.wake(self.farm, by="demo")
        return sha

    def say(self, text: str) -> None:
        self.console.print(f"\n[bold cyan]•[/] {text}")

    def wait(self, happened: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not happened():
            self.event, news = progress.finished_since(self.farm, self.event)
            for item in news:
                self.console.print(f"    {cli_up.line(item)}")
            if self.running.gave_up:
                raise DemoError(self.running.gave_up)
            if time.monotonic() > deadline:
                raise DemoError(f"{what} did not come; see {self.farm.folder.logs}")
            if self.stop.wait(0.3):
                raise DemoError("interrupted")

    def show_mail(self) -> None:
        self.wait(lambda: len(self._letters()) > self.mails, "the mail")
        letters = self._letters()
        for message in letters[self.mails :]:
            body = message.get_body(("plain",))
            self.console.rule(f"mail to {escape(str(message['To']))}")
            self.console.print(f"[bold]{escape(str(message['Subject']))}[/]")
            self.console.print(escape(body.get_content() if body else ""))
            self.console.rule()
        self.mails = len(letters)

    def _letters(self) -> list[EmailMessage]:
        """What the list got, in order; the project's people get a copy of their own."""
        new = self.farm.folder.mail / "new"
        paths = sorted(new.iterdir(), key=lambda path: path.stat().st_mtime) if new.is_dir() else []
        letters = [
            email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            for path in paths
        ]
        return [one for one in letters if isinstance(one, EmailMessage) and one["List-Id"]]

    def _calm(self) -> bool:
        with self.farm.ledger.read() as connection:
            return commits.last_sync(connection) is not None and not cycle.under_way(connection)

    def _verdict(self, sha: str, verdict: str) -> bool:
        runs, known = schema.runs, schema.commits
        with self.farm.ledger.read() as connection:
            found = connection.execute(
                select(runs.c.id)
                .join(known, known.c.id == runs.c.commit_id)
                .where(known.c.sha == sha, runs.c.verdict == verdict)
            ).first()
        return found is not None
