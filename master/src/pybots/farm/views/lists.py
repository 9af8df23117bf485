"""Rows that several pages list: lanes, breakages, mail."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from sqlalchemy import Connection, Select, func, select

from pybots.config.farm import CPython
from pybots.core.dispositions import WORDS, current
from pybots.core.model import STANDING
from pybots.farm.home import Farm
from pybots.farm.views.common import commits, counts, lanes, runs, seconds, state
from pybots.farm.views.console import now_state
from pybots.ledger import schema
from pybots_status import links
from pybots_status.pages import BreakageRow, Cell, LaneRow, MailRow, State

breakages, parts, outbox = schema.breakages, schema.breakage_lanes, schema.outbox

USUAL: Final = CPython().repository
"""What `pybots try` takes without being told."""
NO_TESTS: Final = frozenset({"interpreter", "install", "hollow"})
"""Kinds of breakages that are about something else than tests which fail."""
PRIVATE: Final = frozenset({"admin", "owner", "person", "worker", "volunteer"})
"""Audiences whose mail is not for the public archive."""


def select_lanes() -> Select[Any]:
    """Lanes with the run that is their head."""
    return (
        select(
            lanes,
            runs.c.finished.label("head_finished"),
            runs.c.started.label("head_begun"),
            runs.c.revision_label, runs.c.counts,
            commits.c.sha,
        )
        .join(runs, runs.c.id == lanes.c.head_run, isouter=True)
        .join(commits, commits.c.id == runs.c.commit_id, isouter=True)
    )  # fmt: skip


def lane_row(row: Any, pending: Mapping[int, State], since: float | None = None) -> LaneRow:
    """A row of `select_lanes`. `since`: when its open breakage began."""
    shown = state(now_state(row.verdict, pending.get(row.id), row.state))
    return LaneRow(
        slug=row.slug,
        project=row.project,
        branch=row.branch,
        flavour=row.flavour,
        platform=row.platform,
        cell=Cell(state=shown, href=links.run(row.head_run) if row.head_run else ""),
        source=row.source,
        reason=row.reason,
        since=since,
        last_run=row.head_run or 0,
        last_sha=row.sha or "",
        last_finished=row.head_finished,
        revision=row.revision_label or "",
        seconds=seconds(row.head_begun, row.head_finished),
        counts=counts(row.counts),
    )


def open_since(connection: Connection, lane_ids: Sequence[int]) -> dict[int, float]:
    """Lane -> when the oldest of its open breakages began there."""
    rows = connection.execute(
        select(parts.c.lane_id, func.min(parts.c.opened))
        .where(parts.c.lane_id.in_(lane_ids), parts.c.closed.is_(None))
        .group_by(parts.c.lane_id)
    )
    return dict(rows.all())


def breakage_rows(
    connection: Connection, found: Sequence[Any], now: float
) -> tuple[BreakageRow, ...]:
    """Rows of `breakages` with their lanes and tests counted, and the answers that hold `now`."""
    ids = [row.id for row in found]
    tallies = {
        row.breakage_id: row
        for row in connection.execute(
            select(
                parts.c.breakage_id,
                func.count().label("lanes"),
                func.max(parts.c.count).label("tests"),
                func.min(lanes.c.project).label("first"),
                func.max(lanes.c.project).label("last"),
            )
            .join(lanes, lanes.c.id == parts.c.lane_id, isouter=True)
            .where(parts.c.breakage_id.in_(ids))
            .group_by(parts.c.breakage_id)
        )
    }
    return tuple(_breakage(row, tallies.get(row.id), now) for row in found)


def disposition_words(row: Any, now: float) -> str:
    """What people say about a row of `breakages`, as far as it still holds."""
    said = current(row.disposition, row.expires, now)
    return WORDS.get(said, said)


def _breakage(row: Any, tally: Any, now: float) -> BreakageRow:
    one = tally is not None and tally.first == tally.last
    return BreakageRow(
        id=row.id,
        state=row.state if row.state in STANDING else "closed",
        kind=row.kind,
        summary=row.title,
        project=(tally.first or "") if one else "",
        since=row.opened,
        until=row.fixed,
        lanes=tally.lanes if tally and row.kind != "interpreter" else 0,
        tests=tally.tests if tally and row.kind not in NO_TESTS else 0,
        disposition=disposition_words(row, now),
        person=row.person if row.expires is None or row.expires > now else "",
    )


def breakages_of_lanes(
    connection: Connection, lane_ids: Sequence[int], now: float, *, limit: int = 20
) -> tuple[BreakageRow, ...]:
    """The newest breakages these lanes have a part in."""
    mine = select(parts.c.breakage_id).where(parts.c.lane_id.in_(lane_ids))
    rows = connection.execute(
        select(breakages)
        .where(breakages.c.id.in_(mine))
        .order_by(breakages.c.id.desc())
        .limit(limit)
    ).all()
    return breakage_rows(connection, rows, now)


def select_mail() -> Select[Any]:
    """The public part of the outbox, without the messages themselves."""
    return select(
        outbox.c.id, outbox.c.subject, outbox.c.recipients, outbox.c.state, outbox.c.created,
        outbox.c.sent, outbox.c.error, outbox.c.breakage_id, outbox.c.audience,
    ).where(outbox.c.audience.not_in(sorted(PRIVATE)))  # fmt: skip


def mail_row(row: Any, public: Iterable[str]) -> MailRow:
    """A row of `select_mail`. Addresses other than the `public` ones are masked."""
    shown: Mapping[str, Literal["queued", "sent", "failed"]] = {"queued": "queued", "sent": "sent"}
    return MailRow(
        id=row.id,
        subject=row.subject,
        to=tuple(masked(address, public) for address in row.recipients or ()),
        state=shown.get(row.state, "failed"),
        created=row.created,
        sent=row.sent,
        about=f"breakage {row.breakage_id}" if row.breakage_id else "",
        about_href=links.breakage(row.breakage_id) if row.breakage_id else "",
        error="not delivered" if row.state == "rejected" else "delayed" if row.error else "",
    )


def masked(address: str, public: Iterable[str]) -> str:
    """`ann@example.org` as `a…@example.org`: readers see that somebody was told, harvesters get nothing."""
    if address in public:
        return address
    user, at, host = address.rpartition("@")
    return f"{user[:1]}…{at}{host}"


def mails_of_breakages(
    connection: Connection, ids: Sequence[int], public: Iterable[str]
) -> tuple[MailRow, ...]:
    rows = connection.execute(
        select_mail().where(outbox.c.breakage_id.in_(ids)).order_by(outbox.c.id.desc()).limit(50)
    ).all()
    return tuple(mail_row(row, public) for row in rows)


def reproduce(farm: Farm, run: Any) -> str:
    """The line that does on anybody's machine what a row of `select_runs(interpreters.c.recipe)` did."""
    if run is None:
        return ""
    if run.kind == "interpreter":
        options = "".join(f" {shlex.quote(str(word))}" for word in run.recipe.get("configure", ()))
        return f"git checkout {run.sha} && ./configure{options} && make"
    known = farm.projects.get(run.project)
    source = (
        "" if known and run.source == next(iter(known.sources), "") else f" --source {run.source}"
    )
    flavour = "" if run.flavour == "release" else f" --flavour {run.flavour}"
    repository = farm.config.cpython.repository
    where = "" if repository == USUAL else f" --cpython {shlex.quote(repository)}"
    return f"./pybots try {run.project}{source}{where} --commit {run.sha}{flavour}"
