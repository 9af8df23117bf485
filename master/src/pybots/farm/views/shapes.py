"""The shapes of `/api/v1/…`: what the OpenAPI document is made of. Keys are only ever added within v1.

Times are seconds since the epoch in UTC; null means unknown or not yet. Words are those of DESIGN §2.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Id = Annotated[int, Meta(ge=0, le=9007199254740991)]
Sha = Annotated[str, Meta(pattern="^[0-9a-f]{40}$")]


class Shape(Struct, kw_only=True, forbid_unknown_fields=True):
    """Every key is always there, and there are no others."""


class Error(Shape):
    """Why there is no answer."""

    error: str


class Answer(Shape):
    """`version` is 1."""

    version: int


class InterpreterState(Shape):
    """The newest interpreter of a column."""

    platform: str
    flavour: str
    state: str
    run: Id | None


class Tally(Shape):
    """A branch's lanes counted."""

    passing: int
    new: int
    failing: int
    unknown: int


class LaneState(Shape):
    """A lane as it stands. `run`: its head, at `position`."""

    id: Id
    lane: str
    project: str
    source: str
    flavour: str
    platform: str
    state: str
    reason: str
    verdict: str | None
    run: Id | None
    position: int | None


class Lanes(Answer):
    """A branch's lanes: the console's `now` row."""

    branch: str
    commit: Sha | None
    master_seen: float | None
    interpreters: list[InterpreterState]
    tally: Tally
    lanes: list[LaneState]


class RunPart(Shape):
    """One run."""

    id: Id
    kind: str
    state: str
    verdict: str | None
    failure_kind: str | None
    summary: str
    purpose: str
    lane: str | None
    project: str | None
    source: str | None
    branch: str
    flavour: str
    platform: str
    commit: Sha
    position: int
    revision: str | None
    counts: dict[str, int] | None
    seconds: dict[str, float] | None
    worker: str | None
    tries: int
    created: float
    started: float | None
    finished: float | None
    report: str | None


class Run(RunPart):
    """One run. `subject`: of a control or a retry, the run that it judges; `good_run`: whose dependencies it used."""

    version: int
    subject: Id | None
    good_run: Id | None


class Change(Shape):
    """A test before and after; null: not known there. `differs`: both are bad, with another failure."""

    test: str
    before: str | None
    after: str | None
    differs: bool


class Changes(Answer):
    """What changed in a lane between two runs, at most 1,000 tests by name; `total` counts all."""

    lane: str
    run: Id
    since: Id | None
    total: int
    changes: list[Change]


class FailingTest(Shape):
    """A test that fails now, and since when."""

    test: str
    since_run: Id
    since_position: int


class FlakyTest(Shape):
    """A test that chance fails: `events` in the last `runs` runs, `quiet` runs since the last one."""

    test: str
    rate: float
    events: int
    runs: int
    quiet: int


class Lane(Answer):
    """What fails in a lane now, and how flaky its tests are."""

    id: Id
    lane: str
    verdict: str | None
    run: Id | None
    runs: int
    failing: int
    tests: list[FailingTest]
    flaky: list[FlakyTest]


class Commit(Answer):
    """A commit, and the runs made for this very commit."""

    sha: Sha
    branch: str
    position: int
    author: str
    title: str
    committed: float
    seen: float
    runs: list[RunPart]


class BreakagePart(Shape):
    """A breakage. It began after `good_position` and not later than `bad_position`; null: never seen good."""

    id: Id
    kind: str
    state: str
    title: str
    branch: str
    good_position: int | None
    bad_position: int
    opened: float
    fixed: float | None
    axis: str
    blamed: str
    disposition: str
    person: str
    issue: str


class Breakages(Answer):
    """Breakages, newest first. `next`: the `before` of the next page, null at the end."""

    breakages: list[BreakagePart]
    next: Id | None


class BreakageLane(Shape):
    """A lane's part in a breakage: the run that showed it, how many tests, when it was over there."""

    lane: str
    run: Id
    tests: int
    opened: float
    closed: float | None


class Breakage(BreakagePart):
    """One breakage, with the lanes it is in (none: the interpreter itself does not build)."""

    version: int
    lanes: list[BreakageLane]


class WorkerPart(Shape):
    """A worker. `connected` says how it is now, `state` whether the farm wants it."""

    name: str
    platform: str
    abi: str
    state: str
    connected: bool
    slots: int
    last_seen: float | None


class Workers(Answer):
    """All workers, by name."""

    workers: list[WorkerPart]


class Word(Shape):
    """What the admin said about the farm."""

    id: Id
    state: str
    text: str
    by: str
    since: float


class Tree(Answer):
    """The admin's word about the farm: the newest one first; none: it is open."""

    words: list[Word]


class ProjectPart(Shape):
    """A project and the lanes it has on all branches, by their last verdict; `unknown`: they have none."""

    name: str
    title: str
    verdicts: dict[str, int]


class Projects(Answer):
    """All projects that are registered or have lanes, by name."""

    projects: list[ProjectPart]
