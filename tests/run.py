"""`./pybots test [tier…] [-- pytest arguments]`: the tiers, one pytest after the other, ending with one closing line.

Tiers: lint (ruff, mypy), unit, farm, browser; on demand hard and cpython. Without names the quick ones run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

TOP = Path(__file__).resolve().parent.parent
MEMORY = "/dev/shm"
IN_MEMORY = {"unit": 1 << 30, "farm": 6 << 30, "browser": 6 << 30}
"""The tiers whose files are thousands, small and soon gone, and the room in bytes that there must be for them in memory.

On a busy disk making and removing them costs minutes."""
QUICK = ("lint", "unit", "farm", "browser")
TIERS = (*QUICK, "hard", "cpython")
LINT = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy", "-p", "pybots", "-p", "pybots_worker", "-p", "pybots_status"),
)
# The unit tier shares nothing, so two processes run it, half of its folders each; the others run a farm, which is several.
# What is marked `deep` takes its time, and runs in the hard tier with the properties' many examples.
UNIT = ("-q", "-p", "no:xdist", "-p", "no:schemathesis", "-p", "no:anyio", "-m", "not deep")
FIRST_HALF = ("farm", "laptop", "ledger", "mail")
NOTHING_CHOSEN = 5
"""pytest's exit status when arguments like `-k` left nothing to run."""


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    tiers = [word for word in arguments[:cut] if word != "--yes"] or list(QUICK)
    more = arguments[cut + 1 :]
    unknown = [tier for tier in tiers if tier not in TIERS]
    if unknown:
        print(f"no tier {', '.join(unknown)}; there are {', '.join(TIERS)}", file=sys.stderr)
        return 2
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    for tier in tiers:
        began = time.monotonic()
        print(f"--- {tier}", flush=True)
        counts = lint() if tier == "lint" else run_pytest(tier, more)
        for name, count in counts.items():
            totals[name] += count
        print(f"--- {tier}: {time.monotonic() - began:.0f} s", flush=True)
    print(f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped")
    return 1 if totals["failed"] or not totals["passed"] else 0


def lint() -> dict[str, int]:
    failed = 0
    for command in LINT:
        tool = Path(sys.executable).parent / command[0]
        failed += subprocess.run([str(tool), *command[1:]], cwd=TOP).returncode != 0
    return {"passed": len(LINT) - failed, "failed": failed}


def run_pytest(tier: str, more: list[str]) -> dict[str, int]:
    """Counts of one tier. A pytest that dies, or ends without running a test, counts as one failure; in CI so does
    a tier of which every test was skipped."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    with tempfile.TemporaryDirectory(prefix="pybots-tests-", dir=place(tier)) as temporary:
        places = [Path(temporary) / str(number) for number in range(len(parts(tier)))]
        running = [
            start(where, [*part, *more], shown=where is places[0])
            for where, part in zip(places, parts(tier), strict=True)
        ]
        statuses = [process.wait() for process in running]
        for where in places:
            print((where / "said").read_text(errors="replace"), end="", flush=True)
            for name, count in counted(where / "results.xml").items():
                counts[name] += count
    ran = counts["passed"] + (0 if os.environ.get("CI") else counts["skipped"])
    if not counts["failed"] and (set(statuses) - {0, NOTHING_CHOSEN} or not ran):
        counts["failed"] = 1
    return counts


def parts(tier: str) -> list[list[str]]:
    """pytest's arguments for each of the processes that run a tier side by side."""
    folder = TOP / "tests" / tier
    if tier != "unit":
        return [[str(folder)]]
    first = [str(folder / name) for name in FIRST_HALF]
    return [[*first, *UNIT], [str(folder), *(f"--ignore={path}" for path in first), *UNIT]]


def start(where: Path, arguments: list[str], *, shown: bool) -> subprocess.Popen[bytes]:
    """A pytest with its files in `where`: what it says is `shown` at once, or kept in the file `said` there."""
    where.mkdir()
    said = (where / "said").open("wb")
    command = (sys.executable, "-m", "pytest", *arguments, f"--junitxml={where / 'results.xml'}")
    command += (f"--basetemp={where / 'tmp'}",)
    with said:
        return subprocess.Popen(
            command,
            cwd=TOP,
            env=environment(),
            stdout=None if shown else said,
            stderr=subprocess.STDOUT,
        )


def counted(results: Path) -> dict[str, int]:
    """How many tests came to what, from pytest's own JUnit file; nothing where there is none."""
    if not results.exists():
        return {"passed": 0, "failed": 0, "skipped": 0}
    total = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in ElementTree.parse(results).getroot().iter("testsuite"):
        for name in total:
            total[name] += int(suite.get(name, "0"))
    failed = total["failures"] + total["errors"]
    return {
        "passed": total["tests"] - failed - total["skipped"],
        "failed": failed,
        "skipped": total["skipped"],
    }


def place(tier: str) -> str | None:
    """Where a tier's files lie: in memory, where there is room and programs may be run from it."""
    try:
        there = os.access(MEMORY, os.W_OK) and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
        room = shutil.disk_usage(MEMORY).free if there else 0
    except OSError:
        room = 0
    return MEMORY if tier in IN_MEMORY and room >= IN_MEMORY[tier] else None


def environment() -> dict[str, str]:
    """Ours, but with byte-code files: without them every tier compiles the whole house again."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONUNBUFFERED": "1"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
