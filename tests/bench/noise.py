"""A simulated year of a farm: how much mail it writes, and how much of it is worth reading.

    python tests/bench/noise.py --seed N [--json] [--runs 50000] [--lanes 200] [--plants 40] [--faults 30] [--verbose]

A year is made from the seed (`noise_make`, `noise_planting`: projects, commits, planted breakages, tests that are flaky at 0.1 to 30 %,
faults of the farm). Its reports (`noise_reports`) are recorded by the product's own code in a real ledger, under a
simulated clock (`noise_farm`); the outbox is collected, and every mail is attributed to what really happened
(`noise_score`). Exit status 0 when all of these hold:

    reported                      all planted breakages
    threads_per_plant             at most 2 for any of them
    per_1000_flaky_failures       mails that only chance caused, at most 1
    mails_to_projects_by_faults   to list or projects, caused by the farm's own faults: 0
    duplicates                    0

Nothing may be tuned on the seeds that are shown as results. A smaller year (`--runs`) has fewer plants and faults in
proportion, unless they are given.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import noise_make
from noise_farm import NoiseFarm
from noise_score import Line, Mail, Score, Truth, lines_of, read
from noise_year import Year
from sqlalchemy import select

from pybots.farm import digests, threads
from pybots.ledger import schema

RUNS: Final = 50_000
MEMORY: Final = Path("/dev/shm")
"""A ledger is synced to its disk at every commit; what a disk needs for that is not what is measured here."""


@contextmanager
def overheard(told: dict[str, tuple[Line, ...]]) -> Iterator[None]:
    """Keep the rows that letters and daily digests are made of, by the letter's key; nothing else changes."""
    of_letter, put_daily = threads.stories.of_letter, digests._put_daily

    def letter(farm: Any, connection: Any, one: Any, *rest: Any) -> Any:
        story = of_letter(farm, connection, one, *rest)
        told[one.key] = lines_of(story.rows)
        return story

    def daily(
        farm: Any, connection: Any, key: str, audience: Any, address: str, changed: Any, day: str,
        *rest: Any, **more: Any,
    ) -> None:  # fmt: skip
        put_daily(farm, connection, key, audience, address, changed, day, *rest, **more)
        project = more.get("project", "")
        rows = [
            row
            for one in changed
            for row in threads.stories.rows_of(farm, connection, one.id, one.what, project=project)
        ]
        told[f"digest:{day}:{key}"] = lines_of(rows)

    threads.stories.of_letter, digests._put_daily = letter, daily
    try:
        yield
    finally:
        threads.stories.of_letter, digests._put_daily = of_letter, put_daily


def live(year: Year, folder: Path) -> tuple[Score, dict[str, Any]]:
    """A year in a folder of its own, scored."""
    told: dict[str, tuple[Line, ...]] = {}
    with overheard(told):
        farm = NoiseFarm(year, folder)
        happened = farm.live()
    with farm.farm.ledger.read() as connection:
        outbox = {row.message_id: row for row in connection.execute(select(schema.outbox))}
    score = Score(year=year, truth=Truth(happened.causes))
    for letter in happened.mails:
        own, root, subject, body = read(letter.message)
        row = outbox[own]
        score.add(
            Mail(
                message_id=own, root=root, at=letter.created, audience=row.audience,
                reader=row.reader, topic=row.topic, subject=subject, body=body,
                lines=told.get(row.alert, ()),
            )
        )  # fmt: skip
    farm.farm.ledger.close()
    numbers = {"runs": happened.routine, "controls": happened.controls}
    return score, {**numbers, **score.result(happened.shown, happened.flakes)}


def measure(options: argparse.Namespace) -> tuple[Score, dict[str, Any]]:
    share = options.runs / RUNS
    year = noise_make.make(
        options.seed, runs=options.runs, lanes=options.lanes,
        plants=options.plants if options.plants is not None else max(1, round(40 * share)),
        faults=options.faults if options.faults is not None else max(1, round(30 * share)),
    )  # fmt: skip
    begin, idle = time.perf_counter(), time.process_time()
    gc.set_threshold(100_000, 50, 50)  # statements are made and forgotten by the million
    where = options.folder or (MEMORY if MEMORY.is_dir() else None)
    with tempfile.TemporaryDirectory(dir=where) as folder:
        score, numbers = live(year, Path(folder))
    seconds = {
        "seconds": round(time.perf_counter() - begin, 1),
        "processor_seconds": round(time.process_time() - idle, 1),
    }
    return score, {"seed": options.seed, "lanes": options.lanes, **numbers, **seconds}


def show(found: Mapping[str, Any]) -> None:
    for name, value in found.items():
        print(f"{name:28} {json.dumps(value) if isinstance(value, dict | list) else value}")


def show_mails(score: Score) -> None:
    """The mails that should not have been."""
    for what in ("faulty", "flaky", "unexplained"):
        for mail in getattr(score, what):
            print(f"--- {what}: {mail.reader}, {mail.topic}: {mail.subject}")
            for line in mail.lines:
                print(f"      {line}  {sorted(map(str, score.truth.of(line)))}")
    for line in score.again:
        print(f"--- told twice: {line}")


def size(parser: argparse.ArgumentParser) -> None:
    """How large a year is, where it lies and what is printed."""
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--lanes", type=int, default=200)
    parser.add_argument("--plants", type=int)
    parser.add_argument("--faults", type=int)
    parser.add_argument("--folder", type=Path, help="where the ledger lies meanwhile")
    parser.add_argument("--json", action="store_true")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--verbose", action="store_true", help="show the mails that are no good")
    size(parser)
    options = parser.parse_args()
    logging.getLogger("pybots").setLevel(logging.ERROR)  # letters that wait for the mail server
    score, found = measure(options)
    if options.verbose:
        show_mails(score)
    if options.json:
        print(json.dumps(found))
    else:
        show(found)
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
