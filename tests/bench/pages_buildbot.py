"""Buildbot's own pages on as many runs: what its console and waterfall fetch over REST, from a database filled in bulk.

    python tests/bench/pages_buildbot.py [--runs 10000 100000 1000000] [--rounds 5] [--limit 30] [--ours] [--json]

A real Buildbot master (4.x, SQLite, 226 builders: the 200 lanes and 26 interpreters of pages_world) is started on
loopback; changes, buildsets, requests, builds with a revision and five steps each are written to its tables. The
requests are the ones its console and waterfall views send, with their usual limits. The database grows from size to size
until no view answers any more: a request may take `limit` seconds; a view that does not answer in time is null, and the
largest size at which each still answered is printed at the end. `--ours`: beside each size the farm's own pages on a
ledger of as many runs (bench/pages.py), cold, and how many times longer Buildbot's take.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent))

import pages
import pages_world as world

START_SECONDS: Final = 240.0
BUILDERS: Final = world.LANES + len(world.COLUMNS)
OURS: Final = {"console": "console", "waterfall": "waterfall", "one build": "run"}
"""Buildbot's views and the pages that show the same here."""
STEPS: Final = ("interpreter", "source", "install", "test", "report")
VIEWS: Final = {
    "console": (
        "builders",
        "changes?limit=30&order=-changeid",
        "buildsets?limit=200&order=-submitted_at",
        "buildrequests?limit=200&order=-submitted_at",
        "builds?limit=200&order=-started_at&property=got_revision",
    ),
    "waterfall": ("masters", "builders", "builds?limit=200&order=-complete_at"),
    "one build": ("builds/{build}", "builds/{build}/steps", "builds/{build}/properties"),
}
CONFIG: Final = """
from buildbot.plugins import schedulers, util, worker
names = ["lane%03d" % n for n in range({builders})]
BuildmasterConfig = {{
    "workers": [worker.Worker("w", "w")],
    "protocols": {{"pb": {{"port": "tcp:{pb}:interface=127.0.0.1"}}}},
    "builders": [util.BuilderConfig(name=n, workername="w", factory=util.BuildFactory()) for n in names],
    "schedulers": [schedulers.Triggerable(name="t", builderNames=names)],
    "www": {{"port": "tcp:{www}:interface=127.0.0.1"}},
    "db": {{"db_url": "sqlite:///state.sqlite"}},
    "buildbotNetUsageData": None,
}}
"""


class Buildbot:
    """A master in a folder of its own, started again whenever a request has choked it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.www = folder, pages.free_port()
        self._log = (folder.parent / "buildbot.log").open("ab")
        folder.mkdir()
        config = CONFIG.format(builders=BUILDERS, pb=pages.free_port(), www=self.www)
        for what in (["create-master", "-r"], ["upgrade-master"]):
            (folder / "master.cfg").write_text(config)
            subprocess.run(self._command(*what), check=True, stdout=self._log, stderr=self._log)
        (folder / "master.cfg").write_text(config)
        self._start()

    def _command(self, *what: str) -> list[str]:
        return [str(Path(sys.executable).parent / "buildbot"), *what, str(self.folder)]

    def _start(self) -> None:
        self.process = subprocess.Popen(
            self._command("start", "--nodaemon"), stdout=self._log, stderr=self._log,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
        until = time.monotonic() + START_SECONDS
        while ask(self.www, "builders?limit=1", 5)[0] is None or not self._configured():
            said = (self.folder.parent / "buildbot.log").read_text()[-3000:]
            assert self.process.poll() is None and time.monotonic() < until, said
            time.sleep(0.2)

    def _configured(self) -> bool:
        """It answers before it has written down its builders and its worker."""
        database = sqlite3.connect(self.folder / "state.sqlite", timeout=120)
        found = [
            database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("builders", "workers")
        ]
        database.close()
        return found == [BUILDERS, 1]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def again(self) -> None:
        self.stop()
        (self.folder / "twistd.pid").unlink(missing_ok=True)
        self._start()


def ask(port: int, path: str, limit: float) -> tuple[float | None, int]:
    """(milliseconds, bytes) of a REST request; (None, 0): no answer in time."""
    begin = time.perf_counter()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v2/{path}")
    request.add_header("Accept-Encoding", "gzip")
    try:
        with urllib.request.urlopen(request, timeout=limit) as answer:
            body = answer.read()
    except (TimeoutError, urllib.error.URLError, ConnectionError):
        return None, 0
    return 1000 * (time.perf_counter() - begin), len(body)


def load(path: Path, known: int, runs: int, most: int) -> None:
    """Builds number `known` + 1 to `runs`, in the order in which they ran; `most` are those of three years."""
    database = sqlite3.connect(path, timeout=120)
    database.execute("PRAGMA synchronous=OFF")
    builders = [row[0] for row in database.execute("SELECT id FROM builders ORDER BY name")]
    (master,) = database.execute("SELECT id FROM masters").fetchone()
    (worker,) = database.execute("SELECT id FROM workers").fetchone()
    assert len(builders) == BUILDERS
    with database:
        per_change = BUILDERS * 2 // 3
        for begin in range(known + 1, runs + 1, 20_000):
            some = range(begin, min(begin + 20_000, runs + 1))
            _load(database, some, most, per_change, builders, master, worker)
    database.close()


def _load(
    database: sqlite3.Connection, some: range, runs: int, per_change: int,
    builders: list[int], master: int, worker: int,
) -> None:  # fmt: skip
    at = {n: int(world.START + world.YEARS * n / runs) for n in some}
    changes = [n // per_change + 1 for n in some if n % per_change == 0 or n == 1]
    many = database.executemany
    many(
        "INSERT INTO sourcestamps (id, ss_hash, branch, revision, repository, codebase, project, created_at)"
        " VALUES (?, ?, 'main', ?, 'cpython', '', '', ?)",
        [(c, f"{c:040x}", world.sha(c), int(world.START)) for c in changes],
    )
    many(
        "INSERT INTO changes (changeid, author, comments, branch, revision, when_timestamp, repository, codebase,"
        " project, sourcestampid) VALUES (?, 'Ada', 'Mend it', 'main', ?, ?, 'cpython', '', '', ?)",
        [(c, world.sha(c), int(world.START), c) for c in changes],
    )
    many(
        "INSERT INTO buildsets (id, reason, submitted_at, complete, complete_at, results)"
        " VALUES (?, 'scheduler', ?, 1, ?, 0)",
        [(n, at[n], at[n] + 60) for n in some],
    )
    many(
        "INSERT INTO buildset_sourcestamps (id, buildsetid, sourcestampid) VALUES (?, ?, ?)",
        [(n, n, n // per_change + 1) for n in some],
    )
    many(
        "INSERT INTO buildrequests (id, buildsetid, builderid, complete, results, submitted_at, complete_at)"
        " VALUES (?, ?, ?, 1, 0, ?, ?)",
        [(n, n, builders[n % BUILDERS], at[n], at[n] + 60) for n in some],
    )
    many(
        "INSERT INTO builds (id, number, builderid, buildrequestid, workerid, masterid, started_at, complete_at,"
        " locks_duration_s, state_string, results) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 'finished', ?)",
        [
            (n, n // BUILDERS + 1, builders[n % BUILDERS], n, worker, master, at[n], at[n] + 60, 2 * (n % 30 == 0))
            for n in some
        ],
    )  # fmt: skip
    many(
        "INSERT INTO build_properties (buildid, name, value, source) VALUES (?, 'got_revision', ?, 'Git')",
        [(n, json.dumps(world.sha(n // per_change + 1))) for n in some],
    )
    many(
        "INSERT INTO steps (number, name, buildid, started_at, locks_acquired_at, complete_at, state_string, results,"
        " urls_json, hidden) VALUES (?, ?, ?, ?, ?, ?, 'finished', 0, '[]', 0)",
        [
            (place, name, n, at[n], at[n], at[n] + 12)
            for n in some
            for place, name in enumerate(STEPS)
        ],
    )


def measure(master: Buildbot, runs: int, rounds: int, limit: float) -> dict[str, Any]:
    """Each view's requests one after the other, `rounds` times; a view is given up at the first that does not answer."""
    found: dict[str, Any] = {}
    for view, paths in VIEWS.items():
        took: list[float] = []
        size = 0
        for n in range(rounds):
            answers = []
            for path in paths:
                answers.append(ask(master.www, path.format(build=runs - 7 * n), limit))
                if answers[-1][0] is None:
                    break
            if answers[-1][0] is None:
                master.again()
                break
            took.append(sum(ms for ms, _ in answers if ms is not None))
            size = sum(length for _, length in answers)
        whole = len(took) == rounds
        found[view] = {
            "requests": len(paths),
            "sum_p50_ms": pages.point(took, 0.5) if whole else None,
            "sum_p95_ms": pages.point(took, 0.95) if whole else None,
            "bytes": size,
        }
    return found


def ours(runs: int, rounds: int, buildbot: dict[str, Any]) -> dict[str, Any]:
    """The farm's own pages on as many runs: milliseconds, cold, and how many times longer Buildbot's views take."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "farm"
        farm = world.ready(root, runs, pages.free_port())
        with pages.serving(root, farm.config.web.port) as process:
            found = pages.measure(farm, farm.config.web.port, rounds, process, OURS.values())
    made = {}
    for view, kind in OURS.items():
        took, theirs = found[kind]["cold_p50"], buildbot[view]["sum_p50_ms"]
        made[view] = {
            "cold_p50_ms": took,
            "cold_p95_ms": found[kind]["cold_p95"],
            "times_longer": round(theirs / took, 1) if theirs is not None else None,
        }
    return made


def climb(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """From size to size, until no view answers any more."""
    sizes, known = sorted(options.runs), 0
    result: dict[str, Any] = {"limit_seconds": options.limit, "sizes": []}
    largest: dict[str, int | None] = dict.fromkeys(VIEWS)
    master = Buildbot(folder / "master")
    try:
        for runs in sizes:
            load(master.folder / "state.sqlite", known, runs, sizes[-1])
            known = runs
            views = measure(master, runs, options.rounds, options.limit)
            one = {
                "runs": runs,
                "database_bytes": (master.folder / "state.sqlite").stat().st_size,
                "views": views,
            }
            if options.ours:
                one["ours"] = ours(runs, max(20, options.rounds), views)
            print(json.dumps(one), file=sys.stderr, flush=True)
            result["sizes"].append(one)
            answered = [view for view, found in views.items() if found["sum_p50_ms"] is not None]
            largest.update(dict.fromkeys(answered, runs))
            if not answered:
                break
    finally:
        master.stop()
    return {**result, "largest_answered": largest}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=30.0)
    parser.add_argument("--ours", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = climb(options, Path(folder))
    print(json.dumps(result, indent=None if options.json else 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
