"""From an invitation to the first running job: the very command that `pybots worker invite` prints, timed. Prints JSON with --json.

    python tests/bench/join.py [--json]

A farm over the miniature CPython runs on loopback with its own worker paused. A new home is made, the printed command is
given to a shell there as a volunteer would paste it (a new virtual environment, the kit from the farm, its libraries from
the package index that pip is configured for), and the clock runs until the ledger has an attempt of the new worker in a
phase. The machine has the build packages already. The miniature's sources are files of this machine, which a volunteer's
worker refuses: a worker.toml with `local = true` lies there beforehand, and is not counted as a step.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.farm import live as living

from pybots import cli_worker
from pybots.farm import invitations, workers
from pybots.farm.invitations import Wish
from pybots.ledger import schema

BOUND_SECONDS = 120.0
OTHERS_STEPS = 6
"""Of joining buildbot.python.org: ask by form, get a password by mail, a change to the master's private settings and one to
its public ones, install and write the unit by hand, wait for the master's restart."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pybots-join-") as folder:
        found = measure(Path(folder))
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            print(f"{name:28} {value}")
    return 0 if found["seconds"] <= BOUND_SECONDS else 1


def measure(root: Path) -> dict[str, Any]:
    live = living.make(root / "farm", projects=("sprout",))
    live.start()
    try:
        live.calm()
        workers.set_state(live.farm, "local", "paused")
        live.commit("good-c-change")
        _, code = invitations.invite(live.farm, Wish(owner="Volunteer"))
        command = cli_worker.join_command(live.farm, code)
        return join(live, root / "home", command)
    finally:
        live.stop()


def join(live: living.Live, home: Path, command: str) -> dict[str, Any]:
    kept = home / "pybots-worker"
    kept.mkdir(parents=True)
    (kept / "worker.toml").write_text('name = "mine"\nlocal = true\n')
    began = time.time()
    with (home / "log").open("wb") as log:
        shell = subprocess.Popen(
            ["bash", "-c", command], env={**os.environ, "HOME": str(home)}, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        roster, attempts = schema.workers, schema.attempts
        row = live.wait(
            lambda: live.rows(roster, roster.c.name == "volunteer"), "the exchange", 600
        )[0]
        joined = row.joined
        ours = (attempts.c.worker == "volunteer", attempts.c.started.is_not(None))
        first = live.wait(lambda: live.rows(attempts, *ours), "the first job", 120)[0]
    except AssertionError:
        print((home / "log").read_text()[-3000:], file=sys.stderr)
        raise
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait(60)
    return {
        "seconds": round(first.started - began, 1),
        "bound": BOUND_SECONDS,
        "of which installing": round(joined - began, 1),
        "of which join to job": round(first.started - joined, 1),
        "the human's steps": 1,
        "the other farm's steps": OTHERS_STEPS,
    }


if __name__ == "__main__":
    sys.exit(main())
