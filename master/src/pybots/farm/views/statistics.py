"""`/stats`: how the farm did lately. One bounded stretch of finished runs is read at most once a minute and counted here."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from threading import Lock
from typing import Any, Final

from sqlalchemy import Connection, func, select

from pybots.core.model import RED
from pybots.farm.home import Farm
from pybots.farm.views.common import Visit, commits, lanes, runs
from pybots.farm.views.console import GREEN
from pybots.farm.views.frame import default_branch, frame
from pybots.ledger import schema
from pybots_status import links
from pybots_status.charts import Tone
from pybots_status.pages import ChanceRow, Chart, Fact, RateRow, Series, Stats
from pybots_status.text import utc
from pybots_worker.contract import PROJECT_PHASES

flakes, tests = schema.flakes, schema.tests

DAY: Final = 86_400
USUAL_DAYS: Final = 14
MAX_DAYS: Final = 90
MAX_RUNS: Final = 10_000
"""So many finished runs of the farm are looked at, the newest ones; the page says how many more there are."""
TIMED_RUNS: Final = 500
MAX_FLAKES: Final = 5_000
MAX_CHANCES: Final = 30
KEPT_SECONDS: Final = 60.0
KEPT: Final = 16
FEW: Final = 5
"""Of fewer runs a day there is no "nine of ten"."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A finished routine run. `waited`: seconds from the commit's arrival to the answer; `took`: its own length."""

    project: str
    at: float
    verdict: str
    waited: float
    took: float | None


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A stretch of days of a branch, as it was read at a time."""

    at: float
    ended: Sequence[Ended]
    left_out: int
    phases: dict[str, float]
    chances: tuple[ChanceRow, ...]


class Recent:
    """What was counted less than KEPT_SECONDS ago: numbers of days don't change with each event. Safe for threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int], Counted] = OrderedDict()
        self._lock = Lock()

    def get(self, connection: Connection, branch: str, first: int, now: float) -> Counted:
        """From day number `first` on."""
        with self._lock:
            known = self._known.get((branch, first))
        if known is not None and 0 <= now - known.at < KEPT_SECONDS:
            return known
        made = _count(connection, branch, first * DAY, now)
        with self._lock:
            self._known[branch, first] = made
            self._known.move_to_end((branch, first))
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return made


def page(
    farm: Farm, visit: Visit, *, days: int = USUAL_DAYS, recent: Recent | None = None
) -> Stats:
    """The page about the last `days` days of a branch."""
    now = farm.clock()
    branch = visit.branch or default_branch(farm)
    first = int(now // DAY) - days + 1
    with farm.ledger.read() as connection:
        counted = (recent or Recent()).get(connection, branch, first, now)
        around = frame(
            farm, connection, visit, title="Statistics", current="stats", branch=branch,
            tabs=links.STATS,
        )  # fmt: skip
    ended = counted.ended
    days_shown = range(first, first + days)
    return Stats(
        frame=around,
        days=days,
        facts=(*facts(ended), Fact(name="Counted at", value=f"{utc(counted.at)} UTC")),
        charts=(*charts(ended, days_shown), *_phase_chart(counted.phases)) if ended else (),
        rates=rates(ended),
        chances=counted.chances,
        left_out=counted.left_out,
    )


def _count(connection: Connection, branch: str, since: float, now: float) -> Counted:
    ended, left_out = _ended(connection, branch, since)
    return Counted(
        at=now,
        ended=ended,
        left_out=left_out,
        phases=_phases(connection, branch, since),
        chances=_chances(connection, branch, since),
    )


def _ended(connection: Connection, branch: str, since: float) -> tuple[list[Ended], int]:
    """The branch's runs among the newest MAX_RUNS that ended since then, and how many older ones are left out."""
    newest = (
        select(runs.c.id)
        .where(runs.c.finished >= since)
        .order_by(runs.c.finished.desc())
        .limit(MAX_RUNS)
    )
    rows = connection.execute(
        select(lanes.c.project, runs.c.finished, runs.c.verdict, runs.c.started, commits.c.seen)
        .join(lanes, lanes.c.id == runs.c.lane_id)
        .join(commits, commits.c.id == runs.c.commit_id)
        .where(
            runs.c.id.in_(newest),
            runs.c.branch == branch,
            runs.c.purpose == "routine",
            runs.c.state == "done",
        )
    ).all()
    found = [
        Ended(
            project=project,
            at=at,
            verdict=verdict or "unknown",
            waited=max(0.0, at - seen),
            took=None if started is None else max(0.0, at - started),
        )
        for project, at, verdict, started, seen in rows
    ]
    total = connection.scalar(select(func.count()).where(runs.c.finished >= since)) or 0
    return found, max(0, total - MAX_RUNS)


def facts(ended: Sequence[Ended]) -> tuple[Fact, ...]:
    """The whole stretch in a line."""
    red = sum(one.verdict in RED for one in ended)
    conclusive = red + sum(one.verdict in GREEN for one in ended)
    infra = sum(one.verdict == "infra" for one in ended)
    share = (
        f"{100 * red / conclusive:.1f} % of {conclusive:,} conclusive ones" if conclusive else "–"
    )
    return (
        Fact(name="Finished runs", value=f"{len(ended):,}"),
        Fact(name="Red", value=share),
        Fact(name="Infrastructure errors", value=f"{infra:,}"),
    )


def charts(ended: Sequence[Ended], days: Iterable[int]) -> tuple[Chart, ...]:
    """What came out, day by day, and how long it took until it was known."""
    by_day: dict[int, list[Ended]] = {day: [] for day in days}
    for one in ended:
        if int(one.at // DAY) in by_day:
            by_day[int(one.at // DAY)].append(one)
    labels = tuple(time.strftime("%m-%d", time.gmtime(day * DAY)) for day in by_day)
    tallies = [Counter(_group(one.verdict) for one in found) for found in by_day.values()]
    bars = tuple(
        Series(name=name, tone=tone, values=tuple(float(tally[name]) for tally in tallies))
        for name, tone in _GROUPS
    )
    waits = [[one.waited / 60 for one in found] for found in by_day.values()]
    return (
        Chart(title="Finished runs a day, by verdict", kind="bars", labels=labels, series=bars),
        Chart(
            title="From a commit's arrival to a lane's answer", kind="lines", unit=" min",
            labels=labels,
            series=(
                Series(name="half of the runs", tone="line", values=tuple(map(_half, waits))),
                Series(name="nine of ten", tone="line2", values=tuple(map(_nine_of_ten, waits))),
            ),
        ),
    )  # fmt: skip


_GROUPS: Final[tuple[tuple[str, Tone], ...]] = (
    ("passed", "ok"),
    ("newly failing", "new"),
    ("still failing", "old"),
    ("infrastructure", "infra"),
    ("other", "idle"),
)


def _group(verdict: str) -> str:
    words = {
        "new_failure": "newly failing", "still_failing": "still failing", "infra": "infrastructure",
    }  # fmt: skip
    return "passed" if verdict in GREEN else words.get(verdict, "other")


def _half(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _nine_of_ten(values: Sequence[float]) -> float | None:
    return quantiles(values, n=10, method="inclusive")[8] if len(values) >= FEW else None


def rates(ended: Sequence[Ended]) -> tuple[RateRow, ...]:
    """Each project's share of red runs, the reddest first."""
    by_project: dict[str, list[Ended]] = defaultdict(list)
    for one in ended:
        by_project[one.project].append(one)
    made = [_rate(project, found) for project, found in by_project.items()]
    return tuple(
        sorted(made, key=lambda row: (-row.red / row.runs if row.runs else 0.0, row.project))
    )


def _rate(project: str, found: Sequence[Ended]) -> RateRow:
    red = sum(one.verdict in RED for one in found)
    lengths = [one.took for one in found if one.took is not None]
    return RateRow(
        project=project,
        runs=red + sum(one.verdict in GREEN for one in found),
        red=red,
        infra=sum(one.verdict == "infra" for one in found),
        seconds=_half(lengths),
    )


def _phases(connection: Connection, branch: str, since: float) -> dict[str, float]:
    """The median length of each phase, of the newest runs."""
    found = connection.scalars(
        select(runs.c.phase_seconds)
        .where(runs.c.finished >= since, runs.c.branch == branch, runs.c.kind == "project")
        .order_by(runs.c.finished.desc())
        .limit(TIMED_RUNS)
    )
    lengths: dict[str, list[float]] = defaultdict(list)
    for one in found:
        for phase, seconds in (one or {}).items():
            lengths[phase].append(float(seconds))
    return {name: median(lengths[name]) for name in PROJECT_PHASES if lengths.get(name)}


def _phase_chart(phases: dict[str, float]) -> tuple[Chart, ...]:
    if not phases:
        return ()
    series = Series(name="usual length (median)", tone="ok", values=tuple(phases.values()))
    title = "Where the time of a run goes"
    return (Chart(title=title, kind="bars", unit=" s", labels=tuple(phases), series=(series,)),)


def _chances(connection: Connection, branch: str, since: float) -> tuple[ChanceRow, ...]:
    """What failed by chance most often. Ids grow with time: only the newest events are looked at."""
    newest = connection.scalar(select(func.max(flakes.c.id))) or 0
    events = func.count().label("events")
    rows: Sequence[Any] = connection.execute(
        select(
            tests.c.name, lanes.c.slug, lanes.c.project, lanes.c.source, lanes.c.flavour,
            lanes.c.platform, events, func.max(flakes.c.at).label("last"),
        )
        .join(tests, tests.c.id == flakes.c.test_id)
        .join(lanes, lanes.c.id == flakes.c.lane_id)
        .where(flakes.c.id > newest - MAX_FLAKES, flakes.c.at >= since, lanes.c.branch == branch)
        .group_by(flakes.c.lane_id, flakes.c.test_id)
        .order_by(events.desc(), func.max(flakes.c.at).desc())
        .limit(MAX_CHANCES)
    ).all()  # fmt: skip
    return tuple(
        ChanceRow(
            test=row.name,
            lane=row.slug,
            project=row.project,
            where=f"{row.source} {row.flavour} {row.platform}",
            events=row.events,
            last=row.last,
        )
        for row in rows
    )
