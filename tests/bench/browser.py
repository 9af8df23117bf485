"""From an event to the reader's eye: how long until a recorded verdict has changed its box in a real browser's page.

    python tests/bench/browser.py [--events 30] [--readers 200] [--runs 20000] [--farm FOLDER] [--json]

Fills a farm (pages_world) or uses the one in FOLDER, starts the real web process, opens its console in headless Chromium
and beside it `readers` more event streams. Then verdicts are recorded as a finished run's are, one after the other, each
turning one box of the newest commits red or green again. Prints the milliseconds from the beginning of the ledger's write, and
from its end, until the box in the page's DOM has changed; a box that has not after 30 s is an error. Exit status 1: p95
over a second.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import pages
import pages_world as world
import streams
from playwright.async_api import Page, async_playwright
from sqlalchemy import select

from pybots.core.model import GREEN
from pybots.farm.cells import show
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots.ledger.engine import announce

CHROMIUM: Final = os.environ.get("PYBOTS_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS: Final = ["--headless", "--no-sandbox", "--disable-gpu"]
BUDGET_MS: Final = 1000.0
ROWS: Final = 20
PATIENCE_SECONDS: Final = 30.0
WATCH: Final = """([row, run]) => {
    window.changed = [];
    const red = () => Boolean(document.querySelector(`#${row} td.c a.s-new[href="/run/${run}"]`));
    let was = red();
    window.watching?.disconnect();
    window.watching = new MutationObserver(() => {
        if (red() !== was) { was = !was; window.changed.push(Date.now()); }
    });
    window.watching.observe(document, {childList: true, subtree: true, attributes: true});
    return was;
}"""
"""Notes when a run's box turns red, and when it is not red any more. The browser's clock is ours."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A run that alone decides the colour of a box that is green now."""

    sha: str
    run: int


def targets(farm: Farm) -> list[Target]:
    """Runs at the newest commits, all of whose column's lanes passed there."""
    cells, lanes, commits = schema.cells, schema.lanes, schema.commits
    with farm.ledger.read() as connection:
        rows = connection.execute(
            select(
                cells.c.position, commits.c.sha, cells.c.run_id, cells.c.state, lanes.c.platform,
                lanes.c.flavour, schema.runs.c.commit_id == cells.c.commit_id,
            )
            .join(lanes, lanes.c.id == cells.c.lane_id)
            .join(commits, commits.c.id == cells.c.commit_id)
            .join(schema.runs, schema.runs.c.id == cells.c.run_id)
            .order_by(cells.c.position.desc())
            .limit(ROWS * world.LANES)
        ).all()  # fmt: skip
    newest = sorted({row[0] for row in rows}, reverse=True)[:ROWS]
    boxes: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        boxes.setdefault((row[0], row[4], row[5]), []).append(row)
    return [
        Target(sha=found[0][1], run=found[0][2])
        for (position, *_), found in boxes.items()
        if position in newest and found[0][6] and all(row[3] in GREEN for row in found)
    ]


def record(farm: Farm, target: Target, verdict: str) -> tuple[float, float]:
    """Record a verdict as a finished run does. When its transaction began and when it was committed."""
    begun = time.time()
    with farm.ledger.write() as connection:
        show(connection, target.run, verdict, 3 if verdict == "new_failure" else 0)
        announce(connection, time.time(), "verdict", run=target.run)
    return begun, time.time()


async def seen(page: Page, number: int) -> float:
    """When the watched box changed for the `number`-th time, as the page itself noted it (seconds)."""
    for _ in range(round(PATIENCE_SECONDS / 0.02)):
        changed = await page.evaluate("window.changed")
        if len(changed) >= number:
            return float(changed[number - 1]) / 1000
        await asyncio.sleep(0.02)
    raise TimeoutError("the page did not change")


async def watch(farm: Farm, page: Page, events: int) -> list[tuple[float, float]]:
    """Milliseconds until the box changed: (since the write began, since it was committed)."""
    chance, found = random.Random(1), list[tuple[float, float]]()
    chosen = targets(farm)
    while len(found) < events:
        target = chance.choice(chosen)
        assert not await page.evaluate(WATCH, [f"r-{target.sha[:12]}", target.run])
        for number, verdict in enumerate(("new_failure", "passed"), 1):
            begun, committed = await asyncio.to_thread(record, farm, target, verdict)
            at = await seen(page, number)
            found.append((1000 * (at - begun), 1000 * (at - committed)))
            await asyncio.sleep(chance.uniform(0.2, 1.2))
    return found[:events]


async def measure(farm: Farm, _: int, options: argparse.Namespace) -> dict[str, Any]:
    port = farm.config.web.port
    async with async_playwright() as driver:
        chromium = await driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await chromium.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(f"http://127.0.0.1:{port}/")
        readers = streams.Readers(port, farm.ledger.data_version())
        await readers.open(options.readers)
        await asyncio.sleep(1)
        found = await watch(farm, page, options.events)
        for task in readers.tasks:
            task.cancel()
        await chromium.close()
    begun, committed = [one for one, _ in found], [one for _, one in found]
    return {
        "events": len(found),
        "readers": options.readers,
        "from_begin_p50_ms": pages.point(begun, 0.5),
        "from_begin_p95_ms": pages.point(begun, 0.95),
        "from_commit_p50_ms": pages.point(committed, 0.5),
        "from_commit_p95_ms": pages.point(committed, 0.95),
        "from_begin_worst_ms": pages.point(begun, 1.0),
    }


def main() -> int:
    parser = streams.arguments(__doc__)
    parser.add_argument("--events", type=int, default=30)
    result = streams.served(parser.parse_args(), measure)
    return 0 if result["from_begin_p95_ms"] <= BUDGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
