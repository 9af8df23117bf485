"""Comparing CPython's heads with the ledger. A poll or a webhook only wakes this: nothing is lost in between."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, insert, select

from pybots.core.model import Commit, Project
from pybots.farm import git, sources
from pybots.farm.home import Farm
from pybots.farm.plan import Branch, plan, selected
from pybots.ledger import schema
from pybots.ledger.engine import Record, announce, set_note

log = logging.getLogger(__name__)
commits = schema.commits

HEAD: Final = "head:"
"""Notes named `head:<branch>` say which commit is to be run: {"sha"}."""


def sync(farm: Farm) -> list[str]:
    """Bring the ledger up to the repository's heads and want what follows. Returns the new shas, oldest first.

    Raises git.GitError when the repository can't be read; what was there before stays as it is."""
    refresh_sources(farm)
    cpython = farm.config.cpython
    refs = [*cpython.branches, *cpython.tags]
    repository = git.update_mirror(cpython.repository, farm.folder.mirror, refs)
    new: list[str] = []
    for ref in refs:
        new += [commit.sha for commit in _sync_ref(farm, repository, ref)]
    with farm.ledger.write() as connection:
        set_note(connection, "synced", len(new), farm.clock())
    return new


def _sync_ref(farm: Farm, repository: Path, ref: str) -> list[Commit]:
    head = git.resolve(repository, farm.config.cpython.pin or ref)
    newest = _newest(farm, ref)
    found = [] if newest and newest.sha == head else _missing(farm, repository, ref, head, newest)
    branch = Branch(name=ref, version=git.version(repository, head), head=head)
    now = farm.clock()
    with farm.ledger.write() as connection:
        _insert(connection, found, now)
        plan(farm, connection, branch, now)
        set_note(connection, f"{HEAD}{ref}", {"sha": head}, now)
    return found


def _missing(
    farm: Farm, repository: Path, ref: str, head: str, newest: Record | None
) -> list[Commit]:
    history = farm.config.cpython.history
    if newest is None:
        place = git.position(repository, head)
        return git.commits(repository, ref, head, since=None, last_position=place, limit=history)
    known = _known(farm, ref)
    if head in known:
        return []  # the branch went back, or --commit names an older one: history is never unwritten
    if git.is_ancestor(repository, head, newest.sha):
        place = git.position(repository, head)
        found = git.commits(repository, ref, head, since=None, last_position=place, limit=history)
    elif git.has(repository, newest.sha):
        found = git.commits(
            repository, ref, head, since=newest.sha, last_position=newest.position, limit=0
        )
    else:  # another repository, or its history was rewritten: what is new comes after what there was
        place = newest.position + history
        found = git.commits(repository, ref, head, since=None, last_position=place, limit=history)
    return [commit for commit in found if commit.sha not in known]


def _newest(farm: Farm, ref: str) -> Record | None:
    with farm.ledger.read() as connection:
        return connection.execute(
            select(commits.c.sha, commits.c.position)
            .where(commits.c.branch == ref)
            .order_by(commits.c.position.desc())
            .limit(1)
        ).first()


def _known(farm: Farm, ref: str) -> set[str]:
    with farm.ledger.read() as connection:
        return set(connection.scalars(select(commits.c.sha).where(commits.c.branch == ref)))


def _insert(connection: Connection, found: Sequence[Commit], now: float) -> None:
    for commit in found:
        connection.execute(
            insert(commits).values(
                branch=commit.branch,
                position=commit.position,
                sha=commit.sha,
                author=commit.author,
                email=commit.email,
                committed=commit.committed,
                title=commit.title,
                message=commit.message,
                files=list(commit.files),
                content_key=commit.content_key,
                seen=now,
            )
        )
    if found:
        announce(
            connection, now, "commit", branch=found[-1].branch, sha=found[-1].sha,
            title=found[-1].title[:200], count=len(found),
        )  # fmt: skip


def refresh_sources(farm: Farm) -> list[str]:
    """Look at the selected projects' sources that nobody looked at lately.

    Returns the errors; each is also kept beside its source."""
    errors: list[str] = []
    due = farm.clock() - farm.config.index.poll_minutes * 60
    for project in selected(farm):
        if _checked(farm, project) > due:
            continue
        for resolved in sources.refresh(farm, project):
            if resolved.error:
                log.warning("%s", resolved.error)
                errors.append(resolved.error)
    return errors


def head_position(connection: Connection, branch: str) -> int | None:
    """The position of the commit that is to be run on a branch; None before the first comparison."""
    note = connection.scalar(
        select(schema.notes.c.value).where(schema.notes.c.name == f"{HEAD}{branch}")
    )
    if not note:
        return None
    return connection.scalar(
        select(commits.c.position).where(commits.c.branch == branch, commits.c.sha == note["sha"])
    )


def _checked(farm: Farm, project: Project) -> float:
    """When the least recently checked of a project's sources was looked at; 0 when one never was."""
    with farm.ledger.read() as connection:
        rows = connection.execute(
            select(schema.sources.c.source, schema.sources.c.checked).where(
                schema.sources.c.project == project.name
            )
        ).all()
    found = {row.source: row.checked for row in rows}
    return float(min(found.get(name, 0.0) for name in project.sources))


def last_sync(connection: Connection) -> float | None:
    """When heads were last compared with the ledger to the end, in epoch seconds."""
    at = connection.scalar(select(schema.notes.c.at).where(schema.notes.c.name == "synced"))
    return float(at) if at is not None else None
