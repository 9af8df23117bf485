"""What is around every page: the banner of computed facts, branches, whether the master is alive."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final, NamedTuple

from sqlalchemy import Connection, func, or_, select

from pybots.core import gardeners
from pybots.farm import tree
from pybots.farm.home import Farm
from pybots.farm.views.banner import banner, tally
from pybots.farm.views.builds import Build, last_builds
from pybots.farm.views.common import UNDER_WAY, Visit, path_prefix
from pybots.farm.views.console import Column
from pybots.ledger import schema
from pybots.store import StoreFull
from pybots_status import links
from pybots_status.pages import Announce, Banner, Frame, Link, Notice, TreeNote

MASTER_SILENT_SECONDS: Final = 30
"""A master whose heartbeat (`notes` row `master`) is older than this is down."""

MIN_RELOAD, MAX_RELOAD = 15, 86_400
VERSION: Final = version("pybots")


def frame(
    farm: Farm,
    connection: Connection,
    visit: Visit,
    *,
    title: str,
    current: str = "",
    refresh: int = 60,
    branch: str = "",
    tabs: str = links.CONSOLE,
    built: Mapping[Column, Build] | None = None,
) -> Frame:
    """The frame of a page about `branch` (else the visit's, else the farm's first). `tabs`: where branch tabs lead.

    `built`: the branch's last_builds, when the page has read them already."""
    shown = branch or visit.branch or default_branch(farm)
    now = farm.clock()
    seen = master_seen(connection)
    crowd = _crowd(connection)
    return Frame(
        title=title,
        branch=shown,
        banner=replace(
            banner(
                shown,
                tally(connection, shown),
                last_builds(connection, shown) if built is None else built,
            ),
            note=_sign(connection),
        ),
        generated=now,
        branches=links.branch_tabs(branches(farm), shown, tabs),
        nav=links.views(current),
        announce=(_farm_line(connection, crowd), *_gardener(farm, now), *_trouble(farm)),
        notices=_lonely(crowd),
        master_alive=alive(seen, now),
        master_seen=seen,
        here=visit.here,
        base_url=path_prefix(farm.config.url),
        refresh=_refresh(visit, refresh),
        theme=visit.theme,
        farm=farm.config.name,
        version=VERSION,
    )


def _sign(connection: Connection) -> TreeNote | None:
    """What stands beside the facts; an open farm of which nothing more is said needs no sign."""
    holds = tree.newest(connection)
    if holds is None or (holds.word.state == "open" and not holds.word.text):
        return None
    return tree_note(holds)


def tree_note(entry: tree.Entry) -> TreeNote:
    """The admin's word as the theme shows it."""
    word = entry.word
    return TreeNote(state=word.state, text=word.text, by=word.by, since=entry.at)


def bare_frame(farm: Farm, visit: Visit, *, title: str, dark: bool = True) -> Frame:
    """A frame that needs no ledger. `dark`: it can't be read, so nothing is known; else the banner only leads home."""
    silent = Banner(state="unknown", text="nothing is known at the moment")
    return Frame(
        title=title,
        branch=default_branch(farm),
        banner=silent
        if dark
        else Banner(state="unknown", text=farm.config.name, href=links.CONSOLE),
        generated=farm.clock(),
        nav=links.views(),
        here=visit.here,
        base_url=path_prefix(farm.config.url),
        refresh=0,
        theme=visit.theme,
        farm=farm.config.name,
        version=VERSION,
    )


def branches(farm: Farm) -> tuple[str, ...]:
    """The watched branches and tags, in the settings' order."""
    return (*farm.config.cpython.branches, *farm.config.cpython.tags)


def default_branch(farm: Farm) -> str:
    return branches(farm)[0]


def _refresh(visit: Visit, usual: int) -> int:
    if visit.reload is None:
        return usual
    return min(max(visit.reload, MIN_RELOAD), MAX_RELOAD) if visit.reload else 0


def master_seen(connection: Connection) -> float | None:
    """When the master last said that it lives; None: never."""
    notes = schema.notes
    at = connection.scalar(select(notes.c.at).where(notes.c.name == "master"))
    return None if at is None else float(at)


def alive(seen: float | None, now: float) -> bool:
    return seen is not None and now - seen <= MASTER_SILENT_SECONDS


def _trouble(farm: Farm) -> tuple[Announce, ...]:
    """What keeps the farm from working at all, in its own line."""
    try:
        farm.store.check_room(0)
    except StoreFull as error:
        return (Announce(label="Trouble", links=(), note=f"nothing new is started: {error}"),)
    return ()


def _gardener(farm: Farm, now: float) -> tuple[Announce, ...]:
    """`Gardener: Ada | untriaged breakages (until 2026-01-12, then Grace)`."""
    given = farm.config.gardeners
    turn = gardeners.on_duty(given.rota, day_start(given.start), given.days, now)
    if turn is None:
        return ()
    until = time.strftime("%Y-%m-%d", time.gmtime(turn.until))
    then = f", then {turn.next}" if turn.next else ""
    return (Announce(label="Gardener", links=(Link(text=turn.name),), note=f"until {until}{then}"),)


def day_start(day: str) -> float:
    """The seconds since the epoch at which a day (or a moment) of the settings begins, in UTC."""
    at = datetime.fromisoformat(day) if day else datetime.fromtimestamp(0, UTC)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


class _Crowd(NamedTuple):
    """How many workers are connected, of how many that the farm wants or that are there."""

    online: int
    known: int


def _crowd(connection: Connection) -> _Crowd:
    workers = schema.workers
    online, known = connection.execute(
        select(func.count().filter(workers.c.connected), func.count()).where(
            or_(workers.c.state == "approved", workers.c.connected)
        )
    ).one()
    return _Crowd(online, known)


def _lonely(crowd: _Crowd) -> tuple[Notice, ...]:
    """What a reader should know who wonders why nothing happens."""
    if not crowd.known:
        text = "No worker has joined: nothing can be built. How to join"
        return (Notice(text=text, level="warning", href=links.JOIN),)
    if not crowd.online:
        text = "No worker is online: nothing is built until one comes back."
        return (Notice(text=text, level="warning", href=links.WORKERS),)
    return ()


def _farm_line(connection: Connection, crowd: _Crowd) -> Announce:
    """`Farm: 2 of 3 workers online | 4 running | 17 waiting`."""
    runs = schema.runs
    states: dict[str, int] = dict(
        connection.execute(
            select(runs.c.state, func.count())
            .where(runs.c.state.in_(UNDER_WAY))
            .group_by(runs.c.state)
        ).all()
    )  # fmt: skip
    running = states.get("running", 0) + states.get("dispatched", 0)
    return Announce(
        label="Farm",
        links=(
            Link(text=f"{crowd.online} of {crowd.known} workers online", href=links.WORKERS),
            Link(text=f"{running} running", href=links.WATERFALL),
            Link(text=f"{states.get('wanted', 0)} waiting", href=links.WATERFALL),
        ),
    )
