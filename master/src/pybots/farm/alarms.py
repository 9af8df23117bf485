"""The farm's letters to its own people, written inside the transaction that found the trouble."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, literal, or_, select

from pybots.core import alerts, audiences, words
from pybots.core.alerts import Notice
from pybots.core.breaker import Breaker
from pybots.core.outcomes import Bad
from pybots.farm import mailing
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.mail import alarms
from pybots.mail.alarms import Facts
from pybots.mail.story import CommitLine, Row

MISSED_SECONDS: Final = 90 * 86_400.0
"""Who comes back after longer than that is greeted by nobody."""

runs, commits, interpreters = schema.runs, schema.commits, schema.interpreters


def first_build(
    farm: Farm, connection: Connection, run: int, bad: Sequence[Bad], now: float
) -> None:
    """An interpreter, the first of its kind, does not build."""
    for notice in alerts.of_first_build(run, mailing.book(farm, connection)):
        _about_run(farm, connection, notice, run, bad[0], now)


def fault(
    farm: Farm, connection: Connection, run: int, worker: str, reason: str, now: float
) -> None:
    """A run was given up: the farm could not do it. Once a day for each worker."""
    day = time.strftime("%Y-%m-%d", time.gmtime(now))
    for notice in alerts.of_fault(worker, day, mailing.book(farm, connection)):
        _about_run(farm, connection, notice, run, Bad.of_farm(reason), now, worker=worker)


def any_missing(farm: Farm, connection: Connection, now: float) -> bool:
    """Whether the owner of a worker that is gone has yet to be told."""
    return any(
        _unwritten(connection, notice.key)
        for row in _missing(farm, connection, now)
        for notice in alerts.of_missing(row.name, row.last_seen, mailing.book(farm, connection))
    )


def missing(farm: Farm, connection: Connection, now: float) -> int:
    """Tell the owners of workers that are gone for long. Returns how many letters were written."""
    rows = _missing(farm, connection, now)
    book = mailing.book(farm, connection) if rows else None
    written = 0
    for row in rows:
        assert book is not None
        for notice in alerts.of_missing(row.name, row.last_seen, book):
            gone = f"last seen: {time.strftime('%Y-%m-%d %H:%M', time.gmtime(row.last_seen))} UTC"
            facts = Facts(
                audience=notice.audience, url=farm.config.url, worker=row.name, words=gone,
                where=f"/worker/{row.name}",
            )  # fmt: skip
            written += _put(farm, connection, notice, facts, now)
    return written


def _missing(farm: Farm, connection: Connection, now: float) -> Sequence[Any]:
    workers = schema.workers
    return connection.execute(
        select(workers).where(
            workers.c.state == "approved",
            workers.c.connected.is_(False),
            workers.c.last_seen < now - farm.config.mail.missing_minutes * 60,
            # Whoever rests is not missed until an hour or so after it said it would be back.
            or_(
                workers.c.resting == "",
                workers.c.rest_until < now - farm.config.mail.missing_minutes * 60,
            ),
        )
    ).all()


def any_back(farm: Farm, connection: Connection, now: float) -> bool:
    """Whether the owner of a worker that was missed has yet to hear that it is back."""
    return any(_unwritten(connection, notice.key) for _, notice in _returned(farm, connection, now))


def back(farm: Farm, connection: Connection, now: float) -> None:
    """Tell the owners of workers that were missed and are connected again."""
    for name, notice in _returned(farm, connection, now):
        facts = Facts(
            audience=notice.audience, url=farm.config.url, worker=name, where=f"/worker/{name}"
        )
        _put(farm, connection, notice, facts, now)


def _returned(farm: Farm, connection: Connection, now: float) -> list[tuple[str, Notice]]:
    outbox, workers = schema.outbox, schema.workers
    rows = connection.execute(
        select(outbox.c.alert, workers.c.name)
        .join(workers, outbox.c.reader == literal("owner:") + workers.c.name)
        .where(
            outbox.c.topic == "missing",
            outbox.c.created > now - MISSED_SECONDS,
            workers.c.connected,
            workers.c.state == "approved",
        )
    ).all()
    book = mailing.book(farm, connection) if rows else None
    return [
        (row.name, notice)
        for row in rows
        if book is not None
        for notice in alerts.of_back(row.alert, row.name, book)
    ]


def quarantined(
    farm: Farm, connection: Connection, worker: str, kind: str, words: str, now: float
) -> None:
    """A worker gets no work for now: admin and owner hear why."""
    day = time.strftime("%Y-%m-%d", time.gmtime(now))
    for notice in alerts.of_quarantine(worker, kind, day, mailing.book(farm, connection)):
        facts = Facts(
            audience=notice.audience, url=farm.config.url, worker=worker, state=words,
            where=f"/worker/{worker}",
        )  # fmt: skip
        _put(farm, connection, notice, facts, now)


def differs(farm: Farm, connection: Connection, opinion: Any, now: float) -> None:
    """Another owner's worker did not find what a worker had reported (a row of `opinions`): the admin hears of it."""
    for notice in alerts.of_opinion(opinion.id, mailing.book(farm, connection)):
        facts = Facts(
            audience=notice.audience, url=farm.config.url, worker=opinion.worker,
            scope=opinion.second, state=opinion.words, lines=tuple(opinion.tests),
            where=f"/run/{opinion.subject}",
        )  # fmt: skip
        _put(farm, connection, notice, facts, now, run=opinion.subject)


def _unwritten(connection: Connection, key: str) -> bool:
    known = select(schema.outbox.c.id).where(schema.outbox.c.alert == key)
    return connection.execute(known).first() is None


def rejected(farm: Farm, connection: Connection, letter: Any, error: str, now: float) -> None:
    """A row of the outbox was refused for good. What was for the admin alone is not written to the admin again."""
    book = mailing.book(farm, connection)
    admin = {address for desk in audiences.of_admin(book) for address in desk.addresses}
    if letter.topic == "rejected" or set(letter.recipients) <= admin:
        return
    said = f"{error}\nTo: {', '.join(letter.recipients)}\nSubject: {letter.subject}"
    for notice in alerts.of_rejected(letter.id, book):
        facts = Facts(
            audience=notice.audience, url=farm.config.url, words=said, where=f"/mail/{letter.id}"
        )
        _put(farm, connection, notice, facts, now)


def post_breaker(
    farm: Farm,
    connection: Connection,
    notice: Notice,
    one: Breaker,
    state: str,
    rows: Sequence[Any],
    now: float,
) -> None:
    """What a breaker holds, or what came of it."""
    scope = "the farm" if one.scope == "farm" else f"{one.scope} {one.name}"
    facts = Facts(
        audience=notice.audience, url=farm.config.url, state=state, scope=scope,
        worker=one.name if one.scope == "worker" else "", where="/",
        lines=tuple(f"breakage {row.id}: {row.title} (control: {row.control or 'none'})" for row in rows),
    )  # fmt: skip
    _put(farm, connection, notice, facts, now)


def _about_run(
    farm: Farm, connection: Connection, notice: Notice, run: int, bad: Bad, now: float, *,
    worker: str = "",
) -> None:  # fmt: skip
    place = _place(connection, run)
    row = Row(
        breakage=0, change="opened", project=place.project or "", title="", kind=bad.kind,
        error=words.error_line(bad), failing=(bad.id,), count=1, run=run, lanes=1,
        flavour=place.flavour, platform=place.platform, sha=place.sha,
        tail=bad.failure.detail or bad.failure.message,
        configure=tuple(place.recipe.get("configure", ())),
    )  # fmt: skip
    facts = Facts(
        audience=notice.audience, url=farm.config.url, worker=worker, branch=place.branch,
        commit=CommitLine(sha=place.sha, author=place.author, title=place.title), row=row,
        repository=farm.config.cpython.repository, where=f"/run/{run}",
    )  # fmt: skip
    _put(farm, connection, notice, facts, now, run=run)


def _place(connection: Connection, run: int) -> Any:
    return connection.execute(
        select(
            runs.c.branch, schema.lanes.c.project, interpreters.c.flavour, interpreters.c.platform,
            interpreters.c.recipe, commits.c.sha, commits.c.author, commits.c.title,
        )
        .select_from(runs)
        .join(commits, commits.c.id == runs.c.commit_id)
        .join(interpreters, interpreters.c.id == runs.c.interpreter_id)
        .join(schema.lanes, schema.lanes.c.id == runs.c.lane_id, isouter=True)
        .where(runs.c.id == run)
    ).one()  # fmt: skip


def _put(
    farm: Farm, connection: Connection, notice: Notice, facts: Facts, now: float, *,
    run: int | None = None,
) -> bool:  # fmt: skip
    """Into the outbox, unless the reader's cap is reached: then it is only counted."""
    desk = notice.desk
    if not _unwritten(connection, notice.key):
        return False
    times = mailing.sent(connection, now)
    if audiences.room(mailing.caps(farm), desk, times, now) > now:
        if notice.topic not in ("missing", "breaker"):  # these are tried again as long as they last
            mailing.hold_back(connection, [desk.key])
        return False
    subject, body = alarms.text(notice.topic, facts)
    written = mailing.Written(
        key=notice.key, topic=notice.topic, reader=desk.key, audience=desk.audience,
        recipients=desk.addresses, subject=subject, body=body, run=run,
    )  # fmt: skip
    return mailing.put(farm, connection, written, now)
