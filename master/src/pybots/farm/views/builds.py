"""The interpreters of a branch's commits: built, failed, or on their way. Many commits may share one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, and_, bindparam, func, select

from pybots.farm.views.common import run_state, state
from pybots.farm.views.console import Column
from pybots.ledger import schema
from pybots_status.pages import State

BANNER_COMMITS: Final = 40
"""How far back the banner looks for the newest build of each column."""
KEPT: Final = 512
"""So many columns' builds are remembered."""

_FACTS: Final = msgspec.json.Decoder(list[tuple[int, int, str, int | None, str | None, str | None]])
"""Position, interpreter, its state; its newest run's number, state and verdict."""

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


# Made once: every page asks this, and making the statement takes longer than its execution.
_TOLD: Final = (
    select(
        interpreters.c.platform,
        interpreters.c.flavour,
        func.json_group_array(
            func.json_array(
                commits.c.position, interpreters.c.id, interpreters.c.state,
                runs.c.id, runs.c.state, runs.c.verdict,
            )
        ),
    )
    .join_from(commits, interpreters, interpreters.c.content_key == commits.c.content_key)
    .join(runs, runs.c.id == _last_run(), isouter=True)
    .where(
        commits.c.branch == bindparam("branch"),
        commits.c.position.between(bindparam("low"), bindparam("high")),
    )
    .group_by(interpreters.c.platform, interpreters.c.flavour)
    .order_by(interpreters.c.platform, interpreters.c.flavour)
)  # fmt: skip


def told(connection: Connection, branch: str, low: int, high: int) -> dict[Column, str]:
    """Per column, the interpreters of the commits between two positions, as JSON for `read`."""
    rows = connection.execute(_TOLD, {"branch": branch, "low": low, "high": high}).all()
    return {Column(platform, flavour): text for platform, flavour, text in rows}


@lru_cache(KEPT)
def read(column: Column, text: str) -> tuple[Build, ...]:
    """What `told` gave of a column, newest first. Remembered: of most columns it is what it was."""
    facts = sorted(_FACTS.decode(text), key=lambda fact: (-fact[0], fact[1]))
    return tuple(_build(column, *fact) for fact in facts)


@lru_cache(KEPT)
def cells(column: Column, text: str) -> str:
    """The same as a lane's cells (console.Heard): one per commit, a build that failed before others."""
    known: dict[int, Build] = {}
    for build in read(column, text):
        if build.run and (build.position not in known or build.failed):
            known[build.position] = build
    made = [(build.position, build.run, build.state, 0) for build in known.values()]
    return msgspec.json.encode(made).decode()


def _build(
    column: Column, position: int, _id: int, word: str,
    run: int | None, run_word: str | None, verdict: str | None,
) -> Build:  # fmt: skip
    return Build(
        position=position,
        column=column,
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
    return newest_of(told(connection, branch, newest - BANNER_COMMITS, newest))


def stretch(
    connection: Connection, branch: str, low: int, high: int, newest: int
) -> tuple[Mapping[Column, str], Mapping[Column, Build]]:
    """(what is told from `low` to `high` at least, the last builds): read at once where the one reaches the other."""
    if high < newest - BANNER_COMMITS:
        return told(connection, branch, low, high), last_builds(connection, branch)
    found = told(connection, branch, min(low, newest - BANNER_COMMITS), newest)
    return found, newest_of(found, newest - BANNER_COMMITS)


def newest_of(found: Mapping[Column, str], low: int = 0) -> dict[Column, Build]:
    """Per column the newest finished build from position `low` on; one on its way only where nothing is finished."""
    made: dict[Column, Build] = {}
    for column, text in found.items():
        recent = [build for build in read(column, text) if build.position >= low]
        ended = next((build for build in recent if build.built or build.failed), None)
        if recent:
            made[column] = ended or recent[0]
    return made
