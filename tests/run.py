"""`./pybots test [tier…] [-- pytest arguments]`: the tiers, one pytest after the other, ending with one closing line.

Tiers: lint (ruff, mypy), unit, farm, browser; on demand hard and cpython. Without names the quick ones run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

TOP = Path(__file__).resolve().parent.parent
QUICK = ("lint", "unit", "farm", "browser")
TIERS = (*QUICK, "hard", "cpython")
LINT = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy", "-p", "pybots", "-p", "pybots_worker", "-p", "pybots_status"),
)
# The unit tier shares nothing, so it uses both cores; the others run a farm that does. Its files are thrown away: making
# room for them, pytest would first remove what a farm's run has left behind, and that takes seconds.
UNIT = ("-n", "2", "--dist", "worksteal", "-q", "--basetemp={temporary}/tmp")
# What is marked `deep` takes its time, and runs in the hard tier with the properties' many examples.
MORE = {"unit": (*UNIT, "-m", "not deep")}


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
    folder = TOP / "tests" / tier
    with tempfile.TemporaryDirectory(prefix="pybots-tests-") as temporary:
        results = Path(temporary) / "results.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            str(folder),
            f"--junitxml={results}",
            *(word.format(temporary=temporary) for word in MORE.get(tier, ())),
            *more,
        ]
        status = subprocess.run(command, cwd=TOP, env=environment()).returncode
        counts = counted(results)
    ran = counts["passed"] + (0 if os.environ.get("CI") else counts["skipped"])
    if not counts["failed"] and (status or not ran):
        counts["failed"] = 1
    return counts


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


def environment() -> dict[str, str]:
    """Ours, but with byte-code files: without them every tier compiles the whole house again."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONUNBUFFERED": "1"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
