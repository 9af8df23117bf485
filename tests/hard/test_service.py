"""`pybots-worker service` under a real systemd: one of its own, in namespaces of its own, that sees this machine's files.

It has no units but ours and a few empty targets, and its /run is empty: nothing of this machine's own is touched."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from pybots_worker import service, settings
from pybots_worker.settings import WorkshopSettings

SYSTEMD = Path("/lib/systemd/systemd")
PATIENCE = 90.0
UNIT = service.NAME

BOOT = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t proc proc /proc
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for units in /lib/systemd/system /etc/systemd/system; do mount -t tmpfs tmpfs $units; done
for name in bare sysinit basic network-online multi-user shutdown; do
    printf '[Unit]\\nDefaultDependencies=no\\n' >/lib/systemd/system/$name.target
done
mkdir -p /run/systemd/system/pybots-worker.service.d
printf '[Service]\\nRestartSec=100ms\\n' >/run/systemd/system/pybots-worker.service.d/quick.conf
exec env container=test "$1" --system --unit=bare.target --log-target=console --show-status=no
"""
"""Everything it does is undone by the end of its namespaces. The drop-in only makes the test quicker."""


@dataclass
class Machine:
    """A machine with systemd. `pid`: of its first process, as this machine knows it."""

    pid: int

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command there."""
        enter = ["nsenter", "-t", str(self.pid), "-m", "-p", "-C", "--"]
        return subprocess.run(
            [*enter, *words], capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def systemctl(self, *words: str) -> str:
        return self.run("systemctl", *words).stdout.strip()

    def show(self, name: str) -> str:
        return self.systemctl("show", "--value", "-p", name, UNIT)

    def kit(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`pybots-worker`, as its owner types it there."""
        return self.run(sys.executable, "-P", "-m", "pybots_worker.cli", *words)


def until(happened: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen in {PATIENCE:.0f} s"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    if os.geteuid() != 0 or not SYSTEMD.exists():
        pytest.skip("needs root and systemd")
    apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--cgroup"]
    with tempfile.TemporaryFile("w+") as log:
        first = subprocess.Popen(
            [*apart, "sh", "-c", BOOT, "boot", str(SYSTEMD)], stdout=log, stderr=log
        )
        try:
            yield booted(first, log)
        finally:
            first.kill()
            first.wait()


def booted(first: subprocess.Popen[bytes], log: IO[str]) -> Machine:
    """Wait until its systemd answers."""
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and first.poll() is None:
        if found := children.read_text().split():
            made = Machine(int(found[0]))
            if made.systemctl("is-system-running") in ("running", "degraded"):
                return made
        time.sleep(0.1)
    log.seek(0)
    pytest.skip(f"no systemd of our own can be started here: {log.read()[-300:]}")


@dataclass
class Farm:
    """As much of a farm as answers signs of life. `state`: of the worker."""

    state: str = "approved"
    heard: list[str] = field(default_factory=list)

    def answer(self) -> bytes:
        return json.dumps(
            {"name": "attic", "state": self.state, "clock": time.time(), "reason": "a test"}
        ).encode()


@pytest.fixture
def farm() -> Iterator[tuple[Farm, str]]:
    here = Farm()

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            here.heard.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(here.answer())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield here, f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_the_unit_keeps_the_worker_running_until_the_farm_wants_it_no_more(
    machine: Machine, farm: tuple[Farm, str], tmp_path: Path
) -> None:
    here, url = farm
    root = tmp_path / "worker"
    settings.write(
        root, WorkshopSettings(name="attic", farm=url, credential="x" * 43, master="127.0.0.1:9")
    )
    done = machine.kit("service", "install", "--root", str(root))
    assert done.returncode == 0, done.stderr
    until(lambda: here.heard, "the first sign of life")
    assert machine.systemctl("is-enabled", UNIT) == "enabled"
    assert machine.show("Delegate") == "yes"
    pid = machine.show("MainPID")
    (group,) = machine.run("cat", f"/proc/{pid}/cgroup").stdout.split()[-1:]
    assert group.endswith(f"/{UNIT}"), "jobs get groups below its own"

    machine.run("kill", f"-{signal.SIGKILL.value}", pid)
    until(lambda: machine.show("MainPID") not in ("0", pid), "the restart")
    until(lambda: len(here.heard) > 1, "a sign of life after it")

    here.state = "revoked"
    machine.run("kill", f"-{signal.SIGKILL.value}", machine.show("MainPID"))
    until(lambda: machine.systemctl("is-active", UNIT) == "failed", "its end")
    assert machine.show("ExecMainStatus") == "4"
    restarts = machine.show("NRestarts")
    time.sleep(1)  # ten times RestartSec: a restart would have come
    assert machine.show("NRestarts") == restarts, "nobody starts a worker that is not wanted"

    assert machine.kit("leave", "--yes", "--root", str(root)).returncode == 0
    assert machine.systemctl("is-enabled", UNIT) in ("", "not-found")
    assert not root.exists()
