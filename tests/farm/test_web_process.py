"""The web process as it is run: real HTTP on loopback, hostile names, bad uploads, a master that never ran."""

from __future__ import annotations

import gzip
import hashlib
import hmac
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

import pytest
from sqlalchemy import select

from pybots.farm import tokens
from pybots.farm.home import Farm
from pybots.ledger import schema
from tests.unit.farm.builders import START, Book, make_farm, sha

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


def start(root: Path, port: int) -> subprocess.Popen[bytes]:
    with (root / "web.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pybots.web.serve", str(root)], stdout=log, stderr=log
        )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            assert process.poll() is None, (root / "web.log").read_text()
            time.sleep(0.05)
    raise AssertionError((root / "web.log").read_text())


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


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    root = tmp_path_factory.mktemp("web") / "farm"
    port = free_port()
    settings(root, port)
    farm = make_farm(root, migrated=True)
    book = Book(farm)
    made = Web(farm, book, port, start(root, port))
    made.marks = fill(book)
    yield made
    stop(made.process)
    farm.ledger.close()
    assert "Traceback" not in (root / "web.log").read_text()


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


def paths(web: Web) -> list[str]:
    marks = web.marks
    return [
        "/", "/?only=bad", "/?detail=1", "/waterfall", "/projects", "/project/django", "/lane/hostile.slug",
        f"/commit/{sha(9)}", f"/run/{marks['red']}", f"/run/{marks['run']}", f"/breakage/{marks['breakage']}",
        "/workers", "/mail", f"/mail/{marks['mail']}", "/legend", "/join",
        "/breakages", "/stats?days=7", "/tree", "/release/main", f"/release/main?since={sha(2)}",
        "/project/django?test=tests/test_x.py::a",
    ]  # fmt: skip


# Pages -----------------------------------------------------------------------------------------------------------


def test_every_page_answers_escaped_and_with_its_headers(web: Web) -> None:
    for path in paths(web):
        reply = web.get(path)
        assert reply.status == 200, path
        assert "<script>alert" not in reply.text, path
        policy = reply.headers["content-security-policy"]
        for part in (
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ):
            assert part in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "same-origin"
        assert "twisted" not in reply.headers["server"].lower()


def test_hostile_names_in_addresses_are_found_or_missing_never_more(web: Web) -> None:
    from urllib.parse import quote

    assert web.get(f"/worker/{quote(HOSTILE, safe='')}").status == 200
    assert web.get(f"/project/{quote(HOSTILE, safe='')}").status == 200
    for path in ("/worker/..%2f..%2fetc", "/lane/%00", "/project/%e2%80%ae", "/commit/'%20OR%201=1--", "/run/0",
                 f"/release/{quote(HOSTILE, safe='')}", f"/release/main?since={quote(HOSTILE)}", "/release/main/..%2f",
                 "/run/99999999999999999999", "/lane/9999999999999999", "/breakage/-1", f"/?at={quote(HOSTILE)}",
                 "/run/1/log/..%2f..%2f..%2fledger.sqlite", "/run/1/log/%2e%2e", "/static/..%2fserve.py"):  # fmt: skip
        reply = web.get(path)
        assert reply.status == 404, path
        assert "<script>alert" not in reply.text and "Traceback" not in reply.text


def test_an_unchanged_page_is_not_sent_twice_and_a_changed_one_is(web: Web) -> None:
    first = web.get("/projects")
    tag = first.headers["etag"]
    again = web.get("/projects", If_None_Match=f'"other", {tag}')
    assert (again.status, again.body) == (304, b"")
    web.book.lane("newcomer")
    changed = web.get("/projects", If_None_Match=tag)
    assert changed.status == 200 and "newcomer" in changed.text


def test_pages_are_compressed_for_who_can_read_it(web: Web) -> None:
    plain, packed = web.get("/legend"), web.get("/legend", Accept_Encoding="br, gzip;q=0.5")
    assert (
        packed.headers["content-encoding"] == "gzip" and packed.headers["vary"] == "Accept-Encoding"
    )
    assert gzip.decompress(packed.body) == plain.body
    assert "content-encoding" not in web.get("/legend", Accept_Encoding="gzip;q=0").headers


def test_head_answers_without_a_body_and_writing_is_refused(web: Web) -> None:
    head = web.get("/", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "NONSENSE"):
        assert web.get("/", method=method).status == 405


def test_static_files_are_immutable(web: Web) -> None:
    from pybots_status.assets import assets

    for name in assets():
        reply = web.get(f"/static/{name}")
        assert reply.status == 200 and "immutable" in reply.headers["cache-control"]


def test_raw_logs_are_plain_text_only(web: Web) -> None:
    reply = web.get(f"/run/{web.marks['red']}/log/test")
    assert reply.text == HOSTILE
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in reply.headers["content-security-policy"]


def test_a_growing_log_is_served_as_far_as_it_has_come(web: Web) -> None:
    live = web.farm.store.live(web.marks["attempt"], "source")
    live.parent.mkdir(parents=True, exist_ok=True)
    live.write_text("first\n")
    assert web.get(f"/run/{web.marks['run']}/log/source").text == "first\n"
    with live.open("a") as file:
        file.write("second\n")
    page = web.get(f"/run/{web.marks['run']}")
    assert "second" in page.text and page.headers["cache-control"] == "no-store"
    live.unlink()


def test_json_for_programs(web: Web) -> None:
    lanes = web.get("/api/v1/lanes")
    assert lanes.headers["content-type"] == "application/json"
    assert {"django", HOSTILE} <= {lane["project"] for lane in lanes.json["lanes"]}
    assert web.get(f"/api/v1/run/{web.marks['red']}").json["verdict"] == "new_failure"
    assert web.get(f"/api/v1/commit/{sha(9)[:10]}").json["sha"] == sha(9)
    missing = web.get("/api/v1/run/123456")
    assert (missing.status, missing.headers["content-type"]) == (404, "application/json")


def test_health_knows_the_master_never_ran(web: Web) -> None:
    reply = web.get("/healthz")
    assert reply.status == 200
    assert (reply.json["status"], reply.json["master"]) == ("ok", "never")
    assert "The master is down" in web.get("/").text


# Heads that are too much -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n",
        b"GET /%ff%fe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_heads_that_are_too_much_get_400_or_nothing(web: Web, head: bytes) -> None:
    heard = web.raw(head)
    assert heard == b"" or heard.startswith(b"HTTP/1.1 400")
    assert web.get("/healthz").status == 200


@pytest.mark.parametrize(
    "host", [b"", b"..", b"a" * 300, b"x y", b"[::1", b"\xff", b"evil.example:99999999"]
)
def test_odd_hosts_change_nothing(web: Web, host: bytes) -> None:
    heard = web.raw(b"GET /legend HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 200") and b"evil.example" not in heard


def test_a_body_nobody_asked_for_is_refused(web: Web) -> None:
    assert web.ask("POST", "/", body=b"x" * 100_000).status == 413


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


# Numbers ---------------------------------------------------------------------------------------------------------


def test_metrics_count_requests_by_known_addresses_only(web: Web) -> None:
    web.get("/made-up-by-a-visitor/1")
    web.get("/legend")
    reply = web.get("/metrics")
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain; version=")
    numbers = dict(line.rsplit(" ", 1) for line in reply.text.splitlines() if line[:1] != "#")
    assert float(numbers['pybots_web_requests_total{page="other",status="404"}']) >= 1
    assert float(numbers['pybots_web_requests_total{page="legend",status="200"}']) >= 1
    assert float(numbers["pybots_web_statements_total"]) > 0
    assert numbers["pybots_master_up"] == "0.0"
    assert "made-up" not in reply.text
    lanes = [float(value) for name, value in numbers.items() if name.startswith("pybots_lanes{")]
    with web.farm.ledger.read() as connection:
        known = connection.execute(select(schema.lanes).where(schema.lanes.c.branch == "main"))
        assert sum(lanes) == len(known.all()) > 0


# Life ------------------------------------------------------------------------------------------------------------


def test_without_a_ledger_it_says_so_and_comes_by_itself(tmp_path: Path) -> None:
    root, port = tmp_path / "farm", free_port()
    settings(root, port)
    process = start(root, port)
    try:
        reply = Web(None, None, port, process).get("/")  # type: ignore[arg-type]
        assert reply.status == 503 and "no ledger yet" in reply.text
        assert not (root / "ledger.sqlite").exists()
        make_farm(root, migrated=True).ledger.close()
        assert Web(None, None, port, process).get("/").status == 200  # type: ignore[arg-type]
        assert "no webhook" not in (root / "web.log").read_text()
    finally:
        assert stop(process) == 0


def test_a_schema_newer_than_it_knows_is_refused_politely(tmp_path: Path) -> None:
    root, port = tmp_path / "farm", free_port()
    settings(root, port)
    farm = make_farm(root, migrated=True)
    with farm.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'fffffffffff'")
    farm.ledger.close()
    process = start(root, port)
    try:
        web = Web(farm, Book(farm), port, process)
        for path in ("/", "/healthz", "/run/1", "/run/1/log/test", "/api/v1/lanes"):
            reply = web.get(path)
            assert (reply.status, reply.headers["retry-after"]) == (503, "30"), path
            assert str(root) not in reply.text
        assert "being upgraded" in web.get("/").text
    finally:
        assert stop(process) == 0


def test_a_wrong_setting_ends_it_with_words(tmp_path: Path) -> None:
    (tmp_path / "farm.toml").write_text("nonsense = 1\n")
    ended = subprocess.run(
        [sys.executable, "-m", "pybots.web.serve", str(tmp_path)],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert b"nonsense" in ended.stderr and b"Traceback" not in ended.stderr
