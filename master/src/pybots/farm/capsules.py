"""A capsule: one failure as a small JSON file that anybody can run again (`pybots reproduce`). Versioned and closed.

It names everything that came together: CPython's commit and how it was built, the project's revision, the lock, the
tests, the environment, and the signature that must appear again. It holds no address of the farm that made it, so it
is as good in a mail or an issue as on the farm's own pages.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import select

from pybots.core.model import IndexSource, Project
from pybots.core.normal import one_line
from pybots.core.outcomes import observe
from pybots.farm import git
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.store import StoreError
from pybots_worker import contract

VERSION: Final = 1
MAX_BYTES: Final = 1 << 20
MAX_TESTS: Final = 300


class CapsuleError(ValueError):
    """There is no such capsule, or it can't be used; the text says why."""


class Python(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The interpreter: CPython's repository (empty: the reader's own), the commit, the flavour and its recipe."""

    repository: Annotated[
        str, Meta(pattern=r"^$|^(https?|git|ssh)://[^\s-]\S*(?!\n)$", max_length=2000)
    ] = ""
    commit: contract.GitSha
    branch: contract.Line = "main"
    flavour: contract.Slug = "release"
    recipe: contract.Recipe = contract.Recipe()
    abi: contract.Line = ""


class Capsule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One failure. `ids` show it (tests, or `<install>` and the like), `index` is the distribution an sdist comes from.

    `env` is all that the tests find set beside the sandbox's own; PYTHONHASHSEED in it is the seed, where one was set."""

    capsule: Annotated[int, Meta(ge=1, le=VERSION)]
    title: contract.Line
    kind: contract.Line
    signature: contract.Sha256
    says: contract.Line
    python: Python
    project: contract.Slug
    revision: contract.Line
    source: contract.ProjectSource
    index: contract.Line = ""
    install: contract.Install
    test: contract.Test
    ids: tuple[contract.Text, ...]
    env: dict[str, contract.Line] = {}
    network: contract.Network = "install"
    modules: tuple[contract.Line, ...] = ()
    services: tuple[contract.Service, ...] = ()
    breakage: contract.Count = 0
    command: contract.Line = ""
    """What a person types to run it again."""


_decoder: Final = msgspec.json.Decoder(Capsule)


def decode(data: bytes) -> Capsule:
    """A capsule from JSON. Raises CapsuleError, naming the place."""
    if len(data) > MAX_BYTES:
        raise CapsuleError(f"a capsule may have {MAX_BYTES} bytes, this one has {len(data)}")
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CapsuleError(f"not a capsule: {error}") from error


def encode(capsule: Capsule) -> bytes:
    """The capsule as readable JSON."""
    return msgspec.json.format(msgspec.json.encode(capsule), indent=1) + b"\n"


def of_breakage(farm: Farm, number: int) -> Capsule:
    """The capsule of a breakage: the run it was opened in. Raises CapsuleError when there is none (any more)."""
    row = _opened(farm, number)
    if row is None:
        raise CapsuleError(f"there is no breakage {number}")
    if row.run_kind != "project":
        raise CapsuleError(
            f"breakage {number} is CPython's own: it does not build; no project has a part in it"
        )
    project = farm.projects.get(row.project)
    if project is None:
        raise CapsuleError(f"project {row.project!r} is no longer registered")
    report, repository = _report(farm, row.report), farm.config.cpython.repository
    ids = tuple(
        one.id
        for one in observe(report, project.name).bad.values()
        if one.signature == row.signature
    )
    said = next((test.failure for test in report.tests if test.id in ids and test.failure), None)
    return Capsule(
        capsule=VERSION,
        title=one_line(row.title, 300),
        kind=row.kind,
        signature=row.signature,
        says=one_line(f"{said.type}: {said.message}" if said else row.title, 300),
        python=Python(
            repository="" if git.is_local(repository) else repository,
            commit=row.sha,
            branch=row.branch,
            flavour=row.flavour,
            recipe=msgspec.convert(row.recipe, contract.Recipe),
            abi=row.abi,
        ),
        project=project.name,
        revision=row.revision_label,
        source=msgspec.convert(row.revision, contract.ProjectSource),
        index=_index(project, row.source),
        install=msgspec.structs.replace(project.install, lock=report.lock),
        test=project.test,
        ids=(ids or tuple(row.tests or ()))[:MAX_TESTS],
        env=dict(project.env),
        network=project.network,
        modules=project.modules,
        services=project.services,
        breakage=number,
        command=f"pybots reproduce breakage-{number}.json",
    )


def _index(project: Project, source: str) -> str:
    found = project.sources.get(source)
    return found.name if isinstance(found, IndexSource) else ""


def _opened(farm: Farm, number: int) -> Any:
    """The breakage with the run it was opened in; None when there is no such breakage."""
    breakages, runs, lanes = schema.breakages, schema.runs, schema.lanes
    interpreters, parts = schema.interpreters, schema.breakage_lanes
    query = (
        select(
            breakages.c.kind, breakages.c.signature, breakages.c.title, breakages.c.branch,
            runs.c.kind.label("run_kind"), runs.c.revision, runs.c.revision_label, runs.c.report,
            schema.commits.c.sha, lanes.c.project, lanes.c.source, lanes.c.flavour,
            interpreters.c.recipe, interpreters.c.abi, parts.c.tests,
        )
        .join(runs, runs.c.id == breakages.c.opened_run)
        .join(schema.commits, schema.commits.c.id == runs.c.commit_id)
        .join(interpreters, interpreters.c.id == runs.c.interpreter_id)
        .outerjoin(lanes, lanes.c.id == runs.c.lane_id)
        .outerjoin(
            parts, (parts.c.breakage_id == breakages.c.id) & (parts.c.lane_id == runs.c.lane_id)
        )
        .where(breakages.c.id == number)
    )  # fmt: skip
    with farm.ledger.read() as connection:
        return connection.execute(query).first()


def _report(farm: Farm, sha256: str | None) -> contract.Report:
    try:
        if not sha256:
            raise StoreError("it has none")
        return contract.decode_report(farm.store.read(sha256))
    except (StoreError, contract.ContractError) as error:
        raise CapsuleError(f"the run's report is not there any more: {error}") from error
