"""What people answer about breakages: read, and set. Each answer is one transaction and an event that says who and what."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from pybots.core import dispositions
from pybots.core.digest import Standing, in_order
from pybots.core.dispositions import Answer
from pybots.core.normal import one_line
from pybots.farm import digests, threads
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import Record, announce, set_note

breakages = schema.breakages


class NoBreakage(LookupError):
    """There is no such breakage."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A breakage with the answer that holds now. `state`: suspected | open | fixed | dismissed. Times: epoch seconds."""

    id: int
    state: str
    title: str
    kind: str
    branch: str
    since: float
    disposition: str
    person: str
    issue: str
    note: str
    decided_by: str
    decided_at: float | None
    expires: float | None


def get(farm: Farm, number: int) -> Answered:
    """One breakage. Raises NoBreakage."""
    with farm.ledger.read() as connection:
        return of(connection, number, farm.clock())


def of(connection: Connection, number: int, now: float) -> Answered:
    """One breakage, inside the caller's transaction. Raises NoBreakage."""
    row = connection.execute(select(breakages).where(breakages.c.id == number)).first()
    if row is None:
        raise NoBreakage(f"there is no breakage {number}")
    return answered(row, now)


def answered(row: Record, now: float) -> Answered:
    """A row of `breakages` with the answer that holds now."""
    over = row.expires is not None and row.expires <= now
    return Answered(
        id=row.id,
        state=row.state,
        title=row.title,
        kind=row.kind,
        branch=row.branch,
        since=row.opened,
        disposition=dispositions.current(row.disposition, row.expires, now),
        person="" if over else row.person,
        issue=row.issue,
        note=row.note,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        expires=None if over else row.expires,
    )


def standing(farm: Farm) -> list[Standing]:
    """What stands, untriaged first, the oldest first."""
    with farm.ledger.read() as connection:
        return in_order(digests.standing(connection, farm.clock()))


def put(farm: Farm, number: int, given: Answer, by: str) -> Answered:
    """Take an answer. `by`: who gave it, and how (`cli`, a mail address). Raises NoBreakage.

    What a breaker holds may be sent now: the postman is made to look again."""
    now = farm.clock()
    with farm.ledger.write() as connection:
        changed = connection.execute(
            update(breakages)
            .where(breakages.c.id == number)
            .values(
                disposition=given.disposition,
                person=given.person,
                issue=given.issue,
                note=given.note,
                expires=given.expires,
                decided_by=one_line(by, 254),
                decided_at=now,
            )
        ).rowcount
        if not changed:
            raise NoBreakage(f"there is no breakage {number}")
        announce(
            connection, now, "breakage", breakage=number, disposition=given.disposition,
            person=given.person, issue=given.issue,
        )  # fmt: skip
        set_note(connection, threads.LOOK_AGAIN, now, now)
        return of(connection, number, now)
