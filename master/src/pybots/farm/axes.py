"""The axes of an investigation: what a probe is made of, and which changes there were on an axis.

CPython's history is in the ledger. A project's is its git repository's; a dependency delta is that of the two locks, one
package after the other, each release by release.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.version import InvalidVersion, Version
from sqlalchemy import Connection, select

from pybots.core.inquiry import Ask, Change
from pybots.core.model import GitBranch
from pybots.farm import cases, git, sources
from pybots.farm.home import Farm
from pybots.farm.inquiries import Going
from pybots.ledger import schema
from pybots.store import StoreError
from pybots_worker import contract

MOST_RELEASES: Final = 60
"""Releases of one package that are told apart, the newest ones."""

log = logging.getLogger(__name__)
commits = schema.commits


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a probe is made of: CPython's commit (a row), the project's revision, the run whose lock is installed."""

    commit: Any
    label: str
    revision: Any
    lock_run: int | None


def made_of(connection: Connection, one: Going, ask: Ask) -> Made:
    """The parts of a probe; the axis that is searched (`ask.place`) is at its change, the others as its mix says."""
    python = one.bad if "interpreter" in ask.new else one.good
    project = one.bad if "project" in ask.new else one.good
    depends = one.bad if "dependencies" in ask.new else one.good
    commit, label, revision = (
        _commit(connection, python.commit_id),
        project.revision_label,
        project.revision,
    )
    axis = _searched(one, ask)
    if ask.place is not None and axis:
        id = one.inquiry.changes[axis][ask.place].id
        if axis == "interpreter":
            commit = connection.execute(
                select(commits).where(commits.c.branch == one.bad.branch, commits.c.sha == id)
            ).one()
        elif axis == "project":
            label, revision = id[:12], {**one.bad.revision, "commit": id}
    pinned = one.inquiry.bad.dependencies if depends is one.bad else one.inquiry.good.dependencies
    return Made(
        commit=commit, label=label, revision=revision, lock_run=depends.id if pinned else None
    )


def _searched(one: Going, ask: Ask) -> Any:
    """The axis whose changes a probe is placed among."""
    if ask.place is None:
        return ""
    return (one.row.changes or {}).get("axis", "interpreter")


def _commit(connection: Connection, id: int) -> Any:
    return connection.execute(select(commits).where(commits.c.id == id)).one()


def blamed(one: Going, axis: str) -> str:
    """What a breakage is blamed on when only the axis is known."""
    return str(one.bad.revision_label) if axis == "project" else ""


def changes(farm: Farm, one: Going, axis: str) -> Sequence[Change]:
    """The changes on an axis from what the good run had to what the bad one had, both included; none: no succession."""
    try:
        if axis == "dependencies":
            return _packages(farm, one)
        if axis == "project":
            return _revisions(farm, one)
    except (git.GitError, StoreError, contract.ContractError, OSError, ValueError) as error:
        log.warning(
            "investigation %s: the changes of the %s are not to be had: %s", one.row.id, axis, error
        )
    return ()


def _revisions(farm: Farm, one: Going) -> Sequence[Change]:
    """The first-parent commits of the project's repository; none when it comes as releases."""
    project = farm.projects.get(one.project)
    source = project.sources.get(one.lane.source) if project else None
    old, new = (str((run.revision or {}).get("commit", "")) for run in (one.good, one.bad))
    if not isinstance(source, GitBranch) or not old or not new:
        return ()
    mirror = farm.folder.root / "histories" / f"{one.project}.git"
    mirror.parent.mkdir(exist_ok=True)
    repository = git.update_mirror(source.url, mirror, [source.branch or "HEAD"])
    if not git.is_ancestor(repository, old, new):
        return ()
    return [*_log(repository, "--max-count=1", old), *_log(repository, f"{old}..{new}")]


def _log(repository: Path, *span: str) -> list[Change]:
    """The first-parent commits of a span, oldest first. Nothing in them can contain a NUL."""
    output = git.git(
        repository, "log", "--first-parent", "--reverse", "-z", "--no-color",
        "--format=%H%x00%an%x00%s%x00%b", *span, "--",
    )  # fmt: skip
    fields = output.split("\0")
    return [
        Change(id=sha, key=sha, title=title[:500], author=author[:200], message=message[:1000])
        for sha, author, title, message in batched(fields)
    ]


def batched(fields: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
    """By fours; what is left over at the end is left out."""
    parts = iter(fields)
    return zip(parts, parts, parts, parts, strict=False)


def _packages(farm: Farm, one: Going) -> Sequence[Change]:
    """From the old lock to the new one: the packages that differ by name, each release by release, after nothing has
    changed yet."""
    old, new = _locks(farm, one)
    if not old or not new:
        return ()
    found = [Change(id="before", key="before", title="nothing changed yet")]
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name, ""), new.get(name, "")
        if was == now:
            continue
        for version in _releases(farm, name, was, now):
            title = f"{name} {was or '(not there)'} → {version or '(gone)'}"
            id = f"{name}=={version}" if version else f"without {name}"
            found.append(Change(id=id, key=f"{name}=={version}", title=title))
            was = version
    return found


def _releases(farm: Farm, name: str, was: str, now: str) -> list[str]:
    """The releases after `was` up to `now`, oldest first; `now` alone where the index doesn't tell, or it is none."""
    if not (was and now):
        return [now]
    try:
        known = sources.sdist_versions(farm, name)
        old, new = Version(was), Version(now)
        found = sorted(
            version
            for version in {Version(text) for text in known}
            if min(old, new) < version < max(old, new) and not version.is_prerelease
        )
    except (sources.SourceError, InvalidVersion) as error:
        log.warning("the releases of %s are not to be had: %s", name, error)
        return [now]
    between = [str(version) for version in (found if old < new else found[::-1])]
    return [*between[-MOST_RELEASES:], now]


def lock_at(farm: Farm, one: Going, ask: Ask) -> list[list[str]] | None:
    """The pins of a probe among the changes of the dependencies; None: its run's lock is taken."""
    if _searched(one, ask) != "dependencies":
        return None
    pins = dict(_locks(farm, one)[0])
    found = one.inquiry.changes["dependencies"]
    for change in found[1 : (ask.place or 0) + 1]:
        name, _, version = change.key.partition("==")
        if version:
            pins[name] = version
        else:
            pins.pop(name, None)
    return [[name, pins[name]] for name in sorted(pins)]


def _locks(farm: Farm, one: Going) -> tuple[dict[str, str], dict[str, str]]:
    return (
        cases.lock_of(farm, one.good, one.project),
        cases.lock_of(farm, one.bad, one.project),
    )
