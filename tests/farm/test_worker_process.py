"""A slot's processes: several orders one after the other, all output before the end, and ends that are told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CHILD = """\
import os, sys, time
for line in sys.stdin:
    word = line.split()[0]
    if word == "die":
        os.kill(os.getpid(), 9)
    if word == "sleep":
        time.sleep(60)
    os.write(1, f"{word} in {os.getpid()} ".encode() + b"x" * int(line.split()[1]) + b"\\n")
    os.write(2, b"and errors\\n")
    os.write(3, b"1\\n" if word == "fail" else b"0\\n")
"""

PARENT = """\
import json, sys
from pathlib import Path
from twisted.internet import defer, reactor, task
from pybots_worker.process import Stable

async def orders(stable, words):
    told = []
    for word in words:
        process = stable.take()
        heard = []
        done = process.order(word, lambda stream, data: heard.append((stream, data.decode())))
        if word.startswith("sleep"):
            reactor.callLater(0.2, process.cancel)
        status = await done
        stable.give_back(process)
        text = {name: "".join(data for stream, data in heard if stream == name) for name in ("stdout", "stderr")}
        told.append({"status": status, **text})
    stable.clear()
    return told

def over(told):
    print(json.dumps(told))
    reactor.callLater(0, reactor.stop)

def start():
    stable = Stable(reactor, [sys.executable, "-c", sys.argv[1]], Path("."))
    defer.ensureDeferred(orders(stable, sys.argv[2:])).addCallbacks(over, lambda failure: (failure.printTraceback(), reactor.stop()))

reactor.callWhenRunning(start)
reactor.run()
"""


def told(tmp_path: Path, *words: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", PARENT, CHILD, *words],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def pid(answer: dict[str, Any]) -> str:
    return str(answer["stdout"]).split()[2]


def test_one_process_does_the_phases_of_a_job(tmp_path: Path) -> None:
    first, second, third = told(tmp_path, "build 0", "fail 0", "report 0")
    assert [one["status"] for one in (first, second, third)] == [0, 1, 0]
    assert pid(first) == pid(second) == pid(third)
    assert third["stderr"] == "and errors\n"


def test_all_output_is_heard_before_the_end_is(tmp_path: Path) -> None:
    """More than a pipe holds, and an end that is told at once."""
    for answer in told(tmp_path, "talk 1000000", "talk 65000", "talk 1"):
        size = len(answer["stdout"].partition(" in ")[2].split(" ")[1])
        assert size in (1_000_001, 65_001, 2)
        assert answer["stdout"].endswith("x\n")
        assert answer["stderr"] == "and errors\n"


def test_a_process_that_dies_is_told_and_replaced(tmp_path: Path) -> None:
    before, died, after = told(tmp_path, "build 0", "die 0", "build 0")
    assert died["status"] == -9
    assert after["status"] == 0
    assert pid(before) != pid(after)


def test_a_cancelled_one_is_not_asked_again(tmp_path: Path) -> None:
    cancelled, after = told(tmp_path, "sleep 0", "build 0")
    assert cancelled["status"] == -15
    assert after["status"] == 0
