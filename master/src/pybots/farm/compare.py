"""Two releases, branches or commits side by side, from the ledger: who got worse, by which breakage, what is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, or_, select

from pybots.core import compare
from pybots.core.compare import Compared, Name
from pybots.core.dispositions import current
from pybots.core.model import STANDING
from pybots.core.normal import one_line
from pybots.ledger import schema
from pybots.ledger.engine import Record

lanes, runs, commits = schema.lanes, schema.runs, schema.commits
breakages, parts = schema.breakages, schema.breakage_lanes

MIN_PREFIX: Final = 7
UNEXPLAINED: Final = "not explained by a recorded breakage"
CONCLUSIVE: Final = ("passed", "fixed", "flaky", "new_failure", "still_failing")


class NoSide(LookupError):
    """What was named is no branch or tag with lanes here, and no commit; the text says so."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side: its lanes, by name, with verdict, the run that says so and the lane's id. `sha` "", `position` 0: no commit."""

    name: str
    branch: str
    sha: str
    position: int
    lanes: Mapping[Name, Record]

    def verdicts(self) -> dict[Name, str | None]:
        return {name: row.verdict for name, row in self.lanes.items()}


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A breakage and the lanes it took. `number` 0: no breakage says why. `first`: the first bad commit, when it is named;
    `sure`: it is the only one in question."""

    number: int
    title: str
    kind: str
    disposition: str
    person: str
    names: tuple[Name, ...]
    first: Record = None
    sure: bool = False


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Both sides, what became of the lanes, and why those that got worse did, the most lanes first."""

    then: Side
    now: Side
    found: Compared
    causes: tuple[Cause, ...]


def comparison(connection: Connection, tag: str, since: str, at: float) -> Comparison:
    """`tag` against `since`. `at`: now, for answers that end. Raises NoSide."""
    then, now = side(connection, since), side(connection, tag)
    found = compare.compare(then.verdicts(), now.verdicts())
    return Comparison(
        then=then, now=now, found=found, causes=_causes(connection, now, found.worse, at)
    )


def side(connection: Connection, name: str) -> Side:
    """The lanes of a branch or tag as they are now; of a commit as they were known there. Raises NoSide."""
    rows = connection.execute(
        select(
            lanes.c.id, lanes.c.slug, lanes.c.project, lanes.c.source, lanes.c.flavour,
            lanes.c.platform, lanes.c.reason, lanes.c.verdict, lanes.c.head_run.label("run"),
        ).where(lanes.c.branch == name, lanes.c.state != "retired")
    ).all()  # fmt: skip
    if rows:
        return Side(name=name, branch=name, sha="", position=0, lanes=_named(rows))
    commit = _commit(connection, name)
    if commit is None:
        raise NoSide(f"“{name[:60]}” is neither a branch or tag with lanes here, nor a commit")
    found = _at(connection, commit)
    return Side(
        name=name,
        branch=commit.branch,
        sha=commit.sha,
        position=commit.position,
        lanes=_named(found),
    )


def _named(rows: Sequence[Record]) -> dict[Name, Record]:
    return {Name(row.project, row.source, row.flavour, row.platform): row for row in rows}


def _commit(connection: Connection, name: str) -> Record | None:
    """The only commit whose sha begins so; of several branches the one that was watched first."""
    if not MIN_PREFIX <= len(name) <= 40 or not set(name) <= set("0123456789abcdef"):
        return None
    rows = connection.execute(
        select(commits).where(commits.c.sha >= name, commits.c.sha < name + "g")
        .order_by(commits.c.id).limit(20)
    ).all()  # fmt: skip
    return rows[0] if len({row.sha for row in rows}) == 1 else None


def _at(connection: Connection, commit: Record) -> Sequence[Record]:
    """The branch's lanes with the newest conclusive routine run at the commit or before it."""
    inner = runs.alias("known")
    newest = (
        select(inner.c.id)
        .where(
            inner.c.lane_id == lanes.c.id,
            inner.c.position <= commit.position,
            inner.c.purpose == "routine",
            inner.c.verdict.in_(CONCLUSIVE),
        )
        .order_by(inner.c.position.desc(), inner.c.started.desc())
        .limit(1)
        .scalar_subquery()
    )
    return connection.execute(
        select(
            lanes.c.id, lanes.c.slug, lanes.c.project, lanes.c.source, lanes.c.flavour,
            lanes.c.platform, lanes.c.reason, runs.c.verdict, runs.c.id.label("run"),
        )
        .select_from(lanes)
        .join(runs, runs.c.id == newest, isouter=True)
        .where(lanes.c.branch == commit.branch, lanes.c.state != "retired")
    ).all()  # fmt: skip


def _causes(
    connection: Connection, now: Side, worse: Sequence[Name], at: float
) -> tuple[Cause, ...]:
    """Each lane goes to the newest breakage that stands (or at that commit stood) in it; what none explains comes last."""
    ids = {now.lanes[name].id: name for name in worse}
    query = (
        select(parts.c.lane_id, breakages)
        .join(breakages, breakages.c.id == parts.c.breakage_id)
        .where(parts.c.lane_id.in_(list(ids)))
        .order_by(breakages.c.id)
    )
    if now.sha:
        ended = runs.alias("ended")
        query = query.join(ended, ended.c.id == parts.c.closed_run, isouter=True).where(
            breakages.c.state != "dismissed",
            breakages.c.bad_position <= now.position,
            or_(parts.c.closed.is_(None), ended.c.position > now.position),
        )
    else:
        query = query.where(parts.c.closed.is_(None), breakages.c.state.in_(sorted(STANDING)))
    rows = connection.execute(query).all()
    taken: dict[Name, Record] = {ids[row.lane_id]: row for row in rows}
    grouped: dict[int, list[Name]] = {}
    for name in worse:
        grouped.setdefault(taken[name].id if name in taken else 0, []).append(name)
    by_number = {row.id: row for row in taken.values()}
    firsts = _firsts(connection, list(by_number.values()))
    made = [
        _cause(by_number[number], names, firsts, at)
        if number
        else Cause(
            number=0, title=UNEXPLAINED, kind="", disposition="", person="", names=tuple(names)
        )
        for number, names in grouped.items()
    ]
    return tuple(sorted(made, key=lambda one: (not one.number, -len(one.names), one.number)))


def _firsts(connection: Connection, found: Sequence[Record]) -> dict[tuple[str, int], Any]:
    """The first bad commits of breakages, by branch and position."""
    positions = {(row.branch, row.bad_position) for row in found}
    rows = connection.execute(
        select(commits.c.branch, commits.c.position, commits.c.sha, commits.c.title, commits.c.author, commits.c.committed)
        .where(
            commits.c.branch.in_(sorted({branch for branch, _ in positions})),
            commits.c.position.in_(sorted({position for _, position in positions})),
        )
    ).all()  # fmt: skip
    return {
        (row.branch, row.position): row for row in rows if (row.branch, row.position) in positions
    }


def _cause(row: Record, names: Sequence[Name], firsts: Mapping[Any, Record], at: float) -> Cause:
    """A breakage whose cause is another axis than a commit (`axis`) names no commit."""
    over = row.expires is not None and row.expires <= at
    alone = row.good_position is not None and row.bad_position - row.good_position == 1
    return Cause(
        number=row.id,
        title=row.title,
        kind=row.kind,
        disposition=current(row.disposition, row.expires, at),
        person="" if over else row.person,
        names=tuple(names),
        first=None
        if row.axis not in ("", "cpython")
        else firsts.get((row.branch, row.bad_position)),
        sure=row.state == "open" and alone,
    )


def as_text(one: Comparison, url: str) -> str:
    """The blockers as a list for an issue (Markdown); "" when there are none and nothing is unknown."""
    if not one.causes and not one.found.unknown:
        return ""
    lines = [
        f"## {one.now.name} since {one.then.name}: {_plural(len(one.causes), 'blocker')}, {one.found.unknown} unknown",
        "",
    ]
    for cause in one.causes:
        projects = ", ".join(sorted({name.project for name in cause.names}))
        where = f"{projects}: {_plural(len(cause.names), 'lane')}"
        link = f" {url.rstrip('/')}/breakage/{cause.number}" if cause.number else ""
        said = f", {cause.disposition}" if cause.disposition else ""
        since = f", since {cause.first.sha[:12]}" if cause.first is not None and cause.sure else ""
        title = one_line(cause.title, 150).replace("`", "'")
        lines.append(f"- [ ] `{title}` ({where}){since}{said}{link}")
    return "\n".join(lines) + "\n"


def _plural(count: int, one: str) -> str:
    return f"{count} {one}{'' if count == 1 else 's'}"
