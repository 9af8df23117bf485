"""Buildbot's own pages on as many runs: what its console and waterfall fetch over REST, from a database filled in bulk.

    python tests/bench/pages_buildbot.py [--runs 100000] [--rounds 5] [--json]

A real Buildbot master (4.x, SQLite, 226 builders: the 200 lanes and 26 interpreters of pages_world) is started on
loopback; changes, buildsets, requests, builds with a revision and five steps each are written to its tables. The
requests are the ones its console and waterfall views send, with their usual limits. A request may take LIMIT seconds;
one that does not answer in time is null. The farm's own pages on the same number of runs: bench/pages.py --runs N.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent))

import pages
import pages_world as world

BUILDERS: Final = world.LANES + len(world.COLUMNS)
LIMIT: Final = 120.0
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


@contextmanager
def buildbot(folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A master in this folder, answering. Gives its port and process."""
    www = pages.free_port()
    text = CONFIG.format(builders=BUILDERS, pb=pages.free_port(), www=www)
    folder.mkdir()
    (folder / "master.cfg").write_text(text)
    command = [str(Path(sys.executable).parent / "buildbot")]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with (folder / "out.log").open("ab") as log:
        for what in (["create-master", "-r"], ["upgrade-master"]):
            subprocess.run([*command, *what, str(folder)], check=True, stdout=log, stderr=log)
        (folder / "master.cfg").write_text(text)
        process = subprocess.Popen(
            [*command, "start", "--nodaemon", str(folder)], stdout=log, stderr=log, env=environment
        )
    try:
        until = time.monotonic() + 240
        while ask(www, "builders?limit=1")[0] is None:
            assert process.poll() is None and time.monotonic() < until, (
                folder / "out.log"
            ).read_text()[-3000:]
            time.sleep(0.2)
        yield www, process
    finally:
        process.terminate()
        process.wait(60)


def ask(port: int, path: str) -> tuple[float | None, int]:
    """(milliseconds, bytes) of a REST request; (None, 0): no answer in time."""
    begin = time.perf_counter()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v2/{path}")
    request.add_header("Accept-Encoding", "gzip")
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            body = answer.read()
    except (TimeoutError, urllib.error.URLError, ConnectionError):
        return None, 0
    return 1000 * (time.perf_counter() - begin), len(body)


def load(path: Path, runs: int) -> None:
    """Builds of three years, in the order in which they ran."""
    database = sqlite3.connect(path, timeout=120)
    database.execute("PRAGMA synchronous=OFF")
    builders = [row[0] for row in database.execute("SELECT id FROM builders ORDER BY name")]
    (master,) = database.execute("SELECT id FROM masters").fetchone()
    (worker,) = database.execute("SELECT id FROM workers").fetchone()
    assert len(builders) == BUILDERS
    with database:
        per_change = BUILDERS * 2 // 3
        for begin in range(1, runs + 1, 20_000):
            some = range(begin, min(begin + 20_000, runs + 1))
            _load(database, some, runs, per_change, builders, master, worker)
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


def measure(port: int, runs: int, rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for view, paths in VIEWS.items():
        took: list[float] = []
        size = 0
        for n in range(rounds):
            answers = [ask(port, path.format(build=runs - 7 * n)) for path in paths]
            if any(ms is None for ms, _ in answers):
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


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "master"
        with buildbot(root) as (port, process):
            load(root / "state.sqlite", options.runs)
            begun = pages.cpu_seconds(process.pid)
            result: dict[str, Any] = {
                "runs": options.runs,
                "database_bytes": (root / "state.sqlite").stat().st_size,
                "views": measure(port, options.runs, options.rounds),
            }
            used = pages.cpu_seconds(process.pid) - begun
            result["cpu_seconds"] = round(used, 1)
    print(json.dumps(result, indent=None if options.json else 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
