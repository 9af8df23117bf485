"""Every page of a farm with years of history: how long it takes, cold and warm, its queries and bytes.

    python tests/bench/pages.py [--runs 1000000] [--rounds 40] [--farm FOLDER] [--only KIND …] [--json]

Fills a ledger (see pages_world), starts the real web process on loopback and asks it over HTTP. Cold: a verdict has just
been recorded in one of the newest commits' boxes, so the page is made anew, each time of another subject (another run,
another commit); warm: the same page again. `console, at a commit`: windows that nobody has
looked at before, so that nothing of them is remembered. Queries are the web process's own count. `--farm` keeps the filled folder, or uses one that is there.
Exit status 1: the console is over its budget (30 rows × 26 columns: 30 KB packed, 60 ms).
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import pages_world as world
from sqlalchemy import func, select

from pybots.farm.cells import show
from pybots.farm.home import Farm
from pybots.farm.news import wake
from pybots.ledger import schema
from pybots.ledger.engine import announce

BUDGET_MS: Final = 60.0
BUDGET_BYTES: Final = 30_000
Address = Callable[[], str]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def addresses(farm: Farm, chance: random.Random) -> dict[str, Address]:
    """By kind of page: an address of it, another one at every call."""
    with farm.ledger.read() as connection:
        most = {
            table: connection.scalar(select(func.max(schema.metadata.tables[table].c.id))) or 1
            for table in ("runs", "commits", "lanes", "breakages", "outbox")
        }
        names = list(connection.scalars(select(schema.tests.c.name).limit(1000)))
        red = list(connection.scalars(select(schema.breakages.c.opened_run)))
        slugs = list(connection.scalars(select(schema.lanes.c.slug)))

    def one(table: str) -> int:
        return chance.randint(1, most[table])

    def test() -> str:
        return quote(chance.choice(names), safe="")

    def commit() -> str:
        return world.sha(one("commits"))

    project, slug = (lambda: f"project{chance.randrange(60):02}"), (lambda: chance.choice(slugs))
    platform = lambda: chance.choice(world.PLATFORMS)  # noqa: E731
    return {
        "console": lambda: "/",
        "console, comments": lambda: "/?detail=1",
        "console, 200 rows": lambda: "/?rows=200",
        "console, at a commit": lambda: f"/?at={commit()}",
        "console, one author": lambda: f"/?who=Author+{chance.randrange(world.AUTHORS)}",
        "console, only failing": lambda: "/?only=bad",
        "console, one project": lambda: f"/?project={project()}",
        "waterfall": lambda: "/waterfall",
        "waterfall, one project": lambda: f"/waterfall?project={project()}",
        "waterfall, earlier": lambda: (
            f"/waterfall?before={world.START + chance.random() * world.YEARS:.3f}"
        ),
        "projects": lambda: "/projects",
        "project": lambda: f"/project/{project()}",
        "lane": lambda: f"/lane/{slug()}",
        "lane of an interpreter": lambda: f"/lane/python.main.release.{platform()}",
        "commit": lambda: f"/commit/{commit()}",
        "run": lambda: f"/run/{one('runs')}",
        "run, failed": lambda: f"/run/{chance.choice(red)}",
        "breakage": lambda: f"/breakage/{one('breakages')}",
        "workers": lambda: "/workers",
        "worker": lambda: f"/worker/w-{platform()}",
        "mail": lambda: "/mail",
        "message": lambda: f"/mail/{one('outbox')}",
        "statistics": lambda: "/stats",
        "statistics, some days": lambda: f"/stats?days={chance.randint(1, 90)}",
        "release": lambda: f"/release/main?since={commit()}",
        "a test's history": lambda: f"/project/{project()}?test={test()}",
        "breakages": lambda: "/breakages",
        "tree": lambda: "/tree",
        "legend": lambda: "/legend",
        "join": lambda: "/join",
        "api: lanes": lambda: "/api/v1/lanes",
        "api: run": lambda: f"/api/v1/run/{one('runs')}",
        "api: changes": lambda: f"/api/v1/run/{chance.choice(red)}/changes",
        "api: lane": lambda: f"/api/v1/lane/{slug()}",
        "api: commit": lambda: f"/api/v1/commit/{commit()}",
    }


class Client:
    """One connection that stays open, as a browser's."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def get(self, path: str) -> tuple[float, int, bytes]:
        """(milliseconds, status, body as it was sent)."""
        begin = time.perf_counter()
        self._connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = self._connection.getresponse()
        body = answer.read()
        return 1000 * (time.perf_counter() - begin), answer.status, body


@contextmanager
def serving(root: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The web process of a farm, answering."""
    with (root / "web.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pybots.web.serve", str(root)], stdout=log, stderr=log
        )
    try:
        for _ in range(600):
            try:
                Client(port).get("/healthz")
                break
            except OSError:
                time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def cpu_seconds(pid: int) -> float:
    """What a process has used of the cores: unlike time on a clock, hardly changed by what else the machine does."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    farm: Farm, port: int, rounds: int, process: subprocess.Popen[bytes], only: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """Milliseconds, queries and bytes of every page, or of these kinds only."""
    client, chance = Client(port), random.Random(1)
    found: dict[str, dict[str, Any]] = {}
    shown = newest_runs(farm)
    for kind, address in addresses(farm, chance).items():
        if only and kind not in only:
            continue
        cold, warm, sent = [], [], []
        begun = cpu_seconds(process.pid)
        for _ in range(rounds):
            path = address()
            shake(farm, shown, chance)
            took, status, body = client.get(path)
            assert status == 200, f"{path}: {status}"
            cold.append(took)
            sent.append(len(body))
        used = cpu_seconds(process.pid) - begun
        warm += [client.get(path)[0] for _ in range(rounds)]
        found[kind] = {
            "cold_p50": point(cold, 0.5),
            "cold_p95": point(cold, 0.95),
            "cold_cpu_ms": round(1000 * used / rounds, 1),
            "warm_p50": point(warm, 0.5),
            "warm_p95": point(warm, 0.95),
            "bytes_gzip": max(sent),
            "queries": queries(farm, client, path),
        }
        print(line(kind, found[kind]), file=sys.stderr, flush=True)
    return found


def newest_runs(farm: Farm) -> list[int]:
    """The runs in the boxes of the newest 30 commits."""
    with farm.ledger.read() as connection:
        top = connection.scalar(select(func.max(schema.cells.c.position)))
        found = select(schema.cells.c.run_id).where(schema.cells.c.position > top - 30)
        return sorted(set(connection.scalars(found)))


def shake(farm: Farm, shown: list[int], chance: random.Random) -> int:
    """Record a verdict as a finished run does, in one transaction. Returns the event's number."""
    with farm.ledger.write() as connection:
        run = chance.choice(shown)
        show(connection, run, chance.choice(("passed", "infra", "flaky", "still_failing")))
        announce(connection, time.time(), "verdict", run=run)
        return int(connection.scalar(select(func.max(schema.events.c.id))) or 0)


def point(values: list[float], share: float) -> float:
    return round(sorted(values)[int(share * (len(values) - 1))], 2)


def statements(client: Client) -> int:
    """Statements that the web process has sent to its ledger so far, without those of the answer itself."""
    text = client.get("/metrics")[2]
    found = re.search(rb"^pybots_web_statements_total ([0-9.e+]+)$", gzip.decompress(text), re.M)
    assert found
    return int(float(found[1]))


def queries(farm: Farm, client: Client, path: str) -> int:
    """How many statements the page takes when it is made."""
    own = -statements(client) + statements(client)
    wake(farm, by="bench")
    before = statements(client)
    client.get(path)
    return statements(client) - before - own


def line(kind: str, row: dict[str, Any]) -> str:
    return (
        f"{kind:26} {row['cold_p50']:8.1f} {row['cold_p95']:8.1f} {row['cold_cpu_ms']:8.1f} {row['warm_p50']:7.2f}"
        f" {row['warm_p95']:7.2f} {row['queries']:4} {row['bytes_gzip']:7,}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--farm", type=Path)
    parser.add_argument(
        "--only", nargs="+", default=(), metavar="KIND", help="these kinds of pages"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure_all(options, options.farm or Path(folder) / "farm")
    if options.json:
        print(json.dumps(result))
    console = result["pages"].get("console")
    fits = not console or (
        console["cold_p95"] <= BUDGET_MS and console["bytes_gzip"] <= BUDGET_BYTES
    )
    return 0 if fits else 1


def measure_all(options: argparse.Namespace, root: Path) -> dict[str, Any]:
    result: dict[str, Any] = {"asked_runs": options.runs}
    begin = time.perf_counter()
    farm = world.ready(root, options.runs, free_port())
    result["fill_seconds"] = round(time.perf_counter() - begin, 1)
    port = farm.config.web.port
    with farm.ledger.read() as connection:
        for table in ("runs", "cells", "commits", "lanes", "breakages"):
            size = select(func.count()).select_from(schema.metadata.tables[table])
            result[table] = connection.scalar(size)
    result["ledger_bytes"] = (root / "ledger.sqlite").stat().st_size
    print(json.dumps(result), file=sys.stderr, flush=True)
    heads = ("cold p50", "cold p95", "cold cpu", "warm p50", "warm p95", "queries", "gzip")
    print(f"{'ms':26} {' '.join(heads)}", file=sys.stderr)
    with serving(root, port) as process:
        result["pages"] = measure(farm, port, options.rounds, process, options.only)
    return result


if __name__ == "__main__":
    sys.exit(main())
