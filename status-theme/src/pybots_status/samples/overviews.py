"""Samples of the pages that look at the whole farm: the sign, statistics, two releases side by side, all breakages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, get_args

from pybots_status import links
from pybots_status.pages import (
    Banner,
    Blocker,
    Breakages,
    Cell,
    ChanceRow,
    Chart,
    Fact,
    Page,
    RateRow,
    Release,
    Series,
    Stats,
    Tree,
    TreeNote,
    TreeState,
)
from pybots_status.samples.common import BANNER, GREEN, NOW, commit, frame
from pybots_status.samples.console import PROJECTS
from pybots_status.samples.rows import BREAKAGE, LANES
from pybots_status.samples.runs import SLUG

HOUR: Final = 3600.0
DAYS: Final = (*(f"04-{day:02}" for day in range(18, 31)), "05-01")


def _said(state: TreeState, text: str, hours: float) -> TreeNote:
    return TreeNote(state=state, text=text, by="Admin", since=NOW - hours * HOUR)


SAID: Final = (
    _said("throttled", "one arm64 worker for everybody", 2),
    _said("open", "", 26),
    _said("maintenance", "the store moves to a larger disk; nothing is lost", 27),
    _said(
        "closed", "yesterday's kernel update broke every sandbox: reds of today mean nothing", 51
    ),
    _said("open", "", 400),
)


def _tree(state: TreeState, banner: Banner = BANNER) -> Tree:
    first = next(one for one in SAID if one.state == state)
    shown = replace(banner, note=first)
    rest = tuple(one for one in SAID if one is not first)
    return Tree(
        frame=frame("Tree", view="tree", banner=shown, here=links.TREE), rows=(first, *rest)
    )


def _series(name: str, tone: Any, values: tuple[float | None, ...]) -> Series:
    return Series(name=name, tone=tone, values=values)


CHARTS: Final = (
    Chart(
        title="Finished runs a day, by verdict",
        kind="bars",
        labels=DAYS,
        series=(
            _series("passed", "ok", (310, 295, 402, 388, 350, 120, 90, 333, 371, 390, 410, 402, 380, 210)),
            _series("newly failing", "new", (3, 0, 12, 2, 1, 0, 0, 4, 31, 6, 0, 2, 1, 7)),
            _series("still failing", "old", (11, 12, 12, 22, 23, 9, 8, 14, 15, 40, 31, 12, 12, 6)),
            _series("infrastructure", "infra", (0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 19, 0, 1, 0)),
        ),
    ),
    Chart(
        title="From a commit's arrival to a lane's answer",
        kind="lines",
        unit=" min",
        labels=DAYS,
        series=(
            _series("half of the runs", "line", (11, 12, 10.5, 14, 13, None, 8, 12, 18, 22, 16, 12, 11, 9.5)),
            _series("nine of ten", "line2", (31, 32, 28, 44, 41, None, 19, 33, 52, 75, 48, 36, 30, 27)),
        ),
    ),
    Chart(
        title="Where the time of a run goes",
        kind="bars",
        unit=" s",
        labels=("interpreter", "source", "install", "test"),
        series=(_series("usual length", "ok", (2.1, 1.0, 9.2, 301)),),
    ),
)  # fmt: skip

STATS: Final = Stats(
    frame=frame("Statistics", view="stats", here=links.STATS),
    days=14,
    facts=(
        Fact(name="Finished runs", value="4,981"),
        Fact(name="Red", value="6.1 % of 4,811 conclusive ones"),
        Fact(name="Infrastructure errors", value="26"),
    ),
    charts=CHARTS,
    rates=tuple(
        RateRow(project=name, runs=420 - 10 * at, red=40 // (at + 1), infra=at % 3, seconds=311.0 / (at + 1))
        for at, name in enumerate(PROJECTS)
    ),
    chances=(
        ChanceRow(test="tests/test_net.py::test_slow", lane=SLUG, project="twisted", where="main debug linux-x86_64", events=6, last=NOW - 4000),
        ChanceRow(test="tests/test_t.py::test_clock", lane=SLUG, project="genshi", where="main jit linux-x86_64", events=1, last=NOW - 90_000),
    ),
    left_out=1200,
)  # fmt: skip

_COPY: Final = """## 3.16.0a2 since 3.16.0a1: 2 blockers, 1 unknown

- [ ] AttributeError: module 'ast' has no attribute 'Num' (twisted: 3 lanes), untriaged
- [ ] not explained by a recorded breakage (genshi: 1 lane)
"""

RELEASE: Final = Release(
    frame=frame("3.16.0a2", here=links.release("v3.16.0a2", "v3.16.0a1")),
    tag="v3.16.0a2",
    since="v3.16.0a1",
    choices=("main", "v3.16.0a1", "3.15"),
    facts=(
        Fact(name="Lanes", value="208"),
        Fact(name="Pass in both", value="181"),
        Fact(name="Passed then, fail now", value="4"),
        Fact(name="Passed then, not known now", value="1"),
    ),
    blockers=(
        Blocker(
            number=17, title=BREAKAGE.summary, disposition="nobody has looked yet", lanes=LANES[:1],
            culprit=replace(commit(1), note="Author Three"), who="Ada",
        ),
        Blocker(number=0, title="not explained by a recorded breakage", disposition="", lanes=(replace(LANES[2], project="genshi"),)),
    ),
    new=(replace(LANES[0], project="lxml"),),
    unknown=(replace(LANES[4], cell=Cell(state="unknown")),),
    fixed=(LANES[1],),
    known=(replace(LANES[2], reason="parked: red for two weeks, and nobody acts"),),
    copy=_COPY,
)  # fmt: skip

SAMPLES: Final[dict[str, Page]] = {
    "stats": STATS,
    "stats-nothing": Stats(frame=frame("Statistics", view="stats"), days=14),
    "release": RELEASE,
    "release-choose": Release(frame=frame("main"), tag="main", since="", choices=("3.15",)),
    "release-well": replace(RELEASE, blockers=(), new=(), unknown=(), known=(), copy=""),
    "tree": _tree("throttled"),
    **{f"tree-{state}": _tree(state, GREEN) for state in get_args(TreeState)[1:] if state != "throttled"},
    "tree-silent": Tree(frame=frame("Tree", view="tree", banner=GREEN)),
    "breakages": Breakages(
        frame=frame("Breakages", view="breakages"),
        standing=(
            BREAKAGE,
            replace(BREAKAGE, id=19, project="", summary="RuntimeError: 'lock' object is not what it was", lanes=61, alike=62, alike_href="/breakages?like=19"),
            replace(BREAKAGE, id=16, state="suspected", disposition="CPython's bug", person="Ada"),
        ),
        over=(replace(BREAKAGE, id=12, state="closed", until=NOW - 86_400.0, disposition="expected"),),
        older="/breakages?before=12",
    ),
    "breakages-like": Breakages(
        frame=frame("Breakages", view="breakages"), like=17,
        standing=(BREAKAGE, replace(BREAKAGE, id=18, project="klein", lanes=1)),
    ),
    "breakages-none": Breakages(frame=frame("Breakages", view="breakages", banner=GREEN)),
}  # fmt: skip
