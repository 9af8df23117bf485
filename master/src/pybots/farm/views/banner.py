"""The banner's computed facts: does the branch build, how many projects pass, how many lanes are unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select

from pybots.farm.views.builds import Build
from pybots.farm.views.common import UNDER_WAY
from pybots.farm.views.console import GREEN
from pybots.ledger import schema
from pybots_status import links
from pybots_status.pages import Banner, State


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
