"""A real farm whose processes the test itself starts, freezes and kills: nothing is restarted by itself."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from sqlalchemy import select, update
from tests.farm import live
from tests.farm.live import Live

from pybots import cli_up
from pybots.core.model import Worker
from pybots.farm import local, workers
from pybots.farm.home import open_farm
from pybots.farm.setup import write_settings
from pybots.ledger import schema
from pybots.ledger.engine import announce
from pybots.miniature.hostile import Bounds
from pybots.supervisor import Program, spawn

runs, attempts, outbox = schema.runs, schema.attempts, schema.outbox
MAINTAINER = "maintainer@example.org"
ADMIN = "root@localhost"
LIST = "pybots@localhost"


RESTARTED = ("the master was restarted", "it was never submitted")
"""Reasons that count against nobody: a run is not `infra` because the master was restarted often."""


@dataclass
class Yard(Live):
    """A farm by hand. `processes` are those that were started, by name: web, master, worker …"""

    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    more: list[Program] = field(default_factory=list)

    # Processes

    def programs(self) -> dict[str, Program]:
        return {one.name: one for one in (*cli_up.programs(self.farm), *self.more)}

    def start(self, *names: str) -> None:
        """Start these processes (all of them when none is named), and wait until the page answers."""
        for name in names or ("web", "master", "worker"):
            self.processes[name] = spawn(self.programs()[name])
        if "web" in self.processes:
            assert cli_up.answers(self.farm, 120), self.last_words()

    def stop(self, *names: str) -> None:
        """End them politely."""
        ending = [self.processes.pop(name) for name in names or tuple(self.processes)]
        for process in ending:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in ending:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self, name: str) -> None:
        """kill -9, and wait until it is gone. It stays dead until it is started."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def restart(self, name: str) -> None:
        self.kill(name)
        self.start(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        self.processes[name].send_signal(number)

    def change(self, **settings: Any) -> None:
        """Other settings from now on: web and master are stopped, and started with them."""
        self.stop("web", "master")
        self.settle(**settings)
        self.start("web", "master")

    def settle(self, **settings: Any) -> None:
        """Write settings (`__` for the dots) and read them, and the project files, anew."""
        dotted = {name.replace("__", "."): value for name, value in settings.items()}
        write_settings(self.farm.folder.config, dotted)
        self.farm.ledger.close()
        self.farm = open_farm(self.farm.folder.root)

    def hire(self, name: str, owner: str = "Bob") -> None:
        """One more worker on this machine, on the roster but not started."""
        folder = self.farm.folder.root / name
        folder.mkdir(exist_ok=True)
        with self.farm.ledger.read() as connection:
            (first,) = [one for one in workers.approved(connection) if one.name == "local"]
        hired = Worker(
            name=name, platform=first.platform, abi=first.abi, owner=owner,
            email=f"{owner.lower()}@example.org", facts=first.facts,
        )  # fmt: skip
        (folder / "password").touch(mode=0o600)
        (folder / "password").write_text(workers.enrol(self.farm, hired) + "\n")
        known = tomlkit.parse((self.farm.folder.worker / "worker.toml").read_text())
        known["name"] = name
        (folder / "worker.toml").write_text(tomlkit.dumps(known))
        arguments = ("-m", "pybots_worker.cli", "run", "--root", str(folder))
        log = self.farm.folder.logs / f"{name}.log"
        self.more.append(Program(name=name, arguments=arguments, log=log))

    # What happens in the world

    def commit(self, kind: str) -> str:
        """A commit to the miniature CPython that the farm hears of at once."""
        sha = self.world.commit(kind)
        self.wake()
        return sha

    def wake(self, topic: str = "wake") -> None:
        with self.farm.ledger.write() as connection:
            announce(connection, time.time(), topic, by="test")

    def long_silent(self) -> None:
        """As if the master had been dead for minutes: its last sign of life is made older."""
        with self.farm.ledger.write() as connection:
            connection.execute(
                update(schema.notes)
                .where(schema.notes.c.name == "master")
                .values(at=time.time() - 300)
            )

    def mail_is_due(self) -> None:
        """As if the postman's pause were over."""
        with self.farm.ledger.write() as connection:
            connection.execute(update(outbox).where(outbox.c.state == "queued").values(next_try=0))
            announce(connection, time.time(), "mail", by="test")

    # What the ledger says

    def of(self, sha: str, project: str = "") -> list[Any]:
        """The runs of a project (or of the build) at a commit, oldest first."""
        lanes, commits = schema.lanes, schema.commits
        query = (
            select(runs, lanes.c.project)
            .join(commits, commits.c.id == runs.c.commit_id)
            .join(lanes, lanes.c.id == runs.c.lane_id, isouter=True)
            .where(commits.c.sha == sha, runs.c.state != "dropped")
            .order_by(runs.c.id)
        )
        kind = lanes.c.project == project if project else runs.c.kind == "interpreter"
        with self.farm.ledger.read() as connection:
            return list(connection.execute(query.where(kind)).all())

    def tries(self, run: int) -> list[Any]:
        """The attempts of a run, oldest first."""
        return sorted(self.rows(attempts, attempts.c.run_id == run), key=lambda row: row.number)

    def phase(self, sha: str, project: str, name: str) -> Any:
        """The attempt that is in this phase now, if there is one."""
        for run in self.of(sha, project):
            for attempt in self.tries(run.id):
                running = [
                    one["phase"] for one in attempt.phases or [] if one["state"] == "running"
                ]
                if attempt.state == "running" and name in running:
                    return attempt
        return None

    def in_phase(self, sha: str, project: str, name: str) -> Any:
        """Wait until an attempt is in this phase; returns its row."""
        what = f"{project or 'the build'} at {sha[:12]} in phase {name}"
        return self.wait(lambda: self.phase(sha, project, name), what)

    def page(self, path: str) -> str:
        """A page, whatever its status."""
        try:
            return self.get(path)
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def public(self) -> list[EmailMessage]:
        """What the list got; projects and the admin get letters of their own."""
        return [letter for letter in self.letters() if letter["List-Id"]]

    def mails_to(self, address: str) -> list[EmailMessage]:
        return [letter for letter in self.letters() if address in str(letter["To"])]

    def sound(self) -> None:
        """Nothing lost, nothing twice, nothing half: what must hold whenever the farm is calm."""
        self.calm()
        for run in self.rows(runs, runs.c.state != "dropped"):
            assert run.state == "done" and run.verdict, self.state()
            tries = self.tries(run.id)
            assert [one.number for one in tries] == list(range(1, len(tries) + 1))
            reasons = [one.reason for one in tries if one.state == "lost"]
            assert all(reasons)
            assert run.lost == sum(reason not in RESTARTED for reason in reasons)
            recorded = [one for one in tries if one.state == "recorded"]
            assert len(recorded) == (run.verdict not in ("infra", "unknown") or bool(recorded))
        assert all(self.farm.store.has(blob) for blob in self.named_blobs())
        letters = [letter["Message-ID"] for letter in self.letters()]
        assert [n for n, count in Counter(letters).items() if count > 1] == []
        if self.farm.config.mail.transport == "maildir":
            assert sorted(letters) == sorted(row.message_id for row in self.rows(outbox))

    def named_blobs(self) -> set[str]:
        found = [row.report for row in self.rows(runs)] + [
            row.report for row in self.rows(attempts)
        ]
        found += [row.blob for row in self.rows(schema.logs)]
        found += [row.blob for row in self.rows(schema.interpreters)]
        return {blob for blob in found if blob}

    def half_written(self) -> list[Path]:
        return list((self.farm.store.root / "incoming").iterdir())

    def damaged(self) -> list[str]:
        """Blobs whose content is not what their names say."""
        blobs = [p for p in (self.farm.store.root / "blobs").rglob("*") if p.is_file()]
        return [p.name for p in blobs if hashlib.sha256(p.read_bytes()).hexdigest() != p.name]


def make(
    root: Path, projects: Sequence[str], bounds: Bounds | None = None, **settings: Any
) -> Yard:
    """A new farm over a new world, one slot, only the head at first, not started.

    `settings` are farm.toml's, with `__` for the dots."""
    dotted = {name.replace("__", "."): value for name, value in settings.items()}
    try:
        made = live.make(
            root, projects=projects, bounds=bounds, settings={"cpython.earlier": False, **dotted}
        )
    except local.LocalError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return Yard(world=made.world, farm=made.farm)


@contextlib.contextmanager
def running(yard: Yard, *names: str, patience: float = live.PATIENCE) -> Iterator[Yard]:
    """The farm, started (or only these of its processes) and calm; stopped at the end."""
    try:
        yard.start(*names)
        yard.calm(patience)
        yard.sound()
        yield yard
    finally:
        yard.stop()


@contextlib.contextmanager
def investigating(root: Path) -> Iterator[Yard]:
    """A farm with one project and three people's workers, which looks at new commits only when it is told to."""
    made = make(
        root, ("anchor",), cpython__poll_seconds=3600, investigator__probes_per_day=500
    )  # fmt: skip
    for name, owner in (("second", "Bob"), ("third", "Cem")):
        made.hire(name, owner)
    with running(made):
        made.start("second", "third")
        yield made


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass

    def end_headers(self) -> None:
        """Ask again each time: a release of this moment counts."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()


@contextlib.contextmanager
def index(folder: Path) -> Iterator[str]:
    """A package index on loopback; gives its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple/"
        server.shutdown()


def set_keys(yard: Yard, project: str, **keys: Any) -> None:
    """Other top-level keys in a project's file; read when the farm is settled."""
    path = yard.farm.folder.projects / f"{project}.toml"
    document = tomlkit.parse(path.read_text())
    document.update(keys)
    path.write_text(tomlkit.dumps(document))


class Reader:
    """Somebody who reloads the page all the time; `complaints` are the answers he should not have got."""

    def __init__(self, yard: Yard, path: str = "/") -> None:
        self._url = yard.farm.config.url.rstrip("/") + path
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.answers = 0
        self.complaints: list[str] = []

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _read(self) -> None:
        while not self._over.wait(0.2):
            try:
                with urllib.request.urlopen(self._url, timeout=20) as answer:
                    answer.read()
                self.answers += 1
            except OSError as error:
                self.complaints.append(str(error))


def children(pid: int) -> set[int]:
    """All processes below this one (Linux)."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for child in parents.get(waiting.pop(), []):
            found.add(child)
            waiting.append(child)
    return found


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
