"""The report: put together from what the phases left, and made small enough to be taken."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from pybots_worker.contract import (
    VERSION,
    Environment,
    Failure,
    InterpreterWork,
    Job,
    PhaseResult,
    Report,
    TestOutcome,
    encode,
)
from pybots_worker.errors import PhaseFailed, failed
from pybots_worker.facts import Facts
from pybots_worker.layout import JobFolder
from pybots_worker.phases.context import Found
from pybots_worker.sandbox import SandboxFacts

KIT: Final = "pybots-worker 0.1.0"
SHORTER: Final = (4000, 1000, 200, 0)
"""Characters of each failure's text that are kept, tried in turn until the report is small enough."""

_result: Final = msgspec.json.Decoder(PhaseResult)
_found: Final = msgspec.json.Decoder(Found)


def assemble(folder: JobFolder, job: Job, environment: Environment) -> Report:
    """What is known of the job so far: every phase that was begun, and what each found out."""
    names = [name for name in job.phases if name != "report" and folder.phase(name).is_file()]
    everything = [
        _found.decode(folder.found(name).read_bytes())
        for name in names
        if folder.found(name).is_file()
    ]
    return Report(
        contract=VERSION,
        run=job.run,
        attempt=job.attempt,
        kind="interpreter" if isinstance(job.work, InterpreterWork) else "project",
        started=float(folder.begun.read_text()),
        finished=time.time(),
        environment=environment,
        phases=tuple(_result.decode(folder.phase(name).read_bytes()) for name in names),
        tests=next((found.tests for found in everything if found.tests), ()),
        modules=next((found.modules for found in everything if found.modules), ()),
        lock=next((found.lock for found in everything if found.lock), ()),
        python=next((found.python for found in everything if found.python), ""),
        artifact=next((found.artifact for found in everything if found.artifact), None),
    )


def environment(worker: str, facts: Facts, box: SandboxFacts) -> Environment:
    """The machine as the report shows it."""
    return Environment(
        worker=worker,
        platform=facts.platform,
        abi=facts.abi,
        system=facts.system,
        cores=facts.cores,
        memory_bytes=facts.memory_bytes,
        compiler=facts.compiler,
        kit=KIT,
        sandbox=box.walls,
        rung=box.rung,
        caps=dict(box.caps),
    )


def shrunk(report: Report, limit: int) -> bytes:
    """The report in at most `limit` bytes, with shorter failure texts if it must be. Raises PhaseFailed."""
    data = encode(report)
    for length in SHORTER:
        if len(data) <= limit:
            break
        data = encode(
            msgspec.structs.replace(report, tests=tuple(_cut(t, length) for t in report.tests))
        )
    if len(data) > limit:
        raise too_large(len(data), limit)
    return data


def too_large(size: int, limit: int) -> PhaseFailed:
    return failed("ReportTooLarge", f"the report has {size} bytes, the farm takes {limit}")


def _cut(test: TestOutcome, length: int) -> TestOutcome:
    if test.failure is None:
        return test
    shorter = Failure(
        type=test.failure.type[:200],
        message=test.failure.message[: max(length, 100)],
        detail=test.failure.detail[-length:] if length else "",
    )
    return msgspec.structs.replace(test, failure=shorter)
