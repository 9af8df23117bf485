"""A lane's history in the ledger: its size, and how quickly the three span queries answer.

    python tests/bench/spans.py [--runs 10000] [--tests 5000] [--churn 0.01] [--queries 200] [--json]

Every run changes the outcome of `churn` of the tests (of those that churn at all: a tenth churns ten times as often, so
that some tests have long histories). Spans and flaky events are written by the product's own functions, without reports
and verdicts: recording is measured by bench/record.py. Prints the size of the database and the p95 of "what changed between
these two runs", "since when has this test failed" and "how flaky is it", in milliseconds (at most 20 each), and the
processor's share of them, which is what counts on a machine that is busy with other things.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, insert, text, update

from pybots.ledger import migrate, schema, spans
from pybots.ledger.engine import Ledger, open_ledger

BOUND_MS: Final = 20.0
LANE: Final = 1
BATCH: Final = 200
"""Runs written in one transaction; a farm commits each."""


def state(chance: random.Random) -> spans.State:
    """Mostly good; a bad one has one of a few signatures."""
    if chance.random() < 0.7:
        return "passed", None
    return chance.choice(("failed", "error")), f"{chance.randrange(40):064x}"


def fill(ledger: Ledger, runs: int, tests: int, churn: float, chance: random.Random) -> None:
    """A lane's history: all tests at first, then `churn` of them anew with every run."""
    names = [
        f"tests/pkg_{n // 200}/test_mod_{n // 20}.py::Test{n // 10}::test_{n}" for n in range(tests)
    ]
    lively = names[: max(1, tests // 10)]
    with ledger.write() as connection:
        connection.execute(
            insert(schema.lanes).values(
                id=LANE, slug="anchor", project="anchor", source="trunk", branch="main",
                flavour="release", platform="linux-x86_64", state="active", reason="",
            )
        )  # fmt: skip
        connection.execute(
            insert(schema.commits).values(
                id=1,
                branch="main",
                position=1,
                sha="0" * 40,
                author="",
                email="",
                committed=0.0,
                title="",
                message="",
                files=[],
                content_key="0" * 64,
                seen=0.0,
            )
        )
        connection.execute(
            insert(schema.interpreters).values(
                id=1, key="0" * 64, content_key="0" * 64, flavour="release", created=0.0,
                platform="linux-x86_64", abi="debian-12-x86_64", trust="farm", recipe={},
                branch="main", commit_id=1, state="published",
            )
        )  # fmt: skip
    for begin in range(1, runs + 1, BATCH):
        with ledger.write() as connection:
            for number in range(begin, min(begin + BATCH, runs + 1)):
                place = spans.Place(lane=LANE, run=number, position=number)
                share = round(tests * churn)
                changed = chance.sample(lively, min(share // 2, len(lively)))
                changed += chance.sample(names, share - len(changed))
                spans.write(
                    connection,
                    place,
                    {n: state(chance) for n in (names if number == 1 else changed)},
                )
                flaky = dict.fromkeys(chance.sample(lively, min(3, len(lively))), "failed")
                add_run(connection, number)
                spans.note_flakes(connection, place, flaky, float(number), nth=number)
            connection.execute(update(schema.lanes).values(counted=number))


def add_run(connection: Connection, number: int) -> None:
    connection.execute(
        insert(schema.runs).values(
            id=number, kind="project", lane_id=LANE, interpreter_id=1, commit_id=1, branch="main",
            position=number, purpose="routine", state="done", verdict="passed", tries=1, lost=0,
            summary="4,990 passed, 10 skipped", created=0.0, started=0.0, finished=0.0,
        )
    )  # fmt: skip


def p95(ledger: Ledger, queries: int, ask: Callable[[Any], object]) -> tuple[float, float]:
    """Milliseconds that 95 of 100 calls don't exceed, connection included: of the clock, and of the processor."""
    took, worked = [], []
    for _ in range(queries):
        begin, idle = time.perf_counter(), time.process_time()
        with ledger.read() as connection:
            ask(connection)
        took.append(1000 * (time.perf_counter() - begin))
        worked.append(1000 * (time.process_time() - idle))
    place = int(0.95 * (queries - 1))
    return sorted(took)[place], sorted(worked)[place]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        migrate.upgrade(path)
        ledger = open_ledger(path)
        begin = time.perf_counter()
        fill(ledger, options.runs, options.tests, options.churn, chance)
        filled = time.perf_counter() - begin
        with ledger.read() as connection:
            rows = connection.execute(text("SELECT count(*) FROM spans")).scalar_one()
            bad = spans.bad_now(connection, LANE)

        def between(connection: Any) -> None:
            first = chance.randrange(1, options.runs)
            second = min(options.runs, first + chance.choice((1, 1, 1, 5, 20)))
            spans.changed_between(
                connection,
                spans.Place(lane=LANE, run=first, position=first),
                spans.Place(lane=LANE, run=second, position=second),
            )

        found = {
            "changed_between": p95(ledger, options.queries, between),
            "failing_since": p95(
                ledger, options.queries, lambda c: spans.failing_since(c, LANE, chance.choice(bad))
            ),
            "flakiness": p95(ledger, options.queries, lambda c: spans.flakiness(c, LANE)),
        }
        ledger.close()
        size = path.stat().st_size
    return {
        "runs": options.runs,
        "tests": options.tests,
        "churn": options.churn,
        "spans": rows,
        "database_bytes": size,
        "bytes_per_span": round(size / rows, 1),
        "fill_seconds": round(filled, 1),
        "p95_ms": {name: round(took, 2) for name, (took, _) in found.items()},
        "p95_cpu_ms": {name: round(worked, 2) for name, (_, worked) in found.items()},
        "bound_ms": BOUND_MS,
        "ok": all(took <= BOUND_MS for took, _ in found.values()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--tests", type=int, default=5_000)
    parser.add_argument("--churn", type=float, default=0.01)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options)
    if options.json:
        print(json.dumps(found))
    else:
        print(
            f"{found['spans']:,} spans, {found['database_bytes'] / 1e6:.1f} MB, {found['fill_seconds']} s to fill"
        )
        for name, value in found["p95_ms"].items():
            worked = found["p95_cpu_ms"][name]
            print(
                f"{name:16} p95 {value:8.2f} ms (at most {BOUND_MS:.0f}; processor {worked:.2f} ms)"
            )
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
