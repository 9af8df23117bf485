"""CPython's part of a probe, timed on real history: `python tests/bench/probe_speed.py --cpython REPO`.

A pair is two commits; the first is built to warm the caches, then the second is timed as a bisection builds it. Neighbours
follow each other in the first-parent history and differ in content; distant ones lie `--apart` commits from each other.
The same pairs are taken in every run: they are spread evenly over the last `--depth` commits. Printed, and written with
--json: per pair the seconds of each phase, wall and CPU; for both kinds the median and the worst; with --plain also the
default build of one commit (`configure && make && make install`), and the ratios to it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from pybots.farm import git
from pybots.laptop import grounds
from pybots.laptop.interpreters import BuildFailed, Interpreters
from pybots.laptop.workbench import Workbench, alone, default_folder, open_bench
from pybots_worker.cache import remove

GOALS: Final = {"neighbours": 10.0, "distant": 40.0}
"""Seconds on two cores that are otherwise idle."""


def commits(bench: Workbench, head: str, depth: int) -> list[str]:
    """The last `depth` first-parent commits up to `head`, oldest first."""
    listed = git.git(bench.repository, "rev-list", "--first-parent", f"--max-count={depth}", head)
    return listed.split()[::-1]


def pairs(
    bench: Workbench, history: Sequence[str], number: int, apart: int
) -> Iterator[tuple[str, str]]:
    """`number` pairs, spread evenly. Neighbours (`apart` 1) are the next two that differ for a build."""
    room = len(history) - apart - 1
    for turn in range(number):
        first = room * (2 * turn + 1) // (2 * number)
        last = first + apart
        key = git.content_key(bench.repository, history[first])
        while last + 1 < len(history) and git.content_key(bench.repository, history[last]) == key:
            last += 1
        yield history[last - 1] if apart == 1 else history[first], history[last]


def timed(bench: Workbench, maker: Interpreters, first: str, last: str) -> dict[str, Any]:
    """The row of one pair."""
    row: dict[str, Any] = {"first": first, "last": last}
    names = git.git(bench.repository, "diff", "--name-only", first, last, "--").split("\n")
    row["files"] = len(names)
    row["headers"] = sum(name.startswith("Include/") for name in names)
    try:
        maker.get(first)
        forget(bench, maker, last)
        began = time.monotonic()
        built = maker.get(last)
    except BuildFailed as error:
        return row | {"failed": str(error)}
    return row | {
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(sum(built.cpu.values()), 2),
        "phases": {name: round(spent, 2) for name, spent in built.phases.items()},
        "cpu": {name: round(spent, 2) for name, spent in built.cpu.items()},
    }


def forget(bench: Workbench, maker: Interpreters, sha: str) -> None:
    """The interpreter and its unpacked source, but neither ccache nor what configure said."""
    remove(bench.workshop.machine.interpreters.root / maker.key(sha))


def summary(rows: Sequence[dict[str, Any]], goal: float) -> dict[str, Any]:
    done = [row for row in rows if "seconds" in row]
    seconds = [row["seconds"] for row in done]
    return {
        "pairs": len(done),
        "failed": len(rows) - len(done),
        "median_seconds": round(statistics.median(seconds), 1) if seconds else None,
        "worst_seconds": round(max(seconds), 1) if seconds else None,
        "median_cpu_seconds": round(statistics.median(row["cpu_seconds"] for row in done), 1)
        if done
        else None,
        "goal_seconds": goal,
        "within": sum(spent <= goal for spent in seconds),
    }


def plain(bench: Workbench, sha: str) -> dict[str, float]:
    """The default build of a commit: the seconds of each of its three commands."""
    with tempfile.TemporaryDirectory(prefix="pybots-plain-") as name:
        tree = Path(name) / "tree"
        tree.mkdir()
        archive = subprocess.Popen(
            ["git", "-C", str(bench.repository), "archive", sha, "--", ".", ":(exclude)Doc", ":(exclude)Misc/svnmap.txt"],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        subprocess.run(["tar", "-x", "-C", str(tree)], stdin=archive.stdout, check=True)
        spent = {}
        for step, words in (
            ("configure", ("./configure", f"--prefix={name}/prefix")),
            ("compile", ("make", f"-j{os.cpu_count()}")),
            ("install", ("make", "install")),
        ):
            began = time.monotonic()
            subprocess.run(words, cwd=tree, check=True, capture_output=True)
            spent[step] = round(time.monotonic() - began, 1)
        return spent


def parsed(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpython", required=True, metavar="REPO")
    parser.add_argument("--head", default="HEAD", metavar="REV", help="the newest commit")
    parser.add_argument("--depth", type=int, default=3000, help="commits of history (default 3000)")
    parser.add_argument("--pairs", type=int, default=5, help="of each kind (default 5)")
    parser.add_argument("--apart", type=int, default=500, help="of distant ones (default 500)")
    parser.add_argument("--only", choices=tuple(GOALS), action="append")
    parser.add_argument("--plain", action="store_true", help="also one default build")
    parser.add_argument("--folder", type=Path, default=default_folder().with_name("speed"))
    parser.add_argument("--json", type=Path, metavar="OUT")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parsed(argv)
    console = Console(stderr=True, highlight=False)
    found: dict[str, Any] = {"cores": os.cpu_count()}
    with alone(arguments.folder):
        bench = open_bench(arguments.folder, cpython=arguments.cpython)
        history = commits(bench, bench.resolve(arguments.head), arguments.depth)
        maker = grounds.makers(bench, bench.flavour("release", history[-1]))["probe"]
        for kind, apart in (("neighbours", 1), ("distant", arguments.apart)):
            if arguments.only and kind not in arguments.only:
                continue
            rows = []
            for first, last in pairs(bench, history, arguments.pairs, apart):
                rows.append(timed(bench, maker, first, last))
                console.print(f"{kind} {json.dumps(rows[-1])}")
            found[kind] = summary(rows, GOALS[kind]) | {"rows": rows}
        if arguments.plain:
            found["plain"] = plain(bench, history[len(history) // 2])
            default = sum(found["plain"].values())
            for kind in found.keys() & GOALS.keys():
                found[kind]["ratio_to_plain"] = round(found[kind]["median_seconds"] / default, 3)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    shown = {
        key: {k: v for k, v in value.items() if k != "rows"} if isinstance(value, dict) else value
        for key, value in found.items()
    }
    print(json.dumps(shown, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
