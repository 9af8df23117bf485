"""Which revision of a project a session tests: a source as it stands, or a release that was asked for."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from pybots.core.model import GitBranch, IndexSource, Own, Project, Revision
from pybots.farm import sources
from pybots.laptop.workbench import LaptopError, Workbench
from pybots.ledger.engine import set_note
from pybots_worker import contract


def revision_of(
    bench: Workbench, project: Project, source: str = "", *, version: str = ""
) -> Revision:
    """The revision of one of the project's sources (its first by default): the newest, or `version`.

    For a git source `version` is a commit. What was fetched once needs no network again. Raises LaptopError."""
    name = source or next(iter(project.sources))
    if name not in project.sources:
        raise LaptopError(
            f"{project.name} has no source {name!r}; it has {', '.join(project.sources)}"
        )
    wanted = project.sources[name]
    if version and isinstance(wanted, Own):
        raise LaptopError(f"{project.name} is the interpreter's own: it has no versions")
    if version and isinstance(wanted, IndexSource):
        wanted = replace(wanted, version=version)
    pinned = wanted.version if isinstance(wanted, IndexSource) else ""
    if pinned and (kept := sources.note(bench.farm, _note(project, pinned))):
        source_kept = sources.revision_of(kept)
        if isinstance(source_kept, contract.SdistSource) and bench.farm.store.has(
            source_kept.blob.sha256
        ):
            return Revision(label=pinned, source=source_kept)
    (resolved,) = sources.refresh(bench.farm, replace(project, sources={name: wanted}))
    revision = resolved.revision or (
        None if pinned else sources.known(bench.farm, project.name, name)
    )
    if revision is None:
        raise LaptopError(resolved.error or f"source {name!r} of {project.name} cannot be had")
    if pinned:
        with bench.farm.ledger.write() as connection:
            set_note(
                connection, _note(project, pinned), msgspec.to_builtins(revision.source),
                bench.farm.clock(),
            )  # fmt: skip
    if version and isinstance(wanted, GitBranch):
        return at_commit(revision, version)
    return revision


def at_commit(revision: Revision, sha: str) -> Revision:
    """The same git source at another commit."""
    assert isinstance(revision.source, contract.GitSource)
    return Revision(label=sha[:12], source=msgspec.structs.replace(revision.source, commit=sha))


def _note(project: Project, version: str) -> str:
    return f"sdist:{project.name}:{version}"
