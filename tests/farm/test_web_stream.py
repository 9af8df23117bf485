"""Event streams of the web process as it is run: news reach readers at once, and who was away catches up."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pybots.ledger.engine import announce
from tests.farm.webyard import Web, free_port, settings, start, stop
from tests.unit.farm.builders import Book, make_farm

SOON = 10
"""Seconds; how quick it is on a quiet machine is measured by bench/streams.py."""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    root, port = tmp_path_factory.mktemp("stream") / "farm", free_port()
    settings(root, port)
    farm = make_farm(root, migrated=True)
    book = Book(farm)
    book.history(1, 5)
    made = Web(farm, book, port, start(root, port))
    made.marks["lane"] = book.lane("anchor")
    made.marks["run"] = book.run(made.marks["lane"], 5, "passed")
    yield made
    assert stop(made.process) == 0
    assert "Traceback" not in (root / "web.log").read_text()


class Stream:
    """An open stream. `told()`: the next message, as (id, data)."""

    def __init__(self, web: Web, view: str, since: int | None = None, **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=SOON)
        more = "" if since is None else f"&since={since}"
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request("GET", f"/events?view={view}{more}", headers=sent)
        self.answer = self.connection.getresponse()
        self.status = self.answer.status

    def told(self) -> tuple[int, Any]:
        number = 0
        while line := self.answer.readline().decode():
            name, _, value = line.strip().partition(": ")
            if name == "id":
                number = int(value)
            elif name == "data":
                return number, json.loads(value)
        raise AssertionError("the stream ended")

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


def event_of(web: Web) -> int:
    html = web.get("/").text
    return int(html.partition('data-event="')[2].partition('"')[0])


def verdict(web: Web, word: str) -> None:
    """What recording does to the pages: the cell changes and something is announced, in one transaction."""
    with web.farm.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE cells SET state = ?, count = 1", (word,))
        announce(connection, time.time(), "verdict", run=web.marks["run"])


def test_a_verdict_reaches_an_open_page_as_its_row(web: Web) -> None:
    stream = Stream(web, "/", event_of(web))
    assert stream.status == 200
    assert stream.answer.getheader("Content-Type") == "text/event-stream"
    assert "default-src 'none'" in (stream.answer.getheader("Content-Security-Policy") or "")
    verdict(web, "new_failure")
    number, data = stream.told()
    stream.close()
    assert number == web.farm.ledger.data_version()
    (row,) = [name for name in data["put"] if name.startswith("r-")]
    assert "s-new" in data["put"][row] and "rows" not in data


def test_a_new_commit_is_a_new_row_on_top(web: Web) -> None:
    stream = Stream(web, "%2F%3Frows%3D3", int(event_of(web)))
    web.book.commit(6, title="<script>alert(1)</script>")
    _, data = stream.told()
    stream.close()
    assert len(data["rows"]) == 3
    new = data["put"][data["rows"][0]]
    assert "&lt;script&gt;alert(1)" in new and "<script" not in new


def test_a_new_run_is_a_row_of_its_lane(web: Web) -> None:
    with web.farm.ledger.read() as connection:
        slug = connection.exec_driver_sql("SELECT slug FROM lanes").scalar()
    stream = Stream(web, f"/lane/{slug}", event_of(web))
    run = web.book.run(web.marks["lane"], 4, "infra")
    verdict(web, "passed")
    _, data = stream.told()
    stream.close()
    assert f"r-{run}" in data["rows"] and "s-infra" in data["put"][f"r-{run}"]
    assert f"r-{web.marks['run']}" in data["rows"], "what was there stays, and is not sent again"
    assert f"r-{web.marks['run']}" not in data["put"]


def test_a_growing_log_comes_line_by_line(web: Web) -> None:
    """Without any event: what a phase prints is none."""
    run = web.book.run(web.book.lane("talker"), 5, None, state="running")
    phases = [{"phase": "test", "state": "running", "started": time.time()}]
    live = web.farm.store.live(web.book.attempt(run, phases=phases), "test")
    live.parent.mkdir(parents=True, exist_ok=True)
    live.write_text("one\n")
    with web.farm.ledger.write() as connection:
        announce(connection, time.time(), "phase", run=run)
    stream = Stream(web, f"/run/{run}", event_of(web))
    with live.open("a") as file:
        file.write("\x0etwo <b>\n")
    _, data = stream.told()
    stream.close()
    live.unlink()
    assert data["rows"] == ["test-1", "test-2"]
    assert list(data["put"]) == ["test-2"]
    assert 'class="stderr"' in data["put"]["test-2"] and "two &lt;b&gt;" in data["put"]["test-2"]


def test_who_was_away_hears_what_happened_since(web: Web) -> None:
    """The browser says the last id it heard; that counts more than what the page was made with."""
    made_with = event_of(web)
    stays = Stream(web, "/", made_with)
    verdict(web, "passed")
    heard, _ = stays.told()
    verdict(web, "still_failing")
    newest, _ = stays.told()
    back = Stream(web, "/", made_with, Last_Event_ID=str(heard))
    number, data = back.told()
    assert number == newest and any("s-old" in html for html in data["put"].values())
    from_page = Stream(web, "/", made_with)
    assert from_page.told()[0] == newest
    unknown = Stream(web, "/", 0)
    assert "reload" in unknown.told()[1]
    for one in (stays, back, from_page, unknown):
        one.close()


def test_all_readers_of_a_view_share_one_rendering(web: Web) -> None:
    readers = [Stream(web, view, event_of(web)) for view in ("/", "%2F%3Fnonsense%3D1", "/")]
    before = statements(web)
    verdict(web, "flaky")
    told = [reader.told() for reader in readers]
    assert told[0] == told[1] == told[2]
    spent = statements(web) - before
    alone = statements_of_one_page(web)
    assert spent < 2 * alone, (spent, alone)
    for reader in readers:
        reader.close()


def statements(web: Web) -> float:
    text = web.get("/metrics").text
    return float(text.partition("\npybots_web_statements_total ")[2].partition("\n")[0])


def statements_of_one_page(web: Web) -> float:
    before = statements(web)
    web.get("/?rows=17")
    return statements(web) - before


def test_only_pages_have_streams(web: Web) -> None:
    for view in ("/nowhere", "/metrics", "/api/v1/lanes", "//x", "http://x/", "", "/run/1%00", "/x" * 400,
                 "/events?view=/", "/hook/github", "/project/nobody", "/%FF"):  # fmt: skip
        reply = web.get(f"/events?view={view}")
        assert reply.status in (400, 404), (view, reply.status)
    assert web.get("/events", method="HEAD").status in (400, 404)
    assert web.get("/events?view=/", method="HEAD").status == 200


def test_open_streams_are_counted_and_forgotten(web: Web) -> None:
    def streams() -> float:
        text = web.get("/metrics").text
        return float(text.partition("\npybots_web_streams ")[2].partition("\n")[0])

    stream = Stream(web, "/", event_of(web))
    wait(lambda: streams() == 1)
    stream.close()
    wait(lambda: streams() == 0)


def wait(done: Any) -> None:
    until = time.monotonic() + SOON
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)
