"""One project's whole suite on one Python, as the farm would run it, in numbers that are kept: a cell of the registry's table."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from pybots.core.model import Project, Revision
from pybots.core.outcomes import Observed, observe
from pybots.farm import sources
from pybots.farm.jobs import NO_TEST
from pybots.laptop.interpreters import Built
from pybots.laptop.workbench import LaptopError, Workbench, silent
from pybots_worker import contract
from pybots_worker.cache import remove
from pybots_worker.sandbox import Sink

KEPT_FAILURES: Final = 200


class Result(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of it. Seconds; `cpu` over all processes of the tests; `warm` and `cold` are installing with and without
    what uv keeps. `trouble` says why there are no tests, where there are none."""

    project: str
    source: str
    runner: str
    revision: str
    key: str
    """Of the interpreter."""
    python: str
    when: float
    system: str = ""
    cores: int = 1
    tests: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    xfailed: int = 0
    flaky: int = 0
    failures: tuple[str, ...] = ()
    seconds: float = 0.0
    cpu: float = 0.0
    cold: float | None = None
    warm: float | None = None
    trouble: str = ""


def revision_of(bench: Workbench, project: Project, source: str) -> Revision:
    """What the source stands for now, fetched. Raises LaptopError."""
    if source not in project.sources:
        raise LaptopError(f"{project.name} has no source {source!r}")
    errors = {one.source: one.error for one in sources.refresh(bench.farm, project)}
    found = sources.known(bench.farm, project.name, source)
    if found is None:
        raise LaptopError(errors.get(source) or f"source {source!r} cannot be had")
    return found


def run(
    bench: Workbench,
    project: Project,
    source: str,
    revision: Revision,
    built: Built,
    *,
    times: bool,
    sink: Sink = silent,
) -> Result:
    """Install and test; with `times` without anything in uv's cache, and then install once more with all of it there."""
    if times:
        _forget(bench, project)
    report = _job(bench, project, revision, built, project.test, sink)
    phases = {phase.phase: phase for phase in report.phases}
    cold = _installed(report) if times else None
    warm = None
    if cold is not None:
        warm = _installed(_job(bench, project, revision, built, NO_TEST, sink))
    observed = observe(report, project.name)
    counts = observed.counts
    test = phases.get("test")
    return Result(
        project=project.name,
        source=source,
        runner=project.test.runner,
        revision=revision.label,
        key=built.ref.key,
        python=next(iter(report.python.split()), ""),
        when=time.time(),
        system=report.environment.system,
        cores=report.environment.cores,
        tests=counts.total,
        passed=counts.passed,
        failed=counts.bad,
        skipped=counts.skipped,
        xfailed=counts.xfailed,
        flaky=counts.flaky,
        failures=tuple(list(observed.bad)[:KEPT_FAILURES]),
        seconds=test.wall_seconds if test else 0.0,
        cpu=test.cpu_seconds if test else 0.0,
        cold=cold,
        warm=warm,
        trouble=_trouble(observed, report),
    )


def time_again(
    bench: Workbench,
    project: Project,
    revision: Revision,
    built: Built,
    known: Result,
    sink: Sink = silent,
) -> Result:
    """The same result with installing timed anew: with nothing kept, and once more right after."""
    _forget(bench, project)
    cold = _installed(_job(bench, project, revision, built, NO_TEST, sink))
    warm = _installed(_job(bench, project, revision, built, NO_TEST, sink)) if cold else None
    return msgspec.structs.replace(known, cold=cold, warm=warm)


def _forget(bench: Workbench, project: Project) -> None:
    """Everything that was kept of installing it: packages, wheels, the index's answers, its own builds."""
    for cache in (bench.workshop.root / "cache/uv").glob(f"{project.name}.[0-9]*"):
        remove(cache)


def _job(
    bench: Workbench,
    project: Project,
    revision: Revision,
    built: Built,
    test: contract.Test,
    sink: Sink,
) -> contract.Report:
    source = revision.source
    if isinstance(source, contract.SdistSource):
        source = msgspec.structs.replace(source, blob=bench.blob(source.blob.sha256))
    work = contract.ProjectWork(
        project=project.name,
        revision=revision.label,
        interpreter=built.ref,
        source=source,
        install=project.install,
        test=test,
        env=project.env,
        network=project.network,
        modules=project.modules,
        services=project.services if test is project.test else (),
    )
    with bench.working(bench.job(work, project, "routine")) as folder:
        return bench.run(folder, contract.PROJECT_PHASES[:-1], sink)


def _installed(report: contract.Report) -> float | None:
    """Seconds of the install phase, if it ended well."""
    found = (phase for phase in report.phases if phase.phase == "install" and phase.ok)
    return next((phase.wall_seconds for phase in found), None)


def _trouble(observed: Observed, report: contract.Report) -> str:
    if observed.counts.total and not observed.farm_fault:
        return ""
    if observed.farm_fault or observed.no_source:
        return one_line(observed.farm_fault or observed.no_source)
    failed = next((phase for phase in report.phases if not phase.ok), None)
    if failed is None:
        return "no tests ran"
    said = failed.failure.message if failed.failure else failed.ended
    return one_line(f"{failed.phase}: {said}")


def one_line(text: str) -> str:
    """A stranger's words, short enough for a table."""
    return re.sub(r"\s+", " ", text).strip()[:300]


def path_of(folder: Path, project: str, source: str, side: str) -> Path:
    """The file of a result; `side` is `python` or `control`."""
    return folder / f"{project}.{source}.{side}.json"


def save(path: Path, result: Result) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    part.replace(path)


def load(path: Path) -> Result | None:
    """A result that is there and can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def load_all(folder: Path, side: str) -> Iterator[Result]:
    """Every result of one side, by project and source."""
    for path in sorted(folder.glob(f"*.{side}.json")):
        if (result := load(path)) is not None:
            yield result
