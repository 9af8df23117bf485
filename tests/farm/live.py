"""A real farm on loopback over a miniature CPython: real Buildbot master, real worker, real web process."""

from __future__ import annotations

import email
import email.policy
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from sqlalchemy import select

from pybots import cli_up
from pybots.farm import commits, cycle, local, news
from pybots.farm.home import Farm, open_farm
from pybots.farm.setup import make_folder, write_settings
from pybots.ledger import schema
from pybots.miniature.hostile import Bounds
from pybots.miniature.registry import write_project_files
from pybots.miniature.world import World
from pybots.supervisor import Supervisor

PATIENCE = 240.0


@dataclass
class Live:
    """A running farm, and ways to wait for what really happened in it."""

    world: World
    farm: Farm
    running: Supervisor | None = None
    began: float = field(default_factory=time.time)

    def start(self) -> None:
        self.running = cli_up.start(self.farm)

    def stop(self) -> None:
        if self.running:
            self.running.stop()
            self.running = None

    def commit(self, kind: str) -> str:
        """A commit to the miniature CPython, announced as a webhook would. Returns its sha."""
        sha = self.world.commit(kind)
        news.wake(self.farm, by="test")
        return sha

    def wait(self, happened: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """What `happened` gives once it is true. Fails with the processes' last words."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if found := happened():
                return found
            if self.running and self.running.gave_up:
                raise AssertionError(f"{what}: {self.running.gave_up}\n{self.last_words()}")
            time.sleep(
                0.1
            )  # the farm is other processes: there is nothing to subscribe to from here
        raise AssertionError(
            f"{what} did not happen in {patience:.0f} s\n{self.state()}\n{self.last_words()}"
        )

    def calm(self, patience: float = PATIENCE) -> None:
        """Wait until heads are compared and nothing is left to do."""

        def over() -> bool:
            with self.farm.ledger.read() as connection:
                return (
                    commits.last_sync(connection) is not None
                    and not cycle.under_way(connection)
                    and not cycle.unsent(connection)
                )

        self.wait(over, "a quiet farm", patience)

    def run_of(self, sha: str, project: str = "") -> Any:
        """The finished run that speaks for a commit: of a project's lane, or (no project) of the interpreter's build.

        A lane's answer is looked up through its cell: a documentation-only commit has no run of its own, and shows
        the one of the commit before."""
        runs, lanes, cells = schema.runs, schema.lanes, schema.cells
        query = select(runs).where(schema.commits.c.sha == sha, runs.c.state == "done")
        if project:
            query = (
                query.join(cells, cells.c.run_id == runs.c.id)
                .join(lanes, lanes.c.id == cells.c.lane_id)
                .join(schema.commits, schema.commits.c.id == cells.c.commit_id)
                .where(lanes.c.project == project)
            )
        else:
            query = query.join(schema.commits, schema.commits.c.id == runs.c.commit_id).where(
                runs.c.kind == "interpreter"
            )
        with self.farm.ledger.read() as connection:
            return connection.execute(query.order_by(runs.c.id.desc())).first()

    def verdict(self, sha: str, project: str = "", patience: float = PATIENCE) -> Any:
        """Wait for that run; returns its row."""
        return self.wait(
            lambda: self.run_of(sha, project),
            f"the verdict of {project or 'the build'} at {sha[:12]}",
            patience,
        )

    def rows(self, table: Any, *where: Any) -> list[Any]:
        with self.farm.ledger.read() as connection:
            return list(connection.execute(select(table).where(*where)).all())

    def letters(self) -> list[EmailMessage]:
        """The mails in the Maildir, oldest first."""
        new = self.farm.folder.mail / "new"
        paths = (
            sorted(new.iterdir(), key=lambda path: path.stat().st_mtime_ns) if new.is_dir() else []
        )
        parsed = (
            email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            for path in paths
        )
        return [message for message in parsed if isinstance(message, EmailMessage)]

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.farm.config.url.rstrip("/") + path, timeout=20) as answer:
            text = answer.read().decode()
        assert isinstance(text, str)
        return text

    def kill(self, name: str) -> None:
        """kill -9 of one process; the supervisor starts it again."""
        assert self.running
        os.kill(self.running.pids()[name], signal.SIGKILL)

    def state(self) -> str:
        runs = self.rows(schema.runs, schema.runs.c.state.in_(cycle.UNDER_WAY))
        attempts = self.rows(
            schema.attempts, schema.attempts.c.state.in_(("dispatched", "running", "lost"))
        )
        return "\n".join(
            [f"run {r.id} {r.kind} at {r.position}: {r.state}" for r in runs]
            + [f"attempt {a.id} of run {a.run_id}: {a.state} {a.reason}" for a in attempts]
        )

    def last_words(self) -> str:
        logs = sorted(self.farm.folder.logs.glob("*.log"))
        return "\n".join(
            f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in logs
        )


def make(
    root: Path,
    *,
    projects: Iterable[str],
    settings: dict[str, Any] | None = None,
    bounds: Bounds | None = None,
    **files: Any,
) -> Live:
    """A new world and farm in `root`, not started."""
    world = World.create(root / "world", projects=tuple(projects), bounds=bounds)
    folder = make_folder(root / "farm")
    names = write_project_files(world, folder.projects, notify="maintainer@example.org", **files)
    port = cli_up.free_port(0)
    write_settings(
        folder.config,
        {
            "projects": names,
            "cpython.repository": str(world.cpython),
            "cpython.poll_seconds": 5,
            "index.poll_minutes": 0,
            "web.port": port,
            "url": f"http://127.0.0.1:{port}/",
            "buildbot.pb_port": cli_up.free_port(0),
            "buildbot.www_port": cli_up.free_port(0),
            "store.reserve_bytes": 100 << 20,
            "investigator.probes_per_day": 0,  # tests that want it say so
            "second_opinions": 0,  # chance must not decide what a test sees
            **(settings or {}),
        },
    )
    farm = open_farm(folder.root)
    local.enrol_local(farm, slots=1)
    return Live(world=world, farm=farm)
