"""Digests over the ledger: a day's changes for those who chose that, the week's state for list and admin.

When one is due follows from the clock; that it was written is its key in the outbox. A quiet day or week costs no letter,
only a note that it was looked at.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, and_, func, or_, select

from pybots.core import digest, dispositions
from pybots.core.audiences import DAY, Audience
from pybots.core.digest import Changed, Flaky, Gone, Standing, Week
from pybots.core.model import STANDING
from pybots.farm import keeper, mailing, parking, receipts
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import set_note
from pybots.mail import digests

breakages, parts, lanes, runs = schema.breakages, schema.breakage_lanes, schema.lanes, schema.runs
notes = schema.notes

DAILY: Final = "mail: daily digest until"
TOLD: Final = "mail: broken as of the daily digest"
WEEKLY: Final = "mail: weekly digest until"
TOP_FLAKY: Final = 50


def due(connection: Connection, now: float) -> bool:
    """Whether a digest's hour has passed since the last time they were looked at."""
    return _until(connection, DAILY) < digest.last_daily(now) or (
        _until(connection, WEEKLY) < digest.last_weekly(now)
    )


def write(farm: Farm, connection: Connection, now: float) -> None:
    """Write what is due; a farm that is new has nothing to look back at."""
    since, until = _until(connection, DAILY), digest.last_daily(now)
    if since < until:
        before = _held_for_broken(connection, since)
        after = standings(connection, before, until)
        if since:
            _daily(farm, connection, changes(before, after), until, now)
        set_note(connection, TOLD, _told(after), now)
        set_note(connection, DAILY, until, now)
    since, until = _until(connection, WEEKLY), digest.last_weekly(now)
    if since < until:
        if since and farm.config.mail.weekly:
            _weekly(farm, connection, until, now)
        if since:
            receipts.write(farm, connection, until, now)
        set_note(connection, WEEKLY, until, now)


def _until(connection: Connection, name: str) -> float:
    found = connection.scalar(select(notes.c.value).where(notes.c.name == name))
    return float(found) if found is not None else 0.0


def _daily(
    farm: Farm, connection: Connection, changed: list[Changed], until: float, now: float
) -> None:
    book = mailing.book(farm, connection)
    held_back = mailing.held_back(connection)
    day = _day(until)
    if changed and book.list and book.list.when == "digest":
        _put_daily(
            farm, connection, "list", "list", book.list.address, changed, day, held_back, now
        )
    for project, readers in sorted(book.projects.items()):
        mine = [one for one in changed if project in one.projects]
        for reader in readers:
            if mine and reader.when == "digest":
                key = f"daily:{project}:{reader.address}"
                _put_daily(
                    farm, connection, key, "project", reader.address, mine, day, held_back, now,
                    project=project,
                )  # fmt: skip


def _put_daily(
    farm: Farm, connection: Connection, key: str, audience: Audience, address: str,
    changed: list[Changed], day: str, held_back: dict[str, int], now: float, *, project: str = "",
) -> None:  # fmt: skip
    subject, body = digests.daily(
        changed, farm.config.url, day, project=project, held_back=held_back.get(key, 0)
    )
    written = mailing.Written(
        key=f"digest:{day}:{key}", topic="daily", reader=key, audience=audience,
        recipients=(address,), subject=subject, body=body,
    )  # fmt: skip
    mailing.put(farm, connection, written, now)


def changes(before: Mapping[int, Sequence[str]], after: Standings) -> list[Changed]:
    """What readers of digests have to hear, the oldest first: `before` is what they hold for broken.

    What ended and came back in between is no news, nor is what began and ended."""
    found = []
    for number, one in after.open.items():
        new = [name for name in one.projects if name not in before.get(number, ())]
        if new or number not in before:
            found.append(replace(one, projects=tuple(new)))
    found += [
        replace(one, projects=tuple(before[number]))
        for number, one in after.ended.items()
        if number in before
    ]
    return sorted(found, key=lambda one: (one.at, one.id))


@dataclass(frozen=True, kw_only=True)
class Standings:
    """By breakage: what is broken, and what has ended lately."""

    open: Mapping[int, Changed]
    ended: Mapping[int, Changed]


def standings(connection: Connection, before: Iterable[int], until: float) -> Standings:
    """As it was at `until`, of what was confirmed and of what readers hold for broken (`before`).

    A test that fails by chance more often than it did is for the week's digest, as for those who are told at once."""
    known = set(before)
    rows = connection.execute(
        select(breakages).where(
            or_(
                and_(
                    breakages.c.state == "open",
                    breakages.c.axis != "flaky",
                    breakages.c.confirmed <= until,
                ),
                breakages.c.id.in_(known),
            )
        )
    ).all()
    projects = _projects(connection, [row.id for row in rows])
    open_: dict[int, Changed] = {}
    ended: dict[int, Changed] = {}
    for row in rows:
        what = {"fixed": "fixed", "dismissed": "withdrawn"}.get(row.state, "opened")
        if what == "fixed" and row.fixed > until:
            what = "opened"
        at = row.fixed if what == "fixed" else row.confirmed or row.opened
        one = Changed(
            id=row.id, title=row.title, what=what, at=at, projects=projects.get(row.id, ())
        )
        (open_ if what == "opened" else ended)[row.id] = one
    return Standings(open=open_, ended=ended)


def _held_for_broken(connection: Connection, since: float) -> dict[int, list[str]]:
    """What the last digest left its readers with: breakage -> projects."""
    told = connection.scalar(select(notes.c.value).where(notes.c.name == TOLD))
    if told is None:  # of a farm whose last digest kept none
        told = _told(standings(connection, (), since))
    return {int(number): list(names) for number, names in told.items()}


def _told(now: Standings) -> dict[str, list[str]]:
    return {str(number): list(one.projects) for number, one in now.open.items()}


def _projects(connection: Connection, ids: Iterable[int]) -> dict[int, tuple[str, ...]]:
    rows = connection.execute(
        select(parts.c.breakage_id, lanes.c.project)
        .join(lanes, lanes.c.id == parts.c.lane_id)
        .where(parts.c.breakage_id.in_(list(ids)))
        .distinct()
        .order_by(lanes.c.project)
    )
    found: dict[int, tuple[str, ...]] = {}
    for number, project in rows:
        found[number] = (*found.get(number, ()), project)
    return found


def _weekly(farm: Farm, connection: Connection, until: float, now: float) -> None:
    week = of_week(farm, connection, until)
    if week.empty:
        return
    book = mailing.book(farm, connection)
    day = _day(until)
    subject, body = digests.weekly(week, farm.config.url, day)
    told: set[str] = set()
    kinds: tuple[Audience, ...] = ("list", "admin")
    for audience, reader in zip(kinds, (book.list, book.admin), strict=True):
        if reader is None or reader.when == "none" or reader.address in ("", *told):
            continue
        told.add(reader.address)
        written = mailing.Written(
            key=f"digest:week:{day}:{audience}", topic="weekly", reader=audience,
            audience=audience, recipients=(reader.address,), subject=subject, body=body,
        )  # fmt: skip
        mailing.put(farm, connection, written, now)


def of_week(farm: Farm, connection: Connection, now: float) -> Week:
    """The farm's state at `now`, with what the seven days before it brought."""
    since = now - 7 * DAY
    count = _counter(connection)
    ended = (runs.c.finished > since, runs.c.finished <= now)
    return Week(
        now=now,
        standing=tuple(standing(connection, now)),
        opened=count(breakages, breakages.c.confirmed > since, breakages.c.confirmed <= now),
        fixed=count(breakages, breakages.c.fixed > since, breakages.c.fixed <= now),
        dismissed=count(
            breakages, breakages.c.state == "dismissed", breakages.c.axis != "flaky",
            breakages.c.opened > since, breakages.c.opened <= now,
        ),
        parked=tuple(parking.of_farm(connection, now)),
        flaky=tuple(_flaky(connection, since, now)),
        gone=tuple(_gone(farm, connection, now)),
        unknown=count(runs, runs.c.verdict == "unknown", *ended),
        infra=count(runs, runs.c.verdict == "infra", *ended),
        runs=count(runs, runs.c.state == "done", *ended),
        held_back=sum(mailing.held_back(connection).values()),
        upkeep=tuple(keeper.cases(farm, connection, now)),
    )  # fmt: skip


def _counter(connection: Connection) -> Any:
    def count(table: Any, *where: Any) -> int:
        return int(connection.scalar(select(func.count()).select_from(table).where(*where)) or 0)

    return count


def standing(connection: Connection, now: float) -> list[Standing]:
    """The breakages that stand, with what people answered about them."""
    rows = connection.execute(select(breakages).where(breakages.c.state.in_(STANDING))).all()
    ids = [row.id for row in rows]
    projects = _projects(connection, ids)
    counted = connection.execute(
        select(parts.c.breakage_id, func.count())
        .where(parts.c.breakage_id.in_(ids), parts.c.closed.is_(None))
        .group_by(parts.c.breakage_id)
    )
    open_lanes: dict[int, int] = dict(counted.all())
    return [
        Standing(
            id=row.id, title=row.title, projects=projects.get(row.id, ()), since=row.opened,
            lanes=open_lanes.get(row.id, 0),
            disposition=dispositions.current(row.disposition, row.expires, now),
            person=row.person, issue=row.issue, suspected=row.state == "suspected", axis=row.axis,
        )
        for row in rows
    ]  # fmt: skip


def _flaky(connection: Connection, since: float, until: float) -> list[Flaky]:
    flakes, tests = schema.flakes, schema.tests
    rows = connection.execute(
        select(lanes.c.slug, tests.c.name, func.count().label("times"))
        .join(lanes, lanes.c.id == flakes.c.lane_id)
        .join(tests, tests.c.id == flakes.c.test_id)
        .where(flakes.c.at > since, flakes.c.at <= until)
        .group_by(lanes.c.slug, tests.c.name)
        .order_by(func.count().desc(), lanes.c.slug, tests.c.name)
        .limit(TOP_FLAKY)
    )
    return [Flaky(lane=slug, test=name, times=times) for slug, name, times in rows]


def _gone(farm: Farm, connection: Connection, now: float) -> list[Gone]:
    workers = schema.workers
    limit = now - farm.config.mail.missing_minutes * 60
    rows = connection.execute(
        select(workers.c.name, workers.c.last_seen)
        .where(
            workers.c.state == "approved", workers.c.connected.is_(False),
            or_(workers.c.last_seen.is_(None), workers.c.last_seen < limit),
        )
        .order_by(workers.c.name)
    )  # fmt: skip
    return [Gone(worker=name, last_seen=seen) for name, seen in rows]


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))
