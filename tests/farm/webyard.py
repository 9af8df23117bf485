"""A real web process on loopback over a little history in which every name is hostile, for the tests of it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pybots.farm import tokens
from pybots.farm.home import Farm
from tests.unit.farm.builders import START, Book, make_farm

HOSTILE = "<script>alert(1)<!--\"'&"
SECRET = "a-webhook-secret-of-some-length"
ARTIFACT_MAX = 4096


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Web:
    """A running web process and the farm it shows."""

    farm: Farm
    book: Book
    port: int
    process: subprocess.Popen[bytes]
    marks: dict[str, Any] = field(default_factory=dict)

    def get(self, path: str, method: str = "GET", **headers: str) -> Reply:
        return self.ask(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Reply(
                answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            )
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        """Send bytes as they are, hear everything that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(data)
            heard = b""
            while chunk := connection.recv(65536):
                heard += chunk
            return heard

    def token(self, kind: str = "artifact", **changes: Any) -> str:
        grant = {"run": self.marks["run"], "attempt": self.marks["attempt"], "kind": kind, "max_bytes": ARTIFACT_MAX,
                 "expires": time.time() + 600, **changes}  # fmt: skip
        return tokens.mint(tokens.load_key(self.farm.folder.secrets), **grant)

    def upload(self, body: Any, *, kind: str = "artifact", digest: str | None = None, token: str | None = None,
               attempt: int | None = None, **headers: str) -> Reply:  # fmt: skip
        data = body if isinstance(body, bytes) else b""
        path = f"/api/v1/upload/{self.marks['run']}/{attempt or self.marks['attempt']}/{kind}"
        made = {
            "Authorization": f"Bearer {self.token(kind) if token is None else token}",
            "X-Pybots-Sha256": digest or hashlib.sha256(data).hexdigest(),
            **headers,
        }
        return self.ask("PUT", path, body=body, headers=made)

    def kept(self) -> set[str]:
        """Every blob and everything half-written in the store."""
        store = self.farm.store.root
        return {
            path.name
            for part in ("blobs", "incoming")
            for path in (store / part).rglob("*")
            if path.is_file()
        }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def start(
    root: Path, port: int, program: tuple[str, ...] = ("-m", "pybots.web.serve")
) -> subprocess.Popen[bytes]:
    with (root / "web.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, *program, str(root)], stdout=log, stderr=log)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            assert process.poll() is None, (root / "web.log").read_text()
            time.sleep(0.05)
    raise AssertionError((root / "web.log").read_text())


@contextlib.contextmanager
def serving(root: Path, *program: Any) -> Iterator[Web]:
    """A filled farm in `root` and its web process (`program`: as of `start`), which must not have stumbled."""
    port = free_port()
    settings(root, port)
    farm = make_farm(root, migrated=True)
    book = Book(farm)
    made = Web(farm, book, port, start(root, port, *program))
    made.marks = fill(book)
    yield made
    stop(made.process)
    farm.ledger.close()
    assert "Traceback" not in (root / "web.log").read_text()


def stop(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=15)


def settings(root: Path, port: int) -> None:
    root.mkdir(exist_ok=True)
    (root / "secrets").mkdir(mode=0o700, exist_ok=True)
    (root / "secrets" / "hook").write_text(SECRET)
    (root / "secrets" / "hook").chmod(0o600)
    (root / "farm.toml").write_text(
        f'webhook_secret = "hook"\n[web]\nport = {port}\n[store]\nreserve_bytes = 0\n'
    )


def fill(book: Book) -> dict[str, Any]:
    """A little history in which every name is hostile."""
    book.history(1, 8)
    book.commit(9, author=HOSTILE, title=HOSTILE, message=HOSTILE, files=[HOSTILE])
    lane = book.lane(HOSTILE, reason=HOSTILE, slug="hostile.slug")
    book.run(lane, 3)
    run = book.run(lane, 9, "new_failure", summary=HOSTILE, revision_label=HOSTILE)
    book.log(book.attempt(run, state="recorded", worker=HOSTILE, reason=HOSTILE), "test", HOSTILE)
    book.worker(HOSTILE, owner=HOSTILE, facts=[HOSTILE])
    breakage = book.breakage(run, {lane: [HOSTILE]}, title=HOSTILE)
    mail = book.mail(1, subject=HOSTILE, message=f"Subject: x\n\n{HOSTILE}", breakage_id=breakage)
    good = book.lane("django")
    running = book.run(good, 9, None, state="running")
    attempt = book.attempt(
        running, phases=[{"phase": "source", "state": "running", "started": START}]
    )
    return {"run": running, "attempt": attempt, "red": run, "breakage": breakage, "mail": mail}
