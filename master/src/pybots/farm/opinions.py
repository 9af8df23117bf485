"""Second opinions: a random sample of results is repeated on another owner's worker, and disagreement is told.

Who would send false reports cannot know which of them are looked at: chance decides after a report is recorded. The
repetition is a run of purpose `opinion` with the first run's own lock; it takes what no lane wants, and leaves lanes alone.
`draw` and `answer` work inside the caller's transaction; `compared` reads outside of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from pybots.core.model import CONCLUSIVE, Verdict
from pybots.core.opinion import Compared, compare
from pybots.core.outcomes import Observed
from pybots.core.schedule import Wanted, fits
from pybots.core.verdict import Decision
from pybots.farm import alarms, controls, probes
from pybots.farm.home import Farm
from pybots.farm.workers import approved
from pybots.ledger import schema
from pybots.ledger.engine import announce, inserted_id
from pybots.store import StoreError
from pybots_worker import contract

opinions, runs, lanes, interpreters = (
    schema.opinions, schema.runs, schema.lanes, schema.interpreters,
)  # fmt: skip
PURPOSE: Final = "opinion"
"""Of the run, in the ledger. On the wire it is a `retry`: a worker is not told that it is looked at."""
MOST_WAITING: Final = 10
LONGEST_SECONDS: Final = 3 * 86_400.0
"""Who was asked and has not answered by then is asked no more."""
VERDICTS: Final[dict[str, Verdict]] = {
    "agrees": "passed", "differs": "unknown", "silent": "unknown",
}  # fmt: skip


def chance() -> float:
    """From 0 to 1, and nobody's guess."""
    return secrets.randbelow(1_000_000) / 1_000_000


def draw(farm: Farm, connection: Connection, number: int, worker: str, now: float) -> int | None:
    """A routine run was recorded by this worker: perhaps ask for a second opinion. Returns the run that gives it."""
    run = connection.execute(
        select(
            runs, lanes.c.project, interpreters.c.platform, interpreters.c.abi,
            interpreters.c.trust,
        )
        .join(lanes, lanes.c.id == runs.c.lane_id)
        .join(interpreters, interpreters.c.id == runs.c.interpreter_id)
        .where(runs.c.id == number, runs.c.purpose == "routine", runs.c.verdict.in_(CONCLUSIVE))
    ).first()  # fmt: skip
    if run is None or chance() * 100 >= farm.config.second_opinions:
        return None
    _give_up_old(connection, now)
    waiting = select(func.count()).where(runs.c.purpose == PURPOSE, runs.c.state == "wanted")
    if (connection.scalar(waiting) or 0) >= MOST_WAITING:
        return None
    owner = owner_of(connection, worker)
    if not _anybody(farm, connection, run, owner) or not controls.possible(farm, connection, run):
        return None
    made = _insert(connection, run, now)
    connection.execute(
        insert(opinions).values(
            subject=number, run_id=made, worker=worker, owner=owner, second="", opinion="",
            words="", tests=[], asked=now,
        )
    )  # fmt: skip
    announce(connection, now, "run", run=made, lane=run.lane_id, state="wanted")
    return made


def owner_of(connection: Connection, worker: str) -> str:
    """Whose worker it is; a worker without an owner's name is its own."""
    found = connection.scalar(select(schema.workers.c.owner).where(schema.workers.c.name == worker))
    return str(found or worker)


def _anybody(farm: Farm, connection: Connection, run: Row[Any], owner: str) -> bool:
    """Whether somebody else's worker could give one."""
    known = farm.projects.get(run.project)
    if known is None:
        return False
    asked = Wanted(
        run=run.id, lane=run.lane_id, project=run.project, interpreter=run.interpreter_id,
        position=run.position, platform=run.platform, abi=run.abi, trust=run.trust, created=0.0,
        wants=frozenset(known.wants), network=known.network, not_by=frozenset([owner]),
    )  # fmt: skip
    return any(fits(asked, one) for one in approved(connection))


def _insert(connection: Connection, run: Row[Any], now: float) -> int:
    made = connection.execute(
        insert(runs).values(
            kind="project", lane_id=run.lane_id, interpreter_id=run.interpreter_id,
            commit_id=run.commit_id, branch=run.branch, position=run.position, purpose=PURPOSE,
            revision_label=run.revision_label, revision=run.revision, state="wanted", summary="",
            tries=0, lost=0, created=now, subject=run.id, good_run=run.id, only=None,
        )
    )  # fmt: skip
    return inserted_id(made)


def _give_up_old(connection: Connection, now: float) -> None:
    connection.execute(
        update(runs)
        .where(
            runs.c.purpose == PURPOSE,
            runs.c.state == "wanted",
            runs.c.created < now - LONGEST_SECONDS,
        )
        .values(state="dropped")
    )


def not_by(connection: Connection) -> dict[int, list[str]]:
    """Of the opinions that wait for a slot: the run, and the owners whose workers can't give it."""
    found = connection.execute(
        select(opinions.c.run_id, opinions.c.owner)
        .join(runs, runs.c.id == opinions.c.run_id)
        .where(runs.c.state == "wanted")
    )
    return {row.run_id: [row.owner] for row in found}


def compared(farm: Farm, run: int, observed: Observed) -> Compared | None:
    """What this report says of the first; None when nobody asked for it. Reads the ledger and the store."""
    with farm.ledger.read() as connection:
        subject = connection.execute(
            select(runs.c.report, lanes.c.project)
            .join(opinions, opinions.c.subject == runs.c.id)
            .join(lanes, lanes.c.id == runs.c.lane_id)
            .where(opinions.c.run_id == run)
        ).first()
    if subject is None:
        return None
    try:
        first = probes.observed_of(farm, subject.report, subject.project)
    except (StoreError, contract.ContractError) as error:
        return Compared(opinion="silent", words=f"the first report is gone: {error}")
    return compare(first, observed)


def answer(
    farm: Farm, connection: Connection, run: Row[Any], found: Compared, now: float
) -> Decision:
    """Write the opinion down, and tell the admin when it differs. Returns the verdict of the run that gave it."""
    attempts = schema.attempts
    second = connection.scalar(
        select(attempts.c.worker)
        .where(attempts.c.run_id == run.id)
        .order_by(attempts.c.number.desc())
        .limit(1)
    )
    connection.execute(
        update(opinions)
        .where(opinions.c.run_id == run.id, opinions.c.opinion == "")
        .values(
            opinion=found.opinion, words=found.words[:500], tests=list(found.tests), second=second,
            given=now,
        )
    )  # fmt: skip
    row = connection.execute(select(opinions).where(opinions.c.run_id == run.id)).one()
    if found.opinion == "differs":
        alarms.differs(farm, connection, row, now)
    said = f"second opinion on run {row.subject} of {row.worker}: {found.opinion}: {found.words}"
    return Decision(verdict=VERDICTS[found.opinion], summary=said)


def of_worker(connection: Connection, worker: str, most: int = 200) -> list[Any]:
    """The newest opinions about and by a worker that were given."""
    return list(
        connection.execute(
            select(opinions)
            .where(
                or_(opinions.c.worker == worker, opinions.c.second == worker),
                opinions.c.opinion.in_(("agrees", "differs")),
            )
            .order_by(opinions.c.id.desc())
            .limit(most)
        ).all()
    )


def words_of(rows: Iterable[Any], worker: str) -> str:
    """For a worker's page: how often it agreed with others, and where not."""
    rows = list(rows)
    if not rows:
        return ""
    others = [
        f"run {row.subject} and run {row.run_id} (with {row.second if row.worker == worker else row.worker}: {row.words})"
        for row in rows
        if row.opinion == "differs"
    ]
    agreed = f"{len(rows) - len(others)} of {len(rows)} results agree with another owner's worker"
    return f"{agreed}; not {'; '.join(others[:5])}" if others else agreed


def of_run(connection: Connection, run: int) -> str:
    """For a run's page: what its second opinion said, or whose second opinion it is."""
    row = connection.execute(
        select(opinions, runs.c.state)
        .join(runs, runs.c.id == opinions.c.run_id)
        .where(or_(opinions.c.subject == run, opinions.c.run_id == run))
        .order_by(opinions.c.id.desc())
    ).first()
    if row is None:
        return ""
    if not row.opinion:
        return (
            ""
            if row.state in ("done", "dropped")
            else f"asked of another owner's worker (run {row.run_id})"
        )
    other, by = (row.subject, row.worker) if row.run_id == run else (row.run_id, row.second)
    return (
        f"{row.opinion} with run {other} on {by}: {row.words}"
        if row.opinion != "silent"
        else f"none: {row.words}"
    )
