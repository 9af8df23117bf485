"""Running a capsule again: does the same signature appear?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from pybots.core.model import GitBranch, IndexSource, Own, Project, Revision, Source
from pybots.core.normal import one_line
from pybots.core.outcomes import Observed, is_test
from pybots.farm.capsules import Capsule
from pybots.farm.jobs import NO_TEST
from pybots.laptop.interpreters import BuildFailed, Interpreters
from pybots.laptop.probes import Prober
from pybots.laptop.progress import Progress
from pybots.laptop.revisions import revision_of
from pybots.laptop.workbench import LaptopError, Workbench
from pybots_worker import contract

Answer = Literal["reproduced", "passed", "other", "unclear"]


@dataclass(frozen=True, kw_only=True)
class Reproduced:
    """What came of it: the same failure, none, another one, or nothing that could be judged; and in what words."""

    answer: Answer
    said: str
    seconds: float = 0.0


def project_of(capsule: Capsule) -> Project:
    """The capsule's project, as its file was when it was made."""
    return Project(
        name=capsule.project,
        title=capsule.project,
        sources={"capsule": _origin(capsule)},
        install=capsule.install,
        test=capsule.test,
        env=capsule.env,
        network=capsule.network,
        modules=capsule.modules,
        services=capsule.services,
    )


def _origin(capsule: Capsule) -> Source:
    match capsule.source:
        case contract.SdistSource(version=version):
            return IndexSource(name=capsule.index or capsule.project, version=version)
        case contract.GitSource(url=url, ref=ref, submodules=submodules):
            return GitBranch(url=url, branch=ref, submodules=submodules)
        case contract.OwnSource():
            return Own()


def run(bench: Workbench, capsule: Capsule, progress: Progress) -> Reproduced:
    """Build, install, test, compare. Raises LaptopError."""
    flavour = bench.flavour(capsule.python.flavour, capsule.python.commit)
    maker = Interpreters(bench=bench, flavour=flavour, recipe=capsule.python.recipe)
    project = project_of(capsule)
    revision = _revision(bench, project, capsule)
    progress.begin(f"Python {capsule.python.commit[:12]} ({flavour.name})")
    try:
        built = maker.get(capsule.python.commit)
    except BuildFailed as error:
        return Reproduced(answer="unclear", said=str(error))
    prober = Prober(bench=bench, project=project, revision=revision, install=capsule.install)
    progress.begin(f"{capsule.project} {capsule.revision}: {', '.join(capsule.ids)[:200]}")
    sample = prober.run(built, test=_test(capsule))
    found = compare(capsule, sample.observed)
    return replace(found, seconds=sample.seconds)


def _revision(bench: Workbench, project: Project, capsule: Capsule) -> Revision:
    """Exactly the capsule's source; an sdist comes from the store or the package index, and must be the very same."""
    source = capsule.source
    if not isinstance(source, contract.SdistSource):
        return Revision(label=capsule.revision, source=source)
    if bench.farm.store.has(source.blob.sha256):
        return Revision(label=capsule.revision, source=source)
    found = revision_of(bench, project)
    assert isinstance(found.source, contract.SdistSource)
    if found.source.blob.sha256 != source.blob.sha256:
        raise LaptopError(
            f"the index's {source.name} has the sha256 {found.source.blob.sha256}, the capsule's {source.blob.sha256}"
        )
    return found


def _test(capsule: Capsule) -> contract.Test:
    """Only the tests that showed it, where they are tests; one run, for a retry would only tell about flakiness."""
    if capsule.kind == "install":
        return NO_TEST
    only = capsule.ids if capsule.kind != "hollow" and all(map(is_test, capsule.ids)) else ()
    return msgspec.structs.replace(capsule.test, only=only)


def compare(capsule: Capsule, seen: Observed) -> Reproduced:
    """Whether it is the same failure."""
    if trouble := seen.farm_fault or seen.no_source:
        return Reproduced(answer="unclear", said=trouble)
    same = next((one for one in seen.bad.values() if one.signature == capsule.signature), None)
    if same is not None:
        return Reproduced(
            answer="reproduced", said=one_line(f"{same.id}: {same.failure.message}", 300)
        )
    other = next(iter(seen.bad.values()), None)
    if capsule.kind == "hollow":
        # What is missing has no failure of its own: none of it may be there and well.
        there = [
            name
            for name in capsule.ids
            if seen.states.get(name, ("", None))[0] in ("passed", "xfailed")
        ]
        if not there:
            return Reproduced(answer="reproduced", said=f"missing: {', '.join(capsule.ids)[:300]}")
        return Reproduced(answer="passed", said=f"there: {', '.join(there)[:300]}")
    if other is not None:
        return Reproduced(
            answer="other", said=one_line(f"another failure: {other.id}: {other.failure.type}: {other.failure.message}", 300)
        )  # fmt: skip
    return Reproduced(answer="passed", said=f"{seen.counts.passed} tests passed")


def load(path: Path) -> bytes:
    """A capsule's file. Raises LaptopError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise LaptopError(f"{path}: {error.strerror}") from error
