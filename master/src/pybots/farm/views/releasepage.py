"""`/release/<tag>?since=<tag>`: what passed then and fails now, by breakage; what is not known is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from pybots.core.compare import Name
from pybots.core.dispositions import WORDS
from pybots.farm import compare
from pybots.farm.compare import Cause, Comparison, Side
from pybots.farm.home import Farm
from pybots.farm.views.common import Missing, Visit, counts, runs, seconds, select_runs, state
from pybots.farm.views.frame import branches, frame
from pybots.farm.views.lists import open_since
from pybots_status.pages import Blocker, Cell, CommitLine, Fact, LaneRow, Release

MAX_LANES: Final = 300
"""Lanes of one group that are listed; all of them are counted."""


def page(farm: Farm, visit: Visit, tag: str, since: str) -> Release:
    """The page. Raises Missing when one of the sides is not known here."""
    with farm.ledger.read() as connection:
        try:
            now = compare.side(connection, tag)
            around = frame(farm, connection, visit, title=tag, branch=now.branch)
            if not since:
                return Release(frame=around, tag=tag, since="", choices=_choices(farm, tag))
            made = compare.comparison(connection, tag, since, farm.clock())
        except compare.NoSide as error:
            raise Missing(
                str(error),
                "compare branches and tags that the farm watches, or commits by 7 digits or more",
            ) from None
        shown = _Lanes(connection, made)
    found = made.found
    return Release(
        frame=around,
        tag=tag,
        since=since,
        choices=_choices(farm, tag),
        facts=_facts(made),
        blockers=tuple(_blocker(cause, shown) for cause in made.causes),
        new=shown.rows(found.new),
        unknown=shown.rows(found.lost),
        fixed=shown.rows(found.fixed),
        known=shown.rows(found.same),
        copy=compare.as_text(made, farm.config.url),
    )


def _choices(farm: Farm, tag: str) -> tuple[str, ...]:
    return tuple(name for name in branches(farm) if name != tag)


def _facts(made: Comparison) -> tuple[Fact, ...]:
    found = made.found
    told = (
        ("Lanes", found.total),
        ("Pass in both", len(found.well)),
        ("Passed then, fail now", len(found.worse)),
        ("Fail now, not known then", len(found.new)),
        ("Passed then, not known now", len(found.lost)),
        ("Not known now in all", found.unknown),
        ("Fail in both", len(found.same)),
        ("Fixed", len(found.fixed)),
    )
    return tuple(Fact(name=name, value=f"{count:,}") for name, count in told)


class _Lanes:
    """The newer side's lanes as rows, with what their runs say; two queries for all of them."""

    def __init__(self, connection: Connection, made: Comparison) -> None:
        found = made.found
        groups = (found.worse, found.new, found.lost, found.same, found.fixed)
        names = [name for group in groups for name in group[:MAX_LANES]]
        self._side: Side = made.now
        self._then: Side = made.then
        here = [made.now.lanes[name] for name in names if name in made.now.lanes]
        self._since: Mapping[int, float] = open_since(connection, [row.id for row in here])
        rows = connection.execute(
            select_runs().where(runs.c.id.in_([row.run for row in here if row.run]))
        )
        self._runs: Mapping[int, Any] = {row.id: row for row in rows}

    def rows(self, names: Sequence[Name]) -> tuple[LaneRow, ...]:
        return tuple(self._row(name) for name in names[:MAX_LANES])

    def _row(self, name: Name) -> LaneRow:
        lane = self._side.lanes.get(name)
        if lane is None:
            return _absent(name, self._then.lanes[name].slug, self._side.name)
        run = self._runs.get(lane.run)
        return LaneRow(
            slug=lane.slug,
            project=name.project,
            source=name.source,
            branch=self._side.branch,
            flavour=name.flavour,
            platform=name.platform,
            cell=Cell(state=state(lane.verdict)),
            reason=lane.reason,
            since=self._since.get(lane.id),
            last_run=lane.run or 0,
            last_sha=run.sha if run else "",
            last_finished=run.finished if run else None,
            revision=(run.revision_label or "") if run else "",
            seconds=seconds(run.started, run.finished) if run else None,
            counts=counts(run.counts) if run else None,
        )


def _absent(name: Name, slug: str, tag: str) -> LaneRow:
    """A lane that only the older side has; its link leads there."""
    return LaneRow(
        slug=slug,
        project=name.project,
        source=name.source,
        branch=tag,
        flavour=name.flavour,
        platform=name.platform,
        cell=Cell(state="unknown"),
        reason=f"there is no such lane on {tag}",
    )


def _blocker(cause: Cause, shown: _Lanes) -> Blocker:
    first = cause.first
    note = "the only commit in question" if cause.sure else "seen there first; not isolated yet"
    return Blocker(
        number=cause.number,
        title=cause.title,
        disposition=WORDS.get(cause.disposition, cause.disposition),
        who=cause.person,
        lanes=shown.rows(cause.names),
        culprit=CommitLine(
            sha=first.sha, title=first.title, author=first.author, when=first.committed, note=note
        )
        if first is not None
        else None,
    )
