"""A volunteer's machine joins a running farm with an invitation's code, works, and is renamed, re-keyed and revoked."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pybots import cli
from pybots.farm import invitations, workers
from pybots.farm.invitations import Wish
from pybots.ledger import schema
from pybots_worker import settings, welcome
from tests.farm import live as living
from tests.farm.live import Live

KIT = (sys.executable, "-P", "-m", "pybots_worker.cli")


@dataclass
class Machine:
    """A volunteer's machine: a folder, and the worker that may run in it."""

    live: Live
    root: Path
    name: str = ""
    process: subprocess.Popen[bytes] | None = None
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def join(self, code: str, *more: str, url: str = "") -> subprocess.CompletedProcess[str]:
        """`pybots-worker join`, the code on stdin, without starting."""
        return self.run(
            "join", url or self.live.farm.config.url, "--no-start", *more, said=f"{code}\n"
        )

    def run(self, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*KIT, *words, "--root", str(self.root)],
            input=said, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def start(self) -> None:
        with (self.root.parent / f"{self.root.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*KIT, "run", "--root", str(self.root)], stdout=log, stderr=subprocess.STDOUT
            )
        self.started.append(self.process)

    def stop(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.terminate()
                process.wait(30)

    @property
    def settings(self) -> settings.WorkshopSettings:
        return settings.load(self.root)

    def row(self, name: str = "") -> Any:
        [row] = self.live.rows(
            schema.workers, schema.workers.c.name == (name or self.settings.name)
        )
        return row

    def words(self) -> str:
        return (self.root.parent / f"{self.root.name}.log").read_text()

    def connected(self, name: str = "") -> Any:
        return self.live.wait(
            lambda: self.row(name).connected, f"{name or self.settings.name} connected"
        )


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A farm of its own: its worker is paused here, and others come and go."""
    root = tmp_path_factory.mktemp("joining")
    made = living.make(root, projects=("sprout",), settings={"cpython.earlier": False})
    made.start()
    try:
        made.calm()
        yield made
    finally:
        made.stop()


def code_for(live: Live, **wish: Any) -> str:
    return str(invitations.invite(live.farm, Wish(**{"owner": "Ada Lovelace", **wish}))[1])


@pytest.fixture
def machine(live: Live, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(live, tmp_path / "volunteer")
    yield made
    made.stop()
    if made.root.joinpath(settings.FILE).exists():
        row = live.rows(schema.workers, schema.workers.c.name == made.settings.name)
        if (
            row and row[0].state != "revoked"
        ):  # so that later tests are alone with the farm's own worker
            workers.set_state(live.farm, made.settings.name, "retired")


def test_a_worker_joins_by_code_and_runs_a_job(live: Live, machine: Machine) -> None:
    live.calm()
    done = machine.join(code_for(live, email="ada@example.org"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as ada-lovelace (approved)" in done.stdout
    file = machine.root / settings.FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert machine.settings.credential not in done.stdout + done.stderr
    # The miniature's sources are files of this machine; its owner may allow that, a farm can't.
    settings.change(machine.root, {"local": True})
    machine.start()
    machine.connected()
    workers.set_state(live.farm, "local", "paused")
    try:
        sha = live.commit("good-c-change")
        run = live.verdict(sha, "sprout", 150)
    finally:
        workers.set_state(live.farm, "local", "approved")
    assert run.verdict == "passed", run.summary
    [attempt] = live.rows(schema.attempts, schema.attempts.c.run_id == run.id)
    assert attempt.worker == "ada-lovelace"
    for log in ("web.log", "master.log"):
        assert machine.settings.credential not in (live.farm.folder.logs / log).read_text()
    assert machine.settings.credential not in machine.words()
    page = live.get("/worker/ada-lovelace")
    assert "Ada Lovelace" in page and "Free disk" in page
    assert "ada@example.org" not in page and machine.settings.credential not in page
    live.calm()


def test_a_code_works_once(live: Live, machine: Machine, tmp_path: Path) -> None:
    code = code_for(live, owner="Once")
    assert machine.join(code).returncode == 0
    again = Machine(live, tmp_path / "another").join(code)
    assert again.returncode == 1
    assert "this invitation has been used: every machine needs its own" in again.stderr


def test_an_answer_that_got_lost_is_asked_for_again(live: Live, machine: Machine) -> None:
    """The same code with the same credential: the worker has not heard that it has joined."""
    code = code_for(live, owner="Lost")
    asked = {
        "version": 1, "code": code, "credential": secrets.token_urlsafe(32),
        "machine": {"platform": "linux-x86_64", "abi": "elsewhere-1-x86_64"},
    }  # fmt: skip
    first, second = (post(live, welcome.JOIN, asked) for _ in range(2))
    assert first == second
    assert first[0] == 201 and json.loads(first[1])["name"] == "lost"
    workers.set_state(live.farm, "lost", "retired")


def test_an_expired_and_a_withdrawn_code_are_refused_in_words(live: Live, machine: Machine) -> None:
    code = code_for(live, owner="Late", days=1e-9)
    assert "this invitation has expired: ask for another" in machine.join(code).stderr
    number, made = invitations.invite(live.farm, Wish(owner="Gone"))
    invitations.withdraw(live.farm, number)
    assert "expired" in machine.join(str(made)).stderr
    assert not (machine.root / settings.FILE).exists()


def test_what_is_no_code_is_not_even_sent(machine: Machine) -> None:
    done = machine.join("hunter2")
    assert done.returncode == 1
    assert "this is not an invitation's code" in done.stderr
    assert "hunter2" not in done.stderr


def post(live: Live, path: str, message: Any, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(live.farm.config.url).netloc, timeout=20)
    try:
        connection.request("POST", path, body=json.dumps(message), headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_who_tries_many_codes_is_asked_to_wait(live: Live) -> None:
    """As one address behind a proxy; another one is not made to wait for it."""
    asked = {
        "version": 1, "code": f"pybots1-{'a' * 26}-0", "credential": "c" * 43,
        "machine": {"platform": "linux-x86_64", "abi": "debian-12-x86_64"},
    }  # fmt: skip
    here = {"X-Forwarded-For": "192.0.2.7"}
    answers = [post(live, welcome.JOIN, asked, **here) for _ in range(12)]
    assert [status for status, _ in answers] == [403] * 10 + [429] * 2
    assert b"no invitation has this code" in answers[0][1]
    assert b"try again in" in answers[-1][1]
    assert post(live, welcome.JOIN, asked, **{"X-Forwarded-For": "192.0.2.8"})[0] == 403


@pytest.mark.parametrize("change", [{"credential": "short"}, {"more": 1}, {"machine": {"platform": "../x", "abi": "x"}}])  # fmt: skip
def test_what_is_no_join_is_refused(live: Live, change: dict[str, Any]) -> None:
    asked = {
        "version": 1, "code": "x", "credential": "c" * 43,
        "machine": {"platform": "linux-x86_64", "abi": "debian-12-x86_64"}, **change,
    }  # fmt: skip
    assert post(live, welcome.JOIN, asked)[0] == 400


def test_a_worker_is_renamed_rekeyed_and_revoked_at_once(
    live: Live, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """On another ABI, so that it gets no work; the farm's own worker is never disturbed."""
    machine.root.mkdir()
    assert machine.join(code_for(live, owner="Grace", name="hopper")).returncode == 0
    machine.start()
    machine.connected()
    farm = ["--farm", str(live.farm.folder.root)]
    began = live.rows(schema.workers, schema.workers.c.name == "local")[0].last_seen

    assert cli.main(["worker", "rename", "hopper", "cobol", *farm]) == 0
    machine.connected("cobol")
    assert machine.settings.name == "cobol"

    capsys.readouterr()
    assert cli.main(["worker", "rekey", "cobol", *farm]) == 0
    said = capsys.readouterr().out
    [command] = [line.split() for line in said.splitlines() if line.startswith("  ")]
    assert command[:-1] == ["~/pybots-worker/venv/bin/pybots-worker", "join", live.farm.config.url]
    live.wait(lambda: not machine.row().connected, "the end of the old credential's connection")
    before = machine.settings.credential
    done = machine.join(command[-1])
    assert done.returncode == 0 and "goes on with its new credential" in done.stdout, done.stderr
    assert machine.settings.credential != before and machine.settings.name == "cobol"
    machine.connected()  # the same process, with the new credential
    assert len(machine.started) == 1

    assert cli.main(["worker", "revoke", "cobol", "--reason", "a test", *farm]) == 0
    live.wait(lambda: not machine.row().connected, "the end of the connection", 20)
    assert machine.process is not None
    assert machine.process.wait(60) == 4, machine.words()
    assert "the farm wants this worker no more (revoked): a test" in machine.words()
    local = live.rows(schema.workers, schema.workers.c.name == "local")[0]
    assert local.connected and local.last_seen == began, "nobody else was disturbed"


def test_pause_hangs_up_and_resume_comes_back(live: Live, machine: Machine) -> None:
    assert machine.join(code_for(live, owner="Pause")).returncode == 0
    machine.start()
    machine.connected()
    assert machine.run("pause", "--for", "8h").returncode == 0
    live.wait(lambda: not machine.row().connected, "the pause")
    assert machine.row().resting == "paused by its owner"
    assert "paused by its owner, until" in live.get("/workers")
    second = machine.run("run")
    assert second.returncode == 1 and "a worker runs in" in second.stderr
    assert machine.run("resume").returncode == 0
    machine.connected()
    assert machine.row().resting == ""


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"hours": ["mon 00:00-00:01"]}, "outside its hours"),
        ({"max_load": 0.000_001}, "its machine is busy"),
    ],
)
def test_outside_its_owners_rules_a_worker_is_not_even_connected(
    live: Live, machine: Machine, rule: dict[str, Any], why: str
) -> None:
    """Whatever it is told: it does not come. The farm knows why, and looks for nobody."""
    if "hours" in rule and time.localtime()[6:7] + time.localtime()[3:4] == (0, 0):
        rule = {"hours": ["wed 00:00-00:01"]}  # it is Monday, between midnight and one
    assert machine.join(code_for(live, owner="Rules")).returncode == 0
    settings.change(machine.root, rule)
    machine.start()
    live.wait(lambda: machine.row().resting.startswith(why), "the word about it")
    assert not machine.row().connected
    assert why in live.get("/workers")
    machine.stop()
    settings.change(machine.root, {"hours": [], "max_load": 0.0})
    machine.start()
    machine.connected()
    assert machine.row().resting == ""


def test_leaving_removes_everything_and_the_farm_knows(live: Live, machine: Machine) -> None:
    assert machine.join(code_for(live, owner="Leaver")).returncode == 0
    machine.start()
    machine.connected()
    assert (
        "it is running" in (done := machine.run("leave", "--yes")).stderr
        or "running" in done.stderr
    )
    machine.stop()
    (machine.root / "mine.txt").write_text("not theirs")
    done = machine.run("leave", "--yes")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in machine.root.iterdir()] == ["mine.txt"]
    assert machine.row("leaver").state == "retired"


def test_the_kit_is_served_and_installs_by_its_digest(live: Live, tmp_path: Path) -> None:
    """What the invitation's command does, but for the libraries, which come from a package index."""
    listing = live.get("/kit/").split()
    url = f"{live.farm.config.url}kit/{listing[1]}#sha256={listing[0]}"
    place = tmp_path / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "-q",
        "install",
        "--no-deps",
        "--no-index",
        "--target",
        str(place),
    ]
    done = subprocess.run([*pip, url], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said = subprocess.run(
        [sys.executable, "-m", "pybots_worker.cli", "--version"],
        env={**os.environ, "PYTHONPATH": str(place)}, cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert said.stdout.startswith("pybots-worker ")
    assert (place / "bin" / "pybots-worker").exists()
    wrong = subprocess.run(
        [*pip, "--upgrade", url.replace(listing[0], "0" * 64)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert wrong.returncode != 0


def test_a_stranger_says_hello_in_vain(live: Live) -> None:
    said = {
        "version": 1, "machine": {"platform": "linux-x86_64", "abi": "x"},
        "signs": {"clock": 1.0, "disk_free_bytes": 1},
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {'x' * 43}", "X-Forwarded-For": "192.0.2.9"}
    status, words = post(live, welcome.HELLO, said, **headers)
    assert status == 403 and b"does not know this worker" in words
    again = [post(live, welcome.HELLO, said, **headers)[0] for _ in range(11)]
    assert again == [403] * 9 + [429] * 2
    join = {
        "version": 1, "code": code_for(live, owner="Anew"), "credential": "n" * 43,
        "machine": {"platform": "linux-x86_64", "abi": "y"},
    }  # fmt: skip
    status, words = post(live, welcome.JOIN, join, **{"X-Forwarded-For": "192.0.2.9"})
    assert status == 201, "its owner joins anew from the same address"
    workers.set_state(live.farm, json.loads(words)["name"], "retired")
