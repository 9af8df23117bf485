"""Ten simulated years (`noise.py`), one for each seed, several at once, in one table.

    python tests/bench/noise_years.py [--seeds 2001-2010] [--jobs 2] [--runs 50000] [--json]

A line for every year as it ends, then the sums. Exit status 0 when all the bounds of `noise.py` hold in every year.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, Final

import noise

COLUMNS: Final[tuple[tuple[str, str], ...]] = (
    ("seed", "seed"), ("runs", "runs"), ("controls", "controls"), ("mails", "mails"),
    ("reported", "reported"), ("threads", "threads"), ("flaky failures", "flaky_failures"),
    ("mails by them", "mails_by_flakiness"), ("in 1,000", "per_1000_flaky_failures"),
    ("by faults", "mails_to_projects_by_faults"), ("by nothing", "mails_by_nothing"),
    ("twice", "duplicates"), ("hours, median", "hours"), ("seconds", "seconds"),
    ("processor", "processor_seconds"), ("", "ok"),
)  # fmt: skip
"""(heading, key of what noise.py finds; a few are made of several, see `cells`)."""


def year(options: argparse.Namespace) -> dict[str, Any]:
    """One year in a process of its own."""
    logging.getLogger("pybots").setLevel(logging.ERROR)  # letters that wait for the mail server
    os.nice(options.nice)
    return noise.measure(options)[1]


def cells(found: Mapping[str, Any]) -> list[str]:
    shown = {
        **found,
        "reported": f"{found['reported']} of {found['plants']}",
        "threads": found["threads_per_plant"]["most"],
        "hours": found["hours_to_mail"]["median"],
        "ok": "ok" if found["ok"] else "NOT OK",
    }
    return [str(shown[key]) for _, key in COLUMNS]


def line(values: Sequence[str]) -> str:
    return "  ".join(
        value.rjust(max(len(heading), 6))
        for (heading, _), value in zip(COLUMNS, values, strict=True)
    )


def sums(years: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    flaky = sum(one["flaky_failures"] for one in years)
    mails = sum(one["mails_by_flakiness"] for one in years)
    return {
        "years": len(years),
        "plants": sum(one["plants"] for one in years),
        "reported": sum(one["reported"] for one in years),
        "most_threads": max(one["threads_per_plant"]["most"] for one in years),
        "flaky_failures": flaky,
        "mails_by_flakiness": mails,
        "per_1000_flaky_failures": round(1000 * mails / max(1, flaky), 3),
        "worst_year": max(one["per_1000_flaky_failures"] for one in years),
        "mails_to_projects_by_faults": sum(one["mails_to_projects_by_faults"] for one in years),
        "mails_by_nothing": sum(one["mails_by_nothing"] for one in years),
        "duplicates": sum(one["duplicates"] for one in years),
        "missed": [f"seed {one['seed']}: {name}" for one in years for name in one["missed"]],
        "ok": all(one["ok"] for one in years),
    }


def seeds(text: str) -> list[int]:
    """`7`, `7,9` or `2001-2010`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=seeds, default=seeds("2001-2010"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--nice", type=int, default=0, help="be so much nicer than this command")
    noise.size(parser)
    options = parser.parse_args()
    years = []
    with ProcessPoolExecutor(max_workers=options.jobs) as pool:
        each = [
            pool.submit(year, argparse.Namespace(**{**vars(options), "seed": seed}))
            for seed in options.seeds
        ]
        if not options.json:
            print(line([heading for heading, _ in COLUMNS]))
        for ended in as_completed(each):
            years.append(ended.result())
            said = json.dumps(years[-1]) if options.json else line(cells(years[-1]))
            print(said, flush=True)
    found = sums(years)
    if options.json:
        print(json.dumps(found))
    else:
        noise.show(found)
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
