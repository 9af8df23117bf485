"""Farm overhead, and the second interpreter over the first. Prints ratios measured in one run.

    python tests/bench/overhead.py --cpython REPO [--good REV] [--project NAME …] [--json]

The repository's branch `main` must stand at a commit whose parent (or --good) it can be compared with: the farm first
builds and tests the earlier commit (cold), then a commit that changes one C file is made and announced.

*overhead*: wall time from that arrival to the last verdict, over the sum of the bare commands (configure, make, make
install, environment, tests) that are run by hand afterwards, one after the other, with the same kind of caches in the
same state: a ccache and a configure cache that have seen the earlier commit, and an installer cache that is warm.

*second*: the farm's build of the second interpreter over its build of the first, from the phases it recorded.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import uv
from sqlalchemy import select
from tests.cpython.debian_source import git
from tests.farm.live import Live

from pybots import cli_up
from pybots.farm import local, news, sources
from pybots.farm.home import open_farm
from pybots.farm.setup import make_folder, write_settings
from pybots.ledger import schema
from pybots.miniature.world import World
from pybots_worker import contract

PATIENCE = 3600.0
STARTERS = ("genshi", "idna", "itsdangerous", "markupsafe")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--cpython", type=Path, required=True, help="a git repository with CPython on branch main"
    )
    parser.add_argument(
        "--project",
        action="append",
        help="projects to test (default: the starter set, what `up` runs)",
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pybots-bench-") as folder:
        found = measure(
            Path(folder),
            arguments.cpython.resolve(),
            arguments.project or list(STARTERS),
        )
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"from arrival to the last verdict   {found['farm_seconds']:8.1f} s   {found['farm']}")
    print(f"bare commands, one after another   {found['bare_seconds']:8.1f} s   {found['bare']}")
    print(f"farm overhead (<= 1.15)            {found['overhead']:8.2f}")
    print(
        f"second interpreter / first (<= 0.35) {found['second']:6.2f}   ({found['second_seconds']:.1f} s / {found['first_seconds']:.1f} s)"
    )


def measure(root: Path, original: Path, projects: list[str]) -> dict[str, Any]:
    repository = root / "cpython"
    subprocess.run(
        ["git", "clone", "--quiet", "--shared", str(original), str(repository)], check=True
    )
    live = farm_over(root, repository, projects)
    live.start()
    try:
        live.calm(PATIENCE)
        first = build_seconds(live, git(repository, "rev-parse", "HEAD"))
        sha = change_one_c_file(repository)
        began, arrived = time.monotonic(), time.time()
        news.wake(live.farm, by="bench")
        for project in projects:
            live.verdict(sha, project, PATIENCE)
        farm_seconds = time.monotonic() - began
        spent = where_it_went(live, sha, arrived)
        second = build_seconds(live, sha)
        bare = by_hand(root, repository, live, projects)
    finally:
        live.stop()
    bare_seconds = sum(bare.values())
    return {
        "farm_seconds": farm_seconds,
        "bare_seconds": bare_seconds,
        "bare": {name: round(seconds, 1) for name, seconds in bare.items()},
        "overhead": farm_seconds / bare_seconds,
        "farm": spent,
        "first_seconds": first,
        "second_seconds": second,
        "second": second / first,
    }


def where_it_went(live: Live, sha: str, arrived: float) -> dict[str, float]:
    """Seconds of the farm's time by phase; `between` is when no phase ran at all: planning, dispatch, recording."""
    runs, attempts, commits = schema.runs, schema.attempts, schema.commits
    query = (
        select(attempts.c.phases, attempts.c.finished)
        .join(runs, runs.c.id == attempts.c.run_id)
        .join(commits, commits.c.id == runs.c.commit_id)
        .where(commits.c.sha == sha, attempts.c.state == "recorded")
    )
    spent: dict[str, float] = {}
    with live.farm.ledger.read() as connection:
        rows = connection.execute(query).all()
    for row in rows:
        for phase in row.phases:
            name = f"{'python: ' if row is rows[0] else ''}{phase['phase']}"
            spent[name] = spent.get(name, 0.0) + phase["wall_seconds"]
    total = max(row.finished for row in rows) - arrived
    spent["between"] = total - sum(spent.values())
    return {name: round(seconds, 1) for name, seconds in spent.items()}


def farm_over(root: Path, repository: Path, projects: list[str]) -> Live:
    folder = make_folder(root / "farm")
    port = cli_up.free_port(0)
    write_settings(
        folder.config,
        {
            "projects": projects,
            "cpython.repository": str(repository),
            "cpython.earlier": False,
            "web.port": port,
            "url": f"http://127.0.0.1:{port}/",
            "buildbot.pb_port": cli_up.free_port(0),
            "buildbot.www_port": cli_up.free_port(0),
        },
    )
    farm = open_farm(folder.root)
    local.enrol_local(farm, slots=1)
    return Live(world=World(root), farm=farm)


def change_one_c_file(repository: Path) -> str:
    with (repository / "Objects/longobject.c").open("a") as file:
        file.write("\n/* One C file changes. */\n")
    git(repository, "commit", "--quiet", "--all", "-m", "Change one C file")
    return git(repository, "rev-parse", "HEAD")


def build_seconds(live: Live, sha: str) -> float:
    return float(sum(live.verdict(sha).phase_seconds.values()))


class Hand:
    """The bare commands, timed, in a shell's environment with caches of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seconds: dict[str, float] = {}
        self.env = {
            **os.environ,
            "PATH": f"/usr/lib/ccache:{os.environ['PATH']}",
            "CCACHE_DIR": str(root / "ccache"),
            "UV_CACHE_DIR": str(root / "uv"),
            "CC": "gcc",
        }

    def run(self, name: str, cwd: Path, *command: str, allowed: tuple[int, ...] = (0,)) -> None:
        began = time.monotonic()
        done = subprocess.run(command, cwd=cwd, env=self.env, capture_output=True, text=True)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began
        if done.returncode not in allowed:
            raise SystemExit(
                f"{name}: {' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )


def by_hand(root: Path, repository: Path, live: Live, projects: list[str]) -> dict[str, float]:
    """The second commit by hand, after the first has warmed the caches the same way."""
    hand = Hand(root / "hand")
    hand.root.mkdir()
    for warm_up in (True, False):
        hand.seconds.clear()
        tree, prefix = hand.root / "tree", hand.root / "python"
        for path in (tree, prefix):
            shutil.rmtree(path, ignore_errors=True)
        tree.mkdir()
        sha = git(repository, "rev-parse", "HEAD~1" if warm_up else "HEAD")
        archive = subprocess.run(
            ["git", "-C", str(repository), "archive", sha], capture_output=True, check=True
        )
        subprocess.run(["tar", "-x"], cwd=tree, input=archive.stdout, check=True)
        cache = hand.root / "config.cache"
        hand.run(
            "configure", tree, "./configure", "-q", f"--prefix={prefix}", f"--cache-file={cache}"
        )
        hand.run("make", tree, "make", "-s", f"-j{os.cpu_count()}")
        hand.run("make install", tree, "make", "-s", "install")
        for project in projects:
            test_by_hand(hand, live, project, prefix)
    return hand.seconds


def test_by_hand(hand: Hand, live: Live, name: str, prefix: Path) -> None:
    project = live.farm.projects[name]
    revision = sources.known(live.farm, name, "release")
    assert revision is not None and isinstance(revision.source, contract.SdistSource)
    work = hand.root / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    blob = live.farm.store.path(revision.source.blob.sha256)
    subprocess.run(["tar", "-xf", str(blob), "--strip-components=1"], cwd=work, check=True)
    binary = uv.find_uv_bin()
    venv = work / ".venv-hand"
    hand.run(
        "environment",
        work,
        binary,
        "venv",
        "-q",
        "--python",
        str(prefix / "bin/python3"),
        str(venv),
    )
    install = project.install
    what = "." + (f"[{','.join(install.extras)}]" if install.extras else "")
    target = ["-e", what] if install.editable else [what]
    python = str(venv / "bin/python")
    hand.run(
        "environment",
        work,
        binary,
        "pip",
        "install",
        "-q",
        "--python",
        python,
        *target,
        *install.requirements,
    )
    module = {"pytest": "pytest", "unittest": "unittest"}[project.test.runner]
    hand.run(
        "test",
        work / project.test.directory,
        python,
        "-m",
        module,
        *project.test.args,
        allowed=(0, 1),
    )


if __name__ == "__main__":
    main()
