"""Open pages: what many readers cost the web process, and how long an event takes to reach them.

    python tests/bench/streams.py [--readers 200] [--rate 5] [--seconds 20] [--runs 20000] [--farm FOLDER] [--json]

Fills a farm (pages_world) or uses the one in FOLDER, starts the real web process, opens `readers` event streams of the
console over HTTP and records `rate` verdicts a second, each changing a box of the newest commits. Prints the web
process's share of a core while nothing happens and while it does, and the milliseconds from an event's commit until a
reader has heard of it. Exit status 1: over 20 % of a core, or p95 over a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import pages
import pages_world as world

from pybots.farm.home import Farm

BUDGET_SHARE: Final = 0.20
BUDGET_MS: Final = 1000.0
QUIET_SECONDS: Final = 5.0
ID: Final = re.compile(rb"^id: ([0-9]+)$", re.M)


class Readers:
    """Streams that are read, and when each heard of which event."""

    def __init__(self, port: int, since: int) -> None:
        self.port = port
        self.since = since
        self.heard: list[list[tuple[int, float]]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.bytes = 0

    async def open(self, number: int) -> None:
        for _ in range(number):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
            address = f"/events?view=%2F&since={self.since}"
            writer.write(f"GET {address} HTTP/1.1\r\nHost: farm\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head.split(b"\r\n")[0], head
            log: list[tuple[int, float]] = []
            self.heard.append(log)
            self.writers.append(writer)  # one that is forgotten closes its connection
            self.tasks.append(asyncio.create_task(self._read(reader, log)))

    async def _read(self, reader: asyncio.StreamReader, log: list[tuple[int, float]]) -> None:
        while data := await reader.read(1 << 20):
            now = time.time()
            self.bytes += len(data)
            log.extend((int(number), now) for number in ID.findall(data))


async def record(farm: Farm, rate: float, seconds: float) -> dict[int, float]:
    """Change boxes; returns when each event was committed, by id. Random: a second round must not repeat the first."""
    chance, committed = random.Random(), dict[int, float]()
    runs = pages.newest_runs(farm)
    for _ in range(round(rate * seconds)):
        begun = time.monotonic()
        event = await asyncio.to_thread(pages.shake, farm, runs, chance)
        committed[event] = time.time()
        await asyncio.sleep(max(0.0, 1 / rate - (time.monotonic() - begun)))
    return committed


def waits(readers: Readers, committed: dict[int, float]) -> list[float]:
    """Milliseconds until each reader heard of each event, or of a later one."""
    found = []
    for log in readers.heard:
        at = 0
        for event, when in sorted(committed.items()):
            while at < len(log) and log[at][0] < event:
                at += 1
            found.append(1000 * (log[at][1] - when) if at < len(log) else float("inf"))
    return found


async def measure(farm: Farm, pid: int, options: argparse.Namespace) -> dict[str, Any]:
    client = pages.Client(farm.config.web.port)
    client.get("/")
    readers = Readers(farm.config.web.port, farm.ledger.data_version())
    await readers.open(options.readers)
    await asyncio.sleep(1)
    begun = pages.cpu_seconds(pid)
    await asyncio.sleep(QUIET_SECONDS)
    quiet = (pages.cpu_seconds(pid) - begun) / QUIET_SECONDS
    begun, clock, sent = pages.cpu_seconds(pid), time.monotonic(), readers.bytes
    committed = await record(farm, options.rate, options.seconds)
    busy = (pages.cpu_seconds(pid) - begun) / (time.monotonic() - clock)
    sent = readers.bytes - sent
    await asyncio.sleep(3)
    for task in readers.tasks:
        task.cancel()
    found = waits(readers, committed)
    return {
        "readers": options.readers,
        "events": len(committed),
        "events_per_second": options.rate,
        "share_of_a_core_quiet": round(quiet, 4),
        "share_of_a_core": round(busy, 4),
        "wait_p50_ms": pages.point(found, 0.5),
        "wait_p95_ms": pages.point(found, 0.95),
        "messages_per_reader": round(sum(map(len, readers.heard)) / options.readers, 1),
        "bytes_per_reader": sent // options.readers,
    }


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """What every bench of a served farm is told."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--farm", type=Path)
    parser.add_argument("--json", action="store_true")
    return parser


def served(
    options: argparse.Namespace,
    measure: Callable[[Farm, int, argparse.Namespace], Coroutine[Any, Any, dict[str, Any]]],
) -> dict[str, Any]:
    """Measure a farm (the given one, or one that is filled) behind its real web process, and print what was found."""
    with tempfile.TemporaryDirectory() as folder:
        root = options.farm or Path(folder) / "farm"
        farm = world.ready(root, options.runs, pages.free_port())
        with pages.serving(root, farm.config.web.port) as process:
            result = asyncio.run(measure(farm, process.pid, options))
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:24} {value}" for name, value in result.items()))
    return result


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    result = served(parser.parse_args(), measure)
    fits = result["share_of_a_core"] < BUDGET_SHARE and result["wait_p95_ms"] <= BUDGET_MS
    return 0 if fits else 1


if __name__ == "__main__":
    sys.exit(main())
