"""The web process as it is run: real HTTP on loopback, hostile names, a master that never ran."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from pybots.core.logmarks import STDERR
from pybots.ledger import schema
from tests.farm.webyard import HOSTILE, Web, free_port, settings, start, stop
from tests.unit.farm.builders import Book, make_farm, sha


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


def test_a_stored_log_is_text_without_marks_and_sent_once(web: Web) -> None:
    """What tells standard error apart is for the page; whoever has the log already does not get it again."""
    run = web.book.run(web.book.lane("loud"), 8, "new_failure")
    text = "out\n" + "".join(f"{STDERR}warning {number}\n" for number in range(50_000)) + "end\n"
    web.book.log(web.book.attempt(run, state="recorded"), "test", text)
    reply = web.get(f"/run/{run}/log/test")
    assert reply.text == text.replace(STDERR, "")
    assert reply.headers["cache-control"] == "no-cache"
    again = web.get(f"/run/{run}/log/test", If_None_Match=reply.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert web.get(f"/run/{run}/log/test", If_None_Match='"other"').status == 200
    settled = web.get(f"/run/{run}/log/test?attempt=1")
    assert settled.body == reply.body and "immutable" in settled.headers["cache-control"]
    page = web.get(f"/run/{run}?phase=test&from=49000").text
    assert 'class="stderr" id="test-49001"' in page and "\x0e" not in page


def test_a_report_is_sent_once(web: Web) -> None:
    blob = web.farm.store.put(b'{"version": 1}').sha256
    run = web.book.run(web.book.lane("told"), 8, report=blob)
    reply = web.get(f"/run/{run}/report")
    assert (reply.status, reply.json) == (200, {"version": 1})
    assert web.get(f"/run/{run}/report", If_None_Match=reply.headers["etag"]).status == 304


def test_a_growing_log_is_served_as_far_as_it_has_come(web: Web) -> None:
    live = web.farm.store.live(web.marks["attempt"], "source")
    live.parent.mkdir(parents=True, exist_ok=True)
    live.write_text("first\n")
    reply = web.get(f"/run/{web.marks['run']}/log/source")
    assert reply.text == "first\n"
    assert (reply.headers["cache-control"], "etag" in reply.headers) == ("no-store", False)
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
