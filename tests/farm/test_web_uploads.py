"""What may be sent to the web process: blobs of running attempts with their tokens, and the forge's webhook."""

from __future__ import annotations

import hashlib
import hmac
import socket
import time
from typing import Any

import pytest
from sqlalchemy import select

from pybots.ledger import schema
from tests.farm.webyard import ARTIFACT_MAX, SECRET, Web

# Uploads ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(web: Web) -> Web:
    """A new running attempt: its count of uploads begins at 0."""
    run = web.book.run(web.book.lane(f"fresh{time.monotonic_ns()}"), 9, None, state="running")
    web.marks |= {"run": run, "attempt": web.book.attempt(run)}
    return web


def test_an_upload_becomes_a_blob(fresh: Web) -> None:
    data = b"an interpreter" * 20
    reply = fresh.upload(data)
    assert reply.status == 201
    assert reply.json == {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    assert fresh.farm.store.read(reply.json["sha256"]) == data
    assert fresh.upload(data).status == 201  # the answer may have been lost


def test_a_chunked_upload_becomes_a_blob(fresh: Web) -> None:
    data = [b"a" * 1000, b"b" * 1000]
    reply = fresh.upload(iter(data), digest=hashlib.sha256(b"".join(data)).hexdigest())
    assert reply.status == 201 and reply.json["size"] == 2000


def refuses(web: Web, status: int, body: Any, **changes: Any) -> None:
    before = web.kept()
    reply = web.upload(body, **changes)
    assert reply.status == status, reply.body
    assert reply.json["error"]
    assert web.kept() == before


def test_too_much_is_refused_before_it_is_sent(fresh: Web) -> None:
    refuses(fresh, 413, b"x" * (ARTIFACT_MAX + 1))
    head = f"PUT /api/v1/upload/{fresh.marks['run']}/{fresh.marks['attempt']}/artifact HTTP/1.1\r\nHost: x\r\n"
    head += f"Authorization: Bearer {fresh.token()}\r\nX-Pybots-Sha256: {'0' * 64}\r\nExpect: 100-continue\r\n"
    with socket.create_connection(("127.0.0.1", fresh.port), timeout=5) as connection:
        connection.sendall(head.encode() + b"Content-Length: 999999999999\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_is_stopped_at_its_cap(fresh: Web) -> None:
    refuses(fresh, 413, iter([b"x" * 1000] * 10), digest="0" * 64)


def test_a_wrong_digest_keeps_nothing(fresh: Web) -> None:
    refuses(fresh, 422, b"something else", digest="0" * 64)
    refuses(fresh, 400, b"x", digest="../../../etc/passwd")


def test_half_an_upload_keeps_nothing(fresh: Web) -> None:
    before = fresh.kept()
    head = f"PUT /api/v1/upload/{fresh.marks['run']}/{fresh.marks['attempt']}/artifact HTTP/1.1\r\nHost: x\r\n"
    head += f"Authorization: Bearer {fresh.token()}\r\nX-Pybots-Sha256: {'0' * 64}\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", fresh.port), timeout=5) as connection:
        connection.sendall(head.encode() + b"x" * 500)
        wait_for(lambda: fresh.kept() != before)
    wait_for(lambda: fresh.kept() == before)


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_tokens_open_one_door_only(fresh: Web) -> None:
    refuses(fresh, 401, b"x", token="")
    refuses(fresh, 403, b"x", token="1.2.3.artifact.4.5.forged")
    refuses(fresh, 401, b"x", token="\xfc.\xfc")
    refuses(fresh, 403, b"x", token=fresh.token(expires=time.time() - 1))
    refuses(fresh, 403, b"x", token=fresh.token("report"))
    refuses(fresh, 403, b"x", token=fresh.token(attempt=fresh.marks["attempt"] + 1))
    refuses(fresh, 403, b"x", attempt=fresh.marks["attempt"] + 1)
    refuses(fresh, 404, b"x", kind="..%2fartifact", token=fresh.token())
    refuses(fresh, 404, b"x", kind="read", token=fresh.token("read"))


def test_an_attempt_that_has_ended_uploads_nothing(fresh: Web) -> None:
    run = fresh.book.run(fresh.book.lane("ended"), 9, None, state="running")
    attempt = fresh.book.attempt(run, state="lost")
    token = fresh.token(run=run, attempt=attempt)
    fresh.marks |= {"run": run, "attempt": attempt}
    refuses(fresh, 409, b"x", token=token)


def test_an_attempt_begins_a_bounded_number_of_uploads(fresh: Web) -> None:
    answers = [fresh.upload(b"%d" % number).status for number in range(10)]
    assert answers == [201] * 8 + [429] * 2


# Downloads -------------------------------------------------------------------------------------------------------


def test_a_job_reads_the_blobs_it_names_and_no_others(fresh: Web) -> None:
    named, other = fresh.farm.store.put(b"archive"), fresh.farm.store.put(b"another's")
    revision = {
        "kind": "sdist",
        "name": "x",
        "version": "1",
        "blob": {"url": "https://x/", "sha256": named.sha256, "size": 7},
    }
    run = fresh.book.run(
        fresh.book.lane(f"reads{time.monotonic_ns()}"), 9, None, state="running", revision=revision
    )
    attempt = fresh.book.attempt(run)
    token = fresh.token("read", run=run, attempt=attempt)
    reply = fresh.get(f"/api/v1/blob/{named.sha256}?token={token}")
    assert (reply.status, reply.body) == (200, b"archive")
    assert reply.headers["content-length"] == "7"
    assert fresh.get(f"/api/v1/blob/{named.sha256}", Authorization=f"Bearer {token}").status == 200
    assert fresh.get(f"/api/v1/blob/{other.sha256}?token={token}").status == 403
    assert fresh.get(f"/api/v1/blob/{named.sha256}").status == 401
    assert fresh.get(f"/api/v1/blob/{named.sha256}?token={fresh.token()}").status == 403
    for trick in (
        "..%2f..%2fledger.sqlite",
        "../../ledger.sqlite",
        named.sha256.upper(),
        "%2e%2e",
        "0" * 63,
    ):
        assert fresh.get(f"/api/v1/blob/{trick}?token={token}").status in (403, 404)
    assert token.encode() not in (fresh.farm.folder.root / "web.log").read_bytes()


# The webhook -----------------------------------------------------------------------------------------------------


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    made = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "X-Hub-Signature-256": f"sha256={made}",
        "X-GitHub-Event": "push",
        "Content-Type": "application/json",
    }


def wakes(web: Web) -> list[Any]:
    with web.farm.ledger.read() as connection:
        return list(
            connection.execute(select(schema.events).where(schema.events.c.topic == "wake"))
        )


def test_a_signed_delivery_wakes_and_an_unsigned_one_does_not(web: Web) -> None:
    body = b'{"ref": "refs/heads/main"}'
    assert web.ask("POST", "/hook/github", body=body).status == 401
    assert web.ask("POST", "/hook/github", body=body, headers=signed(body, "wrong")).status == 403
    assert web.ask("POST", "/hook/github", body=body + b" ", headers=signed(body)).status == 403
    sha1 = {"X-Hub-Signature": "sha1=" + "0" * 40}
    assert web.ask("POST", "/hook/github", body=body, headers=sha1).status == 401
    assert web.ask("GET", "/hook/github").status == 405
    assert not wakes(web)
    assert web.ask("POST", "/hook/github", body=body, headers=signed(body)).status == 202
    assert [row.data["event"] for row in wakes(web)] == ["push"]
