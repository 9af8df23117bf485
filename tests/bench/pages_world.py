"""A ledger as a farm leaves it after three years: bulk rows, whose cells are made by the function that makes a farm's.

60 projects, 200 lanes in 26 columns (13 platforms × 2 flavours), commits of three years, one interpreter run and the
lanes' runs per column and tested commit, every run with its attempt. Random, but the same for the same number of runs.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Table, select, update

from pybots.farm import days
from pybots.farm.cells import look
from pybots.farm.home import Farm, open_farm
from pybots.ledger import migrate, schema
from pybots_worker import contract

PROJECTS: Final = 60
LANES: Final = 200
PLATFORMS: Final = tuple(
    f"{system}-{arch}"
    for system in ("linux", "darwin", "freebsd", "netbsd", "openbsd")
    for arch in ("x86_64", "aarch64", "riscv64")
)[:13]
FLAVOURS: Final = ("release", "debug")
COLUMNS: Final = tuple((platform, flavour) for platform in PLATFORMS for flavour in FLAVOURS)
YEARS: Final = 3 * 365 * 86_400.0
START: Final = time.time() - YEARS
"""It ends now: pages count what happened lately."""
TESTED: Final = 0.6
"""Of the commits that change anything, each column builds so many: under load, waiting runs are coalesced."""
DOCUMENTATION: Final = 0.15
"""Of the commits, so many change no code: their cells share the run before them."""
AUTHORS: Final = 80
FULL_HISTORY: Final = 300_000
"""Up to this id runs refer to one and the same report, so that a run's page reads one."""


@dataclass
class Lane:
    """One lane while its history is written."""

    id: int
    project: str
    column: int
    state: str = "passed"
    last: tuple[int, int] = (0, 0)  # (run, position)
    breakage: int = 0
    counted: int = 0


@dataclass
class Filler:
    """Writes the rows of a farm's life, table by table in large batches."""

    connection: Connection
    chance: random.Random
    report: str
    batch: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    runs: int = 0
    interpreters: int = 0
    breakages: int = 0
    lanes: list[Lane] = field(default_factory=list)

    def add(self, table: Table, **values: Any) -> None:
        rows = self.batch.setdefault(table.name, [])
        rows.append(values)
        if len(rows) >= 20_000:
            self.flush()

    def flush(self) -> None:
        """Everything waiting, table by table."""
        for table in schema.metadata.sorted_tables:
            rows = self.batch.pop(table.name, None)
            if rows:
                self.connection.execute(table.insert(), rows)


def fill(root: Path, runs: int, port: int) -> Farm:
    """A farm's folder at `root` with about `runs` runs in its ledger. Takes about two minutes for a million."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "farm.toml").write_text(
        f"platforms = {json.dumps(PLATFORMS)}\nflavours = {json.dumps(FLAVOURS)}\n"
        f"[store]\nreserve_bytes = 0\n[web]\nport = {port}\n"
    )
    migrate.upgrade(root / "ledger.sqlite")
    farm = open_farm(root)
    report = farm.store.put(contract.encode(_report())).sha256
    with farm.ledger.engine.connect() as connection:
        # Rows come in an order of their own, and a power cut would cost nothing.
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("PRAGMA synchronous=OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        filler = Filler(connection=connection, chance=random.Random(runs), report=report)
        _lanes(filler)
        _history(filler, runs)
        _rest(filler)
        filler.flush()
        _close_breakages(filler)
        connection.exec_driver_sql("COMMIT")
    farm.ledger.close()
    return farm


def ready(root: Path, runs: int, port: int) -> Farm:
    """The farm in this folder, brought up to today's schema; filled first when nothing is there.

    Its days are counted by the function that a running master calls every hour."""
    if not (root / "ledger.sqlite").exists():
        fill(root, runs, port)
    migrate.upgrade(root / "ledger.sqlite")
    farm = open_farm(root)
    days.count(farm)
    return farm


def _close_breakages(filler: Filler) -> None:
    """What is not standing at the end was mended some time."""
    standing = [lane.breakage for lane in filler.lanes if lane.breakage]
    table, parts = schema.breakages, schema.breakage_lanes
    mended = table.c.id.not_in(standing)
    filler.connection.execute(
        update(table).where(mended).values(state="fixed", fixed=table.c.opened + 86_400)
    )
    filler.connection.execute(
        update(parts)
        .where(parts.c.breakage_id.in_(select(table.c.id).where(table.c.state == "fixed")))
        .values(closed=parts.c.opened + 86_400, closed_run=parts.c.run_id)
    )


def _report() -> contract.Report:
    failure = contract.Failure(type="TypeError", message="bad operand", detail="Traceback …\n" * 20)
    bad = [
        contract.TestOutcome(id=f"tests/test_it.py::test_{n}", outcome="failed", failure=failure)
        for n in range(12)
    ]
    good = [
        contract.TestOutcome(id=f"tests/test_fine.py::test_{n}", outcome="passed", seconds=0.01)
        for n in range(1000)
    ]
    return contract.Report(
        contract=1, run=1, attempt=1, kind="project", started=START, finished=START + 60,
        environment=_environment(0), phases=_phases(ok=False), tests=(*bad, *good),
    )  # fmt: skip


def _environment(column: int) -> contract.Environment:
    platform = COLUMNS[column][0]
    return contract.Environment(
        worker=f"w-{platform}", platform=platform, abi=f"debian-12-{platform}", cores=4,
        memory_bytes=8 << 30, system="Linux 6.1", compiler="gcc 12.2", sandbox="bubblewrap 0.8",
        rung="cgroup2",
    )  # fmt: skip


def _phases(*, ok: bool) -> tuple[contract.PhaseResult, ...]:
    return tuple(
        contract.PhaseResult(
            phase=name, ok=ok or name != "test", ended="exit", wall_seconds=12.5,
            cpu_seconds=10.25, exit_code=0 if ok or name != "test" else 1,
            peak_memory_bytes=150 << 20, log_bytes=40_000,
        )
        for name in ("interpreter", "source", "install", "test")
    )  # fmt: skip


def _lanes(filler: Filler) -> None:
    for number in range(LANES):
        project, turn = number % PROJECTS, number // PROJECTS
        column = (project * 3 + turn * 7) % len(COLUMNS)
        filler.lanes.append(Lane(id=number + 1, project=f"project{project:02}", column=column))
    for project in range(PROJECTS):
        filler.add(
            schema.sources, project=f"project{project:02}", source="release", label="4.2",
            revision=None, checked=START, error=None,
        )  # fmt: skip
    for column, platform in enumerate(PLATFORMS):
        filler.add(
            schema.workers, name=f"w-{platform}", owner="Bob", email="bob@example.org",
            platform=platform, abi=f"debian-12-{platform}", slots=2, trust="farm", facts=["ccache"],
            projects=[], state="approved", credential="x", connected=column != 3, last_seen=START,
            info=msgspec.to_builtins(_environment(2 * column)),
        )  # fmt: skip


def _history(filler: Filler, runs: int) -> None:
    per_commit = len(COLUMNS) * TESTED * (1 - DOCUMENTATION) * (1 + LANES / len(COLUMNS))
    commits = max(60, round(runs / per_commit))
    templates = {
        (column, ok): (
            [msgspec.to_builtins(phase) for phase in _phases(ok=ok)],
            msgspec.to_builtins(_environment(column)),
        )
        for column in range(len(COLUMNS))
        for ok in (True, False)
    }
    by_column: dict[int, list[Lane]] = {}
    for lane in filler.lanes:
        by_column.setdefault(lane.column, []).append(lane)
    content = 0
    for position in range(1, commits + 1):
        seen = START + YEARS * position / commits
        documentation = position > 1 and filler.chance.random() < DOCUMENTATION
        content = content if documentation else position
        _commit(filler, position, content, seen)
        for column in range(len(COLUMNS)):
            if not documentation and filler.chance.random() < TESTED:
                _test(filler, column, by_column.get(column, []), position, seen, templates)
            elif documentation:
                _share(filler, by_column.get(column, []), position)


def _commit(filler: Filler, position: int, content: int, seen: float) -> None:
    filler.add(
        schema.commits, id=position, branch="main", position=position, sha=sha(position),
        author=f"Author {filler.chance.randrange(AUTHORS)}", email="a@example.org", committed=seen,
        title=f"gh-{100_000 + position}: Mend what a very usual title of a commit says (#{position})",
        message="Some words that explain why it was made, as they often do.\n" * 4,
        files=["Lib/colorsys.py", "Lib/test/test_colorsys.py"], content_key=f"{content:064x}", seen=seen,
    )  # fmt: skip


def sha(position: int) -> str:
    return f"{position * 2654435761 % (1 << 32):08x}{position:032x}"


def _test(
    filler: Filler, column: int, lanes: list[Lane], position: int, seen: float, templates: Any
) -> None:
    platform, flavour = COLUMNS[column]
    filler.interpreters += 1
    number = filler.interpreters
    filler.add(
        schema.interpreters, id=number, key=f"{number:064x}", content_key=f"{position:064x}",
        flavour=flavour, platform=platform, abi=f"debian-12-{platform}", trust="farm",
        recipe={"configure": [], "compiler": "gcc"}, branch="main", commit_id=position,
        state="published", blob=f"{number:064x}", size=24_000_000, python="3.15.0a1+",
        failure=None, created=seen, finished=seen + 90,
    )  # fmt: skip
    _run(filler, None, number, position, "passed", seen, 90, templates[column, True])
    for lane in lanes:
        verdict = _verdict(filler, lane, position, seen)
        ok = verdict in ("passed", "fixed", "flaky")
        run = _run(filler, lane, number, position, verdict, seen + 90, 60, templates[column, ok])
        lane.last = (run, position)
        lane.counted += 1
        new = verdict == "new_failure"
        shown = look(verdict, 3 if new else 0, own=True)
        filler.add(
            schema.cells, lane_id=lane.id, commit_id=position, branch="main", position=position,
            run_id=run, **shown,
        )  # fmt: skip
        if new:
            _breakage(filler, lane, run, position, seen)


def _run(
    filler: Filler, lane: Lane | None, interpreter: int, position: int, verdict: str,
    started: float, seconds: float, template: Any,
) -> int:  # fmt: skip
    filler.runs += 1
    number, bad = filler.runs, verdict in ("new_failure", "still_failing")
    phases, environment = template
    finished = started + seconds
    report = filler.report if number <= FULL_HISTORY or bad else None
    filler.add(
        schema.runs, id=number, kind="project" if lane else "interpreter",
        lane_id=lane.id if lane else None, interpreter_id=interpreter, commit_id=position,
        branch="main", position=position, purpose="routine",
        revision_label="4.2" if lane else None,
        revision={"kind": "sdist", "name": lane.project, "version": "4.2"} if lane else None,
        state="done", verdict=verdict, failure_kind="test" if bad else None,
        summary="3 tests fail: TypeError: bad operand" if bad else "1,000 passed",
        counts={"passed": 1000, "failed": 3 if bad else 0, "skipped": 10} if lane else None,
        phase_seconds={"source": 1.5, "install": 8.25, "test": 40.0}, tries=1, lost=0,
        created=started - 30, started=started, finished=finished, report=report, only=None,
    )  # fmt: skip
    filler.add(
        schema.attempts, id=number, run_id=number, number=1, worker=environment["worker"],
        builder=f"{environment['platform']}-1", state="recorded", created=started - 30,
        started=started, finished=finished, reason="",
        phases=[{**phase, "started": started, "state": "ok"} for phase in phases],
        environment=environment, report=report,
    )  # fmt: skip
    return number


def _share(filler: Filler, lanes: list[Lane], position: int) -> None:
    """A commit that costs no build shows the run before it."""
    for lane in lanes:
        if lane.last[0]:
            filler.add(
                schema.cells, lane_id=lane.id, commit_id=position, branch="main",
                position=position, run_id=lane.last[0], **look(lane.state, 0, own=False),
            )  # fmt: skip


def _verdict(filler: Filler, lane: Lane, position: int, seen: float) -> str:
    chance = filler.chance.random()
    if lane.state in ("new_failure", "still_failing"):
        lane.state = "fixed" if chance < 1 / 25 else "still_failing"
        if lane.state == "fixed":
            lane.breakage = 0
    elif chance < 1 / 700:
        lane.state = "new_failure"
    else:
        lane.state = "passed"
        if chance > 1 - 1 / 150:
            return "flaky"
        if chance > 1 - 1 / 100:
            return "infra"
    return lane.state


def _breakage(filler: Filler, lane: Lane, run: int, position: int, seen: float) -> None:
    filler.breakages += 1
    number = filler.breakages
    test = number % 500 + 1
    filler.add(
        schema.breakages, id=number, kind="test", signature=f"{number:064x}",
        title=f"TypeError in tests/test_it.py::test_{number % 500}", branch="main", state="open",
        good_position=lane.last[1] or None, bad_position=position, opened=seen, opened_run=run,
        disposition="untriaged", thread=f"<{number}@farm>", confirmed=seen, told=None,
        thread_id=number,
    )  # fmt: skip
    filler.add(
        schema.breakage_lanes, breakage_id=number, lane_id=lane.id, run_id=run, tests=[test],
        count=3, opened=seen,
    )  # fmt: skip
    filler.add(
        schema.outbox, alert=f"a{number}", message_id=f"<{number}@farm>", thread=f"<{number}@farm>",
        audience="list", recipients=["list@example.org"], subject=f"[Pybots] {lane.project}: TypeError",
        message="From: pybots@localhost\nSubject: x\n\n" + "What failed and how to see it.\n" * 40,
        breakage_id=number, run_id=run, state="sent", tries=1, next_try=seen, created=seen,
        sent=seen + 5, error="",
    )  # fmt: skip
    lane.breakage = number


def _rest(filler: Filler) -> None:
    """The lanes as they stand at the end, their tests, and the newest events."""
    for lane in filler.lanes:
        platform, flavour = COLUMNS[lane.column]
        filler.add(
            schema.lanes, id=lane.id, slug=f"{lane.project}.release.main.{flavour}.{platform}",
            project=lane.project, source="release", branch="main", flavour=flavour,
            platform=platform, state="active", reason="", head_run=lane.last[0],
            head_position=lane.last[1], head_started=START + YEARS, verdict=lane.state,
            outcome_digest="", counted=lane.counted,
        )  # fmt: skip
    for test in range(1, 1001):
        filler.add(schema.tests, id=test, name=f"tests/test_it.py::test_{test}")
    number = 0
    for lane in filler.lanes:
        for test in range(1, 501):
            number += 1
            bad = lane.state in ("new_failure", "still_failing") and test < 4
            filler.add(
                schema.spans, id=number, lane_id=lane.id, test_id=test,
                outcome="failed" if bad else "passed", signature="0" * 64 if bad else None,
                from_run=1, from_position=1,
            )  # fmt: skip
    for event in range(10_000):
        filler.add(schema.events, at=START + YEARS, topic="verdict", data={"run": event})
