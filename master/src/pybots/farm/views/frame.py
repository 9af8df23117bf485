"""What is around every page: the banner of computed facts, branches, whether the master is alive."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from sqlalchemy import Connection, func, or_, select

from pybots.core import gardeners
from pybots.farm import tree
from pybots.farm.home import Farm
from pybots.farm.views.builds import Build, last_builds
from pybots.farm.views.common import UNDER_WAY, Visit, path_prefix
from pybots.farm.views.console import GREEN, Column
from pybots.ledger import schema
from pybots.store import StoreFull
from pybots_status import links
from pybots_status.pages import Announce, Banner, Frame, Link, State, TreeNote

MASTER_SILENT_SECONDS: Final = 30
"""A master whose heartbeat (`notes` row `master`) is older than this is down."""

MIN_RELOAD, MAX_RELOAD = 15, 86_400
VERSION: Final = version("pybots")


@dataclass(frozen=True, kw_only=True)
class Tally:
    """A branch's lanes by what is last known of them. `projects`: how many have lanes; `whole`: of how many every lane
    passes that is known of, and there is one."""

    passing: int = 0
    new: int = 0
    failing: int = 0
    unknown: int = 0
    first: int = 0
    """How many of the unknown ones are on their first run, or wait for it."""
    projects: int = 0
    whole: int = 0

    @property
    def total(self) -> int:
        return self.passing + self.new + self.failing + self.unknown


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
        announce=(_farm_line(connection), *_gardener(farm, now), *_trouble(farm)),
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


def tally(connection: Connection, branch: str) -> Tally:
    """The branch's lanes counted; what has no conclusive verdict, or is green but run by nobody now, is unknown."""
    lanes = schema.lanes
    rows = connection.execute(
        select(lanes.c.project, lanes.c.verdict, lanes.c.state, func.count())
        .where(lanes.c.branch == branch, lanes.c.state != "retired")
        .group_by(lanes.c.project, lanes.c.verdict, lanes.c.state)
    )
    found: Counter[str | None] = Counter()
    projects: dict[str, set[str]] = {}
    for project, verdict, state, number in rows:
        last = verdict if state == "active" or verdict not in GREEN else None
        found[last] += number
        known = projects.setdefault(project, set())
        if last is not None and (last in GREEN or last in _TOLD):
            known.add(last)
    passing = sum(number for verdict, number in found.items() if verdict in GREEN)
    new, failing = found.get("new_failure", 0), found.get("still_failing", 0)
    return Tally(
        passing=passing,
        new=new,
        failing=failing,
        unknown=sum(found.values()) - passing - new - failing,
        first=_first_runs(connection, branch),
        projects=len(projects),
        whole=sum(bool(known) and known <= GREEN for known in projects.values()),
    )


_TOLD: Final = ("new_failure", "still_failing")
"""What a lane is told to be in the banner; everything else that is not green is unknown there."""


def _first_runs(connection: Connection, branch: str) -> int:
    """Lanes without any verdict that have a run on its way."""
    lanes, runs = schema.lanes, schema.runs
    return connection.scalar(
        select(func.count(runs.c.lane_id.distinct()))
        .join(lanes, lanes.c.id == runs.c.lane_id)
        .where(runs.c.state.in_(UNDER_WAY), lanes.c.branch == branch, lanes.c.verdict.is_(None))
    ) or 0  # fmt: skip


def banner(branch: str, lanes: Tally, builds: Mapping[Any, Build]) -> Banner:
    """The computed facts: does trunk build, how many projects pass, how many lanes are unknown."""
    broken = [build for build in builds.values() if build.failed]
    href = links.run(broken[0].run) if broken and broken[0].run else ""
    if not href and lanes.new + lanes.failing:
        href = links.console(branch=branch, only="bad")
    text = "; ".join(part for part in (_builds(branch, builds), _lanes(lanes)) if part)
    return Banner(state=_colour(lanes, builds, broken), text=text, href=href)


def _builds(branch: str, builds: Mapping[Any, Build]) -> str:
    broken = [build for build in builds.values() if build.failed]
    if broken:
        where = ", ".join(build.column.title for build in broken[:3])
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        return f"{branch} does not build: {where}{more}"
    if any(build.built for build in builds.values()):
        return f"{branch} builds"
    return f"{branch}: not built yet"


def _lanes(lanes: Tally) -> str:
    if not lanes.total:
        return "no lanes yet"
    passing = "project passes" if lanes.projects == 1 else "projects pass"
    words = f"{lanes.whole} of {lanes.projects} {passing}"
    told = (
        (lanes.new, "newly failing"),
        (lanes.failing, "still failing"),
        (lanes.unknown, "unknown"),
    )
    for number, what in told:
        words += f"; {number} lane{'' if number == 1 else 's'} {what}" if number else ""
    return words


def _colour(lanes: Tally, builds: Mapping[Any, Build], broken: list[Build]) -> State:
    if lanes.new or any(build.state == "new_failure" for build in broken):
        return "new_failure"
    if lanes.failing or broken:
        return "still_failing"
    if lanes.passing:
        return "passed"
    return (
        "running" if lanes.first or any(not build.built for build in builds.values()) else "unknown"
    )


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


def _farm_line(connection: Connection) -> Announce:
    """`Farm: 2 of 3 workers online | 4 running | 17 waiting`."""
    workers, runs = schema.workers, schema.runs
    online, known = connection.execute(
        select(func.count().filter(workers.c.connected), func.count()).where(
            or_(workers.c.state == "approved", workers.c.connected)
        )
    ).one()
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
            Link(text=f"{online} of {known} workers online", href=links.WORKERS),
            Link(text=f"{running} running", href=links.WATERFALL),
            Link(text=f"{states.get('wanted', 0)} waiting", href=links.WATERFALL),
        ),
    )
