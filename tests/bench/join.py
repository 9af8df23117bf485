"""From an invitation to the first running job: the very command that `pybots worker invite` prints, timed. Prints JSON with --json.

    python tests/bench/join.py [--json]

A farm over the miniature CPython runs on loopback with its own worker paused. A person with a new home sits before a
terminal (a real one, with bash in it), pastes the printed command, and answers what is asked: a new virtual environment,
the kit from the farm, its libraries from the package index that pip is configured for, `join`. The clock runs until the
ledger has an attempt of the new worker in a phase. The person's steps are what was typed, counted as it is typed; the
admin's are the commands given at the farm.

The machine has the build packages already. The miniature's sources are files of this machine, which a volunteer's worker
refuses: a worker.toml with `local = true` lies there beforehand. A time-out for pip in this machine's environment is not
taken over (PIP_DEFAULT_TIMEOUT): with pip's own, a request that hangs is asked again after 15 s.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import select
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.farm import live as living

from pybots import cli_worker
from pybots.farm import invitations, workers
from pybots.farm.invitations import Wish
from pybots.ledger import schema

BOUND_SECONDS: Final = 120.0
OTHERS_STEPS: Final = (
    "ask for it by a form",
    "get a password by mail",
    "a change to the master's private settings",
    "a change to the master's public settings",
    "install, and write the unit by hand",
    "wait for the master's restart",
)
"""Of joining buildbot.python.org."""
QUESTION: Final = re.compile(rb"\[Y/n\] $|invitation: $")


@dataclass
class Person:
    """Somebody before a terminal. `typed`: each thing typed and sent with Enter; a paste is one of them."""

    home: Path
    typed: list[str] = field(default_factory=list)
    seen: bytes = b""
    pid: int = 0
    _terminal: int = -1

    def sit_down(self) -> None:
        """Start bash in a terminal of its own. It writes when it began each command to `trace`."""
        trace = os.open(self.home / "trace", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        left_out = ("PIP_DEFAULT_TIMEOUT", "PYTHONPATH", "VIRTUAL_ENV")
        env = {name: value for name, value in os.environ.items() if name not in left_out}
        env |= {
            "HOME": str(self.home), "BASH_XTRACEFD": str(trace), "TERM": "dumb",
        }  # fmt: skip
        script = self.home / "bashrc"
        script.write_text("PS1='$ ' PS4='+ $EPOCHREALTIME '\nset -x\n")
        self.pid, self._terminal = pty.fork()
        if not self.pid:
            os.set_inheritable(trace, True)
            os.execvpe("bash", ["bash", "--rcfile", str(script), "-i"], env)
        os.close(trace)
        threading.Thread(target=self._look, daemon=True).start()

    def type(self, text: str) -> None:
        self.typed.append(text)
        os.write(self._terminal, text.encode() + b"\n")

    def _look(self) -> None:
        """Read the screen, and agree to what is asked."""
        while select.select([self._terminal], [], [])[0]:
            try:
                self.seen += os.read(self._terminal, 1 << 16)
            except OSError:  # bash has ended
                return
            if QUESTION.search(self.seen):
                self.seen += b"\n"
                self.type("")

    def moments(self) -> dict[str, float]:
        """When the commands began, by their first telling word."""
        lines = (self.home / "trace").read_text().splitlines()
        found = [line.split(maxsplit=2) for line in lines if line.startswith("+ ")]
        words = {" venv ": "venv", "/pip install ": "pip", " join ": "join"}
        return {
            name: float(line[1])
            for line in found
            if len(line) == 3
            for word, name in words.items()
            if word in line[2]
        }

    def leave(self) -> None:
        """End what runs in the terminal (a worker takes no notice of a hang-up), and close it."""
        working = os.tcgetpgrp(self._terminal)
        if working != self.pid:
            os.killpg(working, signal.SIGTERM)
        os.close(self._terminal)
        time.sleep(1)  # what was ended is no child of ours: there is nothing to wait on
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


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
        given = ["pybots worker invite --owner Volunteer"]
        _, code = invitations.invite(live.farm, Wish(owner="Volunteer"))
        return join(live, root / "home", cli_worker.join_command(live.farm, code), given)
    finally:
        live.stop()


def join(live: living.Live, home: Path, command: str, given: list[str]) -> dict[str, Any]:
    kept = home / "pybots-worker"
    kept.mkdir(parents=True)
    (kept / "worker.toml").write_text('name = "mine"\nlocal = true\n')
    person = Person(home)
    person.sit_down()
    began = time.time()
    try:
        person.type(command)
        roster, attempts = schema.workers, schema.attempts
        row = live.wait(
            lambda: live.rows(roster, roster.c.name == "volunteer"), "the exchange", 600
        )[0]
        joined = row.joined
        ours = (attempts.c.worker == "volunteer", attempts.c.started.is_not(None))
        first = live.wait(lambda: live.rows(attempts, *ours), "the first job", 120)[0]
    except AssertionError:
        print(person.seen[-3000:].decode(errors="replace"), file=sys.stderr)
        raise
    finally:
        person.leave()
    at = person.moments()
    return {
        "seconds": round(first.started - began, 1),
        "bound": BOUND_SECONDS,
        "of which making the environment": round(at["pip"] - at["venv"], 1),
        "of which pip": round(at["join"] - at["pip"], 1),
        "of which join and its questions": round(joined - at["join"], 1),
        "of which join to job": round(first.started - joined, 1),
        "the volunteer's steps": len(person.typed),
        "the volunteer typed": person.typed[1:],
        "the admin's steps": len(given),
        "the other farm's steps": len(OTHERS_STEPS),
    }


if __name__ == "__main__":
    sys.exit(main())
