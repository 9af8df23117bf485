"""A folder in which one person's session works: a farm's ledger and store without a farm, and the worker kit's workshop.

The same folder serves `try`, `bisect`, `reproduce`, `impact` and `python`, so that what one has built the next one finds.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from pybots.config.projects import load_project
from pybots.core.flavours import refusal
from pybots.core.model import Flavour, Project
from pybots.farm import git, local
from pybots.farm.home import Farm, open_farm
from pybots.farm.setup import make_folder, write_settings
from pybots_worker import contract
from pybots_worker.engine import Workshop
from pybots_worker.layout import JobFolder
from pybots_worker.sandbox import Sink
from pybots_worker.settings import WorkshopSettings

CACHE_MB: Final = 16384
"""Half of it is for interpreters, a wide bisection's worth of them and more."""


class LaptopError(Exception):
    """The session cannot go on; the text says why and what to mend."""


def default_folder() -> Path:
    """Where interpreters and caches are kept unless the caller says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "pybots" / "try"


def silent(_stream: str, _data: bytes) -> None:
    """A sink for logs nobody reads."""


def unignore() -> None:
    """Let jobs have the signals that we were told to ignore, by nohup or a shell's background: tests send them to
    themselves. To us a handler that does nothing is the same. (A worker's jobs have them anyway.)"""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # those are Python's
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Two sessions in one folder would take each other's jobs away. Raises LaptopError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".try-lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LaptopError(
                f"another session of pybots is at work in {folder}; wait for it, or name another --folder"
            ) from None
        yield


@dataclass(kw_only=True)
class Workbench:
    """The opened folder. `repository` is CPython's, local or mirrored; `cancel` ends whatever runs."""

    farm: Farm
    workshop: Workshop
    repository: Path
    abi: str
    facts: frozenset[str]
    cancel: threading.Event = field(default_factory=threading.Event)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def job(
        self,
        work: contract.InterpreterWork | contract.ProjectWork,
        project: Project | None = None,
        purpose: contract.Purpose = "probe",
    ) -> contract.Job:
        """A Job of this session. Its report stays here."""
        names = (
            contract.INTERPRETER_PHASES
            if isinstance(work, contract.InterpreterWork)
            else contract.PROJECT_PHASES
        )
        return contract.Job(
            contract=contract.VERSION,
            run=next(self._numbers),
            attempt=1,
            purpose=purpose,
            work=work,
            limits={name: self.farm.config.limits(name, project) for name in names},
            report=contract.Upload(
                url=(self.farm.folder.root / "report.json").as_uri(),
                token="local",
                max_bytes=contract.MAX_REPORT_BYTES,
            ),
        )

    @contextmanager
    def working(self, job: contract.Job) -> Iterator[JobFolder]:
        """The job's folder inside the block; gone afterwards."""
        folder = self.workshop.begin(job)
        try:
            yield folder
        finally:
            self.workshop.end(folder)

    def run(
        self,
        folder: JobFolder,
        phases: Sequence[contract.Phase],
        sink: Sink = silent,
    ) -> contract.Report:
        """Run these phases in order as far as they end well; what is known then."""
        for phase in phases:
            if not self.workshop.run_phase(folder, phase, sink, self.cancel).ok:
                break
        return self.workshop.report(folder)

    def resolve(self, revision: str) -> str:
        """The commit that a revision of CPython stands for. Raises git.GitError."""
        return git.resolve(self.repository, revision)

    def project(self, name: str) -> Project:
        """A registered project, or the one of a file. Raises LaptopError or ConfigErrors."""
        if name.endswith(".toml"):
            return load_project(Path(name))
        try:
            return self.farm.projects[name]
        except KeyError:
            raise LaptopError(f"no project {name!r}; `pybots project list` shows them") from None

    def flavour(self, name: str, sha: str) -> Flavour:
        """A flavour that can be built at a commit on this machine. Raises LaptopError."""
        known = self.farm.config.flavours()
        if name not in known:
            raise LaptopError(f"no flavour {name!r}; there are {', '.join(known)}")
        if why := refusal(known[name], git.version(self.repository, sha), self.facts):
            raise LaptopError(why)
        return known[name]

    def blob(self, sha256: str) -> contract.Blob:
        """A blob of the store, to be taken from there by a local job."""
        size = self.farm.store.size(sha256)
        return contract.Blob(url=self.farm.store.path(sha256).as_uri(), sha256=sha256, size=size)


def open_bench(
    folder: Path, *, cpython: str = "", revisions: Sequence[str] = (), slots: int = 1
) -> Workbench:
    """Open (or make) a session's folder; hold `alone(folder)` around its use.

    `cpython` names the repository, `revisions` what a mirror of it must have. Raises LaptopError, git.GitError,
    local.LocalError, ConfigErrors."""
    unignore()
    made = make_folder(folder)
    changes: dict[str, Any] = {"index.poll_minutes": 60}
    if cpython:
        changes["cpython.repository"] = (
            str(git.local_path(cpython)) if git.is_local(cpython) else cpython
        )
    write_settings(made.config, changes)
    farm = open_farm(made.root)
    settings = WorkshopSettings(name=local.NAME, local=True, slots=slots, cache_mb=CACHE_MB)
    workshop = Workshop(made.worker, settings)
    workshop.sweep()
    facts = workshop.facts
    if not workshop.sandbox.usable:
        what = "; ".join(
            f"{problem.what} ({problem.mend})" for problem in workshop.sandbox.problems
        )
        raise LaptopError(f"jobs cannot be shut in here: {what}")
    return Workbench(
        farm=farm,
        workshop=workshop,
        repository=_repository(farm, revisions),
        abi=facts.abi,
        facts=frozenset(facts.provided),
    )


def _repository(farm: Farm, revisions: Sequence[str]) -> Path:
    """The repository with these revisions. What the mirror has already needs no network."""
    address, mirror = farm.config.cpython.repository, farm.folder.mirror
    if git.is_local(address):
        return git.update_mirror(address, mirror, [])
    if (mirror / "HEAD").exists() and all(_stays(mirror, name) for name in revisions):
        return mirror
    git.update_mirror(address, mirror, [name for name in revisions if not _is_sha(name)])
    if not all(_there(mirror, name) for name in revisions):
        # A server need not give single commits: every branch has them, and their trees cost little.
        everything = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        git.git(mirror, "fetch", "--quiet", "--filter=blob:none", "origin", *everything)
    return mirror


def _is_sha(name: str) -> bool:
    return 7 <= len(name) <= 40 and set(name) <= set("0123456789abcdef")


def _stays(repository: Path, name: str) -> bool:
    """A full sha that is there stays what it is; a branch may have moved."""
    return len(name) == 40 and git.has(repository, name)


def _there(repository: Path, name: str) -> bool:
    try:
        git.resolve(repository, name)
    except git.GitError:
        return False
    return True
