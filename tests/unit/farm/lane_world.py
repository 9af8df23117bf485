"""A farm without a master: commits, interpreters and lanes in a ledger, and reports recorded as a worker would send them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from tests.unit.farm.artifact_builder import make_artifact
from tests.unit.ledgers import new_ledger

from pybots.config.farm import FarmConfig
from pybots.core.model import GitBranch, LaneKey, Project
from pybots.farm.home import Farm, Folder
from pybots.farm.record import Recorded, record_report
from pybots.ledger import schema
from pybots.store import Store
from pybots_worker import contract

PLATFORM = "linux-x86_64"


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def make_project(name: str, **changes: Any) -> Project:
    plain = Project(
        name=name,
        title=name.title(),
        sources={"trunk": GitBranch(url="/x")},
        install=contract.Install(),
        test=contract.Test(runner="pytest"),
        notify=(f"{name}@example.org",),
    )
    return replace(plain, **changes)


def make_test(
    id: str, outcome: str = "passed", said: str = "", **changes: Any
) -> contract.TestOutcome:
    """A test; `said` is `Type: message`, and stands for a traceback too."""
    failure = None
    if said:
        kind, _, message = said.partition(": ")
        detail = (
            "Traceback (most recent call last):\n"
            f'  File "/pybots/source/tests/test_it.py", line 7, in {id.rpartition("::")[2]}\n'
            f"    check()\n{said}\n"
        )
        failure = contract.Failure(type=kind, message=message, detail=detail)
    plain = contract.TestOutcome(id=id, outcome=outcome, failure=failure)  # type: ignore[arg-type]
    test: contract.TestOutcome = replace_struct(plain, **changes)
    return test


def replace_struct(struct: Any, **changes: Any) -> Any:
    return type(struct)(
        **{name: getattr(struct, name) for name in struct.__struct_fields__} | changes
    )


def make_phase(phase: str, ok: bool = True, **changes: Any) -> contract.PhaseResult:
    plain = contract.PhaseResult(
        phase=phase,  # type: ignore[arg-type]
        ok=ok,
        ended="exit",
        wall_seconds=1.5,
        exit_code=0 if ok else 1,
    )
    result: contract.PhaseResult = replace_struct(plain, **changes)
    return result


def make_failure(message: str, detail: str = "", type: str = "CommandFailed") -> contract.Failure:
    return contract.Failure(type=type, message=message, detail=detail)


ENVIRONMENT = contract.Environment(worker="attic", platform=PLATFORM, abi="debian-12-x86_64")


def make_report(
    tests: Iterable[contract.TestOutcome] = (),
    *,
    phases: Sequence[contract.PhaseResult] | None = None,
    modules: Sequence[str] = (),
    **changes: Any,
) -> contract.Report:
    """A project's report: good phases, and a test phase that exits 1 when a test is bad."""
    tests = tuple(tests)
    good = all(test.outcome not in contract.BAD_OUTCOMES for test in tests)
    if phases is None:
        names = ("interpreter", "source", "install")
        phases = (*map(make_phase, names), make_phase("test", ok=good))
    plain = contract.Report(
        contract=1, run=1, attempt=1, kind="project", started=1.0, finished=9.0,
        environment=ENVIRONMENT, phases=tuple(phases), tests=tests, modules=tuple(modules),
    )  # fmt: skip
    report: contract.Report = replace_struct(plain, **changes)
    return report


@dataclass
class World:
    """One farm; every method is what somebody else would have done before recording."""

    farm: Farm

    def later(self, seconds: float) -> None:
        """Time goes by."""
        self.farm.clock.now += seconds  # type: ignore[attr-defined] # the world's own clock

    # What is there -----------------------------------------------------------

    def commit(self, position: int, **changes: Any) -> int:
        values = {
            "branch": "main", "position": position, "sha": f"{position:040x}", "author": "Ada",
            "email": "ada@example.org", "committed": 0.0, "title": f"gh-{position}: Change it",
            "message": "", "files": [], "content_key": f"{position:064x}", "seen": 0.0,
        } | changes  # fmt: skip
        with self.farm.ledger.write() as connection:
            known = connection.scalar(
                select(schema.commits.c.id).where(schema.commits.c.position == position)
            )
            if known:
                return int(known)
            return self._id(connection.execute(insert(schema.commits).values(**values)))

    def interpreter(
        self, position: int, flavour: str = "release", state: str = "published", **changes: Any
    ) -> int:
        commit = self.commit(position)
        key = f"{position:030x}{flavour.encode().hex():0<34}"[:64]
        values = {
            "key": key, "content_key": f"{position:064x}", "flavour": flavour, "platform": PLATFORM,
            "abi": "debian-12-x86_64", "trust": "farm", "recipe": {}, "branch": "main",
            "commit_id": commit, "state": state, "created": 0.0, "python": "3.15.0a1+",
        } | changes  # fmt: skip
        table = schema.interpreters
        with self.farm.ledger.write() as connection:
            known = connection.scalar(select(table.c.id).where(table.c.key == key))
            return (
                int(known)
                if known
                else self._id(connection.execute(insert(table).values(**values)))
            )

    def lane(
        self, project: str = "anchor", flavour: str = "release", platform: str = PLATFORM
    ) -> int:
        key = LaneKey(
            project=project, source="trunk", branch="main", flavour=flavour, platform=platform
        )
        with self.farm.ledger.write() as connection:
            known = connection.scalar(
                select(schema.lanes.c.id).where(schema.lanes.c.slug == key.slug)
            )
            if known:
                return int(known)
            return self._id(
                connection.execute(
                    insert(schema.lanes).values(
                        slug=key.slug, project=project, source="trunk", branch="main",
                        flavour=flavour, platform=platform, state="active", reason="",
                    )
                )
            )  # fmt: skip

    def run(
        self,
        position: int,
        *,
        lane: int | None = None,
        interpreter: int | None = None,
        **changes: Any,
    ) -> int:
        """A running run with a running attempt number 1 and, for a lane, its cell."""
        now = self.farm.clock()
        commit = self.commit(position)
        made = interpreter or self.interpreter(position)
        values = {
            "kind": "project" if lane else "interpreter", "lane_id": lane, "interpreter_id": made,
            "commit_id": commit, "branch": "main", "position": position, "purpose": "routine",
            "revision_label": "1.0" if lane else None, "state": "running", "summary": "", "tries": 1,
            "lost": 0, "created": now, "started": now,
        } | changes  # fmt: skip
        with self.farm.ledger.write() as connection:
            run = self._id(connection.execute(insert(schema.runs).values(**values)))
            if lane and values["purpose"] == "routine":
                connection.execute(
                    schema.cells.delete().where(
                        schema.cells.c.lane_id == lane, schema.cells.c.commit_id == commit
                    )
                )
                connection.execute(
                    insert(schema.cells).values(
                        lane_id=lane, commit_id=commit, branch="main", position=position,
                        run_id=run, state="running", count=0,
                    )
                )  # fmt: skip
        if values["state"] == "running":
            self.attempt(run)
        return run

    def attempt(self, run: int) -> int:
        now = self.farm.clock()
        table = schema.attempts
        with self.farm.ledger.write() as connection:
            last = connection.scalar(select(func.max(table.c.number)).where(table.c.run_id == run))
            connection.execute(
                update(schema.runs).where(schema.runs.c.id == run).values(state="running")
            )
            return self._id(
                connection.execute(
                    insert(table).values(
                        run_id=run, number=(last or 0) + 1, worker="attic", builder="b",
                        state="running", created=now, started=now, reason="", phases=[],
                    )
                )
            )  # fmt: skip

    @staticmethod
    def _id(result: Any) -> int:
        return int(result.inserted_primary_key[0])

    # What happens ------------------------------------------------------------

    def last_attempt(self, run: int) -> Row[Any]:
        table = schema.attempts
        return self.rows(table, table.c.run_id == run)[-1]

    def put(self, run: int, report: contract.Report) -> str:
        """Upload the report as the last attempt of the run would have sent it."""
        attempt = self.last_attempt(run)
        data = contract.encode(replace_struct(report, run=run, attempt=attempt.number))
        return self.farm.store.put(data).sha256

    def record(self, run: int, report: contract.Report) -> Recorded:
        return record_report(self.farm, self.last_attempt(run).id, self.put(run, report))

    def go(
        self, position: int, tests: Iterable[contract.TestOutcome] = (), *, lane: int | None = None,
        report: contract.Report | None = None, **changes: Any,
    ) -> Recorded:  # fmt: skip
        """One run of a lane from start to verdict."""
        lane = lane or self.lane()
        return self.record(self.run(position, lane=lane, **changes), report or make_report(tests))

    def build(
        self,
        position: int,
        *,
        ok: bool = True,
        flavour: str = "release",
        said: str = "Modules/x.c:3:1: error: unknown type name 'foo'",
        phase: str = "compile",
        plain: bool = False,
        **changes: Any,
    ) -> Recorded:
        """One build of an interpreter from start to verdict; without `ok`, it fails in `phase`."""
        made = self.interpreter(position, flavour, state="wanted", plain=plain)
        run = self.run(position, interpreter=made, **changes)
        return self.record(run, self.build_report(ok=ok, said=said, phase=phase))

    def build_report(
        self, *, ok: bool = True, said: str = "", phase: str = "compile"
    ) -> contract.Report:
        blob = self.farm.store.put(make_artifact())
        names = ["source", "configure", "compile", "install", "publish"]
        phases = [make_phase(name) for name in names]
        if not ok:
            failure = make_failure("make -j2: exit status 2", said)
            phases = [*phases[: names.index(phase)], make_phase(phase, ok=False, failure=failure)]
        artifact = contract.Artifact(sha256=blob.sha256, size=blob.size) if ok else None
        return make_report(phases=phases, kind="interpreter", artifact=artifact, python="3.15.0a1+")

    # What there is afterwards --------------------------------------------------

    def rows(self, table: Any, *where: Any) -> list[Row[Any]]:
        with self.farm.ledger.read() as connection:
            return list(
                connection.execute(select(table).where(*where).order_by(*table.primary_key)).all()
            )

    def one(self, table: Any, id: int) -> Row[Any]:
        (row,) = self.rows(table, table.c.id == id)
        return row

    def verdict(self, run: int) -> str | None:
        found: str | None = self.one(schema.runs, run).verdict
        return found

    def letters(self) -> list[Row[Any]]:
        """What list and admin get; projects get their own copies of it."""
        return self.rows(schema.outbox, schema.outbox.c.audience.in_(("list", "admin")))

    def subjects(self) -> list[str]:
        return [row.subject for row in self.letters()]

    def counts(self) -> dict[str, int]:
        """Rows in each table."""
        with self.farm.ledger.read() as connection:
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in schema.metadata.sorted_tables
            }


def make_world(folder: Path, *projects: str, durable: bool = False, **settings: Any) -> World:
    """A farm with these projects. Not `durable`: nothing is synced to the disk."""
    where = Folder(folder)
    farm = Farm(
        folder=where,
        config=FarmConfig(**settings),
        projects={name: make_project(name) for name in projects or ("anchor", "buoy")},
        ledger=new_ledger(where.ledger, durable=durable),
        store=Store(where.store, reserve=0),
        clock=Clock(),
    )
    return World(farm)
