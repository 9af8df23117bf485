"""What the sandbox costs: the same test suite inside and outside of it, turn by turn. Prints ratios; needs bubblewrap.

    python tests/bench/sandbox.py [--rounds 5] [--suite computing] [--suite processes] [--json]

The suites are parts of CPython's own, run by the Python that runs this: *computing* (parsers, pickling, typing: one
process), *processes* (command lines, signals: hundreds of processes). Outside: a
plain process of the job's user, its output read from a pipe. Inside: `sandbox.run` as a job is run, with caps on the rung
that `doctor` names, watched by the kit. Both use the same processors, folders of one file system, environment and user.
The order changes from round to round; before the first, each side runs once unmeasured. CPU time is that of the whole
tree and of whoever watches it; wall time is a clock's and needs a quiet machine.

Exit status 1: the median of the rounds' ratios is above 1.05, for CPU or for wall time, in a suite.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pybots_worker.sandbox import (
    Limits,
    Mount,
    SandboxFacts,
    SandboxSpec,
    base_env,
    job_ids,
    own,
    probe,
    run,
)

MOST_RATIO: Final = 1.05
SUITES: Final = {
    "computing": (
        "test_json", "test_collections", "test_statistics", "test_typing", "test_enum",
        "test_difflib", "test_inspect", "test_email", "test_decimal", "test_zipfile",
    ),
    "processes": ("test_cmd_line", "test_py_compile", "test_unittest"),
}  # fmt: skip
LIMITS: Final = Limits(
    wall_seconds=3600, cpu_seconds=3600, memory_bytes=4 << 30, processes=2000,
    disk_bytes=4 << 30, log_bytes=64 << 20,
)  # fmt: skip
PREFIX: Final = "/opt/python"
WORK: Final = "/pybots"


@dataclass(frozen=True)
class Spent:
    """Seconds of one run of a suite: by the clock, and of all processors together."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Bench:
    """The Python, the folders and the suite of all runs. `python` is a copy that the job's user can read."""

    python: Path
    work: Path
    facts: SandboxFacts
    tests: tuple[str, ...]

    def fresh(self) -> Path:
        """An empty folder of the job's user."""
        shutil.rmtree(self.work, ignore_errors=True)
        (self.work / "tmp").mkdir(parents=True)
        own(self.work)
        return self.work

    def command(self, prefix: str) -> tuple[str, ...]:
        return (f"{prefix}/bin/python3", "-B", "-m", "test", "-q", *self.tests)

    def env(self, work: str) -> dict[str, str]:
        return base_env({"TMPDIR": f"{work}/tmp", "HOME": work})

    def outside(self) -> Spent:
        """Without a sandbox; as the job's user when we are root."""
        work = self.fresh()
        user: list[str] = []
        if os.geteuid() == 0:
            uid, gid = job_ids()
            user = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--"]
        began, before = time.monotonic(), _cpu()
        done = subprocess.run(
            [*user, *self.command(str(self.python))], cwd=work, env=self.env(str(work)),
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        return self._spent(began, before, done.returncode, done.stdout + done.stderr)

    def inside(self) -> Spent:
        """As a job is run."""
        spec = SandboxSpec(
            argv=self.command(PREFIX), cwd=WORK, env=self.env(WORK), network=False, limits=LIMITS,
            mounts=(
                Mount(source=self.python, target=PREFIX),
                Mount(source=self.fresh(), target=WORK, writable=True),
            ),
        )  # fmt: skip
        said: list[bytes] = []
        began, before = time.monotonic(), _cpu()
        done = run(spec, facts=self.facts, sink=lambda _stream, data: said.append(data))
        status = -1 if done.exit_code is None else done.exit_code
        spent = self._spent(began, before, status, b"".join(said) + done.detail.encode())
        # What a control group counted can be more than what was waited for, never less.
        return Spent(spent.wall, max(spent.cpu, done.cpu_seconds))

    def _spent(self, began: float, before: float, status: int, said: bytes) -> Spent:
        spent = Spent(time.monotonic() - began, _cpu() - before)
        if status != 0:
            raise SystemExit(
                f"the suite failed ({status}):\n{said[-3000:].decode(errors='replace')}"
            )
        return spent


def _cpu() -> float:
    """Of this process, which watches, and of all that it has waited for."""
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def compare(bench: Bench, rounds: int, say: Callable[[str], object]) -> dict[str, Any]:
    """Both sides, `rounds` times, in an order that changes."""
    sides = {"outside": bench.outside, "inside": bench.inside}
    for side in sides.values():
        side()
    found: dict[str, list[Spent]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in sorted(sides, reverse=bool(number % 2)):
            found[name].append(sides[name]())
            say(f"  round {number + 1}: {name:8} {found[name][-1]}")
    pairs = list(zip(found["inside"], found["outside"], strict=True))
    made: dict[str, Any] = {"rounds": rounds}
    for what in ("cpu", "wall"):
        ratios = sorted(getattr(a, what) / getattr(b, what) for a, b in pairs)
        made[f"{what}_ratio"] = round(statistics.median(ratios), 3)
        made[f"{what}_ratios"] = [round(ratio, 3) for ratio in ratios]
        for name in sides:
            seconds = statistics.median(getattr(one, what) for one in found[name])
            made[f"{name}_{what}_seconds"] = round(seconds, 2)
    return made


def python_copy(folder: Path) -> Path:
    """This Python's base where the job's user can read it; its home may be closed."""
    target = folder / "python"
    skip = shutil.ignore_patterns("__pycache__", "site-packages", "*.a")
    shutil.copytree(sys.base_prefix, target, symlinks=True, ignore=skip)
    if not (target / "lib" / f"python3.{sys.version_info.minor}" / "test").is_dir():
        raise SystemExit(f"{sys.base_prefix} has no tests: run this with a Python that has them")
    subprocess.run(
        [target / "bin/python3", "-m", "compileall", "-q", "-j0", target / "lib"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip # some of its tests' data is no Python
    return target


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--suite", choices=SUITES, action="append", help="default: both")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    facts = probe()
    if facts.kind != "bubblewrap" or not facts.usable:
        print(f"there is no sandbox here: {facts.summary()}", file=sys.stderr)
        return 2
    say = (lambda text: print(text, file=sys.stderr)) if options.json else print
    found: dict[str, Any] = {"sandbox": facts.summary(), "processors": len(os.sched_getaffinity(0))}
    with tempfile.TemporaryDirectory(prefix="pybots-sandbox-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        python = python_copy(folder)
        for suite in options.suite or list(SUITES):
            say(suite)
            bench = Bench(python, folder / "work", facts, SUITES[suite])
            found[suite] = compare(bench, options.rounds, say)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(f"{name:12} {value}" for name, value in found.items()))
    ratios = [
        found[suite][f"{what}_ratio"]
        for suite in options.suite or SUITES
        for what in ("cpu", "wall")
    ]
    return 0 if max(ratios) <= MOST_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
