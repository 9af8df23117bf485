"""The worker's workshop: a folder in which jobs are done, phase by phase.

    workshop = Workshop(root, settings)
    folder = workshop.begin(job)
    for phase in job.phases: workshop.run_phase(folder, phase, sink)
    report = workshop.report(folder)
    workshop.end(folder)

A phase may run in another process than the one before it: everything between them is in the job's folder. Killed
at any moment, the folder says in which phase, and nothing half-made is in a cache.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from pybots_worker import farmlink, fetch, network, phases, reporting, sandbox
from pybots_worker.cache import Shelf, UvCaches, remove, shares
from pybots_worker.contract import (
    BUILD_ROOT,
    MAX_REPORT_BYTES,
    Ended,
    Failure,
    Job,
    Phase,
    PhaseResult,
    Report,
    decode_job,
    encode,
)
from pybots_worker.errors import FarmTrouble, PhaseFailed
from pybots_worker.facts import Facts, measure
from pybots_worker.layout import JobFolder
from pybots_worker.phases.context import Context, Machine, disk_trouble
from pybots_worker.sandbox import SandboxFacts, Sink
from pybots_worker.settings import WorkshopSettings

CACHES: Final = ("interpreters", "sources", "uv", "ccache", "configure")
KEPT_CONFIGURE: Final = 200
"""Answers of configure that are kept, a few hundred KB each."""
ROOM: Final = 10 << 30
"""Bytes that must be free for finished jobs' files to be left for a quiet moment."""

_result: Final = msgspec.json.Decoder(PhaseResult)


class OutOfOrderError(Exception):
    """A phase was asked for whose forerunner has not ended well."""


class Workshop:
    """A worker's folder: cache/ and jobs/. `environ` is where the way to the network is read from."""

    def __init__(
        self,
        root: Path,
        settings: WorkshopSettings | None = None,
        *,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root.resolve()
        self.settings = settings or WorkshopSettings()
        self._environ = os.environ if environ is None else environ
        self._agree()
        for name in CACHES:
            (self._cache / name).mkdir(parents=True, exist_ok=True)
        self._jobs.mkdir(exist_ok=True)
        self._gone.mkdir(exist_ok=True)

    def _agree(self) -> None:
        """Blobs travel as its owner decided, and to its own farm only."""
        way = farmlink.Way(
            url=self.settings.farm, ca=self.settings.ca, strict=self.settings.ca_for_web
        )
        # Each slot's job is a process, and none knows of the others.
        fetch.terms.pace = (self.settings.bandwidth_kb << 10) // self.settings.slots
        fetch.terms.host = way.host if way.strict else ""
        fetch.terms.authority = way.context() if way.strict else None

    @property
    def _cache(self) -> Path:
        return self.root / "cache"

    @property
    def _jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def _gone(self) -> Path:
        return self.root / "gone"

    @cached_property
    def facts(self) -> Facts:
        """This machine, measured once."""
        return measure(self.settings.provides)

    @cached_property
    def sandbox(self) -> SandboxFacts:
        """What can be enforced here, probed once."""
        return sandbox.probe(allow_unsandboxed=self.settings.allow_unsandboxed)

    @cached_property
    def machine(self) -> Machine:
        """Everything the phases need to know of this worker."""
        share = shares(self.settings.cache_mb)
        return Machine(
            settings=self.settings,
            facts=self.facts,
            sandbox=self.sandbox,
            interpreters=Shelf(self._cache / "interpreters", share.interpreters),
            sources=Shelf(self._cache / "sources", share.sources),
            uv=UvCaches(self._cache / "uv", share.uv),
            ccache=self._cache / "ccache",
            ccache_bytes=share.ccache,
            configure=self._cache / "configure",
            reach=network.reach(self._environ, Path.home()),
        )

    def folder(self, name: str) -> JobFolder:
        """The folder of the job `<run>-<attempt>`."""
        return JobFolder(self._jobs / name)

    def begin(self, job: Job) -> JobFolder:
        """Make the job's folder. One that is there (a build that was interrupted) is removed first."""
        folder = self.folder(f"{job.run}-{job.attempt}")
        self.end(folder)
        for path in (
            folder.work / "results",
            folder.given,
            folder.phase("x").parent,
            folder.found("x").parent,
        ):
            path.mkdir(parents=True)
        sandbox.own(folder.work)
        folder.begun.write_text(repr(time.time()))
        folder.job.write_bytes(encode(job))
        return folder

    def end(self, folder: JobFolder) -> None:
        """Remove everything of the job."""
        remove(folder.root)

    def put_away(self, folder: JobFolder) -> None:
        """Nothing of the job is needed any more; `empty` removes it later. Removing ten thousand files would slow down the
        next job, which makes as many. Where room is short they are removed at once."""
        with suppress(FileNotFoundError):
            folder.root.rename(self._gone / f"{folder.name}.{secrets.token_hex(4)}")
        if shutil.disk_usage(self.root).free < ROOM:
            self.empty(lambda: False)

    def empty(self, stop: Callable[[], bool]) -> None:
        """Remove what was put away, one job's after the other until `stop` says so. Blocks."""
        for leftover in list(self._gone.iterdir()):
            if stop():
                return
            remove(leftover)

    def sweep(self) -> None:
        """Remove what killed predecessors left. Only the workshop's owner calls it, while no job runs."""
        for leftover in self._jobs.iterdir():
            remove(leftover)
        self.empty(lambda: False)
        self.machine.interpreters.sweep()
        self.machine.sources.sweep()
        self.machine.uv.sweep()
        answers = sorted(self.machine.configure.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in answers[:-KEPT_CONFIGURE]:
            old.unlink()

    def run_phase(
        self,
        folder: JobFolder,
        phase: Phase,
        sink: Sink,
        cancel: threading.Event | None = None,
    ) -> PhaseResult:
        """Run one phase to its end, blocking; its result is also kept in the folder.

        Raises OutOfOrderError; whatever goes wrong in the phase itself is in the result.
        """
        job = decode_job(folder.job.read_bytes())
        self._check_order(folder, job, phase)
        # Until there is a result, this one stands: a kit that is killed is the farm's trouble.
        _save(folder.phase(phase), _killed(phase))
        context = Context(
            job=job,
            phase=phase,
            folder=folder,
            machine=self.machine,
            sink=sink,
            cancel=cancel or threading.Event(),
        )
        result = self._run(context)
        _save(folder.found(phase), context.found)
        _save(folder.phase(phase), result)
        return result

    def _check_order(self, folder: JobFolder, job: Job, phase: Phase) -> None:
        if phase not in job.phases:
            raise OutOfOrderError(f"{phase} is no phase of this job")
        for before in job.phases[: job.phases.index(phase)] if phase != "report" else ():
            result = _load(folder, before)
            if result is None or not result.ok:
                raise OutOfOrderError(f"{phase} cannot run: {before} has not ended well")

    def _run(self, context: Context) -> PhaseResult:
        began = time.monotonic()
        trouble: PhaseFailed | None = None
        try:
            if context.phase == "report":
                self._send(context)
            else:
                phases.work_of(context.job, context.phase)(context)
        except PhaseFailed as error:
            trouble = error
        except OSError as error:
            trouble = disk_trouble(error)
        if trouble:
            context.say(f"{context.phase}: {trouble}")
        return _conclude(context, time.monotonic() - began, trouble)

    def _send(self, context: Context) -> None:
        """Upload the report; its digest is left beside it."""
        folder, upload = context.folder, context.job.report
        limit = min(upload.max_bytes, MAX_REPORT_BYTES)
        folder.report.write_bytes(reporting.shrunk(self.report(folder), limit))
        try:
            sent = fetch.upload(folder.report, upload, local=self.settings.local)
        except fetch.FetchError as error:
            raise FarmTrouble("Upload", str(error)) from error
        _save(folder.digest, {"sha256": sent.sha256, "size": sent.size})

    def report(self, folder: JobFolder) -> Report:
        """What is known of the job so far."""
        job = decode_job(folder.job.read_bytes())
        environment = reporting.environment(self.settings.name, self.facts, self.sandbox)
        return reporting.assemble(folder, job, environment)


def run_job(
    workshop: Workshop, job: Job, sink: Sink, cancel: threading.Event | None = None
) -> Report:
    """All phases one after the other, as a laptop does it; the job's folder is gone afterwards."""
    folder = workshop.begin(job)
    try:
        for phase in job.phases:
            if phase != "report" and not workshop.run_phase(folder, phase, sink, cancel).ok:
                break
        workshop.run_phase(folder, "report", sink, cancel)
        return workshop.report(folder)
    finally:
        workshop.end(folder)


def _conclude(context: Context, wall: float, trouble: PhaseFailed | None) -> PhaseResult:
    spent = context.spent
    ended: Ended = trouble.ended if trouble else "exit"
    last = spent.last if spent.last and spent.last.ended == ended else None
    return PhaseResult(
        phase=context.phase,
        ok=trouble is None,
        ended=ended,
        wall_seconds=wall,
        cpu_seconds=spent.cpu,
        exit_code=last.exit_code if last else None,
        signal=last.signal if last else None,
        peak_memory_bytes=spent.peak or None,
        log_bytes=spent.log,
        log_cut=ended == "log",
        failure=trouble.failure if trouble else None,
    )


def _killed(phase: Phase) -> PhaseResult:
    return PhaseResult(
        phase=phase,
        ok=False,
        ended="farm_error",
        wall_seconds=0.0,
        failure=Failure(type="WorkerKit", message="the kit was ended in the middle of this phase"),
    )


def _load(folder: JobFolder, phase: Phase) -> PhaseResult | None:
    try:
        return _result.decode(folder.phase(phase).read_bytes())
    except FileNotFoundError:
        return None


def _save(path: Path, value: object) -> None:
    """Whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(msgspec.json.encode(value))
    part.replace(path)


__all__ = ["BUILD_ROOT", "OutOfOrderError", "Workshop", "run_job"]
