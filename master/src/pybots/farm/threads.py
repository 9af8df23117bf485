"""Deciding about mail over the ledger: everything that `core.alerts` looks at in, its letters and new states out.

Runs inside the transaction that recorded the news, and again whenever the postman looks; asking twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, and_, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from pybots.core import alerts, dispositions, rounds
from pybots.core.model import STANDING
from pybots.core.rounds import Letter, Scene
from pybots.core.threads import Broken, Thread, Told, kin
from pybots.farm import breakers, findings, mailing, stories
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import announce, set_note
from pybots.mail import compose

breakages, parts, lanes, runs = schema.breakages, schema.breakage_lanes, schema.lanes, schema.runs
threads = schema.threads

LOOK_AGAIN: Final = "mail: look again"
"""The note that says when mail has to be considered even if nothing happens."""
UNDER_WAY: Final = ("wanted", "dispatched", "running")
LOOKED_AT: Final = tuple(
    breakages.c[name]
    for name in (
        "id", "kind", "title", "branch", "state", "good_position", "bad_position", "opened", "signature", "control",
        "axis", "blamed", "reopened", "trip", "disposition", "expires", "thread_id", "told",
    )
)  # fmt: skip
"""All but the long texts (a title is a line): hundreds of them are read whenever mail is considered."""


def consider(farm: Farm, connection: Connection, now: float) -> float | None:
    """Write the letters that are to be written now. Returns when to look again at the latest (None: when news come)."""
    expire(connection, now)
    book = mailing.book(farm, connection)
    trips = breakers.check(farm, connection, book, now)
    before, known = _load(connection, now)
    scene = Scene(
        now=now,
        book=book,
        caps=mailing.caps(farm),
        busy=_busy(connection),
        trips=trips,
        sent=mailing.sent(connection, now),
        held_back=mailing.held_back(connection),
    )
    outcome = alerts.consider(before, known, scene)
    by_id = {thread.id: thread for thread in outcome.threads}
    for letter in outcome.letters:
        _post(farm, connection, letter, by_id[letter.thread], now)
    mailing.hold_back(connection, outcome.withheld)
    _save_threads(connection, known, outcome.threads)
    _save_breakages(farm, connection, before, outcome.breakages, by_id)
    times = (outcome.look_again, breakers.overdue_at(connection))
    again = min((at for at in times if at is not None and at > now), default=None)
    set_note(connection, LOOK_AGAIN, again, now)
    return again


def released(connection: Connection, run: Any) -> bool:
    """Whether the end of this run may be what a thread has waited for: it was its commit's last one under way.

    What else threads wait for are breakages, which touch them, and the clock."""
    if not waiting(connection):
        return False
    left = select(runs.c.id).where(
        runs.c.state.in_(UNDER_WAY),
        runs.c.purpose == "routine",
        runs.c.branch == run.branch,
        runs.c.position == run.position,
    )
    return connection.execute(left.limit(1)).first() is None


def mended(farm: Farm, connection: Connection, number: int, now: float) -> None:
    """Say in a breakage's thread by what it was mended, once for each change."""
    broken = connection.execute(select(breakages).where(breakages.c.id == number)).one()
    row = connection.execute(select(threads).where(threads.c.id == broken.thread_id)).first()
    found = findings.mender(connection, broken)
    if row is None or row.state not in ("sent", "closed") or found is None:
        return
    others = connection.execute(
        select(breakages).where(breakages.c.thread_id == row.id, breakages.c.id != number)
    ).all()
    if any(
        one is not None and one.id == found.id
        for one in map(partial(findings.mender, connection), others)
    ):
        return
    scene = Scene(
        now=now, book=mailing.book(farm, connection), caps=mailing.caps(farm),
        sent=mailing.sent(connection, now),
    )  # fmt: skip
    said = rounds.mended(_thread(row), number, scene)
    for letter in said.letters:
        _post(farm, connection, letter, said.thread, now)
    _save_threads(connection, [_thread(row)], [said.thread])


def to_author(farm: Farm, connection: Connection, number: int, email: str, now: float) -> None:
    """Tell the author of a commit what is proved to be its doing, if they asked for it in people.toml.

    Not where the change was announced: that is for the projects to follow."""
    broken = connection.execute(select(breakages).where(breakages.c.id == number)).one()
    found = findings.finding(connection, broken)
    row = connection.execute(select(threads).where(threads.c.id == broken.thread_id)).first()
    address = farm.people.get(email.lower())
    if address is None or row is None or found is None or found.announced:
        return
    key = f"author:{row.id}:{found.id}:{address}"
    letter = Letter(
        key=key, topic="known", reader=f"author:{address}", audience="person",
        recipients=(address,), thread=row.id, root=key, news=((number, "known"),),
    )  # fmt: skip
    _post(farm, connection, letter, _thread(row), now)


def waiting(connection: Connection) -> bool:
    """Whether a thread waits for lanes, controls or the clock."""
    found = select(threads.c.id).where(threads.c.since.is_not(None))
    return connection.execute(found.limit(1)).first() is not None


def due(connection: Connection, now: float) -> bool:
    """Whether it is time to look again, even if nothing happened."""
    at = connection.scalar(select(schema.notes.c.value).where(schema.notes.c.name == LOOK_AGAIN))
    return at is not None and float(at) <= now


def expire(connection: Connection, now: float) -> None:
    """Answers whose time is over: the breakage is untriaged again; who said what stays in the events."""
    over = connection.scalars(
        select(breakages.c.id).where(
            breakages.c.expires <= now,
            or_(breakages.c.disposition != "untriaged", breakages.c.person != ""),
        )
    ).all()
    for number in over:
        connection.execute(
            update(breakages)
            .where(breakages.c.id == number)
            .values(disposition="untriaged", person="", expires=None)
        )
        announce(
            connection, now, "breakage", breakage=number, disposition="untriaged", expired=True
        )


def _load(connection: Connection, now: float) -> tuple[list[Broken], list[Thread]]:
    """What stands, what readers hold for standing, and the threads of both."""
    live = select(threads.c.id).where(threads.c.state.in_(("held", "sent")))
    rows = connection.execute(
        select(*LOOKED_AT)
        .where(
            or_(
                breakages.c.state.in_(STANDING),
                breakages.c.thread_id.in_(live),
                and_(
                    breakages.c.state == "dismissed",
                    breakages.c.axis == "dependency",
                    breakages.c.thread_id == 0,
                    breakages.c.opened > now - alerts.FORGET_SECONDS,
                ),
            )
        )
        .order_by(breakages.c.id)
    ).all()
    extent = _extent(connection, [row.id for row in rows])
    found = [_broken(row, extent.get(row.id, ()), now) for row in rows]
    ids = {one.thread for one in found}
    known = connection.execute(
        select(threads).where(
            or_(threads.c.id.in_(ids), threads.c.state == "held", threads.c.since.is_not(None))
        )
    ).all()
    return found, [_thread(row) for row in known]


def _extent(connection: Connection, ids: Sequence[int]) -> dict[int, list[Any]]:
    """The lanes of each breakage, without their tests: they are read whenever mail is considered."""
    rows = connection.execute(
        select(parts.c.breakage_id, parts.c.closed, parts.c.count.label("ids"), lanes.c.project)
        .join(lanes, lanes.c.id == parts.c.lane_id, isouter=True)
        .where(parts.c.breakage_id.in_(ids))
    )
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row.breakage_id, []).append(row)
    return found


def _broken(row: Any, members: Iterable[Any], now: float) -> Broken:
    members = list(members)
    members = [one for one in members if one.closed is None] or members
    return Broken(
        id=row.id,
        branch=row.branch,
        state=row.state,
        good=row.good_position,
        bad=row.bad_position,
        opened=row.opened,
        signature=row.signature,
        kin=kin(row.kind, row.title),
        control=row.control,
        axis=row.axis,
        blamed=row.blamed,
        reopened=row.reopened,
        projects=tuple(sorted({one.project for one in members if one.project})),
        # An interpreter's part counts its columns.
        lanes=sum(1 if one.project else max(1, one.ids) for one in members),
        trip=row.trip,
        answered=dispositions.current(row.disposition, row.expires, now) != "untriaged",
        thread=row.thread_id,
        told=_told(row.told),
    )


def _told(data: dict[str, Any] | None) -> Told | None:
    if not data:
        return None
    return Told(**{**data, "projects": tuple(data["projects"])})


def _thread(row: Any) -> Thread:
    return Thread(
        id=row.id, branch=row.branch, good=row.good_position, bad=row.bad_position, begun=row.begun,
        state=row.state, since=row.since, number=row.number, told=row.told, points_to=row.points_to,
    )  # fmt: skip


def _busy(connection: Connection) -> dict[str, set[int]]:
    """Branch -> positions that have routine runs or builds under way."""
    rows = connection.execute(
        select(runs.c.branch, runs.c.position)
        .where(runs.c.state.in_(UNDER_WAY), runs.c.purpose == "routine")
        .distinct()
    )
    found: dict[str, set[int]] = {}
    for branch, position in rows:
        found.setdefault(branch, set()).add(position)
    return found


def _post(farm: Farm, connection: Connection, letter: Letter, thread: Thread, now: float) -> None:
    story = stories.of_letter(farm, connection, letter, thread, now)
    subject, body = compose.text(story)
    first = story.rows[0] if story.rows else None
    list_root = thread.told.get("list", f"thread:{thread.id}")
    mailing.put(
        farm,
        connection,
        mailing.Written(
            key=letter.key, topic=letter.topic, reader=letter.reader, audience=letter.audience,
            recipients=letter.recipients, subject=subject, body=body, root=letter.root,
            thread=list_root, breakage=first.breakage if first else letter.points_to or None,
            run=first.run if first else None,
        ),
        now,
    )  # fmt: skip


def _save_threads(
    connection: Connection, before: Iterable[Thread], after: Iterable[Thread]
) -> None:
    known = {thread.id: thread for thread in before}
    for thread in after:
        if known.get(thread.id) == thread:
            continue
        values = {
            "branch": thread.branch, "good_position": thread.good, "bad_position": thread.bad,
            "begun": thread.begun, "state": thread.state, "since": thread.since,
            "number": thread.number, "told": dict(thread.told), "points_to": thread.points_to,
        }  # fmt: skip
        connection.execute(
            upsert(threads)
            .values(id=thread.id, **values)
            .on_conflict_do_update(index_elements=["id"], set_=values)
        )


def _save_breakages(
    farm: Farm,
    connection: Connection,
    before: Iterable[Broken],
    after: Iterable[Broken],
    known: dict[int, Thread],
) -> None:
    old = {one.id: one for one in before}
    for one in after:
        if old[one.id] == one:
            continue
        values: dict[str, Any] = {"thread_id": one.thread}
        if one.told is not None:
            values["told"] = asdict(one.told)
        if one.thread in known:
            root = known[one.thread].told.get("list")
            values["thread"] = mailing.message_id(farm, root or f"thread:{one.thread}")
        connection.execute(update(breakages).where(breakages.c.id == one.id).values(**values))
