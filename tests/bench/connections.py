"""Many workers on one master: a connect storm, memory per worker, jobs a second, and what readers of the pages feel meanwhile.

    python tests/bench/connections.py [--workers 200] [--hosts 4] [--rounds 3] [--json]

A farm over the miniature CPython with as many projects as workers runs on loopback: master, web process, no worker of its
own. The workers are the kit's bot, login and attendance (connections_host), in a few processes; their jobs do nothing but
are jobs: dispatched, five phases over the wire, a report of 100 outcomes uploaded, verified and recorded. One reader asks
for pages all the time. Measured, in this order:

*join*: all processes of workers are started at once; until the ledger knows that all are connected.
*work*: `rounds` commits, one after the other: an interpreter, then one run for each project.
*news*: one more worker is enrolled while all are connected and work; until the master lets it in.
*storm*: the master is killed (-9) and started again; until all are connected again, from its first open port on.

Prints seconds, the master's use of a core and of memory, jobs a second, and the pages' p50 and p95 in each of these
times. Exit status 1: a worker did not come back, a job was lost, or p95 of the pages was over a second while jobs ran.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import pages
from sqlalchemy import func, select
from tests.hard import farm_yard
from tests.hard.farm_yard import Yard

from pybots.core.model import Worker
from pybots.farm import workers
from pybots.ledger import schema
from pybots_worker import settings
from pybots_worker.settings import WorkshopSettings

HOST: Final = Path(__file__).with_name("connections_host.py")
ADDRESSES: Final = ("/", "/waterfall", "/workers", "/worker/w000", "/projects", "/api/v1/lanes")
PAUSE_SECONDS: Final = 0.1
PATIENCE: Final = 600.0
MOST_P95_MS: Final = 1000.0


@dataclass
class Reader:
    """Somebody who reads the pages, one after the other, all the time. `times`: (began, milliseconds)."""

    port: int
    times: list[tuple[float, float]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        client = pages.Client(self.port)
        turn = 0
        while not self.over.wait(PAUSE_SECONDS):
            began, path = time.time(), ADDRESSES[turn % len(ADDRESSES)]
            turn += 1
            try:
                spent, status, _ = client.get(path)
            except OSError as error:
                self.complaints.append(f"{path}: {error}")
                client = pages.Client(self.port)
                continue
            self.times.append((began, spent))
            if status != 200:
                self.complaints.append(f"{path}: {status}")

    def during(self, begin: float, end: float) -> dict[str, Any]:
        """What was felt between two moments."""
        found = [spent for began, spent in self.times if begin <= began < end]
        if not found:
            return {"pages": 0}
        return {
            "pages": len(found),
            "p50_ms": round(pages.point(found, 0.5), 1),
            "p95_ms": round(pages.point(found, 0.95), 1),
            "worst_ms": round(max(found), 1),
        }


@dataclass
class Crowd:
    """The farm, its workers' processes, and the reader."""

    yard: Yard
    folder: Path
    number: int
    reader: Reader
    hosts: list[subprocess.Popen[bytes]] = field(default_factory=list)

    # Workers

    def enrol(self, name: str, host: int) -> None:
        """On the roster, with a folder; not started."""
        farm, like = self.yard.farm, workers.everyone(self.yard.farm)[0]
        worker = Worker(
            name=name, platform=like.platform, abi=like.abi, slots=1, owner=f"Owner of {name}",
            facts=frozenset(like.facts),
        )  # fmt: skip
        credential = workers.enrol(farm, worker)
        settings.write(
            self.folder / f"host{host}" / name,
            WorkshopSettings(
                name=name, farm=farm.config.url, credential=credential, slots=1,
                master=f"127.0.0.1:{farm.config.buildbot.pb_port}",
            ),
        )  # fmt: skip

    def host(self, number: int) -> None:
        """Start a process of workers."""
        with (self.folder.parent / f"host{number}.log").open("ab") as log:
            self.hosts.append(
                subprocess.Popen(
                    [sys.executable, str(HOST), str(self.folder / f"host{number}")],
                    stdout=log,
                    stderr=log,
                )
            )

    def all_there(self, number: int) -> bool:
        table = schema.workers
        with self.yard.farm.ledger.read() as connection:
            found = connection.scalar(select(func.count()).where(table.c.connected))
        return bool(found == number)

    def await_all(self, number: int) -> float:
        """Until so many are connected; when that was."""
        self.yard.wait(lambda: self.all_there(number), f"{number} connected workers", PATIENCE)
        return time.time()

    # The master

    @property
    def master(self) -> int:
        return self.yard.processes["master"].pid

    def memory(self) -> int:
        """Resident bytes of the master (Linux)."""
        words = Path(f"/proc/{self.master}/statm").read_text().split()
        return int(words[1]) * os.sysconf("SC_PAGE_SIZE")

    def listening(self) -> bool:
        port = self.yard.farm.config.buildbot.pb_port
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--hosts", type=int, default=4, help="processes they live in")
    parser.add_argument("--rounds", type=int, default=3, help="commits to work on")
    parser.add_argument("--keep", type=Path, help="make the farm here and leave it, with its logs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with _folder(options.keep) as folder, _crowd(folder, options) as crowd:
        found = measure(crowd, options)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for name, values in found.items():
            print(name)
            for key, value in values.items():
                print(f"  {key:34} {value}")
    well = found["work"]["lost"] == 0 and found["work"]["p95_ms"] <= MOST_P95_MS
    return 0 if well else 1


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep:
        keep.mkdir(parents=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="pybots-crowd-") as made:
        yield Path(made)


@contextlib.contextmanager
def _crowd(root: Path, options: argparse.Namespace) -> Iterator[Crowd]:
    """A farm with as many projects as workers, its processes started, nobody connected."""
    yard = farm_yard.make(root / "farm", ("sprout",))
    folder = yard.farm.folder.projects
    text = (folder / "sprout.toml").read_text()
    names = [f"p{number:03}" for number in range(options.workers)]
    for name in names:
        (folder / f"{name}.toml").write_text(text)
    yard.settle(projects=names, second_opinions=0)
    crowd = Crowd(yard, root / "workers", options.workers, Reader(yard.farm.config.web.port))
    for number in range(options.workers):
        crowd.enrol(f"w{number:03}", number % options.hosts)
    workers.set_state(yard.farm, "local", "retired")
    thread = threading.Thread(target=crowd.reader.read, daemon=True)
    try:
        yard.start("web", "master")
        thread.start()
        yield crowd
    finally:
        crowd.reader.over.set()
        for process in crowd.hosts:
            process.terminate()
        for process in crowd.hosts:
            process.wait(60)
        yard.stop()


def measure(crowd: Crowd, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    crowd.yard.wait(crowd.listening, "the master's port")
    crowd.yard.wait(lambda: crowd.yard.rows(schema.runs), "the first wish", PATIENCE)
    time.sleep(2)  # the first plan's work ends before anything is measured
    alone = crowd.memory()
    joined = join(crowd, options.hosts)
    crowd.yard.calm(PATIENCE)
    joined["kib_per_worker"] = round((crowd.memory() - alone) / crowd.number / 1024)
    joined["master_mib"] = crowd.memory() >> 20
    return {
        "join": joined,
        "work": work(crowd, options.rounds),
        "news": news(crowd, options.hosts),
        "storm": storm(crowd),
    }


def join(crowd: Crowd, hosts: int) -> dict[str, Any]:
    began, spent = time.time(), pages.cpu_seconds(crowd.master)
    for number in range(hosts):
        crowd.host(number)
    there = crowd.await_all(crowd.number)
    return {
        "workers": crowd.number,
        "seconds": round(there - began, 1),
        "master_cpu_seconds": round(pages.cpu_seconds(crowd.master) - spent, 1),
        **crowd.reader.during(began, there),
    }


def work(crowd: Crowd, rounds: int) -> dict[str, Any]:
    """Commit after commit; a job's time is from its dispatch to its record."""
    attempts = schema.attempts
    last = len(crowd.yard.rows(attempts))
    began, spent = time.time(), pages.cpu_seconds(crowd.master)
    seconds = 0.0
    for _ in range(rounds):
        _work_on(crowd.yard)
        crowd.yard.calm(PATIENCE)
        done = crowd.yard.rows(attempts, attempts.c.id > last)
        last = max(row.id for row in done)
        builds = {row.id for row in crowd.yard.rows(schema.runs, schema.runs.c.lane_id.is_(None))}
        tests = [row for row in done if row.run_id not in builds]
        seconds += max(row.finished for row in tests) - min(row.created for row in tests)
    over = time.time()
    made = crowd.yard.rows(attempts, attempts.c.created > began)
    cpu = pages.cpu_seconds(crowd.master) - spent
    return {
        "jobs": len(made),
        "lost": sum(row.state == "lost" for row in made),
        "jobs_per_second": round((len(made) - rounds) / seconds, 1),
        "workers_that_worked": len({row.worker for row in made}),
        "master_cpu_ms_per_job": round(1000 * cpu / len(made), 1),
        "master_mib": crowd.memory() >> 20,
        **crowd.reader.during(began, over),
    }


def _work_on(yard: Yard) -> None:
    """A commit, and the farm wants its runs."""
    sha = yard.commit("good-c-change")
    yard.wait(lambda: yard.of(sha), "the commit's runs", PATIENCE)


def news(crowd: Crowd, hosts: int) -> dict[str, Any]:
    """One more worker while the others work."""
    _work_on(crowd.yard)
    before = len(crowd.yard.rows(schema.attempts, schema.attempts.c.state == "lost"))
    began = time.time()
    crowd.enrol("newcomer", hosts)
    crowd.host(hosts)
    there = crowd.await_all(crowd.number + 1)
    crowd.yard.calm(PATIENCE)
    lost = len(crowd.yard.rows(schema.attempts, schema.attempts.c.state == "lost")) - before
    return {
        "seconds": round(there - began, 1),
        "jobs_lost": lost,
        **crowd.reader.during(began, there),
    }


def storm(crowd: Crowd) -> dict[str, Any]:
    began = time.time()
    crowd.yard.kill("master")
    crowd.yard.start("master")
    crowd.yard.wait(crowd.listening, "the master's port")
    open_, spent = time.time(), pages.cpu_seconds(crowd.master)
    there = crowd.await_all(crowd.number + 1)
    return {
        "master_away_seconds": round(open_ - began, 1),
        "seconds": round(there - open_, 1),
        "master_cpu_seconds": round(pages.cpu_seconds(crowd.master) - spent, 1),
        **crowd.reader.during(began, there),
    }


if __name__ == "__main__":
    sys.exit(main())
