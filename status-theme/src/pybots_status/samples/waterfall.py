"""Sample waterfalls: an afternoon, nothing yet, a filter, many lanes."""

from __future__ import annotations

from typing import Final

from pybots_status import links
from pybots_status.pages import Cell, LaneHead, Page, State, Waterfall, WaterfallPhase, WaterfallRun
from pybots_status.samples.common import NOW, commit, frame
from pybots_status.samples.console import PROJECTS
from pybots_status.samples.runs import SLUG

_LENGTHS: Final = (("interpreter", 2.0), ("source", 1.0), ("install", 9.0), ("test", 300.0))


def _head(number: int) -> LaneHead:
    states: tuple[State, ...] = (
        "passed",
        "new_failure",
        "still_failing",
        "offline",
        "infra",
        "queued",
        "flaky",
    )
    busy = number % 3 == 0
    return LaneHead(
        slug=SLUG,
        lines=(PROJECTS[number % len(PROJECTS)], "main debug", "linux-x86_64"),
        last=Cell(state=states[number % len(states)], href=links.run(100 + number)),
        activity="testing since 13:38" if busy else "2 wanted" if number % 3 == 1 else "idle",
        active=busy,
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
    ends: tuple[State, ...] = ("running", "new_failure", "passed", "still_failing", "infra")
    runs = [
        _run(lane, 100 + lane * 10 + turn, NOW - 310 - turn * (2400 + 97 * lane) - 11 * lane, ends[(lane + turn) % 5] if turn or lane % 3 == 0 else "passed")
        for lane in range(lanes)
        for turn in range(2)
        if not (turn and ends[(lane + turn) % 5] == "running")
    ]  # fmt: skip
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
    "waterfall-quiet": Waterfall(frame=frame("Waterfall", view="waterfall"), lanes=(_head(1),)),
    "waterfall-empty": Waterfall(frame=frame("Waterfall", view="waterfall", alive=False)),
}
