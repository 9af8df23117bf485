"""A farm that lives through a simulated year: machines, queues and a clock around the product's own recording.

Commits, runs and attempts are put into a real ledger as planning and dispatching would; everything that decides is the
product's: `record_report`, `attempt_lost`, `controls.expire`, `notify.consider`, `workers.seen`. Controls, and failures
that it wants once more, are answered from the truth. Its outbox is collected as a mail server would get it.
"""

from __future__ import annotations

import heapq
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "farm"))

import noise_ground as ground
import noise_reports as reports
from artifact_builder import make_artifact
from noise_reports import Asked, Cause, Told
from noise_year import BEGIN, HOUR, YEAR, Column, Fault, Machine, Suite, Tested, Year
from sqlalchemy import bindparam, func, insert, select

from pybots.farm import controls, dispatch, notify, threads, workers
from pybots.farm.record import Recorded, record_report
from pybots.ledger import schema
from pybots.ledger.engine import inserted_id
from pybots_worker import contract

LOOK: Final = 600.0
"""The postman and the dispatcher look this often while something is under way; else every `QUIET`."""
QUIET: Final = 4 * HOUR
REPEATED: Final = 0.02
"""Share of reports that a worker sends twice, and of letters that a mail server does not take at once."""

runs, attempts = schema.runs, schema.attempts

NEW_CONTROLS: Final = (
    select(runs.c.id, runs.c.good_run, runs.c.only, runs.c.subject)
    .where(runs.c.id > bindparam("last"), runs.c.purpose.in_(("control", "retry")))
    .order_by(runs.c.id)
)


@dataclass(kw_only=True)
class Work:
    """A run that the farm wants or makes. `asked` as far as it is known; a build has no suite."""

    run: int
    column: Column
    position: int
    suite: Suite | None = None
    lane: int = 0
    interpreter: int = 0
    control: bool = False
    asked: Asked | None = None
    tries: int = 0
    avoid: set[str] = field(default_factory=set)
    prefer: str = ""
    only: tuple[str, ...] = ()
    good: int = 0


@dataclass(kw_only=True)
class Bench:
    """A machine at work, or idle. `gone`: how many faults keep it away."""

    machine: Machine
    gone: int = 0
    work: Work | None = None
    attempt: int = 0
    began: float = 0.0


@dataclass(kw_only=True)
class Happened:
    """What the year brought, for the score.

    `causes`: run -> id -> what really made it bad. `mails`: everything that was handed to the mail server."""

    causes: dict[int, dict[str, Cause]] = field(default_factory=dict)
    places: dict[int, tuple[str, Column, int, float]] = field(default_factory=dict)
    mails: list[notify.Letter] = field(default_factory=list)
    routine: int = 0
    controls: int = 0
    flakes: int = 0
    shown: dict[int, float] = field(default_factory=dict)


class NoiseFarm:
    """`live` makes it live through its year."""

    def __init__(self, year: Year, folder: Path) -> None:
        self.year, self.chance = year, Random(f"noise/farm/{year.seed}")
        self.clock = ground.Clock()
        self.happened = Happened()
        self.farm = ground.open_farm(year, folder, self.clock)
        stored = self.farm.store.put(make_artifact())
        self.artifact = contract.Artifact(sha256=stored.sha256, size=stored.size)
        self.benches = {one.name: Bench(machine=one) for one in year.machines}
        self.waiting: dict[str, list[deque[Work]]] = {
            one.platform: [deque(), deque(), deque()] for one in year.machines
        }
        self.held: dict[int, list[Work]] = {}
        self.made: dict[int, Work] = {}
        self.busy_lanes: set[int] = set()
        self.last_run = 0
        self.looked = 0.0
        self.heap: list[tuple[float, int, str, Any]] = []
        self.sequence = 0
        self.lanes = ground.enrol(self.farm, year)

    # The year

    def live(self) -> Happened:
        for index, tested in enumerate(self.year.commits):
            self._at(tested.at, "commit", (index, tested))
        for fault in self.year.faults:
            if fault.kind == "lost":
                self._at(fault.begin, "lost", fault)
                self._at(fault.end, "back", fault)
        self._at(BEGIN, "look", None)
        while self.heap:
            at, _, what, thing = heapq.heappop(self.heap)
            self.clock.now = max(self.clock.now, at)
            getattr(self, f"_{what}")(thing)
            self._assign()
            if what != "look" and self.clock.now - self.looked >= LOOK:
                self._consider()
        self.farm.ledger.close()
        return self.happened

    def _at(self, when: float, what: str, thing: Any) -> None:
        self.sequence += 1
        heapq.heappush(self.heap, (when, self.sequence, what, thing))

    def _look(self, _: None) -> None:
        self._consider()
        with self.farm.ledger.read() as connection:
            waits = threads.waiting(connection)
        active = waits or any(bench.work for bench in self.benches.values())
        if self.clock.now < BEGIN + YEAR:
            self._at(self.clock.now + (LOOK if active else QUIET), "look", None)

    def _consider(self) -> None:
        self.looked = self.clock.now
        controls.expire(self.farm)
        notify.consider(self.farm)
        while letters := notify.due(self.farm, self.clock.now):
            for letter in letters:
                if self.chance.random() < REPEATED:
                    notify.failed(self.farm, letter.id, "451 try again later", False)
                else:
                    self.happened.mails.append(replace(letter, created=self.clock.now))
                    notify.delivered(self.farm, letter.id)

    # Commits and what is wanted of them

    def _commit(self, given: tuple[int, Tested]) -> None:
        index, tested = given
        before = self.year.commits[index - 1].position if index else tested.position - 3
        columns = sorted({column for column, *_ in self.lanes})
        with self.farm.ledger.write() as connection:
            for position in range(before + 1, tested.position + 1):
                commit = inserted_id(
                    connection.execute(
                        insert(schema.commits).values(**ground.commit_row(position, tested.at))
                    )
                )
            for column in columns:
                interpreter, run = ground.want_build(connection, commit, column, tested)
                build = Work(
                    run=run, column=column, position=tested.position, interpreter=interpreter
                )
                self.held[build.interpreter] = [
                    self._want(connection, build, commit, suite, lane, tested)
                    for where, suite, lane in self.lanes
                    if where == column and self.chance.random() < 0.85
                ]
                self._queue(build, 1)
            self.last_run = connection.scalar(select(func.max(runs.c.id))) or 0

    def _want(
        self, connection: Any, build: Work, commit: int, suite: Suite, lane: int, tested: Tested
    ) -> Work:
        revision, run = ground.want_run(connection, build.interpreter, commit, suite, lane, tested)
        asked = Asked(
            run=run, attempt=0, suite=suite, column=build.column, position=tested.position,
            revision=revision, versions={}, machine=self.year.machines[0], at=0.0,
        )  # fmt: skip
        return Work(
            run=run, column=build.column, position=tested.position, suite=suite, lane=lane, asked=asked
        )  # fmt: skip

    def _queue(self, work: Work, rank: int) -> None:
        self.waiting[work.column[1]][rank].append(work)

    # Machines

    def _assign(self) -> None:
        for platform, queues in self.waiting.items():
            idle = [
                one
                for one in self.benches.values()
                if one.machine.platform == platform and one.work is None and not one.gone
            ]
            while idle and (work := self._next(queues)) is not None:
                fresh = [one for one in idle if one.machine.name not in work.avoid] or idle
                known = [one for one in fresh if one.machine.name == work.prefer]
                bench = (known or fresh)[0]
                if self._begin(work, bench):
                    idle.remove(bench)

    def _next(self, queues: Sequence[deque[Work]]) -> Work | None:
        for queue in queues:
            for index, work in enumerate(queue):
                if work.control or work.lane not in self.busy_lanes:
                    del queue[index]
                    return work
        return None

    def _begin(self, work: Work, bench: Bench) -> bool:
        """What dispatching writes. Controls may have been dropped meanwhile."""
        now = self.clock.now
        with self.farm.ledger.write() as connection:
            attempt = ground.begin(connection, work.run, work.tries + 1, bench.machine.name, now)
        if attempt is None:
            return False
        work.tries += 1
        bench.attempt = attempt
        bench.work, bench.began = work, now
        if work.lane and not work.control:
            self.busy_lanes.add(work.lane)
        minutes = self.chance.uniform(4, 15) if work.suite is None else work.suite.minutes
        if work.only:
            minutes = 1 + 0.2 * minutes
        ends = now + 60 * minutes * self.chance.uniform(0.8, 1.3)
        self._at(ends, "done", (bench, bench.attempt))
        return True

    def _lost(self, fault: Fault) -> None:
        for name in sorted(fault.machines):
            bench = self.benches[name]
            bench.gone += 1
            workers.seen(self.farm, name, connected=False)
            work, attempt = bench.work, bench.attempt
            if work is not None:
                self._free(bench)
                dispatch.attempt_lost(self.farm, attempt, "the worker was lost")
                self._again(work, name)
                self._new_controls()

    def _back(self, fault: Fault) -> None:
        for name in sorted(fault.machines):
            self.benches[name].gone -= 1
            if not self.benches[name].gone:
                workers.seen(self.farm, name, connected=True)

    def _free(self, bench: Bench) -> None:
        if bench.work and bench.work.lane and not bench.work.control:
            self.busy_lanes.discard(bench.work.lane)
        bench.work = None

    def _again(self, work: Work, machine: str) -> None:
        """The farm may want it once more, or have given it up."""
        work.avoid.add(machine)
        with self.farm.ledger.read() as connection:
            state = connection.scalar(select(runs.c.state).where(runs.c.id == work.run))
        if state == "wanted":
            self._queue(work, 0 if work.control else 1 if work.suite is None else 2)
        elif work.suite is None:
            self.held.pop(work.interpreter, None)

    # Reports

    def _done(self, given: tuple[Bench, int]) -> None:
        bench, attempt = given
        work = bench.work
        if work is None or bench.attempt != attempt:
            return  # the machine was lost
        self._free(bench)
        told = self._told(work, bench)
        sha256 = self.farm.store.put(contract.encode(told.report)).sha256
        recorded = record_report(self.farm, attempt, sha256)
        if self.chance.random() < REPEATED and not recorded.again and recorded.verdict != "infra":
            record_report(self.farm, attempt, sha256)
        if recorded.again:
            self._again(work, bench.machine.name)
        elif work.suite is None:
            self._built(work, recorded)
        else:
            self._count(work, told, recorded)
        self._new_controls()

    def _told(self, work: Work, bench: Bench) -> Told:
        column, position, machine = work.column, work.position, bench.machine
        if work.suite is None:
            return reports.build(
                self.year, run=work.run, attempt=work.tries, column=column, position=position,
                machine=machine, at=bench.began, artifact=self.artifact,
            )  # fmt: skip
        assert work.asked is not None
        versions = work.asked.versions
        if not work.control:
            versions = {
                name: self.year.version(name, bench.began) for name in work.suite.dependencies
            }
        work.asked = replace(
            work.asked, attempt=work.tries, machine=machine, at=bench.began, versions=versions
        )
        return reports.project(self.year, work.asked, self.chance)

    def _built(self, work: Work, recorded: Recorded) -> None:
        waiting = self.held.pop(work.interpreter, [])
        told = reports.build(
            self.year, run=work.run, attempt=work.tries, column=work.column,
            position=work.position, machine=self.year.machines[0], at=0.0, artifact=self.artifact,
        )  # fmt: skip
        self._keep(work, told.causes)
        if recorded.verdict in ("passed", "fixed"):
            for one in waiting:
                self._queue(one, 2)

    def _count(self, work: Work, told: Told, recorded: Recorded) -> None:
        self.made[work.run] = work
        self._keep(work, told.causes)
        if work.control:
            self.happened.controls += 1
            return
        if recorded.verdict == "infra":
            return
        self.happened.routine += 1
        self.happened.flakes += told.flakes

    def _keep(self, work: Work, causes: dict[str, Cause]) -> None:
        if not causes:
            return
        self.happened.causes[work.run] = causes
        name = work.suite.name if work.suite else ""
        self.happened.places[work.run] = (name, work.column, work.position, self.clock.now)
        if not work.control:
            for what, which in causes.values():
                if what == "plant":
                    self.happened.shown.setdefault(which, self.clock.now)

    def _new_controls(self) -> None:
        with self.farm.ledger.read() as connection:
            rows = connection.execute(NEW_CONTROLS, {"last": self.last_run}).all()
            for row in rows:
                self.last_run = row.id
                good = self.made[row.good_run]
                prefer = connection.scalar(
                    select(attempts.c.worker).where(
                        attempts.c.run_id == row.subject, attempts.c.state == "recorded"
                    )
                )
                assert good.asked is not None
                only = tuple(row.only or ())
                asked = replace(good.asked, run=row.id, only=only)
                work = Work(
                    run=row.id, column=good.column, position=good.position, suite=good.suite,
                    lane=good.lane, control=True, asked=asked, prefer=prefer or "", only=only,
                    good=row.good_run,
                )  # fmt: skip
                self._queue(work, 0)
