"""The console's rows: commits with their boxes, and new failures in words beneath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select

from pybots.farm import findings
from pybots.farm.views.common import commits as commits_table
from pybots.farm.views.common import runs
from pybots.farm.views.console import Box, Column, Lane, Seen, cells
from pybots_status import links
from pybots_status.pages import Bullet, CommitRow, Link

MAX_BULLETS: Final = 6
MAX_LINKS: Final = 8
MAX_BULLET_RUNS: Final = 500
MAX_MESSAGE: Final = 4000

Grid = Sequence[Mapping[Column, Box]]


def commit_rows(
    connection: Connection,
    commits: Sequence[Any],
    grid: Grid,
    columns: Sequence[Column],
    *,
    expanded: bool,
    mine: bool,
) -> tuple[CommitRow, ...]:
    """Rows for the commits (history.LINE), newest first, one cell per column. `expanded`: with their messages."""
    lines = cells(grid, columns, [(row.position, row.sha) for row in commits])
    bullets = _bullets(connection, commits, grid, columns)
    culprits = _culprits(connection, commits)
    messages = _messages(connection, commits) if expanded else {}
    return tuple(
        CommitRow(
            sha=row.sha,
            author=row.author,
            title=row.title,
            cells=line,
            message=messages.get(row.id, ""),
            when=row.committed,
            bullets=(*culprits.get(row.sha, ()), *bullets.get(row.position, ())),
            mine=mine,
        )
        for row, line in zip(commits, lines, strict=True)
    )


def _messages(connection: Connection, commits: Sequence[Any]) -> dict[int, str]:
    """The messages without their first line, which is the title."""
    wanted = [row.id for row in commits]
    found = connection.execute(
        select(commits_table.c.id, commits_table.c.message).where(commits_table.c.id.in_(wanted))
    )
    return {number: message.partition("\n")[2].strip()[:MAX_MESSAGE] for number, message in found}


def _culprits(connection: Connection, commits: Sequence[Any]) -> dict[str, list[Bullet]]:
    """By sha, what an investigation has traced to a commit, wherever it was seen first."""
    found: dict[str, list[Bullet]] = {}
    shas = [row.sha for row in commits]
    for row in findings.traced(connection, shas):
        link = Link(text=f"breakage {row.breakage_id}", href=links.breakage(row.breakage_id))
        bullets = found.setdefault(row.last, [])
        if len(bullets) < MAX_BULLETS:
            bullets.append(Bullet(where="proved to have broken", text=row.title, links=(link,)))
    return found


def _bullets(
    connection: Connection, commits: Sequence[Any], grid: Grid, columns: Sequence[Column]
) -> dict[int, tuple[Bullet, ...]]:
    """New failures only, by position, under the commit whose own run found them."""
    found: dict[int, list[tuple[Lane, Seen]]] = {}
    for row, line in zip(commits, grid, strict=True):
        fresh = [
            (voice.lane, voice.seen)
            for box in (line[column] for column in columns if column in line)
            if box.state == "new_failure"
            for voice in box.loudest
            if voice.seen.position == row.position
        ]
        if fresh:
            found[row.position] = fresh
    numbers = [seen.run for fresh in found.values() for _, seen in fresh]
    words = _summaries(connection, numbers[:MAX_BULLET_RUNS])
    return {position: _listed(fresh, words) for position, fresh in found.items()}


def _listed(fresh: Sequence[tuple[Lane, Seen]], words: Mapping[int, str]) -> tuple[Bullet, ...]:
    """The same failure of a project in several columns is one bullet, with a link for each of them."""
    alike: dict[tuple[str, str], list[Link]] = {}
    for lane, seen in fresh:
        text = words.get(seen.run, "").removeprefix("new: ") or "new failure"
        link = Link(text=lane.column.title, href=links.run(seen.run))
        alike.setdefault((lane.name, text), []).append(link)
    bullets = [
        Bullet(where=name, text=text, links=tuple(runs_of[:MAX_LINKS]))
        for (name, text), runs_of in list(alike.items())[:MAX_BULLETS]
    ]
    if len(alike) > MAX_BULLETS:
        bullets.append(Bullet(where="and", text=f"{len(alike) - MAX_BULLETS} more new failures"))
    return tuple(bullets)


def _summaries(connection: Connection, numbers: Sequence[int]) -> dict[int, str]:
    found = connection.execute(select(runs.c.id, runs.c.summary).where(runs.c.id.in_(numbers)))
    return {number: summary.partition("\n")[0][:200] for number, summary in found}
