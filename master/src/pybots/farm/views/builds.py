"""The interpreters of a branch's commits: built, failed, or on their way. Many commits may share one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, and_, func, select

from pybots.farm.views.common import run_state, state
from pybots.farm.views.console import Column
from pybots.ledger import schema
from pybots_status.pages import State

BANNER_COMMITS: Final = 40
"""How far back the banner looks for the newest build of each column."""

commits, interpreters, runs = schema.commits, schema.interpreters, schema.runs


@dataclass(frozen=True, kw_only=True)
class Build:
    """An interpreter as one commit sees it. `run` 0: nobody was asked to build it."""

    position: int
    column: Column
    built: bool
    failed: bool
    state: State
    run: int


def window(connection: Connection, branch: str, low: int, high: int) -> list[Build]:
    """The interpreters of the commits between two positions, newest first."""
    rows = connection.execute(
        select(
            commits.c.position, interpreters.c.platform, interpreters.c.flavour,
            interpreters.c.state, runs.c.id, runs.c.state.label("run_state"), runs.c.verdict,
        )
        .join(interpreters, interpreters.c.content_key == commits.c.content_key)
        .join(runs, runs.c.id == _last_run(), isouter=True)
        .where(commits.c.branch == branch, commits.c.position.between(low, high))
        .order_by(commits.c.position.desc(), interpreters.c.id)
    ).all()  # fmt: skip
    columns: dict[tuple[str, str], Column] = {}
    return [_build(row, columns) for row in rows]


def _last_run() -> Any:
    """The id of the newest run that built (or shall build) the interpreter."""
    inner = runs.alias("builds")
    return (
        select(func.max(inner.c.id))
        .where(
            and_(
                inner.c.interpreter_id == interpreters.c.id,
                inner.c.kind == "interpreter",
                inner.c.state != "dropped",
            )
        )
        .scalar_subquery()
    )


def _build(row: Any, columns: dict[tuple[str, str], Column]) -> Build:
    position, platform, flavour, word, run, run_word, verdict = row
    key = (platform, flavour)
    if key not in columns:
        columns[key] = Column(platform, flavour)
    return Build(
        position=position,
        column=columns[key],
        built=word == "published",
        failed=word == "failed",
        state=_state(word, run, run_word, verdict),
        run=run or 0,
    )


def _state(word: str, run: int | None, run_word: str | None, verdict: str | None) -> State:
    if word == "published":
        return "passed"
    if word == "failed":
        return state(verdict) if verdict in ("new_failure", "still_failing") else "new_failure"
    return run_state(run_word or "wanted", verdict) if run else "none"


def last_builds(connection: Connection, branch: str) -> Mapping[Column, Build]:
    """Per column the newest commit's build that came to something; else its newest one."""
    newest = connection.scalar(
        select(func.max(commits.c.position)).where(commits.c.branch == branch)
    )
    if newest is None:
        return {}
    return newest_of(window(connection, branch, newest - BANNER_COMMITS, newest))


def stretch(
    connection: Connection, branch: str, low: int, high: int, newest: int
) -> tuple[list[Build], Mapping[Column, Build]]:
    """(the window from `low` to `high`, the last builds): read at once where the one reaches the other."""
    if high < newest - BANNER_COMMITS:
        return window(connection, branch, low, high), last_builds(connection, branch)
    found = window(connection, branch, min(low, newest - BANNER_COMMITS), newest)
    recent = [build for build in found if build.position >= newest - BANNER_COMMITS]
    return [build for build in found if low <= build.position <= high], newest_of(recent)


def newest_of(found: Sequence[Build]) -> dict[Column, Build]:
    """Per column the newest finished build; one on its way only where nothing is finished. `found`: newest first."""
    chosen: dict[Column, Build] = {}
    for build in found:
        known = chosen.get(build.column)
        ended = build.built or build.failed
        if known is None or (ended and not (known.built or known.failed)):
            chosen[build.column] = build
    return chosen
