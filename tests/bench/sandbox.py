"""What the sandbox costs: the same test suite inside and outside of it, turn by turn. Prints ratios; needs bubblewrap.

    python tests/bench/sandbox.py [--rounds 9] [--suite computing] [--suite processes] [--json]

The suites are parts of CPython's own, run by the Python that runs this: *computing* (parsers, pickling, typing: one
process), *processes* (command lines, compilers: hundreds of processes). Outside: a
plain process of the job's user, its output read from a pipe. Inside: `sandbox.run` as a job is run, with caps on the rung
that `doctor` names, watched by the kit. Both use the same processors, folders of one file system, environment and user.

A round is outside, inside, outside: a machine that grows slower or quicker meanwhile does so for both sides, and what the
two outsides differ by is what this machine's measurements are worth (`noise`). Before the first round each side runs once
unmeasured. CPU time is that of the whole tree, orphans included, and of whoever watches it; wall time is a clock's.
`starting` is what a sandbox costs once, however long the suite: milliseconds to run `true`.

Exit status 1: the median of the rounds' ratios is above 1.05, for CPU or for wall time, in a suite. 3: it is, but in half of
the rounds the two outsides differed by more than that themselves: do it again where nobody else computes.
"""

from __future__ import annotations

import argparse
import ctypes
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
from contextlib import suppress
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
    "computing": ("test_json", "test_typing", "test_enum", "test_difflib", "test_inspect", "test_email"),
    "processes": ("test_cmd_line", "test_py_compile", "test_unittest"),
}  # fmt: skip
SUBREAPER: Final = 36
"""prctl's PR_SET_CHILD_SUBREAPER: a suite's orphans become ours, so that what they used is counted outside as well."""
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
        began, before = time.monotonic(), _cpu()
        done = subprocess.run(
            [*_user(), *self.command(str(self.python))], cwd=work, env=self.env(str(work)),
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
        wall = time.monotonic() - began
        with suppress(ChildProcessError):  # orphans of either side: this run's, not the next one's
            while True:
                os.waitpid(-1, 0)
        spent = Spent(wall, _cpu() - before)
        if status != 0:
            raise SystemExit(
                f"the suite failed ({status}):\n{said[-3000:].decode(errors='replace')}"
            )
        return spent


def _user() -> list[str]:
    """What makes a command the job's user's."""
    if os.geteuid() != 0:
        return []
    uid, gid = job_ids()
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--"]


def _cpu() -> float:
    """Of this process, which watches, and of all that it has waited for."""
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def compare(bench: Bench, rounds: int, say: Callable[[str], object]) -> dict[str, Any]:
    """The ratios of `rounds` rounds, sorted, and their medians; the seconds are medians, too."""
    bench.outside(), bench.inside()
    found: list[tuple[Spent, Spent, Spent]] = []
    for number in range(rounds):
        found.append((bench.outside(), bench.inside(), bench.outside()))
        say(f"  round {number + 1}: outside {found[-1][0]}, inside {found[-1][1]}, {found[-1][2]}")
    made: dict[str, Any] = {"rounds": rounds}
    for what in ("cpu", "wall"):
        seconds = [[getattr(one, what) for one in spent] for spent in found]
        ratios = sorted(2 * inside / (first + last) for first, inside, last in seconds)
        made[f"{what}_ratio"] = round(statistics.median(ratios), 3)
        made[f"{what}_ratios"] = [round(ratio, 3) for ratio in ratios]
        off = [abs(last / first - 1) for first, _, last in seconds]
        made[f"{what}_noise"] = round(statistics.median(off), 3)
        made[f"outside_{what}_seconds"] = round(statistics.median(one[0] for one in seconds), 2)
        made[f"inside_{what}_seconds"] = round(statistics.median(one[1] for one in seconds), 2)
    return made


def starting(facts: SandboxFacts, times: int = 15) -> dict[str, float]:
    """Milliseconds to run `true`, inside and outside: medians."""
    spec = SandboxSpec(
        argv=("true",), cwd="/", env=base_env(), mounts=(), network=False, limits=LIMITS
    )

    def outside() -> None:
        subprocess.run([*_user(), "true"], env=base_env(), check=True)

    def inside() -> None:
        run(spec, facts=facts, sink=lambda _stream, _data: None)

    found: dict[str, list[float]] = {"outside": [], "inside": []}
    for _ in range(times):
        for act in (outside, inside):
            began = time.monotonic()
            act()
            found[act.__name__].append(1000 * (time.monotonic() - began))
    return {f"{name}_ms": round(statistics.median(ms), 1) for name, ms in found.items()}


def judged(found: dict[str, Any], suites: list[str]) -> int:
    """The exit status."""
    pairs = [(found[suite], what) for suite in suites for what in ("cpu", "wall")]
    above = [(made, what) for made, what in pairs if made[f"{what}_ratio"] > MOST_RATIO]
    if not above:
        return 0
    return 3 if all(made[f"{what}_noise"] > MOST_RATIO - 1 for made, what in above) else 1


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
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--suite", choices=SUITES, action="append", help="default: both")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    facts = probe()
    if facts.kind != "bubblewrap" or not facts.usable:
        print(f"there is no sandbox here: {facts.summary()}", file=sys.stderr)
        return 2
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    suites = options.suite or list(SUITES)
    say = (lambda text: print(text, file=sys.stderr)) if options.json else print
    found: dict[str, Any] = {"sandbox": facts.summary(), "processors": len(os.sched_getaffinity(0))}
    found["starting"] = starting(facts)
    with tempfile.TemporaryDirectory(prefix="pybots-sandbox-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        python = python_copy(folder)
        for suite in suites:
            say(suite)
            bench = Bench(python, folder / "work", facts, SUITES[suite])
            found[suite] = compare(bench, options.rounds, say)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(f"{name:12} {value}" for name, value in found.items()))
    return judged(found, suites)


if __name__ == "__main__":
    sys.exit(main())
