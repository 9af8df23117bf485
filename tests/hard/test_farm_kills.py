"""kill -9 of each process at the worst moments: nothing is lost, nothing happens twice, nothing hangs."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import signal
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from tests.hard import farm_yard
from tests.hard.farm_yard import ADMIN, Reader, Yard

from pybots.farm import tokens
from pybots.ledger import schema
from pybots.miniature.hostile import Bounds

SLOW = "bad-hang"
"""With these bounds a project that takes some seconds, and passes."""
BOUNDS = Bounds(hang_seconds=2)


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    made = farm_yard.make(tmp_path_factory.mktemp("kills"), ("anchor", SLOW), BOUNDS)
    with farm_yard.running(made):
        yield made


@pytest.fixture(autouse=True)
def _sound_afterwards(yard: Yard) -> Iterator[None]:
    yield
    yard.sound()
    assert yard.half_written() == []
    assert yard.damaged() == []


def test_a_master_killed_while_tests_run_loses_nothing(yard: Yard) -> None:
    """The page stays up and says that the master is down; the run is made again and gets its verdict."""
    sha = yard.commit("good-lib-change")
    with Reader(yard) as reader:
        attempt = yard.in_phase(sha, SLOW, "test")
        yard.kill("master")
        assert "master is down" not in yard.get("/").lower()
        yard.long_silent()
        assert "master is down" in yard.get("/").lower()
        yard.start("master")
        run = yard.verdict(sha, SLOW)
    assert (run.verdict, run.lost) == ("passed", 0), "a restart is not held against the run"
    first, second = yard.tries(run.id)
    assert (first.id, first.state, second.state) == (attempt.id, "lost", "recorded")
    assert "master" in first.reason
    assert reader.answers and reader.complaints == []
    assert "master is down" not in yard.get("/").lower()


def test_a_master_killed_while_an_interpreter_is_built_builds_it_again(yard: Yard) -> None:
    """And the projects that waited for it run."""
    sha = slow_build(yard)
    yard.in_phase(sha, "", "configure")
    yard.kill("master")
    yard.start("master")
    assert yard.verdict(sha).verdict == "passed"
    assert [one.state for one in yard.tries(yard.run_of(sha).id)] == ["lost", "recorded"]
    assert yard.verdict(sha, "anchor").verdict == "passed"
    assert yard.verdict(sha, SLOW).verdict == "passed"


def slow_build(yard: Yard) -> str:
    """A commit whose configure takes some seconds."""
    text = (yard.world.cpython / "configure").read_text()
    waits = text.replace("set -u\n", f"set -u\nsleep 2 # {time.time()}\n", 1)
    sha = yard.world.commit_files({"configure": waits}, "Check more in configure")
    yard.wake()
    return sha


def test_a_master_killed_between_dispatch_and_start_goes_on(yard: Yard) -> None:
    """What Buildbot was given but had not begun is adopted, or made again once; never both."""
    yard.signal("worker", signal.SIGSTOP)
    sha = yard.commit("good-c-change")
    yard.wait(
        lambda: any(t.state == "dispatched" for r in yard.of(sha) for t in yard.tries(r.id)),
        "the dispatch",
    )
    yard.kill("master")
    yard.signal("worker", signal.SIGCONT)
    yard.start("master")
    run = yard.verdict(sha)
    assert run.verdict == "passed"
    assert [one.state for one in yard.tries(run.id)] in (["recorded"], ["lost", "recorded"])
    assert yard.verdict(sha, "anchor").verdict == "passed"


def test_a_master_killed_as_a_verdict_falls_mails_once(yard: Yard) -> None:
    """The letter is in the ledger with the verdict: it is sent after the restart, and only once."""
    before = len(yard.public())
    bad = yard.commit("break-anchor")
    yard.wait(lambda: yard.run_of(bad, "anchor"), "the red cell")
    yard.kill("master")
    yard.start("master")
    yard.calm()
    good = yard.commit("fix-anchor")
    assert yard.verdict(good, "anchor").verdict == "fixed"
    yard.sound()
    red, green = yard.public()[before:]
    assert red["Message-ID"] in green["References"]
    assert bad[:12] in red["Subject"] + red.as_string()


def test_a_killed_worker_costs_one_more_attempt(yard: Yard) -> None:
    """The project is not blamed, and nothing of the killed attempt goes on running."""
    before = len(yard.letters())
    sha = yard.commit("good-lib-change")
    attempt = yard.in_phase(sha, SLOW, "test")
    left = farm_yard.children(yard.processes["worker"].pid)
    yard.restart("worker")
    run = yard.verdict(sha, SLOW)
    assert (run.verdict, run.lost) == ("passed", 1)
    assert [one.state for one in yard.tries(run.id)] == ["lost", "recorded"]
    assert "worker" in yard.tries(run.id)[0].reason
    assert attempt.id == yard.tries(run.id)[0].id
    yard.wait(lambda: not any(farm_yard.alive(pid) for pid in left), "the end of what it ran")
    assert "lost" in yard.get(f"/run/{run.id}")
    assert len(yard.letters()) == before


def test_a_worker_that_never_comes_back_is_shown_and_others_go_on(yard: Yard) -> None:
    yard.hire("second")
    yard.start("second")
    yard.wait(lambda: connected(yard, "second"), "the second worker")
    sha = yard.commit("good-lib-change")
    attempt = yard.in_phase(sha, SLOW, "test")
    gone = {"local": "worker", "second": "second"}
    yard.kill(gone[attempt.worker])
    run = yard.verdict(sha, SLOW)
    first, second = yard.tries(run.id)
    assert run.verdict == "passed"
    assert second.worker != first.worker == attempt.worker
    assert not connected(yard, attempt.worker)
    assert "1 of 2 workers online" in yard.get("/")
    assert "offline" in yard.get(f"/worker/{attempt.worker}").lower()
    if attempt.worker == "local":
        yard.start("worker")
        yard.wait(lambda: connected(yard, "local"), "the first worker")
        yard.stop("second")


def connected(yard: Yard, name: str) -> bool:
    (row,) = yard.rows(schema.workers, schema.workers.c.name == name)
    return bool(row.connected)


def test_three_losses_are_the_farms_own_fault(yard: Yard) -> None:
    """Verdict infra, said on the page; the admin hears of it, the project's people don't."""
    before = len(yard.letters())
    sha = yard.commit("good-lib-change")
    for number in (1, 2, 3):
        yard.wait(partial(began, yard, sha, number), f"the begin of attempt {number}")
        yard.restart("worker")
    run = yard.verdict(sha, SLOW)
    assert (run.verdict, run.lost, run.failure_kind) == ("infra", 3, None)
    yard.calm()
    news = yard.letters()[before:]
    assert [str(letter["To"]) for letter in news] == [ADMIN]
    assert "worker" in run.summary and run.summary in yard.get(f"/run/{run.id}")
    again = yard.commit("good-lib-change")
    assert yard.verdict(again, SLOW).verdict == "passed"


def began(yard: Yard, sha: str, number: int) -> bool:
    tries = [one for run in yard.of(sha, SLOW) for one in yard.tries(run.id)]
    return len(tries) == number and tries[-1].state == "running"


def test_a_web_process_killed_during_an_upload_keeps_no_half_blob(yard: Yard) -> None:
    """The worker tries again, or the run does; what was half there is swept away."""
    sha = slow_build(yard)
    attempt = yard.in_phase(sha, "", "configure")
    with half_upload(yard, attempt):
        yard.signal("web", signal.SIGSTOP)  # the worker's own upload now begins and cannot end
        yard.in_phase(sha, "", "publish")
        yard.kill("web")
        assert len(yard.half_written()) == 1
    yard.start("web")
    assert yard.verdict(sha).verdict == "passed"
    assert yard.verdict(sha, "anchor").verdict == "passed"


@contextlib.contextmanager
def half_upload(yard: Yard, attempt: Any) -> Iterator[None]:
    """Half an artifact sent, the other half never."""
    token = tokens.mint(
        tokens.load_key(yard.farm.folder.secrets), run=attempt.run_id, attempt=attempt.id,
        kind="artifact", max_bytes=1 << 20, expires=time.time() + 600,
    )  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", yard.farm.config.web.port)
    connection.putrequest("PUT", f"/api/v1/upload/{attempt.run_id}/{attempt.id}/artifact")
    for name, value in (
        ("Authorization", f"Bearer {token}"),
        ("X-Pybots-Sha256", hashlib.sha256(b"x" * 100_000).hexdigest()),
        ("Content-Length", "100000"),
    ):
        connection.putheader(name, value)
    connection.endheaders(b"x" * 50_000)
    yard.wait(yard.half_written, "half an upload")
    try:
        yield
    finally:
        connection.close()
