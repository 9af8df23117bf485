"""What each project's sources stand for today: an sdist of the package index, or the head of a git branch.

A release is fetched once into the farm's own store, so that a run can be repeated when its source has vanished from
the index, and so that volunteers' machines need not reach it. Nothing of a project is executed here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import requests
from packaging.version import InvalidVersion, Version
from pypi_simple import (
    DistributionPackage,
    NoSuchProjectError,
    PyPISimple,
    UnsupportedContentTypeError,
    UnsupportedRepoVersionError,
)
from sqlalchemy import func, select
from sqlalchemy.dialects.sqlite import insert

from pybots.core.model import GitBranch, IndexSource, Own, Project, Revision, Source
from pybots.farm import git
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.store import StoreError
from pybots_worker import contract

MAX_SDIST_BYTES: Final = 300 << 20
TIMEOUT: Final = 60
ARCHIVES: Final = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")


class SourceError(Exception):
    """A source cannot be had; the text says why and what to mend."""


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What one look at a source gave: a revision, or the reason why there is none. `moved`: where its address leads to."""

    project: str
    source: str
    revision: Revision | None
    error: str = ""
    moved: str = ""


def refresh(farm: Farm, project: Project) -> list[Resolved]:
    """Look at every source of a project and keep the answers in the ledger.

    A source that cannot be had keeps its last revision, with the error beside it."""
    found = [_resolve(farm, project.name, name, source) for name, source in project.sources.items()]
    now = farm.clock()
    with farm.ledger.write() as connection:
        for resolved in found:
            values: dict[str, Any] = {"checked": now, "error": resolved.error or None}
            values["failing"] = now if resolved.error else None
            if resolved.revision:
                values["moved"] = resolved.moved or None
                values["label"] = resolved.revision.label
                values["revision"] = msgspec.to_builtins(resolved.revision.source)
            key = {"project": resolved.project, "source": resolved.source}
            again = {**values}
            if resolved.error:
                again["failing"] = func.coalesce(schema.sources.c.failing, now)
            connection.execute(
                insert(schema.sources)
                .values(**key, **values)
                .on_conflict_do_update(index_elements=list(key), set_=again)
            )
    return found


def known(farm: Farm, project: str, source: str) -> Revision | None:
    """The revision the ledger has for a source, if any."""
    with farm.ledger.read() as connection:
        row = connection.execute(
            select(schema.sources.c.label, schema.sources.c.revision).where(
                schema.sources.c.project == project, schema.sources.c.source == source
            )
        ).first()
    return (
        Revision(label=row.label, source=revision_of(row.revision))
        if row and row.revision
        else None
    )


def revision_of(data: dict[str, object]) -> contract.ProjectSource:
    """The wire form of a revision, from the ledger's JSON."""
    found: contract.ProjectSource = msgspec.convert(data, contract.ProjectSource)
    return found


def _resolve(farm: Farm, project: str, name: str, source: Source) -> Resolved:
    moved = ""
    try:
        match source:
            case GitBranch():
                revision, moved = _head_of(source)
            case IndexSource():
                revision = _sdist(farm, source)
            case Own():
                revision = Revision(label="own", source=contract.OwnSource())
    except (SourceError, StoreError, git.GitError, requests.RequestException) as error:
        words = f"{project}: source {name!r}: {error}"
        return Resolved(project=project, source=name, revision=None, error=words[:1000])
    return Resolved(project=project, source=name, revision=revision, moved=moved)


def _head_of(source: GitBranch) -> tuple[Revision, str]:
    url = source.url
    if git.is_local(url):
        url = Path(url).expanduser().resolve().as_uri()
    sha, moved = git.ls_remote(url, source.branch)
    head = Revision(
        label=f"{source.branch or 'head'}@{sha[:12]}",
        source=contract.GitSource(
            url=url, commit=sha, ref=source.branch, submodules=source.submodules
        ),
    )
    return head, moved


def _sdist(farm: Farm, source: IndexSource) -> Revision:
    with requests.Session() as session:
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or system_certificates()
        package = newest(_packages(farm, session, source.name), source)
        sha256 = package.digests.get("sha256", "")
        if not (sha256 and farm.store.has(sha256)):
            sha256 = _download(farm, session, package)
    blob = contract.Blob(
        # The master writes the address when a job is made; the digest is what counts.
        url=f"https://farm.invalid/{sha256}",
        sha256=sha256,
        size=farm.store.size(sha256),
    )
    version = str(package.version)
    return Revision(
        label=version,
        source=contract.SdistSource(name=package.filename, version=version, blob=blob),
    )


def _packages(farm: Farm, session: requests.Session, name: str) -> list[DistributionPackage]:
    options = {"endpoint": farm.config.index.url} if farm.config.index.url else {}
    with PyPISimple(session=session, **options) as index:
        try:
            return index.get_project_page(name, timeout=TIMEOUT).packages
        except NoSuchProjectError:
            raise SourceError(
                f"the package index has no {name!r}; correct `index` in the project's file"
            ) from None
        except (UnsupportedContentTypeError, UnsupportedRepoVersionError) as error:
            raise SourceError(f"the package index's answer is not understood: {error}") from error


def sdist_versions(farm: Farm, name: str) -> list[str]:
    """The versions of a distribution that the index has an sdist of, without yanked ones. Raises SourceError."""
    with requests.Session() as session:
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or system_certificates()
        try:
            packages = _packages(farm, session, name)
        except requests.RequestException as error:
            raise SourceError(f"the package index: {error}") from error
    found = {p.version for p in packages if p.package_type == "sdist" and not p.is_yanked}
    return sorted(version for version in found if version and _is_version(version))


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def newest(packages: list[DistributionPackage], source: IndexSource) -> DistributionPackage:
    """The sdist to test: the pinned version, else the newest that is not yanked (nor a pre-release)."""
    sdists: list[tuple[Version, DistributionPackage]] = []
    for package in packages:
        if package.package_type != "sdist" or not package.filename.endswith(ARCHIVES):
            continue
        try:
            sdists.append((Version(package.version or ""), package))
        except InvalidVersion:
            continue
    if source.version:
        wanted = [(v, p) for v, p in sdists if v == Version(source.version)]
    else:
        wanted = [(v, p) for v, p in sdists if not p.is_yanked]
        if not source.pre:
            wanted = [(v, p) for v, p in wanted if not v.is_prerelease] or wanted
    if not wanted:
        what = f", version {source.version}" if source.version else ""
        raise SourceError(f"the package index has no sdist of {source.name}{what}")
    return max(wanted, key=lambda pair: pair[0])[1]


def _download(farm: Farm, session: requests.Session, package: DistributionPackage) -> str:
    with session.get(package.url, stream=True, timeout=TIMEOUT) as response:
        response.raise_for_status()
        stored = farm.store.put_stream(
            _chunks(response), limit=MAX_SDIST_BYTES, expect=package.digests.get("sha256")
        )
    return stored.sha256


def _chunks(response: requests.Response) -> Iterator[bytes]:
    yield from response.iter_content(1 << 16)


def system_certificates() -> str | bool:
    """The system's certificates where it has them: a farm behind a proxy of its own trusts what its machine trusts."""
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    return str(bundle) if bundle.is_file() else True


def note(farm: Farm, name: str) -> dict[str, Any] | None:
    """A small fact kept in the ledger under a name, if it is there."""
    with farm.ledger.read() as connection:
        value = connection.scalar(select(schema.notes.c.value).where(schema.notes.c.name == name))
    return value if isinstance(value, dict) else None
