"""Jobs over a miniature world, run by the worker kit alone: no farm, no sockets, files for blobs."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from pybots_worker.contract import (
    INTERPRETER_PHASES,
    PROJECT_PHASES,
    Blob,
    GitSource,
    Install,
    InterpreterRef,
    InterpreterWork,
    Job,
    Limits,
    ProjectSource,
    ProjectWork,
    Recipe,
    Report,
    Test,
    Upload,
)
from pybots_worker.engine import Workshop, run_job
from pybots_worker.sandbox import Outcome
from pybots_worker.settings import WorkshopSettings

LIMITS = Limits(
    wall_seconds=60,
    cpu_seconds=60,
    memory_bytes=1 << 30,
    processes=200,
    disk_bytes=1 << 30,
    log_bytes=1 << 20,
)
KEY = "a" * 64


@dataclass
class Log:
    """A sink that remembers, in order, what the job printed."""

    parts: list[bytes] = field(default_factory=list)

    def __call__(self, _stream: str, data: bytes) -> None:
        self.parts.append(data)

    @property
    def text(self) -> str:
        return b"".join(self.parts).decode("utf-8", "replace")


def blob(path: Path) -> Blob:
    """A file as something to download."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Blob(url=path.as_uri(), sha256=digest, size=path.stat().st_size)


def limits(phases: tuple[str, ...], changes: Mapping[str, Any]) -> dict[Any, Limits]:
    """The usual limits; `changes` apply to the test and compile phases."""
    changed = msgspec.structs.replace(LIMITS, **changes)
    return {name: changed if name in ("test", "compile") else LIMITS for name in phases}


def make_ending(**changes: Any) -> Outcome:
    """How a run in the sandbox ended: exit status 0 unless said otherwise."""
    given: dict[str, Any] = {
        "exit_code": 0,
        "signal": None,
        "ended": "exit",
        "wall_seconds": 1.0,
        "cpu_seconds": 1.0,
        "peak_memory_bytes": 1 << 20,
        "detail": "exit status 0",
    }
    return Outcome(**{**given, **changes})


class Kit:
    """A workshop in a folder of its own, with jobs made for it."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = root
        self.out = root / "out"
        self.out.mkdir(parents=True)
        self.workshop = Workshop(root / "worker", WorkshopSettings(local=True, **settings))
        self.runs = 0
        self.log = Log()

    def upload(self, name: str) -> Upload:
        return Upload(url=(self.out / name).as_uri(), token="local", max_bytes=1 << 30)

    def interpreter_job(
        self, repository: Path, sha: str, recipe: Recipe | None = None, **changes: Any
    ) -> Job:
        """Build the commit `sha` of a git repository."""
        self.runs += 1
        tar = subprocess.run(
            ["git", "-C", str(repository), "archive", "--format=tar", sha],
            capture_output=True,
            check=True,
        ).stdout
        source = self.out / f"source-{self.runs}.tar.zst"
        source.write_bytes(zstandard.compress(tar, 1))
        work = InterpreterWork(
            key=KEY,
            commit=sha,
            branch="main",
            flavour="release",
            source=blob(source),
            recipe=recipe or Recipe(),
            artifact=self.upload(f"python-{self.runs}.tar.zst"),
        )
        return self.job(work, limits(INTERPRETER_PHASES, changes))

    def project_job(
        self,
        interpreter: Path,
        source: ProjectSource,
        test: Test,
        install: Install | None = None,
        *,
        network: Any = "none",
        env: Mapping[str, str] | None = None,
        purpose: Any = "routine",
        **changes: Any,
    ) -> Job:
        """Test a project on the packed interpreter."""
        self.runs += 1
        work = ProjectWork(
            project="project",
            revision="1.0",
            interpreter=InterpreterRef(
                key=KEY, commit="0" * 40, branch="main", flavour="release", blob=blob(interpreter)
            ),
            source=source,
            install=install or Install(),
            test=test,
            env=dict(env or {}),
            network=network,
        )
        return self.job(work, limits(PROJECT_PHASES, changes), purpose)

    def job(self, work: Any, limit: dict[Any, Limits], purpose: Any = "routine") -> Job:
        return Job(
            contract=1,
            run=self.runs,
            attempt=1,
            purpose=purpose,
            work=work,
            limits=limit,
            report=self.upload(f"report-{self.runs}.json"),
        )

    def run(self, job: Job) -> Report:
        """All phases; the log is kept in `log`."""
        self.log = Log()
        return run_job(self.workshop, job, self.log)

    def built(self, repository: Path, sha: str) -> Path:
        """The packed interpreter of a commit."""
        job = self.interpreter_job(repository, sha)
        report = self.run(job)
        assert report.artifact, self.log.text
        return self.out / f"python-{self.runs}.tar.zst"


def git_source(repository: Path) -> GitSource:
    """The head of a local repository."""
    sha = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.strip()
    return GitSource(url=repository.as_uri(), commit=sha)
