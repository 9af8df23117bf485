"""A volunteer's machine that stops dead in the middle of its work, twice: what it had is done by another worker, it is given
nothing more, its owner has one letter, and it works again when the admin says so."""

from __future__ import annotations

import contextlib
import email
import email.policy
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from tests.farm.brisk import SILENT_SECONDS, brisk
from tests.hard import farm_yard
from tests.hard.farm_yard import ADMIN, Yard, children

from pybots import cli, cli_up
from pybots.core import health
from pybots.farm import invitations, losses, workers
from pybots.farm.invitations import Wish
from pybots.ledger import schema
from pybots.supervisor import Program
from pybots_worker import settings

NAME, OWNER = "attic", "bob@example.org"
attempts, roster = schema.attempts, schema.workers
PATIENCE = 120.0
"""For what takes SILENT_SECONDS and a little on a quiet machine."""


class Brisk(Yard):
    """A master that gives a silent worker up soon, and workers that say often that they live."""

    def programs(self) -> dict[str, Program]:
        return {name: brisk(one) for name, one in super().programs().items()}

    def join(self) -> None:
        """Attic becomes a worker as a volunteer's machine does: with an invitation's code, over the web."""
        wish = Wish(owner="Bob", email=OWNER, name=NAME)
        _, code = invitations.invite(self.farm, wish)
        root = self.farm.folder.root / NAME
        kit = (sys.executable, "-P", "-m", "pybots_worker.cli")
        words = ("join", self.farm.config.url, "--no-start", "--root", str(root))
        done = subprocess.run(
            [*kit, *words], input=f"{code}\n", capture_output=True, text=True, timeout=120, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        # The miniature's sources are files of this machine; its owner may allow that, a farm can't.
        settings.change(root, {"local": True})
        log = self.farm.folder.logs / f"{NAME}.log"
        self.more.append(
            Program(name=NAME, arguments=(*kit[2:], "run", "--root", str(root)), log=log)
        )

    @property
    def attic(self) -> Any:
        return self.rows(roster, roster.c.name == NAME)[0]

    def connected(self) -> None:
        self.wait(lambda: self.attic.connected, "attic's connection", PATIENCE)

    def alone(self, kind: str) -> str:
        """A commit while the farm's own worker is paused."""
        workers.set_state(self.farm, "local", "paused")
        return self.commit(kind)

    def both(self) -> None:
        workers.set_state(self.farm, "local", "approved")


@dataclass
class Post:
    """A mail server that takes everything."""

    taken: list[Any] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.taken += [(address, letter) for address in envelope.rcpt_tos]
        return "250 taken"

    def to(self, address: str) -> list[Any]:
        return [letter for one, letter in self.taken if one == address]


@pytest.fixture
def post() -> Iterator[tuple[Post, int]]:
    handler, port = Post(), cli_up.free_port(0)
    server = Controller(handler, hostname="127.0.0.1", port=port)
    server.start()
    yield handler, port
    server.stop()


@pytest.fixture
def yard(tmp_path: Path, post: tuple[Post, int]) -> Iterator[Brisk]:
    """The farm's own worker, and Bob's attic, which has joined and is connected."""
    made = farm_yard.make(tmp_path, ("sprout",), mail__transport="smtp", mail__smtp__port=post[1])
    yard = Brisk(world=made.world, farm=made.farm)
    with farm_yard.running(yard):
        yard.join()
        yard.start(NAME)
        yard.connected()
        try:
            yield yard
        finally:
            tell(yard, signal.SIGCONT)  # what is frozen could not end


def tell(yard: Brisk, number: signal.Signals) -> None:
    """To attic's whole machine: the worker first, which could start something more, then all that it has started."""
    worker = yard.processes[NAME]
    worker.send_signal(number)
    for pid in children(worker.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def at_work(yard: Brisk, sha: str) -> Any:
    """Attic's attempt at a commit, if it has begun."""
    tries = [one for run in yard.of(sha) for one in yard.tries(run.id)]
    return next((one for one in tries if (one.worker, one.state) == (NAME, "running")), None)


def freeze_at_work(yard: Brisk, kind: str) -> str:
    """Attic has begun to build a commit and stops dead: it loses the attempt and the connection. Returns the commit."""
    sha = yard.alone(kind)
    begun = yard.wait(lambda: at_work(yard, sha), "attic at work", PATIENCE)
    tell(yard, signal.SIGSTOP)
    yard.wait(lambda: not yard.attic.connected, "the end of its connection", PATIENCE)
    (lost,) = yard.rows(attempts, attempts.c.id == begun.id)
    assert lost.state == "lost" and lost.reason.startswith(losses.SILENT), lost
    assert lost.finished - lost.started >= SILENT_SECONDS
    return sha


def done_by_another(yard: Brisk, sha: str, project: str = "") -> None:
    """The farm's own worker finished what attic had begun."""
    yard.both()
    assert yard.verdict(sha, project, PATIENCE).verdict == "passed"
    (run,) = yard.of(sha, project)
    *before, last = [(one.worker, one.state) for one in yard.tries(run.id)]
    assert last == ("local", "recorded")
    assert before == ([] if project else [(NAME, "lost")])


def test_a_machine_that_stops_dead_twice_is_put_to_rest_and_released(
    yard: Brisk, post: tuple[Post, int]
) -> None:
    # Once: shown, done elsewhere, and back as if nothing had been.
    sha = freeze_at_work(yard, "good-c-change")
    assert health.STOPPED in yard.get(f"/worker/{NAME}")
    done_by_another(yard, sha)
    tell(yard, signal.SIGCONT)
    yard.connected()
    assert yard.attic.state == "approved", "once is no reason"
    assert health.STOPPED not in yard.get(f"/worker/{NAME}")

    # Twice: quarantined, with a reason.
    sha = freeze_at_work(yard, "good-c-change")
    yard.wait(lambda: yard.attic.state == "quarantined", "the quarantine", PATIENCE)
    assert yard.attic.trouble == "frozen"
    assert "2 times in six hours it stopped answering" in yard.attic.reason
    assert yard.attic.reason in yard.get(f"/worker/{NAME}")
    done_by_another(yard, sha)
    yard.wait(lambda: post[0].to(OWNER), "the owner's letter", PATIENCE)

    # It comes back and is given nothing: what only it could do is not begun until the admin releases it.
    tell(yard, signal.SIGCONT)
    yard.connected()
    sha = yard.alone("good-c-change")
    yard.wait(
        lambda: yard.rows(schema.commits, schema.commits.c.sha == sha), "the commit", PATIENCE
    )
    assert (yard.attic.state, yard.of(sha)) == ("quarantined", []), "there is nobody to plan it for"
    released = time.time()
    assert cli.main(["worker", "approve", NAME, "--farm", str(yard.farm.folder.root)]) == 0
    assert yard.verdict(sha, "sprout", PATIENCE).verdict == "passed"
    tries = [
        one for kind in ("", "sprout") for run in yard.of(sha, kind) for one in yard.tries(run.id)
    ]
    assert {(one.worker, one.state) for one in tries} == {(NAME, "recorded")}
    assert min(one.created for one in tries) > released
    assert (yard.attic.state, yard.attic.reason) == ("approved", "")

    # All the while one letter each, and nothing that was lost was counted twice.
    yard.both()
    yard.sound()
    (letter,) = post[0].to(OWNER)
    assert f"worker {NAME} gets no work for now" in letter["Subject"]
    text = " ".join(letter.get_content().split())
    assert "2 times in six hours it stopped answering in the middle of its work" in text
    assert f"pybots worker approve {NAME}" in text
    assert [str(one["Subject"]) for one in post[0].to(ADMIN)] == [str(letter["Subject"])]
