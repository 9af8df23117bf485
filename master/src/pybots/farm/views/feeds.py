"""The news of a project, a platform, a breakage or the farm's sign as feeds, and a project's badge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import select

from pybots.farm import tree
from pybots.farm.home import Farm
from pybots.farm.views.common import Missing, lanes, state
from pybots.farm.views.console import GREEN
from pybots.farm.views.frame import default_branch
from pybots.ledger import schema
from pybots_status import links
from pybots_status.feed import Badge, Entry, Feed
from pybots_status.pages import worst

BREAKAGES: Final = 40
table, parts = schema.breakages, schema.breakage_lanes


def about(farm: Farm, kind: str, name: str) -> Feed:
    """The feed. Raises Missing for what is not there."""
    match kind:
        case "project":
            found = _breakages(farm, lanes.c.project == name, known=name in farm.projects)
            return _feed(farm, f"{name} on Pybots", kind, name, links.project(name), found)
        case "platform":
            known = name in farm.config.platforms
            found = _breakages(farm, lanes.c.platform == name, known=known)
            page = links.console(platform=name)
            return _feed(farm, f"{name} on Pybots", kind, name, page, found)
        case "breakage" if name.isascii() and name.isdigit() and len(name) < 16:
            title, found = _breakage(farm, int(name))
            return _feed(farm, title, kind, name, links.breakage(int(name)), found)
        case "tree" if name == "farm":
            return _feed(farm, "The farm's sign", kind, name, links.TREE, _sign(farm))
    raise Missing("there is no such feed", "feeds are of projects, platforms and breakages")


def _feed(farm: Farm, title: str, kind: str, name: str, page: str, found: Sequence[Entry]) -> Feed:
    return Feed(
        title=title,
        base=farm.config.url,
        path=links.feed(kind, name),
        about=page,
        farm=farm.config.name,
        entries=tuple(sorted(found, key=lambda entry: -entry.at)),
    )


def _breakages(farm: Farm, where: Any, *, known: bool) -> list[Entry]:
    """What broke and what was mended in lanes. Raises Missing when there are none and nobody knows the name."""
    with farm.ledger.read() as connection:
        ids = list(connection.scalars(select(lanes.c.id).where(where)))
        mine = select(parts.c.breakage_id).where(parts.c.lane_id.in_(ids))
        rows = connection.execute(
            select(table).where(table.c.id.in_(mine)).order_by(table.c.id.desc()).limit(BREAKAGES)
        ).all()
    if not ids and not known:
        raise Missing("there is nothing of this name", "/projects lists all projects")
    return [entry for row in rows for entry in _began_and_ended(row)]


def _began_and_ended(row: Any) -> Iterator[Entry]:
    page = links.breakage(row.id)
    where = f"on {row.branch}, first seen at commit {row.bad_position}"
    yield Entry(
        title=f"Broken: {row.title}", path=page, key="opened", at=row.opened,
        text=f"{row.title}: {row.kind}, {where}",
    )  # fmt: skip
    if row.fixed is not None:
        yield Entry(title=f"Passes again: {row.title}", path=page, key="fixed", at=row.fixed)


def _breakage(farm: Farm, number: int) -> tuple[str, list[Entry]]:
    """One breakage's story: it began, was confirmed, reached lanes, was answered, ended."""
    with farm.ledger.read() as connection:
        row = connection.execute(select(table).where(table.c.id == number)).first()
        if row is None:
            raise Missing(f"there is no breakage {number}")
        joined = connection.execute(
            select(parts.c.lane_id, parts.c.opened, parts.c.closed, lanes.c.slug)
            .join(lanes, lanes.c.id == parts.c.lane_id)
            .where(parts.c.breakage_id == number)
            .order_by(parts.c.opened.desc())
            .limit(BREAKAGES)
        ).all()
    page = links.breakage(number)
    told = list(_began_and_ended(row))
    if row.confirmed is not None:
        told.append(Entry(title="Confirmed", path=page, key="confirmed", at=row.confirmed))
    if row.decided_at is not None:
        words = f"Answered: {row.disposition}"
        told.append(
            Entry(title=words, path=page, key=f"answered-{row.decided_at:.0f}", at=row.decided_at)
        )
    for part in joined:
        told.append(
            Entry(title=f"In {part.slug}", path=page, key=f"lane-{part.lane_id}", at=part.opened)
        )
        if part.closed is not None:
            told.append(
                Entry(
                    title=f"Over in {part.slug}", path=page, key=f"over-{part.lane_id}",
                    at=part.closed,
                )
            )  # fmt: skip
    return row.title, told


def _sign(farm: Farm) -> list[Entry]:
    with farm.ledger.read() as connection:
        found = tree.history(connection, limit=BREAKAGES)
    return [
        Entry(
            title=f"The farm is {one.word.state}", path=links.TREE, key=f"word-{one.id}",
            at=one.at, text=one.word.text,
        )
        for one in found
    ]  # fmt: skip


def badge(farm: Farm, project: str, branch: str) -> Badge:
    """A project's lanes on a branch in four words; what is unknown is never green. Raises Missing."""
    shown = branch or default_branch(farm)
    with farm.ledger.read() as connection:
        verdicts = list(
            connection.scalars(
                select(lanes.c.verdict).where(
                    lanes.c.project == project, lanes.c.branch == shown, lanes.c.state != "retired"
                )
            )
        )
    if not verdicts and project not in farm.projects:
        raise Missing(f"there is no project “{project[:100]}”", "/projects lists them all")
    bad = sum(verdict in ("new_failure", "still_failing") for verdict in verdicts)
    good = sum(verdict in GREEN for verdict in verdicts)
    label = f"CPython {shown}"
    if bad:
        loudest = worst(tuple(state(verdict) for verdict in verdicts if verdict))
        return Badge(label=label, words=f"{bad} of {len(verdicts)} lanes fail", state=loudest)
    if good and good == len(verdicts):
        return Badge(label=label, words="passing", state="passed")
    if good:
        words = f"{good} of {len(verdicts)} lanes pass"
        return Badge(label=label, words=words, state="unknown")
    return Badge(label=label, words="unknown", state="unknown")
