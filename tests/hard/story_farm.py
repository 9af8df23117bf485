"""A farm that lives through the stories at once: all is green, CPython does not install, much breaks together, is mended.

Each chapter is kept as the farm told it then, so that a test of one story can look at all of them.
"""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.hard import farm_yard
from tests.hard.farm_yard import Yard

from pybots.core.model import Worker
from pybots.farm import local, workers
from pybots.ledger import schema
from pybots.miniature.hostile import Bounds
from pybots.supervisor import Program
from pybots_worker import archive

PROJECTS = (
    "moss", "resin", "amber", "copal", "fern", "bracken", "sedge", "frond", "husk", "veil", "thorn", "anchor", "buoy",
    "cistern", "magpie", "keel", "bad-dice",
)  # fmt: skip
DEPENDENCIES = ("fern",)
"""Projects that are on the index only, and have no lane."""
BREAKS = {
    "new-keyword": "remove-keyword",
    "refuse-literal": "accept-literal",
    "break-resin": "fix-resin",
    "remove-c-api": "restore-c-api",
    "break-anchor": "fix-anchor",
    "crash": "fix-crash",
    "stall": "fix-stall",
    "hoard": "fix-hoard",
    "chatter": "fix-chatter",
    "break-keel": "fix-keel",
}
"""What lands in one push, and what takes it back; each a commit of its own."""
PATIENCE = 600.0
"""Seconds for a chapter; each takes some ten on a quiet machine."""
HANG_SECONDS = 9
NARROW = "linux-i686"
"""The platform of the second worker: the same machine, which says that it is another one."""


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """What the farm said at a commit. `runs`: (project, platform) -> row; `letters`: those that came with it."""

    sha: str
    position: int
    runs: Mapping[tuple[str, str], Any]
    breakages: Sequence[Any]
    parts: Sequence[Any]
    letters: Sequence[EmailMessage]

    def run(self, project: str, platform_: str = "") -> Any:
        found = [
            row
            for (name, where), row in self.runs.items()
            if name == project and platform_ in ("", where)
        ]
        (row,) = found
        return row

    def broken(self, run: Any) -> list[Any]:
        """The breakages that this run's lane is or was in."""
        numbers = [part.breakage_id for part in self.parts if part.lane_id == run.lane_id]
        return [row for row in self.breakages if row.id in numbers]

    def mails_to(self, project: str) -> list[EmailMessage]:
        return [letter for letter in self.letters if address(project) in str(letter["To"])]

    def public(self) -> list[EmailMessage]:
        return [letter for letter in self.letters if letter["List-Id"]]


def address(project: str) -> str:
    return f"{project}@example.org"


@dataclass
class Stories:
    """The farm, and what it told so far."""

    yard: Yard
    pythons: dict[str, Path] = field(default_factory=dict)
    letters: int = 0

    def push(self, *kinds: str) -> str:
        """Several commits that the farm hears of at once. Returns the head's sha."""
        for kind in kinds:
            sha = self.yard.world.commit(kind)
        self.yard.wake()
        self.yard.wait(
            lambda: self.yard.rows(schema.commits, schema.commits.c.sha == sha), "the push"
        )
        return sha

    def chapter(self, sha: str, patience: float = PATIENCE) -> Chapter:
        """Wait until the farm has said all it has to say about a commit."""
        yard = self.yard
        yard.calm(patience)
        (commit,) = yard.rows(schema.commits, schema.commits.c.sha == sha)
        letters = yard.letters()
        told, self.letters = letters[self.letters :], len(letters)
        return Chapter(
            sha=sha, position=commit.position, runs=self._runs(commit.id), letters=told,
            breakages=yard.rows(schema.breakages), parts=yard.rows(schema.breakage_lanes),
        )  # fmt: skip

    def _runs(self, commit: int) -> dict[tuple[str, str], Any]:
        lanes, cells, runs = schema.lanes, schema.cells, schema.runs
        query = (
            select(
                runs,
                lanes.c.project,
                lanes.c.platform,
                lanes.c.slug,
                cells.c.state.label("cell"),
                cells.c.count,
            )
            .join(cells, cells.c.run_id == runs.c.id)
            .join(lanes, lanes.c.id == cells.c.lane_id)
            .where(cells.c.commit_id == commit)
        )
        with self.yard.farm.ledger.read() as connection:
            return {(row.project, row.platform): row for row in connection.execute(query)}

    def python(self, sha: str) -> Path:
        """The interpreter that the farm built for a commit, unpacked outside of any sandbox."""
        if sha not in self.pythons:
            run = next(row for row in self.yard.of(sha) if row.kind == "interpreter")
            (built,) = self.yard.rows(
                schema.interpreters, schema.interpreters.c.id == run.interpreter_id
            )
            folder = self.yard.farm.folder.root.parent / f"python-{sha[:12]}"
            packed = folder.with_suffix(".tar.zst")
            with self.yard.farm.store.open(built.blob) as file:
                packed.write_bytes(file.read())
            archive.unpack(packed, folder, strip=False)
            self.pythons[sha] = next(folder.rglob("bin/python3"))
        return self.pythons[sha]

    def tests_of(self, project: str, python: Path, *flags: str) -> subprocess.CompletedProcess[str]:
        """A project's suite in its own work tree, with nothing installed."""
        folder = self.yard.world.project(project).git
        return subprocess.run(
            [str(python), *flags, "-m", "unittest", "discover", "-s", "tests", "-t", "."],
            cwd=folder, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder / "src")},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip


@contextlib.contextmanager
def living(root: Path) -> Iterator[Stories]:
    """The farm, started and calm, with a package index beside it; stopped at the end."""
    stories = make(root)
    packages = stories.yard.world.simple_index(root / "index")
    with farm_yard.index(packages) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_DEFAULT_INDEX", url)  # the workers', for dependencies
        lanes = [name for name in PROJECTS if name not in DEPENDENCIES]
        stories.yard.settle(index__url=url, projects=lanes)
        local.enrol_local(stories.yard.farm, slots=2)
        _hire_narrow(stories.yard)
        processes = ("web", "master", "worker", "narrow")
        with farm_yard.running(stories.yard, *processes, patience=PATIENCE):
            yield stories


def make(root: Path) -> Stories:
    """The farm, not started: two slots of this machine, and one of a machine of another kind for one project."""
    yard = farm_yard.make(
        root, PROJECTS, Bounds(), limits__test__log_mb=1, limits__test__processes=200,
        platforms=[f"linux-{platform.machine()}", NARROW],
    )  # fmt: skip
    for name in PROJECTS:
        network = "install" if yard.world.project(name).dependencies else "none"
        farm_yard.set_keys(yard, name, notify=[address(name)], network=network)
    farm_yard.set_keys(yard, "buoy", timeout_minutes=HANG_SECONDS / 60)
    farm_yard.set_keys(yard, "cistern", memory_mb=150)
    return Stories(yard)


def _hire_narrow(yard: Yard) -> None:
    """A worker that runs under setarch: uname says i686 there, to it and to whatever it runs."""
    yard.hire("narrow")
    with yard.farm.ledger.read() as connection:
        (hired,) = [one for one in workers.approved(connection) if one.name == "narrow"]
    workers.enrol(yard.farm, _narrowed(hired))
    program = yard.more[-1]
    start = f"import os, sys; os.execvp('setarch', ['setarch', 'i686', sys.executable, '-P', *{program.arguments!r}])"
    yard.more[-1] = Program(name="narrow", arguments=("-c", start), log=program.log)


def _narrowed(worker: Worker) -> Worker:
    abi = f"{worker.abi.rpartition('-')[0]}-i686"
    return replace(worker, platform=NARROW, abi=abi, projects=("keel",))


def can_be_narrow() -> bool:
    """Whether this machine can say that it is an i686."""
    asked = [sys.executable, "-c", "import platform; print(platform.machine())"]
    try:
        done = subprocess.run(
            ["setarch", "i686", *asked], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return False
    return done.stdout.strip() == "i686"
