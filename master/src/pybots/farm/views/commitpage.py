"""`/commit/<sha>`: everything the farm knows of one commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Connection, or_, select

from pybots.farm.home import Farm
from pybots.farm.views import history
from pybots.farm.views.common import (
    Visit,
    commits,
    interpreters,
    run_row,
    runs,
    select_runs,
)
from pybots.farm.views.frame import branches, frame
from pybots.farm.views.lists import breakage_rows, breakages, mails_of_breakages
from pybots.farm.views.runpage import interpreter_row
from pybots_status.pages import Commit, CommitLine, InterpreterRow, RunRow

MAX_RUNS: Final = 400
MAX_FILES: Final = 500
MAX_BREAKAGES: Final = 20


def commit(farm: Farm, visit: Visit, sha: str) -> Commit:
    """The page of the commit with this sha, or the only one with this prefix. Raises Missing."""
    order = (visit.branch, *branches(farm)) if visit.branch else branches(farm)
    with farm.ledger.read() as connection:
        row = history.find(connection, sha.lower(), order)
        newer, older = _neighbours(connection, row)
        broken = _breakages(connection, row)
        blamed = [item.id for item in broken]
        return Commit(
            frame=frame(farm, connection, visit, title=row.sha[:12], branch=row.branch),
            sha=row.sha,
            title=row.title,
            author=row.author,
            message=row.message.partition("\n")[2].strip(),
            branch=row.branch,
            position=row.position,
            when=row.committed,
            upstream=upstream(farm.config.cpython.repository, row.sha),
            unchanged=older is not None and older.content_key == row.content_key,
            files=tuple(str(name) for name in row.files[:MAX_FILES]),
            interpreters=_interpreters(connection, row),
            runs=_runs(connection, row),
            breakages=breakage_rows(connection, broken, farm.clock()),
            mails=mails_of_breakages(connection, blamed, (farm.config.mail.list,)),
            newer=_line(newer),
            older=_line(older),
        )


def _neighbours(connection: Connection, row: Any) -> tuple[Any, Any]:
    wanted = (*history.LINE, commits.c.content_key)
    above = history.page_of_commits(
        connection, row.branch, above=row.position, limit=1, columns=wanted
    )
    below = history.page_of_commits(
        connection, row.branch, top=row.position - 1, limit=1, columns=wanted
    )
    return (above[0] if above else None, below[0] if below else None)


def _line(row: Any) -> CommitLine | None:
    if row is None:
        return None
    return CommitLine(sha=row.sha, title=row.title, author=row.author, when=row.committed)


def upstream(repository: str, sha: str) -> str:
    """The commit's page at the forge, where the repository has one that is known."""
    parts = urlsplit(repository)
    if parts.scheme == "https" and parts.hostname in ("github.com", "gitlab.com"):
        return f"{repository.removesuffix('/').removesuffix('.git')}/commit/{sha}"
    return ""


def _interpreters(connection: Connection, row: Any) -> tuple[InterpreterRow, ...]:
    found = connection.execute(
        select(interpreters, commits.c.sha)
        .join(commits, commits.c.id == interpreters.c.commit_id)
        .where(interpreters.c.content_key == row.content_key)
        .order_by(interpreters.c.platform, interpreters.c.flavour, interpreters.c.id)
    ).all()
    builds = connection.execute(
        select_runs()
        .where(
            runs.c.interpreter_id.in_([item.id for item in found]),
            runs.c.kind == "interpreter",
            runs.c.state != "dropped",
        )
        .order_by(runs.c.id)
    ).all()
    newest = {build.interpreter_id: build for build in builds}
    return tuple(interpreter_row(item, newest.get(item.id), row.sha) for item in found)


def _runs(connection: Connection, row: Any) -> tuple[RunRow, ...]:
    """The runs that speak for the commit: per lane its own, else the first that contains it; then controls, probes …"""
    own = history.seen_at(connection, row.branch, row.position)
    mine = {item.lane for item in own}
    later = [
        item
        for item in history.newer(connection, row.branch, row.position)
        if item.lane not in mine
    ]
    older = history.with_older(connection, row.branch, row.position) if later else set()
    speaking = {item.run for item in own} | {item.run for item in later if item.lane in older}
    rows = connection.execute(
        select_runs()
        .where(
            or_(runs.c.id.in_(sorted(speaking)[:MAX_RUNS]), runs.c.commit_id == row.id),
            runs.c.state != "dropped",
        )
        .order_by(runs.c.kind, runs.c.id.desc())
        .limit(MAX_RUNS)
    ).all()
    return tuple(sorted(map(run_row, rows), key=_worst_first))


def _worst_first(row: RunRow) -> tuple[bool, bool, str]:
    return (row.state not in ("new_failure", "still_failing"), row.kind == "interpreter", row.lane)


def _breakages(connection: Connection, row: Any) -> Sequence[Any]:
    """Breakages whose range has this commit."""
    return connection.execute(
        select(breakages)
        .where(
            breakages.c.branch == row.branch,
            breakages.c.bad_position >= row.position,
            or_(
                breakages.c.good_position < row.position,
                breakages.c.bad_position == row.position,
            ),
        )
        .order_by(breakages.c.bad_position)
        .limit(MAX_BREAKAGES)
    ).all()
