"""Blobs over HTTP, with a server that answers as told: cut off, wrong, slow to recover, refusing."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pybots_worker import fetch
from pybots_worker.contract import Blob, Upload
from pybots_worker.engine import Workshop
from pybots_worker.fetch import FetchError
from pybots_worker.settings import WorkshopSettings

DATA = bytes(range(256)) * 5000
SHA = hashlib.sha256(DATA).hexdigest()


@dataclass
class Server:
    """What it will answer, one entry a request, and what it was asked."""

    url: str = ""
    answers: list[str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def blob(self) -> Blob:
        return Blob(url=f"{self.url}/blob?token=secret", sha256=SHA, size=len(DATA))

    def upload(self) -> Upload:
        return Upload(url=f"{self.url}/upload", token="secret", max_bytes=1 << 30)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetch, "PAUSE", 0.01)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply()

        def do_PUT(self) -> None:
            self.reply(self.rfile.read(int(self.headers["Content-Length"])))

        def reply(self, body: bytes = b"") -> None:
            told.asked.append((self.path, dict(self.headers), body))
            answer = told.answers.pop(0) if told.answers else "good"
            status = int(answer) if answer.isdigit() else 200
            self.send_response(status, "said so")
            data = DATA if answer == "good" else b"no: <b>reason</b>"
            data = DATA[:-1] + b"!" if answer == "wrong" else data
            data = DATA * 2 if answer == "long" else data
            self.send_header("Content-Length", str(len(DATA) if answer == "cut" else len(data)))
            if answer == "302":
                self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            self.wfile.write(DATA[:1000] if answer == "cut" else data)

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    told.url = f"http://127.0.0.1:{listening.server_address[1]}"
    yield told
    listening.shutdown()
    listening.server_close()


def download(server: Server, target: Path) -> None:
    fetch.download(server.blob(), target, local=False)


def test_a_blob_comes_without_the_worlds_proxy(server: Server, tmp_path: Path) -> None:
    download(server, tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == DATA


@pytest.mark.parametrize("answers", [["cut"], ["500", "503"], ["429", "cut"]])
def test_what_may_pass_is_tried_again(server: Server, tmp_path: Path, answers: list[str]) -> None:
    server.answers[:] = answers
    download(server, tmp_path / "b")
    assert len(server.asked) == len(answers) + 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [("wrong", "its sha256 is"), ("long", "more than"), ("403", "403 said so: no"), ("302", "302")],
)
def test_what_will_not_pass_is_given_up_at_once(
    server: Server, tmp_path: Path, answer: str, said: str
) -> None:
    server.answers[:] = [answer]
    with pytest.raises(FetchError, match=said) as error:
        download(server, tmp_path / "b")
    assert len(server.asked) == 1 and not list(tmp_path.iterdir())
    assert "secret" not in str(error.value)


def test_a_transfer_takes_the_time_that_its_owner_allows(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways, and each of two slots half as fast."""
    Workshop(tmp_path / "worker", WorkshopSettings(bandwidth_kb=5000, slots=2), environ={})
    monkeypatch.setattr(fetch.terms, "pace", fetch.terms.pace)  # as it is now until the test ends
    assert fetch.terms.pace == 2500 << 10
    least = len(DATA) / fetch.terms.pace
    began = time.monotonic()
    download(server, tmp_path / "b")
    between = time.monotonic()
    assert between - began >= least
    fetch.upload(tmp_path / "b", server.upload(), local=False)
    assert time.monotonic() - between >= least


def test_three_times_is_enough(server: Server, tmp_path: Path) -> None:
    server.answers[:] = ["500"] * 5
    with pytest.raises(FetchError, match="500"):
        download(server, tmp_path / "b")
    assert len(server.asked) == 3


def test_nobody_there_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PAUSE", 0.01)
    blob = Blob(url="http://127.0.0.1:1/x", sha256=SHA, size=1)
    with pytest.raises(FetchError, match="refused"):
        fetch.download(blob, tmp_path / "b", local=False)


def test_an_upload_carries_its_token_and_its_digest(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    server.answers[:] = ["503", "201"]
    sent = fetch.upload(tmp_path / "a", server.upload(), local=False)
    path, headers, body = server.asked[-1]
    assert (path, body, sent.sha256) == ("/upload", DATA, SHA)
    assert headers["Authorization"] == "Bearer secret"
    assert headers["X-Pybots-Sha256"] == SHA


def test_an_upload_that_is_refused_says_why(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    server.answers[:] = ["409"]
    with pytest.raises(FetchError, match="409 said so: no: <b>reason") as error:
        fetch.upload(tmp_path / "a", server.upload(), local=False)
    assert len(server.asked) == 1 and "secret" not in str(error.value)
