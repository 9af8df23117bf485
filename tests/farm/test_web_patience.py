"""Senders that hardly say anything, and many of them: each is ended, keeps nothing, and keeps nobody else out."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.farm.webyard import Web, serving

MOST = 40
IMPATIENT = f"""\
import sys
from pybots.web import patience, serve, site
site.HEAD_SECONDS, patience.BODY_SECONDS, site.IDLE_SECONDS = 2.0, 2.0, 30
serve.most_connections = lambda: {MOST}
sys.exit(serve.main(sys.argv[1:]))
"""
"""The web process with two seconds instead of twenty and sixty, and a small door."""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with serving(tmp_path_factory.mktemp("patience") / "farm", ("-c", IMPATIENT)) as made:
        yield made


def trickle(connection: socket.socket, patience: float = 15.0) -> bool:
    """A byte every fifth of a second; whether the other side has ended it meanwhile."""
    connection.settimeout(0.2)
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            connection.sendall(b"x")
            if connection.recv(1000) == b"":
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def upload_head(web: Web, length: int) -> bytes:
    head = f"PUT /api/v1/upload/{web.marks['run']}/{web.marks['attempt']}/artifact HTTP/1.1\r\nHost: x\r\n"
    head += f"Authorization: Bearer {web.token()}\r\nX-Pybots-Sha256: {'0' * 64}\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % length


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\nX-A: ", b"POST / HTTP/1.1\r\nContent-Length: 60000\r\n\r\n"]
)
def test_a_request_that_comes_byte_by_byte_is_ended(web: Web, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=5) as connection:
        connection.sendall(said)
        assert trickle(connection)


def answered(connection: socket.socket) -> bool:
    """Ask whether it is well, on a connection that stays open, and read all of the answer."""
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status == 200 and bool(answer.read())


def test_the_head_of_a_second_request_has_a_deadline_too(web: Web) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=5) as connection:
        assert answered(connection)
        time.sleep(3)  # between requests it may rest for longer than a head may take
        assert answered(connection)
        connection.sendall(b"GET ")
        assert trickle(connection)


def test_an_upload_that_comes_byte_by_byte_is_ended_and_keeps_nothing(web: Web) -> None:
    before = web.kept()
    with socket.create_connection(("127.0.0.1", web.port), timeout=5) as connection:
        connection.sendall(upload_head(web, 4000))
        assert trickle(connection)
    assert web.kept() == before


def test_who_opens_many_connections_keeps_nobody_out(web: Web) -> None:
    """Four times as many as the process keeps: readers are answered all the while, the eldest strangers go."""
    with contextlib.ExitStack() as stack:
        strangers = []
        for number in range(4 * MOST):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=5))
            one.sendall(b"GET /" + b"a" * number)
            strangers.append(one)
            if number % MOST == MOST - 1:
                assert web.get("/healthz").status == 200
        assert len(list(Path(f"/proc/{web.process.pid}/fd").iterdir())) < 2 * MOST
        strangers[0].settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert strangers[0].recv(1) == b""


def test_a_flood_of_reports_hurts_only_its_sender(web: Web) -> None:
    """Eight senders with a good token and too much of everything; a reader beside them hardly notices."""
    run = web.book.run(web.book.lane("flooder"), 9, None, state="running")
    web.marks |= {"run": run, "attempt": web.book.attempt(run)}
    before, over, answers = web.kept(), threading.Event(), list[int]()

    def flood() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                answers.append(web.upload(b"x" * 4000, digest="0" * 64).status)
                answers.append(web.upload(iter([b"x" * 65536] * 8), digest="0" * 64).status)

    senders = [threading.Thread(target=flood) for _ in range(8)]
    for one in senders:
        one.start()
    try:
        statuses = [web.get("/legend").status for _ in range(20)]
    finally:
        over.set()
        for one in senders:
            one.join()
    assert statuses == [200] * 20
    assert set(answers) <= {413, 422, 429} and answers.count(429) > len(answers) // 2, answers
    assert web.kept() == before
