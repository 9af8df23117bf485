"""Making the ground of each axis from what a person names: revisions of CPython or of the project, dates or lock files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pybots.core.model import GitBranch, IndexSource, Own, Project, Revision
from pybots.farm import git, sources
from pybots.farm.jobs import NO_TEST
from pybots.laptop import grounds
from pybots.laptop.changes import Change, history
from pybots.laptop.probes import Prober
from pybots.laptop.revisions import at_commit, revision_of
from pybots.laptop.workbench import LaptopError, Workbench
from pybots_worker import contract

Lock = tuple[contract.Locked, ...]
_DATE: Final = re.compile(r"^\d{4}-\d{2}-\d{2}([T ].*)?$")


def cpython(
    bench: Workbench, prober: Prober, good: str, bad: str, flavour: str
) -> grounds.CPythonGround:
    """CPython's first-parent history."""
    first, last = bench.resolve(good), bench.resolve(bad)
    changes = history(bench.repository, first, last, cpython=True)
    makers = grounds.makers(bench, bench.flavour(flavour, last))
    return grounds.CPythonGround(changes=changes, makers=makers, prober=prober)


# -- the project ---------------------------------------------------------------------------------


def project(
    bench: Workbench, prober: Prober, good: str, bad: str, *, on: str, flavour: str, source: str
) -> grounds.ProjectGround:
    """The project's commits, or its releases, from one to another; on one interpreter."""
    sha = bench.resolve(on)
    name = source or next(iter(prober.project.sources))
    where = prober.project.sources[name]
    if isinstance(where, Own):
        raise LaptopError(f"{prober.project.name} has no history of its own: bisect CPython's")
    changes, revision = (
        _commits(bench, prober, where, good, bad)
        if isinstance(where, GitBranch)
        else _releases(bench, prober.project, name, where, good, bad)
    )
    return grounds.ProjectGround(
        changes=changes, makers=grounds.makers(bench, bench.flavour(flavour, sha)),
        prober=prober, revision=revision, sha=sha,
    )  # fmt: skip


Found = tuple[list[Change], Callable[[str], Revision]]


def _commits(bench: Workbench, prober: Prober, where: GitBranch, good: str, bad: str) -> Found:
    mirror = bench.farm.folder.root / "histories" / f"{prober.project.name}.git"
    mirror.parent.mkdir(exist_ok=True)
    repository = git.update_mirror(where.url, mirror, [where.branch or "main", "master"])
    first, last = git.resolve(repository, good), git.resolve(repository, bad)
    changes = history(repository, first, last, cpython=False)
    return changes, lambda sha: at_commit(prober.revision, sha)


def _releases(
    bench: Workbench, project: Project, name: str, where: IndexSource, good: str, bad: str
) -> Found:
    versions = _between(sources.sdist_versions(bench.farm, where.name), good, bad)
    changes = [Change(id=text, key=text, subject=f"{where.name} {text}") for text in versions]
    return changes, lambda version: revision_of(bench, project, name, version=version)


def _between(known: Iterable[str], good: str, bad: str) -> list[str]:
    """The versions from `good` to `bad`, both included, oldest first; pre-releases only where they are the ends."""
    try:
        first, last = Version(good), Version(bad)
    except InvalidVersion as error:
        raise LaptopError(f"{error}: a version of the project is needed") from None
    if not first < last:
        raise LaptopError(f"{good} is not older than {bad}")
    found = {
        version
        for text in known
        if first <= (version := Version(text)) <= last
        and (not version.is_prerelease or version in (first, last))
    }
    if gone := [str(end) for end in (first, last) if end not in found]:
        raise LaptopError(f"the package index has no sdist of version {gone[0]}")
    return [str(version) for version in sorted(found)]


# -- the dependencies ----------------------------------------------------------------------------


def dependencies(
    bench: Workbench, prober: Prober, good: str, bad: str, *, on: str, flavour: str
) -> grounds.DependencyGround:
    """The packages that differ between two locks, one after the other. Ends are dates, or files of `name==version` lines."""
    sha = bench.resolve(on)
    makers = grounds.makers(bench, bench.flavour(flavour, sha))
    built = makers["probe"].get(sha)

    def lock(end: str) -> Lock:
        if _DATE.match(end):
            install = msgspec.structs.replace(prober.install, as_of=end)
            found = replace(prober, install=install).run(built, test=NO_TEST)
            if not found.report.lock:
                raise LaptopError(
                    f"nothing could be installed as of {end}: {found.observed.farm_fault}"
                )
            return found.report.lock
        return read_lock(Path(end))

    newest = bad if _DATE.match(bad) else prober.install.as_of
    prober = replace(prober, install=msgspec.structs.replace(prober.install, as_of=newest))
    steps = delta(lock(good), lock(bad))
    return grounds.DependencyGround(
        changes=[change for change, _ in steps],
        makers=makers,
        prober=prober,
        locks={change.id: pins for change, pins in steps},
        sha=sha,
    )


def versions(
    bench: Workbench, ground: grounds.DependencyGround, index: int
) -> grounds.DependencyGround | None:
    """The releases of the one package that changed at `index`, from its old version to its new one.

    None when there is nothing in between, or the package is not in both locks."""
    before, after = (dict(_pairs(ground.locks[ground.changes[n].id])) for n in (index - 1, index))
    (name,) = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    if name not in before or name not in after:
        return None
    try:
        found = _between(sources.sdist_versions(bench.farm, name), before[name], after[name])
    except (LaptopError, sources.SourceError, git.GitError):
        return None
    if len(found) < 3:
        return None
    steps = [
        (
            Change(id=f"{name}=={text}", key=text, subject=f"{name} {text}"),
            _lock(before | {name: text}),
        )
        for text in found
    ]
    return replace(
        ground,
        changes=[change for change, _ in steps],
        locks={change.id: pins for change, pins in steps},
    )


def delta(old: Lock, new: Lock) -> list[tuple[Change, Lock]]:
    """From the old lock to the new one, package by package in the order of their names. The first is the old lock.

    Raises LaptopError when they are the same."""
    pins, wanted = dict(_pairs(old)), dict(_pairs(new))
    steps = [(Change(id="before", key="before", subject="nothing changed yet"), _lock(pins))]
    for name in sorted(pins.keys() | wanted.keys()):
        was, now = pins.get(name, ""), wanted.get(name, "")
        if was == now:
            continue
        pins = {k: v for k, v in (pins | {name: now}).items() if v}
        said = f"{name} {was or '(not there)'} → {now or '(gone)'}"
        id = f"{name}=={now}" if now else f"without {name}"
        steps.append((Change(id=id, key=id, subject=said), _lock(pins)))
    if len(steps) == 1:
        raise LaptopError("the dependencies are the same at both ends")
    return steps


def _pairs(lock: Lock) -> Iterable[tuple[str, str]]:
    return ((canonicalize_name(pin.name), pin.version) for pin in lock)


def _lock(pins: dict[str, str]) -> Lock:
    return tuple(contract.Locked(name=name, version=pins[name]) for name in sorted(pins))


def read_lock(path: Path) -> Lock:
    """A file of `name==version` lines; comments and empty lines are left out. Raises LaptopError."""
    try:
        lines: Sequence[str] = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LaptopError(
            f"{path} is neither a date nor a lock file that can be read: {error}"
        ) from None
    found = []
    for number, line in enumerate(lines, 1):
        if text := line.partition("#")[0].strip():
            name, equals, version = text.partition("==")
            if not equals:
                raise LaptopError(
                    f"{path}:{number}: `name==version` is expected, not {text[:80]!r}"
                )
            found.append(contract.Locked(name=name.strip(), version=version.strip()))
    return tuple(found)
