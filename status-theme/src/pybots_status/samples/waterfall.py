"""Sample waterfalls: an afternoon, nothing yet, a filter, many lanes."""

from __future__ import annotations

from typing import Final

from pybots_status import links
from pybots_status.pages import Cell, LaneHead, Page, State, Waterfall, WaterfallPhase, WaterfallRun
from pybots_status.samples.common import NOW, commit, frame
from pybots_status.samples.console import PROJECTS
from pybots_status.samples.runs import SLUG

_LENGTHS: Final = (("interpreter", 2.0), ("source", 1.0), ("install", 9.0), ("test", 300.0))


_LAST: Final[tuple[State, ...]] = (
    "passed", "new_failure", "still_failing", "passed", "infra", "none", "flaky",
)  # fmt: skip
_NOW: Final = (
    ("test since 13:38", True), ("waits for a worker", False), ("idle", False), ("idle", False),
    ("waits for a worker", False), ("idle", False), ("its workers are away", False),
)  # fmt: skip


def _head(number: int) -> LaneHead:
    activity, active = _NOW[number % len(_NOW)]
    return LaneHead(
        slug=SLUG,
        lines=(PROJECTS[number % len(PROJECTS)], "main debug", "linux-x86_64"),
        last=Cell(state=_LAST[number % len(_LAST)], href=links.run(100 + 10 * number)),
        activity=activity,
        active=active,
    )


def _run(lane: int, number: int, start: float, end: State) -> WaterfallRun:
    phases, when = [], start
    for name, seconds in _LENGTHS:
        last = name == "test"
        done: float | None = when + seconds + lane
        if last and end in ("running", "running_failing"):
            done = None
        phases.append(
            WaterfallPhase(name=name, state=end if last else "passed", started=when, finished=done)
        )
        when = done or when
    finished = phases[-1].finished
    label = f"{commit(number % 5).sha[:8]}\nrun {number}"
    return WaterfallRun(
        lane=lane,
        id=number,
        state=end,
        started=start,
        finished=finished,
        label=label,
        phases=tuple(phases),
    )


def _page(lanes: int, project: str = "") -> Waterfall:
    """Each lane but those without data has two runs: the newest came to what its head says, or runs still."""
    runs = []
    for lane in range(lanes):
        last, (_, active) = _LAST[lane % len(_LAST)], _NOW[lane % len(_NOW)]
        ends: tuple[State, ...] = ("running", last) if active else (last, "passed")
        for turn, end in enumerate(ends if last != "none" else ()):
            start = NOW - 310 - turn * (2400 + 97 * lane) - 11 * lane
            runs.append(_run(lane, 100 + lane * 10 + turn, start, end))
    return Waterfall(
        frame=frame("Waterfall", view="waterfall", here=links.waterfall(project=project)),
        lanes=tuple(_head(number) for number in range(lanes)),
        runs=tuple(runs),
        commits=tuple(commit(number) for number in range(3)),
        project=project,
        projects=PROJECTS,
        older="/waterfall?before=1",
    )


SAMPLES: Final[dict[str, Page]] = {
    "waterfall": _page(7),
    "waterfall-one-project": _page(2, "twisted"),
    "waterfall-many-lanes": _page(24),
    "waterfall-quiet": Waterfall(frame=frame("Waterfall", view="waterfall"), lanes=(_head(5),)),
    "waterfall-empty": Waterfall(frame=frame("Waterfall", view="waterfall", alive=False)),
}
