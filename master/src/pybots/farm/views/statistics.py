"""`/stats`: how the farm did lately, from the days' sums (farm.days). Read at most once a minute."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from sqlalchemy import Connection, func, select

from pybots.core.days import SECONDS, Day, Usual, tally, together
from pybots.core.model import GREEN, RED
from pybots.farm import days as sums
from pybots.farm.home import Farm
from pybots.farm.views.common import Visit, lanes
from pybots.farm.views.frame import default_branch, frame
from pybots.ledger import schema
from pybots_status import links
from pybots_status.charts import Tone
from pybots_status.pages import ChanceRow, Chart, Fact, RateRow, Series, Stats
from pybots_status.text import utc
from pybots_worker.contract import PROJECT_PHASES

flakes, tests = schema.flakes, schema.tests

USUAL_DAYS: Final = 14
MAX_DAYS: Final = sums.KEPT_DAYS
MAX_FLAKES: Final = 5_000
MAX_CHANCES: Final = 30
KEPT_SECONDS: Final = 60.0
KEPT: Final = 16


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A stretch of days of a branch, as it was read at a time. `left_out`: runs that were too many to be counted."""

    at: float
    days: Mapping[int, Day]
    left_out: int
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
        made = _count(connection, branch, first, now)
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
    first = int(now // SECONDS) - days + 1
    with farm.ledger.read() as connection:
        counted = (recent or Recent()).get(connection, branch, first, now)
        around = frame(
            farm, connection, visit, title="Statistics", current="stats", branch=branch,
            tabs=links.STATS,
        )  # fmt: skip
    stretch = [counted.days.get(day, Day()) for day in range(first, first + days)]
    whole = together(stretch)
    return Stats(
        frame=around,
        days=days,
        facts=(*facts(whole), Fact(name="Counted at", value=f"{utc(counted.at)} UTC")),
        charts=(*charts(first, stretch), *_phase_chart(whole.phases)) if whole.projects else (),
        rates=rates(whole),
        chances=counted.chances,
        left_out=counted.left_out,
    )


def _count(connection: Connection, branch: str, first: int, now: float) -> Counted:
    days, left_out = sums.read(connection, branch, first)
    chances = _chances(connection, branch, first * SECONDS)
    return Counted(at=now, days=days, left_out=left_out, chances=chances)


def facts(whole: Day) -> tuple[Fact, ...]:
    """The whole stretch in a line."""
    verdicts = tally(whole.projects.values())
    red = sum(verdicts[verdict] for verdict in RED)
    conclusive = red + sum(verdicts[verdict] for verdict in GREEN)
    share = (
        f"{100 * red / conclusive:.1f} % of {conclusive:,} conclusive ones" if conclusive else "–"
    )
    return (
        Fact(name="Finished runs", value=f"{verdicts.total():,}"),
        Fact(name="Red", value=share),
        Fact(name="Infrastructure errors", value=f"{verdicts['infra']:,}"),
    )


def charts(first: int, days: Sequence[Day]) -> tuple[Chart, ...]:
    """What came out, day by day from day number `first` on, and how long it took until it was known."""
    labels = tuple(
        time.strftime("%m-%d", time.gmtime((first + place) * SECONDS)) for place in range(len(days))
    )
    groups = [_groups(day) for day in days]
    bars = tuple(
        Series(name=name, tone=tone, values=tuple(float(group[name]) for group in groups))
        for name, tone in _GROUPS
    )
    return (
        Chart(title="Finished runs a day, by verdict", kind="bars", labels=labels, series=bars),
        Chart(
            title="From a commit's arrival to a lane's answer", kind="lines", unit=" min",
            labels=labels,
            series=(
                Series(name="half of the runs", tone="line", values=_minutes(d.half for d in days)),
                Series(name="nine of ten", tone="line2", values=_minutes(d.nine for d in days)),
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


def _groups(day: Day) -> Counter[str]:
    found: Counter[str] = Counter()
    for verdict, number in tally(day.projects.values()).items():
        found[_group(verdict)] += number
    return found


def _group(verdict: str) -> str:
    words = {
        "new_failure": "newly failing", "still_failing": "still failing", "infra": "infrastructure",
    }  # fmt: skip
    return "passed" if verdict in GREEN else words.get(verdict, "other")


def _minutes(seconds: Iterable[float | None]) -> tuple[float | None, ...]:
    return tuple(None if one is None else one / 60 for one in seconds)


def rates(whole: Day) -> tuple[RateRow, ...]:
    """Each project's share of red runs, the reddest first."""
    made = [
        RateRow(
            project=project,
            runs=share.conclusive,
            red=share.red,
            infra=share.infra,
            seconds=share.took.seconds if share.took else None,
        )
        for project, share in whole.projects.items()
    ]
    return tuple(
        sorted(made, key=lambda row: (-row.red / row.runs if row.runs else 0.0, row.project))
    )


def _phase_chart(phases: Mapping[str, Usual]) -> tuple[Chart, ...]:
    lengths = {name: phases[name].seconds for name in PROJECT_PHASES if name in phases}
    if not lengths:
        return ()
    series = Series(name="usual length (median)", tone="ok", values=tuple(lengths.values()))
    title = "Where the time of a run goes"
    return (Chart(title=title, kind="bars", unit=" s", labels=tuple(lengths), series=(series,)),)


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
