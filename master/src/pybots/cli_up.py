"""`pybots up`: the main job on one machine, with embedded defaults."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from pybots.config.errors import refuse
from pybots.config.examine import examine
from pybots.config.farm import load_farm
from pybots.config.projects import load_projects
from pybots.core.model import GREEN
from pybots.farm import authority, commits, cycle, git, local, progress
from pybots.farm.home import Farm, Folder, open_farm
from pybots.farm.setup import make_folder, write_settings
from pybots.supervisor import Program, Supervisor

ERROR: Final = 3
TICK_SECONDS: Final = 0.5
PIPE_WIDTH: Final = 132
MARKS: Final = {
    "passed": "[green]✓ passed[/]",
    "fixed": "[green]✓ fixed[/]",
    "flaky": "[green]✓~ flaky[/]",
    "new_failure": "[bold red]F new failure[/]",
    "still_failing": "[red]f still failing[/]",
    "infra": "[magenta]! infrastructure[/]",
    "blocked": "[blue]B blocked[/]",
    "unknown": "[dim]? unknown[/]",
}


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "up",
        help="run the farm on this machine",
        description=(
            "Sets a farm up (if needed) and runs it: Buildbot master, status page and one local worker. It builds "
            "CPython's head and one earlier commit, tests the starter projects on both, and goes on with every new "
            "commit. Exit status with --once: 0 all selected lanes passed, 1 some did not, 2 inconclusive, 3 error."
        ),
    )
    add_farm_options(parser)
    parser.add_argument("--once", action="store_true", help="stop after one full cycle")
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE", help="a last-cycle.json whose reds are known"
    )
    parser.add_argument(
        "--json", action="store_true", help="with --once: print the summary as JSON"
    )
    parser.set_defaults(run=main)


def add_farm_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cpython", metavar="URL|PATH", help="CPython's repository (default: the official one)"
    )
    parser.add_argument(
        "--branch", action="append", help="a branch to watch (repeatable; default: main)"
    )
    parser.add_argument(
        "--commit", metavar="REV", help="build this commit instead of the branch's head"
    )
    parser.add_argument(
        "--project", action="append", metavar="NAME", help="a project to test (repeatable)"
    )
    parser.add_argument("--all", action="store_true", help="test every registered project")
    parser.add_argument(
        "--flavour", action="append", metavar="NAME", help="how to configure CPython (repeatable)"
    )
    parser.add_argument(
        "--farm", type=Path, default=Path("farm"), metavar="FOLDER", help="where it lives"
    )
    parser.add_argument("--port", type=int, help="the status page's port")
    parser.add_argument(
        "--yes", action="store_true", help="install missing system packages without asking"
    )


def main(arguments: argparse.Namespace) -> int:
    console = make_console(stderr=arguments.json)
    try:
        baseline = cycle.load_baseline(arguments.baseline) if arguments.baseline else {}
        farm = prepare(arguments)
    except (git.GitError, cycle.BaselineError, local.LocalError) as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return ERROR
    running = start(farm)
    console.print(f"Pybots: the page is at [bold]{farm.config.url}[/]  (farm: {farm.folder.root})")
    try:
        status = watch(farm, running, console, once=arguments.once)
    finally:
        running.stop()
    if not arguments.once or status:
        return status
    data = cycle.summary(farm)
    cycle.write(farm.folder.last_cycle, data)
    if arguments.json:
        sys.stdout.write(farm.folder.last_cycle.read_text() + "\n")
    else:
        console.print(table(data))
        console.print(f"written to {farm.folder.last_cycle}")
    return cycle.exit_status(data, baseline)


def make_console(*, stderr: bool = False) -> Console:
    """Colours and width as the terminal has them; into a file or pipe, wide enough for a table's row."""
    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def prepare(arguments: argparse.Namespace) -> Farm:
    """The farm's folder with the settings asked for, its local worker enrolled, its repository reachable."""
    folder = make_folder(arguments.farm)
    write_settings(folder.config, _settings(arguments, folder))
    refuse(examine(folder.root).problems)
    farm = open_farm(folder.root)
    if farm.config.tls.on:
        authority.establish(folder, farm.config.tls.names, time.time())
    refs = [*farm.config.cpython.branches, *farm.config.cpython.tags]
    repository = git.update_mirror(farm.config.cpython.repository, folder.mirror, refs)
    for ref in [*refs, *filter(None, [farm.config.cpython.pin])]:
        git.resolve(repository, ref)
    local.enrol_local(farm)
    return farm


def _settings(arguments: argparse.Namespace, folder: Folder) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    before = load_farm(folder.config)
    if arguments.cpython:
        changes["cpython.repository"] = _absolute(arguments.cpython)
    if arguments.branch:
        changes["cpython.branches"] = arguments.branch
    if arguments.commit:
        changes["cpython.pin"] = arguments.commit
    elif before.cpython.pin:
        changes["cpython.pin"] = None
    if arguments.flavour:
        changes["flavours"] = arguments.flavour
    if arguments.all:
        changes["projects"] = None
    elif arguments.project:
        changes["projects"] = arguments.project
    elif not folder.config.exists():
        registry = load_projects(before.project_folders(folder.root))
        changes["projects"] = [name for name, project in registry.items() if project.starter]
    return changes | _ports(arguments, folder)


def _absolute(repository: str) -> str:
    return str(git.local_path(repository)) if git.is_local(repository) else repository


def _ports(arguments: argparse.Namespace, folder: Folder) -> dict[str, Any]:
    """The configured ports, or free ones when a new farm finds them taken."""
    config = load_farm(folder.config)
    port = arguments.port or config.web.port
    changes: dict[str, Any] = {}
    if not folder.config.exists():
        if not arguments.port:
            port = free_port(port)
        for key, wanted in (
            ("pb_port", config.buildbot.pb_port),
            ("www_port", config.buildbot.www_port),
        ):
            if (found := free_port(wanted)) != wanted:
                changes[f"buildbot.{key}"] = found
    if port != config.web.port:
        changes |= {"web.port": port, "url": f"http://127.0.0.1:{port}/"}
    return changes


def free_port(wanted: int) -> int:
    """The wanted port on loopback, or any free one when it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise local.LocalError("no free port on 127.0.0.1")


def programs(farm: Farm) -> list[Program]:
    """The farm's processes on this machine: web, master and one worker."""
    root, logs = str(farm.folder.root), farm.folder.logs
    return [
        Program(name="web", arguments=("-m", "pybots.web.serve", root), log=logs / "web.log"),
        Program(
            name="master", arguments=("-m", "pybots.glue.launch", root), log=logs / "master.log"
        ),
        Program(
            name="worker",
            arguments=("-m", "pybots_worker.cli", "run", "--root", str(farm.folder.worker)),
            log=logs / "worker.log",
        ),
    ]


def start(farm: Farm) -> Supervisor:
    """Start web, master and worker; returns at once."""
    supervisor = Supervisor(programs(farm))
    supervisor.start()
    return supervisor


def answers(farm: Farm, seconds: float) -> bool:
    """Wait until the page answers, at most `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(
                f"{farm.config.url}healthz", timeout=2, context=authority.context(farm.folder)
            ):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)  # the process is starting; there is no event to wait for yet
    return False


@dataclass
class _Cycle:
    """Whether a full cycle is over: the master has compared heads with the ledger, and nothing is left to do."""

    farm: Farm
    began: float

    def over(self) -> bool:
        with self.farm.ledger.read() as connection:
            synced = commits.last_sync(connection)
            return (
                synced is not None
                and synced >= self.began
                and not cycle.under_way(connection)
                and not cycle.unsent(connection)
            )


def watch(farm: Farm, running: Supervisor, console: Console, *, once: bool) -> int:
    """Show what happens until the cycle is over (`once`), a process gives up, or somebody interrupts."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    state = _Cycle(farm, time.time())
    event = farm.ledger.data_version()
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while not stop.wait(TICK_SECONDS):
            if (now := farm.ledger.data_version()) != event:
                event, news = progress.finished_since(farm, event)
                for item in news:
                    console.print(line(item))
                event = max(event, now)
            live.update(_activities(farm) if console.is_terminal else "")
            if running.gave_up:
                console.print(f"[red]error:[/] {escape(running.gave_up)}")
                return ERROR
            if once and state.over():
                return 0
    return 130 if once else 0


def line(news: progress.News) -> str:
    mark = MARKS[news.verdict]
    summary = f"  [dim]{escape(news.summary[:100])}[/]" if news.verdict not in GREEN else ""
    return f"{mark}  {escape(news.what)} at {news.sha[:12]} {escape(news.title[:50])}  {news.seconds:.0f} s{summary}"


def _activities(farm: Farm) -> Table:
    shown = Table.grid(padding=(0, 2))
    for ratio in (None, None, 1, None, None):
        shown.add_column(no_wrap=True, overflow="ellipsis", ratio=ratio)
    now = time.time()
    with farm.ledger.read() as connection:
        waiting = cycle.under_way(connection).get("wanted", 0)
    for item in progress.activities(farm):
        last = f" (last time {item.last_seconds:.0f} s)" if item.last_seconds else ""
        shown.add_row(
            "▸",
            escape(item.what),
            escape(f"{item.sha[:12]} {item.title}"),
            item.phase,
            f"{max(0, now - item.since):.0f} s[dim]{last}[/]",
        )
    if waiting:
        shown.add_row("…", f"{waiting} waiting")
    return shown


def table(data: dict[str, Any]) -> Table:
    """The cycle's summary for people: fits 80 columns."""
    shown = Table(title="One cycle", box=None, pad_edge=False)
    shown.add_column("project", no_wrap=True, overflow="ellipsis")
    shown.add_column("on", no_wrap=True, overflow="ellipsis")
    shown.add_column("verdict", no_wrap=True)
    for name in ("pass", "fail", "skip", "s"):
        shown.add_column(name, justify="right", no_wrap=True)
    for lane in data["lanes"]:
        counts = lane["counts"]
        bad = sum(
            counts.get(key, 0) for key in ("failed", "error", "crashed", "timed_out", "not_run")
        )
        shown.add_row(
            escape(f"{lane['project']} {lane['revision'] or '–'}"),
            f"{lane['branch']} {lane['flavour']}",
            MARKS[lane["verdict"]],
            str(counts.get("passed", 0)),
            str(bad),
            str(counts.get("skipped", 0)),
            f"{sum(lane['seconds'].values()):.0f}",
        )
    return shown
