"""The real master of a running farm: its sign of life, its closed pages, its roster that changes while it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from pybots.core.model import Worker
from pybots.farm import news, workers
from pybots.glue import farmmaster
from pybots.ledger import schema
from pybots.ledger.engine import announce
from pybots_worker.facts import measure
from tests.farm.live import Live


def note(live: Live) -> Any:
    [row] = live.rows(schema.notes, schema.notes.c.name == news.MASTER)
    return row


def test_the_master_gives_a_sign_of_life(live: Live) -> None:
    first = note(live)
    assert live.running
    assert first.value["pid"] == live.running.pids()["master"]
    live.wait(lambda: note(live).at > first.at, "another sign of life", 15)


def admin_page(live: Live, path: str) -> str:
    return f"http://127.0.0.1:{live.farm.config.buildbot.www_port}{path}"


@pytest.mark.parametrize(
    "path", ["/api/v2/builders", "/api/v2/workers", "/api/v2/buildsets", "/api/v2/logs/1/raw"]
)
def test_strangers_read_nothing_from_buildbots_own_pages(live: Live, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(admin_page(live, path), timeout=10)
    assert refused.value.code == 403
    refused.value.close()


@pytest.mark.parametrize(
    ("path", "method"),
    [("/api/v2/workers/1", "kill"), ("/api/v2/builds/1", "stop"), ("/api/v2/builds/1", "rebuild")],
)
def test_strangers_control_nothing(live: Live, path: str, method: str) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}).encode()
    request = urllib.request.Request(
        admin_page(live, path), data=body, headers={"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 403
    refused.value.close()


def test_the_admin_reads_buildbots_pages_with_the_farms_password(live: Live) -> None:
    password = farmmaster.admin_password(live.farm)
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    request = urllib.request.Request(admin_page(live, "/auth/login"))
    credentials = b64encode(f"{farmmaster.ADMIN}:{password}".encode()).decode()
    request.add_header("Authorization", f"Basic {credentials}")
    opener.open(request, timeout=10).close()
    with opener.open(admin_page(live, "/api/v2/builders"), timeout=10) as answer:
        names = {builder["name"] for builder in json.load(answer)["builders"]}
    assert f"{measure().platform}-1" in names
    assert any(name.startswith("sprout.") for name in names), "lanes are virtual builders"


def test_no_token_is_in_the_masters_log_or_database(live: Live) -> None:
    """Whoever may read those may not upload in a worker's name."""
    live.calm()
    log = (live.farm.folder.logs / "master.log").read_text(errors="replace")
    assert "token=" not in log
    for path in live.farm.folder.master.glob("state.sqlite*"):
        assert b"token=" not in path.read_bytes()


def test_every_phase_of_a_recorded_attempt_has_its_log_and_no_live_one(live: Live) -> None:
    live.calm()
    attempts = live.rows(schema.attempts, schema.attempts.c.state == "recorded")
    logs = {(row.attempt_id, row.phase): row for row in live.rows(schema.logs)}
    for attempt in attempts:
        for phase in attempt.phases:
            row = logs.get((attempt.id, phase["phase"]))
            assert row is None or live.farm.store.has(row.blob)
        assert not list((live.farm.store.root / "live" / str(attempt.id)).glob("*"))
    assert any(phase == "test" for _, phase in logs)


@pytest.fixture
def guest(live: Live, tmp_path: Path) -> Iterator[str]:
    """A second worker, enrolled and started while the farm runs; on another ABI, so that it gets no work."""
    name = f"guest-{time.monotonic_ns()}"
    worker = Worker(name=name, platform=measure().platform, abi="elsewhere-1-x86_64", slots=3)
    credential = workers.enrol(live.farm, worker)
    port = live.farm.config.buildbot.pb_port
    (tmp_path / "password").write_text(credential)
    (tmp_path / "worker.toml").write_text(
        f'name = "{name}"\nmaster = "127.0.0.1:{port}"\nslots = 3\n'
    )
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pybots_worker.cli", "run", "--root", str(tmp_path)],
            stdout=log, stderr=subprocess.STDOUT, env=dict(os.environ),
        )  # fmt: skip
    yield name
    process.terminate()
    process.wait(20)


def connected(live: Live, name: str) -> bool:
    [row] = live.rows(schema.workers, schema.workers.c.name == name)
    return bool(row.connected)


def test_a_worker_is_enrolled_and_revoked_while_the_farm_runs(live: Live, guest: str) -> None:
    live.wait(lambda: connected(live, guest), "the guest", 20)
    assert connected(live, "local"), "nobody else was disturbed"
    table = schema.workers
    with live.farm.ledger.write() as connection:
        connection.execute(update(table).where(table.c.name == guest).values(state="revoked"))
        announce(connection, time.time(), "worker", worker=guest, state="revoked")
    live.wait(lambda: not connected(live, guest), "the end of the guest's connection", 20)
    time.sleep(3)  # it tries again, and is refused: there is no event for what doesn't happen
    assert not connected(live, guest)
    assert connected(live, "local")


def test_a_webhooks_wake_up_brings_the_commit_before_the_poll(live: Live) -> None:
    """The poll is every five seconds here; a wake-up is answered in less than two."""
    live.calm()
    sha = live.world.commit("docs-only")
    began = time.monotonic()
    with live.farm.ledger.write() as connection:
        announce(connection, time.time(), "wake", what="push")
    live.wait(lambda: live.rows(schema.commits, schema.commits.c.sha == sha), "the commit", 10)
    assert time.monotonic() - began < 2.5
