"""`pybots try`: the very same job the farm would run, on this machine, without a master."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.markup import escape

from pybots.config.projects import load_project
from pybots.core.flavours import refusal
from pybots.core.interpreters import interpreter_key
from pybots.core.model import Flavour, Project
from pybots.core.outcomes import Observed, observe
from pybots.farm import git, local, sources
from pybots.farm.home import Farm, open_farm
from pybots.farm.jobs import prepare_source
from pybots.farm.setup import make_folder, write_settings
from pybots.laptop.workbench import unignore
from pybots.ledger.engine import set_note
from pybots.store import Stored, StoreError
from pybots_worker import contract
from pybots_worker.engine import Workshop, run_job
from pybots_worker.settings import WorkshopSettings

PASSED, FAILED, INCONCLUSIVE, ERROR = 0, 1, 2, 3
SHOWN_FAILURES: Final = 20


class TryError(Exception):
    """The try could not be made; the text says why and what to mend."""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "try",
        help="run one project's job here, without a farm",
        description=(
            "Builds (or takes from its cache) the interpreter of a commit and runs a project's tests on it, in the same "
            "sandbox and with the same steps as a worker. Exit status: 0 passed, 1 failed, 2 inconclusive, 3 error."
        ),
    )
    parser.add_argument(
        "project", help="a registered project's name, or the path of a project file"
    )
    parser.add_argument(
        "--cpython", metavar="URL|PATH", help="CPython's repository (default: the official one)"
    )
    parser.add_argument(
        "--commit", metavar="REV", default="main", help="commit, tag or branch (default: main)"
    )
    parser.add_argument("--flavour", default="release")
    parser.add_argument("--source", help="which of the project's sources (default: its first)")
    parser.add_argument(
        "--test", action="append", default=[], metavar="ID", help="run only this test (repeatable)"
    )
    parser.add_argument(
        "--folder", type=Path, default=_cache(), help="where interpreters and caches are kept"
    )
    parser.add_argument("--quiet", action="store_true", help="no logs, only the result")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=main)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "pybots" / "try"


def main(arguments: argparse.Namespace) -> int:
    console = Console(stderr=arguments.json, highlight=False)
    try:
        with _alone(arguments.folder):
            attempt = _prepare(arguments)
            report = attempt.run(console, quiet=arguments.quiet or arguments.json)
    except (TryError, git.GitError, local.LocalError, StoreError, OSError) as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return ERROR
    observed = observe(report, attempt.project.name)
    if arguments.json:
        sys.stdout.buffer.write(contract.encode(report) + b"\n")
    else:
        _show(console, report, observed)
    return status(observed)


def status(observed: Observed) -> int:
    """As the farm sees it: 0 passed (flaky too), 1 failed, 2 the machine got in the way or the source can't be had."""
    if observed.farm_fault or observed.no_source:
        return INCONCLUSIVE
    return FAILED if observed.bad else PASSED


@dataclass(frozen=True, kw_only=True)
class _Try:
    farm: Farm
    project: Project
    source: str
    repository: Path
    sha: str
    branch: str
    flavour: Flavour
    abi: str
    only: tuple[str, ...]

    def run(self, console: Console, *, quiet: bool) -> contract.Report:
        settings = WorkshopSettings(name=local.NAME, local=True)
        unignore()
        workshop = Workshop(self.farm.folder.worker, settings)
        blob = self._interpreter(workshop, console, quiet)
        revision = sources.known(self.farm, self.project.name, self.source)
        if revision is None:
            raise TryError(f"source {self.source!r} of {self.project.name} cannot be had")
        source = revision.source
        if isinstance(source, contract.SdistSource):
            size = self.farm.store.size(source.blob.sha256)
            source = msgspec.structs.replace(source, blob=self._blob(source.blob.sha256, size))
        console.print(
            f"[bold]{self.project.name} {revision.label}[/] on {self.sha[:12]} ({self.flavour.name})"
        )
        work = contract.ProjectWork(
            project=self.project.name,
            revision=revision.label,
            interpreter=contract.InterpreterRef(
                key=self._key,
                commit=self.sha,
                branch=self.branch,
                flavour=self.flavour.name,
                blob=blob,
            ),
            source=source,
            install=self.project.install,
            test=msgspec.structs.replace(self.project.test, only=self.only),
            env=self.project.env,
            network=self.project.network,
            modules=self.project.modules,
            services=self.project.services,
        )
        return self._job(workshop, work, self.project, console, quiet)

    @property
    def _key(self) -> str:
        return interpreter_key(
            content_key=git.content_key(self.repository, self.sha),
            flavour=self.flavour.name, recipe=self.flavour.recipe(), abi=self.abi, trust="farm",
        )  # fmt: skip

    def _interpreter(self, workshop: Workshop, console: Console, quiet: bool) -> contract.Blob:
        note = f"built:{self._key}"
        known = sources.note(self.farm, note)
        if known and self.farm.store.has(known["sha256"]):
            return self._blob(known["sha256"], known["size"])
        console.print(f"[bold]building Python {self.sha[:12]}[/] ({self.flavour.name})")
        tree = prepare_source(self.farm, self.sha, git.content_key(self.repository, self.sha))
        made = self.farm.folder.root / "artifact"
        work = contract.InterpreterWork(
            key=self._key,
            commit=self.sha,
            branch=self.branch,
            flavour=self.flavour.name,
            source=self._blob(tree.sha256, tree.size),
            recipe=self.flavour.recipe(),
            artifact=_upload(made, self.farm.config.store.max_artifact_mb << 20),
        )
        report = self._job(workshop, work, None, console, quiet)
        if report.artifact is None:
            failed = next((phase for phase in report.phases if not phase.ok), None)
            raise TryError(
                f"the interpreter does not build: {_phase(failed) if failed else 'no artifact'}"
            )
        stored = self._keep(made, report.artifact.sha256)
        with self.farm.ledger.write() as connection:
            set_note(
                connection, note, {"sha256": stored.sha256, "size": stored.size}, self.farm.clock()
            )
        return self._blob(stored.sha256, stored.size)

    def _keep(self, made: Path, sha256: str) -> Stored:
        with made.open("rb") as file:
            stored = self.farm.store.put_stream(
                iter(lambda: file.read(1 << 20), b""), limit=made.stat().st_size, expect=sha256
            )
        made.unlink()
        return stored

    def _job(
        self,
        workshop: Workshop,
        work: contract.InterpreterWork | contract.ProjectWork,
        project: Project | None,
        console: Console,
        quiet: bool,
    ) -> contract.Report:
        names = (
            contract.INTERPRETER_PHASES
            if isinstance(work, contract.InterpreterWork)
            else contract.PROJECT_PHASES
        )
        job = contract.Job(
            contract=contract.VERSION,
            run=1,
            attempt=1,
            purpose="probe" if self.only else "routine",
            work=work,
            limits={name: self.farm.config.limits(name, project) for name in names},
            report=_upload(self.farm.folder.root / "report.json", contract.MAX_REPORT_BYTES),
        )

        def sink(stream: str, data: bytes) -> None:
            if not quiet:
                console.out(data.decode("utf-8", "replace"), end="", highlight=False)

        return run_job(workshop, job, sink)

    def _blob(self, sha256: str, size: int) -> contract.Blob:
        return contract.Blob(url=self.farm.store.path(sha256).as_uri(), sha256=sha256, size=size)


def _upload(path: Path, limit: int) -> contract.Upload:
    return contract.Upload(url=path.as_uri(), token="local", max_bytes=limit)


def _prepare(arguments: argparse.Namespace) -> _Try:
    folder = make_folder(arguments.folder)
    changes: dict[str, Any] = {"index.poll_minutes": 60}
    if arguments.cpython:
        here = git.is_local(arguments.cpython)
        changes["cpython.repository"] = (
            str(git.local_path(arguments.cpython)) if here else arguments.cpython
        )
    write_settings(folder.config, changes)
    farm = open_farm(folder.root)
    project = _project(farm, arguments.project)
    source = arguments.source or next(iter(project.sources))
    if source not in project.sources:
        raise TryError(
            f"{project.name} has no source {source!r}; it has {', '.join(project.sources)}"
        )
    repository = git.update_mirror(
        farm.config.cpython.repository, folder.mirror, [arguments.commit]
    )
    sha = git.resolve(repository, arguments.commit)
    facts = local.examine(folder.worker)["facts"]
    flavour = _flavour(farm, arguments.flavour, git.version(repository, sha), facts["provided"])
    if lacking := sorted(project.facts - set(facts["provided"])):
        raise TryError(f"this machine lacks what {project.name} wants: {', '.join(lacking)}")
    for resolved in sources.refresh(farm, project):
        if (
            resolved.source == source
            and resolved.error
            and not sources.known(farm, project.name, source)
        ):
            raise TryError(resolved.error)
    return _Try(
        farm=farm,
        project=project,
        source=source,
        repository=repository,
        sha=sha,
        branch=arguments.commit if arguments.commit != sha else "main",
        flavour=flavour,
        abi=facts["abi"],
        only=tuple(arguments.test),
    )


def _project(farm: Farm, name: str) -> Project:
    if name.endswith(".toml"):
        return load_project(Path(name))
    try:
        return farm.projects[name]
    except KeyError:
        raise TryError(f"no project {name!r}; `pybots project list` shows them") from None


def _flavour(farm: Farm, name: str, version: tuple[int, int] | None, facts: list[str]) -> Flavour:
    known = farm.config.flavours()
    if name not in known:
        raise TryError(f"no flavour {name!r}; there are {', '.join(known)}")
    if why := refusal(known[name], version, frozenset(facts)):
        raise TryError(why)
    return known[name]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two tries at once in one folder would take each other's job away. Raises TryError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".try-lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TryError(
                f"another `pybots try` is at work in {folder}; wait for it, or name another --folder"
            ) from None
        yield


def _show(console: Console, report: contract.Report, observed: Observed) -> None:
    for phase in report.phases:
        console.print(_phase(phase))
    bad = list(observed.bad.values())
    for found in bad[:SHOWN_FAILURES]:
        console.print(f"[red]{found.outcome}[/] {escape(found.id)}")
        console.print(escape(found.failure.message[:500]))
    if fault := observed.farm_fault or observed.no_source:
        console.print(f"[yellow]inconclusive:[/] {escape(fault)}")
    if len(bad) > SHOWN_FAILURES:
        console.print(f"… and {len(bad) - SHOWN_FAILURES} more")
    counts = observed.counts
    console.print(
        f"[bold]{counts.total} tests: {counts.passed} passed ({counts.flaky} of them flaky), {len(bad)} bad[/]"
    )


def _phase(phase: contract.PhaseResult) -> str:
    state = "[green]ok[/]" if phase.ok else f"[red]{phase.ended}[/]"
    why = f" {escape(phase.failure.message[-500:])}" if phase.failure else ""
    return f"{phase.phase:<12} {state} {phase.wall_seconds:7.1f} s{why}"
