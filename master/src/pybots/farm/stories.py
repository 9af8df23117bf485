"""What a thread's letter tells, gathered from the ledger inside the transaction that writes it. No I/O besides SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select

from pybots.core.model import Project
from pybots.core.normal import one_line
from pybots.core.outcomes import is_test
from pybots.core.rounds import Change, Letter
from pybots.core.threads import Thread
from pybots.farm import again, answering, findings
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.mail.story import CommitLine, Story
from pybots.mail.story import Row as StoryRow

runs, commits, interpreters = schema.runs, schema.commits, schema.interpreters
breakages, parts, lanes = schema.breakages, schema.breakage_lanes, schema.lanes
spans, tests = schema.spans, schema.tests

SHOWN_COMMITS: Final = 60
SHOWN_IDS: Final = 12
_WEIGHT: Final = ("opened", "again", "more", "known", "withdrawn", "fixed")


def of_letter(
    farm: Farm, connection: Connection, letter: Letter, thread: Thread, now: float
) -> Story:
    """The story of a letter: rows for every breakage in every project that the reader is to hear of."""
    rows = [
        row
        for number, change in letter.news
        for row in rows_of(farm, connection, number, change, project=letter.project)
    ]
    rows.sort(
        key=lambda row: (_WEIGHT.index(row.change), bool(row.project), row.project, row.breakage)
    )
    answers: tuple[tuple[int, str], ...] = ()
    if letter.audience == "person":
        answers = tuple(
            (number, answering.address(farm, number, letter.recipients[0], now))
            for number in dict.fromkeys(row.breakage for row in rows)
        )
    made = story(
        farm, connection, rows, branch=thread.branch, good=thread.good, bad=thread.bad,
        thread=thread.id, topic=letter.topic, audience=letter.audience, project=letter.project,
        answers=answers, held_back=letter.held_back, goes_on=letter.points_to,
    )  # fmt: skip
    if letter.topic == "mended":
        made = replace(made, rows=tuple(_mended(connection, row) for row in made.rows))
    if letter.topic in ("fixed", "mended") and rows:
        run = _place(connection, max(row.run for row in rows))
        made = replace(made, commit=_commit(connection, thread.branch, run.position))
    return made


def _mended(connection: Connection, row: StoryRow) -> StoryRow:
    """The row with what mended it in the place of what broke it."""
    broken = connection.execute(select(breakages).where(breakages.c.id == row.breakage)).one()
    return replace(row, finding=findings.mender(connection, broken))


def story(
    farm: Farm,
    connection: Connection,
    rows: Sequence[StoryRow],
    *,
    branch: str,
    good: int | None,
    bad: int,
    **given: Any,
) -> Story:
    """A story about these rows and this range of commits; `given` as in Story."""
    found, left_out = _range(connection, branch, good, bad)
    return Story(
        rows=tuple(rows),
        branch=branch,
        commit=_commit(connection, branch, bad),
        since_good=good is not None,
        commits=tuple(found),
        commits_left_out=left_out,
        url=farm.config.url,
        repository=farm.config.cpython.repository,
        **given,
    )


def rows_of(
    farm: Farm, connection: Connection, number: int, change: Change, *, project: str = ""
) -> list[StoryRow]:
    """One row for each project that a breakage is in (or was, when it is over); only `project`'s when it is given."""
    broken = connection.execute(select(breakages).where(breakages.c.id == number)).one()
    members = connection.execute(
        select(parts, lanes.c.project, lanes.c.source)
        .join(lanes, lanes.c.id == parts.c.lane_id, isouter=True)
        .where(parts.c.breakage_id == number)
        .order_by(parts.c.opened, parts.c.lane_id)
    ).all()
    members = [row for row in members if row.closed is None] or list(members)
    by_project: dict[str, list[Any]] = {}
    for row in members:
        by_project.setdefault(row.project or "", []).append(row)
    wanted = [project] if project else sorted(by_project)
    return [
        _row(farm, connection, broken, change, name, by_project[name])
        for name in wanted
        if name in by_project
    ]


def _row(
    farm: Farm,
    connection: Connection,
    broken: Row[Any],
    change: Change,
    name: str,
    members: Sequence[Row[Any]],
) -> StoryRow:
    """A breakage in one project; the lane that showed it first speaks, and of its end the run that ended it last."""
    first = members[0]
    run = _place(connection, first.run_id)
    ended = max(row.closed_run or 0 for row in members) if change == "fixed" else 0
    shown = _place(connection, ended) if ended else run
    project = farm.projects.get(name)
    ids = list(dict.fromkeys(str(one) for row in members for one in row.tests or ()))
    return StoryRow(
        breakage=broken.id,
        change=change,
        project=name,
        title=project.title if project else "",
        kind=broken.kind,
        error=_error(broken.title, ids),
        failing=tuple(ids[:SHOWN_IDS]),
        count=max(len(ids), max(row._mapping["count"] for row in members)),
        run=broken.fixed_run if change == "fixed" and broken.fixed_run else first.run_id,
        lanes=len(members) if name else len(ids),
        flavour=run.flavour,
        platform=run.platform,
        sha=run.sha,
        python=shown.python or "",
        source=_source(project, first.source),
        revision=(shown.revision_label or "") if name else "",
        before=_before(connection, broken, run),
        control=broken.control,
        control_run=broken.control_run or 0,
        again_run=more.id if (more := again.repeated(connection, first.run_id)) else 0,
        skipped=skipped(connection, first.lane_id, ids) if change == "fixed" else 0,
        sure=broken.state != "suspected",
        axis=broken.axis,
        blamed=broken.blamed,
        reopened=broken.reopened,
        tail=broken.evidence,
        tracker=project.tracker if project else "",
        configure=tuple(run.recipe.get("configure", ())),
        phase="" if name else (run.failure or {}).get("phase", ""),
        finding=findings.finding(connection, broken),
    )


def skipped(connection: Connection, lane: int, ids: Sequence[str]) -> int:
    """How many of these tests the lane's newest run skipped: a project's answer to a failure, and no proof of a fix."""
    now = (spans.c.lane_id == lane, spans.c.until_run.is_(None), spans.c.outcome == "skipped")
    named = select(func.count()).select_from(spans).join(tests, tests.c.id == spans.c.test_id)
    return connection.scalar(named.where(*now, tests.c.name.in_(ids))) or 0


def _error(title: str, ids: Sequence[str]) -> str:
    """A breakage's title without the name of its only test, which the letter lists anyway."""
    name = f"{one_line(ids[0])}: " if len(ids) == 1 else ""
    return title.removeprefix(name) if is_test(ids[0] if ids else "<>") else title


def _source(project: Project | None, source: str | None) -> str:
    """The lane's source, where `pybots try` would not take it by itself."""
    return source if project and source and source != next(iter(project.sources), "") else ""


def _place(connection: Connection, run: int) -> Row[*tuple[Any, ...]]:
    return connection.execute(
        select(
            runs.c.id, runs.c.lane_id, runs.c.revision_label, runs.c.position,
            interpreters.c.flavour, interpreters.c.platform, interpreters.c.python,
            interpreters.c.failure,
            interpreters.c.recipe, commits.c.sha,
        )
        .join(commits, commits.c.id == runs.c.commit_id)
        .join(interpreters, interpreters.c.id == runs.c.interpreter_id)
        .where(runs.c.id == run)
    ).one()  # fmt: skip


def _before(connection: Connection, broken: Row[Any], run: Row[*tuple[Any, ...]]) -> str:
    """The revision of the project that was good: of the lane's last good run, where it is known."""
    if run.lane_id is None or broken.good_run is None:
        return ""
    found = connection.scalar(
        select(runs.c.revision_label).where(
            runs.c.id == broken.good_run, runs.c.lane_id == run.lane_id
        )
    )
    return found or ""


def _commit(connection: Connection, branch: str, position: int) -> CommitLine:
    row = connection.execute(
        select(commits.c.sha, commits.c.author, commits.c.title).where(
            commits.c.branch == branch, commits.c.position == position
        )
    ).first()
    if row is None:  # not in the part of the history that the ledger has
        return CommitLine(sha="?", author="?", title="?")
    return CommitLine(sha=row.sha, author=row.author, title=row.title)


def _range(
    connection: Connection, branch: str, good: int | None, bad: int
) -> tuple[list[CommitLine], int]:
    """The commits after the last good one up to the first bad one, newest first, and how many more there are."""
    if good is None:
        return [], 0
    inside = (commits.c.branch == branch, commits.c.position > good, commits.c.position <= bad)
    rows = connection.execute(
        select(commits.c.sha, commits.c.author, commits.c.title)
        .where(*inside)
        .order_by(commits.c.position.desc())
        .limit(SHOWN_COMMITS)
    )
    found = [CommitLine(sha=row.sha, author=row.author, title=row.title) for row in rows]
    count = connection.scalar(select(func.count()).select_from(commits).where(*inside)) or 0
    return found, max(0, count - len(found))


def of_breakage(farm: Farm, connection: Connection, number: int) -> Story | None:
    """A breakage told by itself, for the ready issue text."""
    broken = connection.execute(select(breakages).where(breakages.c.id == number)).first()
    rows = rows_of(farm, connection, number, "opened") if broken is not None else []
    if broken is None or not rows:
        return None
    return story(
        farm, connection, rows, branch=broken.branch, good=broken.good_position,
        bad=broken.bad_position, thread=number, topic="opened", audience="list",
    )  # fmt: skip
