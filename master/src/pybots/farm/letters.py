"""From decided alerts to letters in the outbox: gathers what a letter tells, inside the recording transaction.

No I/O besides SQL: everything a letter says is in the ledger or in the decision at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects import postgresql, sqlite

from pybots.core import alerts, words
from pybots.core.alerts import Book, Closed, Letter, Touch
from pybots.core.model import Project
from pybots.core.outcomes import Bad
from pybots.core.verdict import Decision
from pybots.farm.home import Farm
from pybots.ledger import breakages as ledger_breakages
from pybots.ledger import schema
from pybots.ledger.engine import announce
from pybots.mail import compose, message
from pybots.mail.compose import CommitLine, Facts, Failing
from pybots.mail.message import Envelope

runs, commits, interpreters = schema.runs, schema.commits, schema.interpreters
outbox = schema.outbox

ABOUT_PYTHON: Final = frozenset({"unbuilt", "unbuilt_first", "built_again"})
"""Topics that are about an interpreter, even when a project's run brought the news."""
MAX_COMMITS: Final = 500
"""A range longer than this is only counted as "500+"; the letter shows the newest few."""


def book(farm: Farm) -> Book:
    """The addresses of list, admin and projects."""
    return Book(
        list=farm.config.mail.list,
        admin=farm.config.mail.admin,
        projects={name: project.notify for name, project in farm.projects.items()},
    )


def message_id(farm: Farm, key: str) -> str:
    """The Message-ID of the alert with this key: the same whenever it is asked for."""
    return message.message_id(key, farm.config.url, farm.config.mail.sender)


def post_run(
    farm: Farm,
    connection: Connection,
    run: Row[Any],
    lane: Row[Any],
    decision: Decision,
    touched: Sequence[ledger_breakages.Touched],
    fixed: Sequence[Row[Any]],
) -> None:
    """The letters of a project's run: new failures, joined ones, fixes."""
    closed = [_closed(connection, row) for row in fixed]
    touches = [_touch(one) for one in touched]
    for letter in alerts.of_run(run.id, lane.project, touches, closed, book(farm)):
        bad = decision.new if letter.topic in ("new", "again") else _of(letter, touched, decision)
        post(farm, connection, letter, run, bad, fixed, more=len(decision.still))


def post_build(
    farm: Farm,
    connection: Connection,
    run: Row[Any],
    decision: Decision,
    touched: Sequence[ledger_breakages.Touched],
    fixed: Sequence[Row[Any]],
    *,
    first_ever: bool,
) -> None:
    """The letters of an interpreter's build: it doesn't build, it builds again."""
    closed = [_closed(connection, row) for row in fixed]
    touches = [_touch(one) for one in touched]
    bad = decision.new or decision.still
    for letter in alerts.of_build(run.id, touches, closed, first_ever=first_ever, book=book(farm)):
        post(farm, connection, letter, run, bad, fixed)


def post_fault(
    farm: Farm, connection: Connection, letter: Letter, run: int, worker: str, reason: str
) -> None:
    """The admin's letter about a run that the farm could not do."""
    row = connection.execute(select(runs).where(runs.c.id == run)).one()
    failure = Bad.of_farm(reason)
    post(farm, connection, letter, row, [failure], [], worker=worker)


def _touch(one: ledger_breakages.Touched) -> Touch:
    return Touch(breakage=one.breakage, how=one.how, thread=one.thread, new_project=one.new_project)


def _closed(connection: Connection, row: Row[Any]) -> Closed:
    return Closed(
        breakage=row.id,
        thread=row.thread,
        projects=tuple(ledger_breakages.projects_of(connection, row.id)),
        thread_open=ledger_breakages.thread_open(connection, row.thread),
    )


def _of(
    letter: Letter, touched: Sequence[ledger_breakages.Touched], decision: Decision
) -> list[Bad]:
    ids = {name for one in touched if one.breakage in letter.breakages for name in one.failing.ids}
    return [bad for bad in decision.new if bad.id in ids]


def post(
    farm: Farm,
    connection: Connection,
    letter: Letter,
    run: Row[Any],
    bad: Sequence[Bad],
    fixed: Iterable[Row[Any]],
    *,
    more: int = 0,
    worker: str = "",
) -> None:
    """Compose the letter and put it into the outbox; a letter with this key that is there already stays as it is."""
    now = farm.clock()
    told = [row for row in fixed if row.id in letter.breakages]
    facts = _facts(farm, connection, letter, run, bad, told, more=more, worker=worker)
    key = message_id(farm, letter.key)
    thread = letter.thread or key
    envelope = Envelope(
        message_id=key,
        thread=thread,
        sender=farm.config.mail.sender,
        name=farm.config.name,
        list=farm.config.mail.list,
        recipients=letter.recipients,
        at=now,
        url=farm.config.url,
        run=run.id,
        topic=letter.topic,
    )
    subject, body = compose.text(letter.topic, facts)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    added = connection.execute(
        dialect.insert(outbox)
        .values(
            alert=letter.key,
            message_id=key,
            thread=thread,
            audience=letter.audience,
            recipients=list(letter.recipients),
            subject=subject,
            message=message.message(envelope, subject, body).decode("ascii"),
            breakage_id=letter.breakages[0] if letter.breakages else None,
            run_id=run.id,
            state="queued",
            tries=0,
            next_try=now,
            created=now,
            error="",
        )
        .on_conflict_do_nothing(index_elements=["alert"])
    ).rowcount
    if added:
        announce(
            connection, now, "mail", alert=letter.key, run=run.id, subject=subject[:200],
            audience=letter.audience,
        )  # fmt: skip


def _facts(
    farm: Farm,
    connection: Connection,
    letter: Letter,
    run: Row[Any],
    bad: Sequence[Bad],
    fixed: Iterable[Row[Any]],
    *,
    more: int,
    worker: str,
) -> Facts:
    row = _place(connection, run.id)
    name = "" if letter.topic in ABOUT_PYTHON else row.project or ""
    project = farm.projects.get(name)
    about = _about(connection, letter)
    good = about.good_position if about else None
    first_bad = about.bad_position if about else run.position
    lines = _range(connection, run.branch, good, first_bad) if good is not None else []
    return Facts(
        project=name,
        title=project.title if project else "",
        source=_source(project, row.source),
        revision=(run.revision_label or "") if name else "",
        revision_before=_revision_before(connection, run),
        branch=run.branch,
        flavour=row.flavour,
        platform=row.platform,
        python=row.python or "",
        commit=CommitLine(sha=row.sha, author=row.author, title=row.title),
        since_good=good is not None,
        commits=tuple(lines),
        failing=tuple(
            Failing(id=one.id, error=words.error_line(one), kind=one.kind) for one in bad
        ),
        more=more,
        tail=_tail(bad),
        fixed=tuple(one.title for one in fixed),
        url=farm.config.url,
        run=run.id,
        breakages=letter.breakages,
        repository=farm.config.cpython.repository,
        configure=tuple(row.recipe.get("configure", ())),
        worker=worker,
    )


def _source(project: Project | None, source: str | None) -> str:
    """The lane's source, where `pybots try` would not take it by itself."""
    return source if project and source and source != next(iter(project.sources), "") else ""


def _place(connection: Connection, run: int) -> Row[*tuple[Any, ...]]:
    lanes = schema.lanes
    return connection.execute(
        select(
            lanes.c.project, lanes.c.source, interpreters.c.flavour, interpreters.c.platform,
            interpreters.c.python, interpreters.c.recipe, commits.c.sha, commits.c.author, commits.c.title,
        )
        .select_from(runs)
        .join(commits, commits.c.id == runs.c.commit_id)
        .join(interpreters, interpreters.c.id == runs.c.interpreter_id)
        .join(lanes, lanes.c.id == runs.c.lane_id, isouter=True)
        .where(runs.c.id == run)
    ).one()  # fmt: skip


def _about(connection: Connection, letter: Letter) -> Row[Any] | None:
    if not letter.breakages:
        return None
    return connection.execute(
        select(schema.breakages).where(schema.breakages.c.id == letter.breakages[0])
    ).first()


def _range(connection: Connection, branch: str, good: int, bad: int) -> list[CommitLine]:
    """The commits after the last good one up to the first bad one, newest first."""
    rows = connection.execute(
        select(commits.c.sha, commits.c.author, commits.c.title)
        .where(commits.c.branch == branch, commits.c.position > good, commits.c.position <= bad)
        .order_by(commits.c.position.desc())
        .limit(MAX_COMMITS)
    )
    return [CommitLine(sha=row.sha, author=row.author, title=row.title) for row in rows]


def _revision_before(connection: Connection, run: Row[Any]) -> str:
    """The project's revision in the lane's head (which this run has not moved yet)."""
    if run.lane_id is None:
        return ""
    found = connection.scalar(
        select(runs.c.revision_label)
        .join(schema.lanes, schema.lanes.c.head_run == runs.c.id)
        .where(schema.lanes.c.id == run.lane_id)
    )
    return found or ""


def _tail(bad: Sequence[Bad]) -> str:
    """The last words of the first failure."""
    if not bad:
        return ""
    failure = bad[0].failure
    return failure.detail or failure.message
