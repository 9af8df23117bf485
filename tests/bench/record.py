"""Recording an unchanged report of 10,000 tests, against parsing its JUnit file with the same parser alone.

    python tests/bench/record.py [--tests 10000] [--rounds 7] [--json]

Recording is everything: reading the blob, its digest and schema, ids, signatures, the outcome digest, the verdict, and
the commit (with fsync). Prints seconds (the median of the rounds), their ratio (at most 3) and the rows written.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from xml.sax.saxutils import quoteattr

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "farm"))

from lane_world import World, make_report, make_test, make_world
from sqlalchemy import event

from pybots.farm import record
from pybots_worker import contract
from pybots_worker.runners import junit

BOUND = 3.0


def tests(number: int) -> list[contract.TestOutcome]:
    """A big suite as they are: long ids, classes, parameters, some skips, a dozen standing failures."""
    found = []
    for n in range(number):
        id = f"tests/package_{n // 500}/test_module_{n // 50}.py::TestCase{n // 10}::test_method_{n % 10}[case-{n % 3}]"
        if n % 800 == 7:
            found.append(make_test(id, "failed", "AssertionError: assert 1 == 2", seconds=0.01))
        else:
            found.append(make_test(id, "skipped" if n % 25 == 3 else "passed", seconds=0.0123))
    return found


def junit_file(found: list[contract.TestOutcome]) -> bytes:
    """The same results as pytest writes them."""
    lines = ['<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest">']
    for test in found:
        module, _, name = test.id.replace("/", ".").replace(".py::", ".").rpartition("::")
        head = (
            f'<testcase classname={quoteattr(module)} name={quoteattr(name)} time="{test.seconds}"'
        )
        inside = ""
        if test.outcome == "skipped":
            inside = '<skipped type="pytest.skip" message="not here">t.py:1: not here</skipped>'
        elif test.failure:
            message = quoteattr(f"{test.failure.type}: {test.failure.message}")
            inside = (
                f"<failure message={message}>{test.failure.detail.replace('<', '&lt;')}</failure>"
            )
        lines.append(f"{head}>{inside}</testcase>" if inside else f"{head} />")
    return "\n".join([*lines, "</testsuite></testsuites>"]).encode()


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def record_once(
    world: World, position: int, report: contract.Report
) -> tuple[float, dict[str, int]]:
    """Seconds of one record_report, and the rows it wrote by statement."""
    run = world.run(position, lane=world.lane())
    sha256, attempt = world.put(run, report), world.last_attempt(run).id
    written: Counter[str] = Counter()

    @event.listens_for(world.farm.ledger.engine, "after_cursor_execute")
    def _count(_connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        verb, *words = statement.split()
        if verb in ("INSERT", "UPDATE", "DELETE"):
            written[f"{verb} {words[0] if verb == 'UPDATE' else words[1]}"] += max(
                cursor.rowcount, 0
            )

    taken = seconds(lambda: record.record_report(world.farm, attempt, sha256))
    event.remove(world.farm.ledger.engine, "after_cursor_execute", _count)
    return taken, dict(written)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tests", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = tests(options.tests)
    data, report = junit_file(found), make_report(found)
    assert len(junit.parse(data)) == options.tests
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder), durable=True)
        first, _rows = record_once(world, 0, report)
        parsing, recording = [], []
        for number in range(1, options.rounds + 1):
            parsing.append(seconds(lambda: junit.parse(data)))
            taken, rows = record_once(world, number, report)
            recording.append(taken)
    result = {
        "tests": options.tests,
        "parse_seconds": round(median(parsing), 4),
        "record_seconds": round(median(recording), 4),
        "record_first_seconds": round(first, 4),
        "ratio": round(median(recording) / median(parsing), 2),
        "bound": BOUND,
        "rows_written": rows,
    }
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:22} {value}" for name, value in result.items()))
    return 0 if result["ratio"] <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
