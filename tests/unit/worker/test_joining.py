"""Joining and leaving, without a farm: whose folder it is, what a killed or doubled `join` leaves, what is said of a farm
that can't be reached."""

from __future__ import annotations

import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pybots.farm import authority
from pybots.farm.home import Folder
from pybots_worker import cli, farmlink, joining, settings, welcome
from pybots_worker.facts import Facts
from pybots_worker.farmlink import LinkError, Way
from pybots_worker.joining import JoinError, Wishes
from pybots_worker.plainly import Plainly
from pybots_worker.settings import WorkshopSettings
from pybots_worker.welcome import Joined, Known

CODE = welcome.read_code(f"pybots1-{'a' * 26}-0")
FACTS = Facts(
    platform="linux-x86_64", abi="debian-12-x86_64", system="Debian", cores=2, memory_bytes=1 << 32,
    compiler="gcc", provided=("git",),
)  # fmt: skip
FARM = Way(url="https://farm.example/")


def answer(**changes: Any) -> Joined:
    values = {"name": "attic", "state": "approved", "farm": "a farm", "master": ":1", "tls": True}
    return Joined(**(values | changes))


def join(root: Path) -> Joined:
    return joining.join(root, FARM, CODE, WorkshopSettings(), FACTS, Wishes())


def test_a_folder_with_other_things_is_no_workers(tmp_path: Path) -> None:
    """`leave` removes `cache` and `venv` from the worker's folder: they must be ours."""
    for name in ("thesis.tex", "venv", "cache"):
        (tmp_path / name).mkdir()
    with pytest.raises(JoinError, match="has other things in it"):
        joining.prepare(tmp_path, FARM.url, CODE)
    with pytest.raises(JoinError, match="there is no worker in"):
        joining.leave(tmp_path, print)
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.tex", "venv", "cache"}


def test_leaving_takes_what_a_killed_join_left_half_written(tmp_path: Path) -> None:
    root = tmp_path / "worker"
    settings.change(root, {"name": "attic"})
    for name in (".joining-x1", ".worker-y2"):
        (root / name).write_text("a credential")
    joining.leave(root, print)
    assert not root.exists()


def test_of_two_joins_at_once_one_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one code they would send two credentials, and the second be refused for good."""
    refused: list[str] = []

    def meanwhile(*_: Any) -> Joined:
        with pytest.raises(JoinError) as second:
            join(tmp_path)
        refused.append(str(second.value))
        return answer()

    monkeypatch.setattr(farmlink, "join", meanwhile)
    assert join(tmp_path).name == "attic"
    assert refused and "is under way" in refused[0]
    assert {path.name for path in tmp_path.iterdir()} == {settings.FILE, joining.UNDER_WAY}


def test_the_same_command_again_sends_the_same_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped with Ctrl-C, the volunteer pastes it again: the farm gives a used code's own worker the same answer."""
    sent: list[str] = []
    monkeypatch.setattr(
        farmlink, "join", lambda _, asked: sent.append(asked.credential) or answer()
    )
    for _ in range(2):
        join(tmp_path)
    assert sent[0] == sent[1] == settings.load(tmp_path).credential
    other = welcome.read_code(f"pybots1-{'b' * 26}-0")
    joining.join(tmp_path, FARM, other, WorkshopSettings(), FACTS, Wishes())
    assert sent[2] != sent[0]


@pytest.mark.parametrize("command", ["run", "pause", "resume"])
def test_where_no_worker_is_there_is_nothing_to_do(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "nowhere"
    assert cli.main([command, "--root", str(root)]) == 1
    assert "`pybots-worker join` makes one" in capsys.readouterr().err
    assert not root.exists()


def test_what_a_farm_says_moves_no_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = "\x1b]0;owned\x07\u202eyes"
    said = {Joined: answer(farm=odd, words=odd), Known: Known(name="a", state="revoked", clock=0.0, reason=odd)}  # fmt: skip
    monkeypatch.setattr(farmlink, "_post", lambda *words: said[words[-1]])
    # What is sent is not looked at: None stands for it.
    joined: Any = farmlink.join(FARM, None)  # type: ignore[arg-type]
    known: Any = farmlink.hello(FARM, "", None)  # type: ignore[arg-type]
    for words in (joined.farm, joined.words, known.reason):
        assert words.isprintable() and words.endswith("yes")


def test_a_log_of_others_words_keeps_its_lines(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        stream = Plainly(file)
        stream.write("refused: `\x1b[2J`\r\n\tas it was\n")
        stream.flush()
    assert (tmp_path / "log").read_text() == "refused: ` [2J` \n\tas it was\n"


class Pages(http.server.BaseHTTPRequestHandler):
    pem = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.pem)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def farm_of(folder: Folder, born: float) -> Iterator[tuple[str, welcome.Code]]:
    """A farm's pages with certificates made at this time; their address, and a code that pins them."""
    authority.establish(folder, ["localhost"], born)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    key, certificate = authority.listener(folder)
    context.load_cert_chain(certificate, key)
    pages = type("Made", (Pages,), {"pem": authority.certificate(folder)})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), pages)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        code = welcome.code_of(b"0123456789abcdef", authority.der(folder))
        yield f"https://localhost:{server.server_port}/", code
    finally:
        server.shutdown()
        server.server_close()


def test_a_wrong_clock_is_named(tmp_path: Path) -> None:
    """A board without a clock of its own begins at its last shutdown, or in 1970: no certificate is good there."""
    folder = Folder(tmp_path)
    folder.secrets.mkdir(mode=0o700)
    with (
        farm_of(folder, time.time() + 30 * 86_400) as (url, code),
        pytest.raises(LinkError, match=r"not valid yet\. Is the clock here right"),
    ):
        farmlink.find(url, code)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9/", "nothing listens there"),
        ("http://localhost.invalid/", "no machine of this name"),
    ],
)
def test_a_farm_that_is_not_there_is_said_so_in_words(url: str, words: str) -> None:
    with pytest.raises(LinkError, match=words):
        farmlink.find(url, CODE)


def test_a_farm_without_tls_is_asked_for_it_in_vain() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with pytest.raises(LinkError, match="no TLS is spoken there"):
            farmlink.find(f"https://127.0.0.1:{server.server_port}/", CODE)
    finally:
        server.shutdown()
        server.server_close()
