"""Making a Job from a run: what the worker downloads, runs, may use and may upload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import zstandard
from sqlalchemy import select

from pybots.core.model import Project
from pybots.core.normal import plain
from pybots.farm import git, opinions, probes, tokens
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import Record, set_note
from pybots.store import Stored, StoreError
from pybots_worker import contract

MAX_SOURCE_BYTES: Final = 1 << 30
SLACK_SECONDS: Final = 3600
"""Tokens outlive all the phases' limits by this much: uploads take time."""


NO_TEST: Final = contract.Test(runner="command", args=("true",), retries=0)
"""For a failure that installing alone shows."""


class JobError(Exception):
    """No job can be made of this run any more, for example because its project was taken off the registry."""


def prepare_source(farm: Farm, sha: str, content_key: str) -> Stored:
    """CPython's tree of a commit in the store, as tar.zst; made once for each content key."""
    name = f"source:{content_key}"
    with farm.ledger.read() as connection:
        known = connection.scalar(select(schema.notes.c.value).where(schema.notes.c.name == name))
    if known and farm.store.has(known["sha256"]):
        return Stored(sha256=known["sha256"], size=known["size"])
    stored = _archive(farm, sha)
    value = {"sha256": stored.sha256, "size": stored.size}
    with farm.ledger.write() as connection:
        set_note(connection, name, value, farm.clock())
    return stored


def _archive(farm: Farm, sha: str) -> Stored:
    repository = farm.config.cpython.repository
    where = git.local_path(repository) if git.is_local(repository) else farm.folder.mirror
    # Level 1: the archive is read once or twice, and time to the verdict counts.
    compressor = zstandard.ZstdCompressor(level=1, threads=-1).compressobj()
    with farm.store.incoming(limit=MAX_SOURCE_BYTES) as incoming:
        for chunk in git.archive(where, sha):
            incoming.write(compressor.compress(chunk))
        incoming.write(compressor.flush())
        return incoming.finish()


@dataclass(frozen=True)
class JobMaker:
    """The parts of one Job, made from the rows of its run and attempt (dispatch._run and the attempts table)."""

    farm: Farm
    run: Record
    attempt: Record

    def make(self, source: Stored | None, *, plain: bool = True) -> contract.Job:
        """The Job. `source` is CPython's tree for an interpreter's build, installed `plain` or lean. Raises JobError."""
        work = self._interpreter(source, plain) if source else self._project()
        names: tuple[contract.Phase, ...] = (
            contract.INTERPRETER_PHASES if source else contract.PROJECT_PHASES
        )
        project = None if source else self._registered()
        return contract.Job(
            contract=contract.VERSION,
            run=self.run.id,
            attempt=self.attempt.number,
            purpose=_told(self.run.purpose),
            work=work,
            limits={name: self.farm.config.limits(name, project) for name in names},
            report=self._upload("report", contract.MAX_REPORT_BYTES, names, project),
        )

    def _interpreter(self, source: Stored, plain: bool) -> contract.InterpreterWork:
        limit = self.farm.config.store.max_artifact_mb << 20
        return contract.InterpreterWork(
            key=self.run.key,
            commit=self.run.sha,
            branch=self.run.branch,
            flavour=self.run.flavour,
            source=self._blob(source.sha256, source.size, contract.INTERPRETER_PHASES, None),
            recipe=msgspec.convert(self.run.recipe, contract.Recipe),
            artifact=self._upload("artifact", limit, contract.INTERPRETER_PHASES, None),
            plain=plain,
        )

    def _project(self) -> contract.ProjectWork:
        project = self._registered()
        revision = self._source()
        if isinstance(revision, contract.SdistSource):
            blob = self._blob(
                revision.blob.sha256, revision.blob.size, contract.PROJECT_PHASES, project
            )
            revision = msgspec.structs.replace(revision, blob=blob)
        return contract.ProjectWork(
            project=project.name,
            revision=self.run.revision_label,
            interpreter=contract.InterpreterRef(
                key=self.run.key,
                commit=self.run.sha,
                branch=self.run.branch,
                flavour=self.run.flavour,
                blob=self._blob(self.run.blob, self.run.size, contract.PROJECT_PHASES, project),
            ),
            source=revision,
            install=self._installed(project),
            test=self._tested(project),
            env=project.env,
            network=project.network,
            modules=project.modules,
            services=project.services,
        )

    def _installed(self, project: Project) -> contract.Install:
        """How it is installed; a control pins what the good run had, but not the project itself: it is built anew.
        A probe pins what the run had that `good_run` names, or the lock it was given."""
        probe = self._probe()
        if self.run.good_run is None and not (probe and probe.lock):
            return project.install
        own = {plain(project.name), plain(getattr(self._source(), "name", ""))}
        given = probe.lock if probe else None
        pins = (contract.Locked(name=n, version=v) for n, v in given) if given else self._lock()
        lock = tuple(pin for pin in pins if plain(pin.name) not in own)
        return msgspec.structs.replace(project.install, lock=lock)

    def _source(self) -> contract.ProjectSource:
        found: contract.ProjectSource = msgspec.convert(self.run.revision, contract.ProjectSource)
        return found

    def _lock(self) -> tuple[contract.Locked, ...]:
        """What the good run had installed. Raises JobError when its report is not to be had any more."""
        with self.farm.ledger.read() as connection:
            blob = connection.scalar(
                select(schema.runs.c.report).where(schema.runs.c.id == self.run.good_run)
            )
        try:
            return contract.decode_report(self.farm.store.read(str(blob))).lock
        except (StoreError, OSError, contract.ContractError) as error:
            raise JobError(f"the report of run {self.run.good_run} is gone: {error}") from error

    def _tested(self, project: Project) -> contract.Test:
        only = tuple(self.run.only or ())
        if probe := self._probe():
            if probe.bare:
                return NO_TEST
            return msgspec.structs.replace(project.test, only=only, retries=0)
        return msgspec.structs.replace(project.test, only=only) if only else project.test

    def _probe(self) -> Record | None:
        if self.run.purpose != "probe":
            return None
        with self.farm.ledger.read() as connection:
            return probes.of_run(connection, self.run.id)

    def _registered(self) -> Project:
        try:
            return self.farm.projects[self.run.project]
        except KeyError:
            raise JobError(f"project {self.run.project!r} is no longer registered") from None

    def _blob(
        self, sha256: str, size: int, phases: tuple[contract.Phase, ...], project: Project | None
    ) -> contract.Blob:
        token = self._token("read", size, phases, project)
        url = f"{self._base}/api/v1/blob/{sha256}?token={token}"
        return contract.Blob(url=url, sha256=sha256, size=size)

    def _upload(
        self,
        kind: tokens.Kind,
        limit: int,
        phases: tuple[contract.Phase, ...],
        project: Project | None,
    ) -> contract.Upload:
        url = f"{self._base}/api/v1/upload/{self.run.id}/{self.attempt.id}/{kind}"
        return contract.Upload(
            url=url, token=self._token(kind, limit, phases, project), max_bytes=limit
        )

    def _token(
        self,
        kind: tokens.Kind,
        limit: int,
        phases: tuple[contract.Phase, ...],
        project: Project | None,
    ) -> str:
        seconds = sum(self.farm.config.limits(name, project).wall_seconds for name in phases)
        return tokens.mint(
            tokens.load_key(self.farm.folder.secrets),
            run=self.run.id,
            attempt=self.attempt.id,
            kind=kind,
            max_bytes=limit,
            expires=self.farm.clock() + seconds + SLACK_SECONDS,
        )

    @property
    def _base(self) -> str:
        return self.farm.config.url.rstrip("/")


def _told(purpose: str) -> contract.Purpose:
    """What a worker hears of a run's purpose; not that the run is a second opinion on another worker's."""
    known: contract.Purpose = "retry" if purpose == opinions.PURPOSE else purpose  # type: ignore[assignment] # the ledger's are the wire's
    return known
