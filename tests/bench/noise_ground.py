"""The ground that a simulated farm stands on: its ledger, registry and roster, and the rows that planning would write."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import noise_reports as reports
from noise_year import BEGIN, Column, Suite, Tested, Year
from sqlalchemy import Connection, bindparam, func, insert, update

from pybots.config.farm import FarmConfig, Mail
from pybots.core.model import GitBranch, LaneKey, Project, Worker
from pybots.farm import tokens, workers
from pybots.farm.home import Farm, Folder
from pybots.ledger import migrate, schema
from pybots.ledger.engine import inserted_id, open_ledger
from pybots.store import Store
from pybots_worker import contract

LIST: Final = "pybots-list@example.org"
ADMIN: Final = "admin@example.org"
SENDER: Final = "pybots@example.org"

# Made once: making a statement takes longer than the database takes to do what it says.
_RUN, _CELL, _ATTEMPT = insert(schema.runs), insert(schema.cells), insert(schema.attempts)
_BEGIN = (
    update(schema.runs)
    .where(schema.runs.c.id == bindparam("which"), schema.runs.c.state == "wanted")
    .values(
        state="running", tries=bindparam("tries"),
        started=func.coalesce(schema.runs.c.started, bindparam("now")),
    )
)  # fmt: skip


@dataclass
class Clock:
    now: float = BEGIN

    def __call__(self) -> float:
        return self.now


def open_farm(year: Year, folder: Path, clock: Clock) -> Farm:
    """A farm with an empty ledger in `folder`, its projects registered."""
    where = Folder(folder)
    migrate.upgrade(where.ledger)
    tokens.make_key(where.secrets)
    return Farm(
        folder=where,
        config=FarmConfig(
            mail=Mail(sender=SENDER, list=LIST, admin=ADMIN),
            second_opinions=0,  # nobody here would give them, and they are drawn by lot
        ),
        projects={
            name: _project(name, number, network=year.suites[name].network)
            for number, name in enumerate(sorted(year.suites))
        },
        ledger=open_ledger(where.ledger),
        store=Store(where.store, reserve=0),
        clock=clock,
    )


def _project(name: str, number: int, *, network: bool) -> Project:
    """Most projects are told at once, some maintainers in person, some once a day."""
    address = f"{name}@example.org"
    one = f"maintainer-{number}@example.org"
    return Project(
        name=name,
        title=name,
        sources={"trunk": GitBranch(url=f"https://example.org/{name}")},
        install=contract.Install(),
        test=contract.Test(runner="pytest"),
        network="always" if network else "install",
        notify=() if number % 10 == 9 else (address,),
        notify_daily=(address,) if number % 10 == 9 else (),
        notify_personal=(one,) if number % 10 in (3, 6) else (),
    )


def commit_row(position: int, at: float) -> dict[str, Any]:
    """Values of a row of `commits`."""
    return {
        "branch": "main", "position": position, "sha": f"{position:040x}", "author": "Ada",
        "email": "ada@example.org", "committed": at, "title": f"gh-{position}: Change it",
        "message": "", "files": [], "content_key": content_key(position), "seen": at,
    }  # fmt: skip


def content_key(position: int) -> str:
    return hashlib.sha256(str(position).encode()).hexdigest()


def enrol(farm: Farm, year: Year) -> list[tuple[Column, Suite, int]]:
    """The machines as workers, and the lanes: (column, suite, id)."""
    for one in year.machines:
        worker = Worker(
            name=one.name, platform=one.platform, abi=reports.abi(one.platform),
            owner=f"site {one.site}", email=f"site{one.site}@example.org",
        )  # fmt: skip
        workers.enrol(farm, worker)
        workers.seen(farm, one.name, connected=True)
    with farm.ledger.write() as connection:
        return [
            (column, suite, _lane(connection, suite, column))
            for suite in year.suites.values()
            for column in suite.columns
        ]


def _lane(connection: Connection, suite: Suite, column: Column) -> int:
    key = LaneKey(
        project=suite.name, source="trunk", branch="main", flavour=column[0], platform=column[1]
    )
    made = connection.execute(
        insert(schema.lanes).values(
            slug=key.slug, project=suite.name, source="trunk", branch="main", flavour=column[0],
            platform=column[1], state="active", reason="",
        )
    )  # fmt: skip
    return inserted_id(made)


def want_build(
    connection: Connection, commit: int, column: Column, tested: Tested
) -> tuple[int, int]:
    """An interpreter and the run that builds it."""
    key = hashlib.sha256(f"{column}/{tested.position}".encode()).hexdigest()
    interpreter = inserted_id(
        connection.execute(
            insert(schema.interpreters).values(
                key=key, content_key=content_key(tested.position), flavour=column[0],
                platform=column[1], abi=reports.abi(column[1]), trust="farm", recipe={},
                branch="main", commit_id=commit, state="wanted", created=tested.at,
            )
        )
    )  # fmt: skip
    values = {"kind": "interpreter", "interpreter_id": interpreter, "commit_id": commit}
    return interpreter, _insert_run(connection, tested, values)


def want_run(
    connection: Connection, interpreter: int, commit: int, suite: Suite, lane: int, tested: Tested
) -> tuple[int, int]:
    """The project's revision at that time, and a lane's run of it."""
    revision = sum(at <= tested.at for at in suite.revisions) - 1
    source = contract.GitSource(
        url=f"https://example.org/{suite.name}", commit=f"{revision + 1:040x}"
    )
    values = {
        "kind": "project", "interpreter_id": interpreter, "commit_id": commit, "lane_id": lane,
        "revision_label": f"1.{revision}", "revision": msgspec.to_builtins(source),
    }  # fmt: skip
    run = _insert_run(connection, tested, values)
    where = {"lane_id": lane, "commit_id": commit, "branch": "main", "run_id": run}
    connection.execute(_CELL, {"position": tested.position, "state": "queued", "count": 0, **where})
    return revision, run


def _insert_run(connection: Connection, tested: Tested, values: dict[str, Any]) -> int:
    plain = {
        "branch": "main", "position": tested.position, "purpose": "routine", "state": "wanted",
        "summary": "", "tries": 0, "lost": 0, "created": tested.at,
    }  # fmt: skip
    return inserted_id(connection.execute(_RUN, plain | values))


def begin(connection: Connection, run: int, number: int, machine: str, now: float) -> int | None:
    """What dispatching writes: an attempt that runs. None when the run is not wanted any more."""
    begun = connection.execute(_BEGIN, {"which": run, "tries": number, "now": now}).rowcount
    if not begun:
        return None
    values = {
        "run_id": run, "number": number, "worker": machine, "builder": "b", "state": "running",
        "created": now, "started": now, "reason": "", "phases": [],
    }  # fmt: skip
    return inserted_id(connection.execute(_ATTEMPT, values))
