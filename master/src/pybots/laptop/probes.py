"""One probe: a project's tests concerned, on one interpreter, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from pybots.core.causes import cause
from pybots.core.model import Project, Revision
from pybots.core.outcomes import Observed, observe
from pybots.core.signatures import exception_of
from pybots.laptop.interpreters import Built
from pybots.laptop.workbench import Workbench
from pybots_worker import contract
from pybots_worker.sandbox import Sink, Stream

TAIL: Final = 64_000


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one run found. `causes` are compiler errors in the installation's log, swallowed or not."""

    report: contract.Report
    observed: Observed
    seconds: float
    causes: tuple[str, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Prober:
    """Runs one project's tests at one revision. `lock` pins what the search must not let drift."""

    bench: Workbench
    project: Project
    revision: Revision
    install: contract.Install

    def pinned(self, lock: tuple[contract.Locked, ...]) -> Prober:
        """The same with these versions of its dependencies."""
        return replace(self, install=msgspec.structs.replace(self.install, lock=lock))

    def run(
        self,
        built: Built,
        *,
        test: contract.Test | None = None,
        sink: Sink | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Sample:
        """Install and test. Whatever goes wrong is in the sample."""
        source = self.revision.source
        if isinstance(source, contract.SdistSource):
            source = msgspec.structs.replace(source, blob=self.bench.blob(source.blob.sha256))
        work = contract.ProjectWork(
            project=self.project.name,
            revision=self.revision.label,
            interpreter=built.ref,
            source=source,
            install=self.install,
            test=test or self.project.test,
            env=dict(env or {}) | self.project.env,
            network=self.project.network,
            modules=self.project.modules,
            services=self.project.services,
        )
        log = _Log(sink)
        began = time.monotonic()
        with self.bench.working(self.bench.job(work, self.project)) as folder:
            report = self.bench.run(folder, contract.PROJECT_PHASES[:-1], log)
        report = telling(report)
        return Sample(
            report=report,
            observed=observe(report, self.project.name),
            seconds=time.monotonic() - began,
            causes=log.causes(),
            phases={result.phase: result.wall_seconds for result in report.phases},
        )


def telling(report: contract.Report) -> contract.Report:
    """The report with a command's failure named by the exception in its log, where there is one.

    "exit status 1" is what every failure of a command says; two of them must not be taken for one."""
    return msgspec.structs.replace(report, tests=tuple(map(_named, report.tests)))


def _named(test: contract.TestOutcome) -> contract.TestOutcome:
    said = test.failure
    if said is None or said.type != "Exit" or not said.detail:
        return test
    name, message = exception_of(contract.Failure(detail=said.detail))
    if not name:
        return test
    return msgspec.structs.replace(
        test, failure=contract.Failure(type=name, message=message, detail=said.detail)
    )


class _Log:
    """A sink that keeps the end of the log, and passes it on."""

    def __init__(self, sink: Sink | None) -> None:
        self._sink = sink
        self._tail = b""

    def __call__(self, stream: Stream, data: bytes) -> None:
        if stream != "header" and b"error" in data:
            self._tail = (self._tail + data)[-TAIL:]
        if self._sink is not None:
            self._sink(stream, data)

    def causes(self) -> tuple[str, ...]:
        """The first compiler error, if the log has one."""
        why = cause(self._tail.decode("utf-8", "replace"))
        return (why.text,) if why and why.how == "compiler" else ()
