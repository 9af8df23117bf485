"""The JSON API keeps its own description: fuzzed by it, over HTTP, on a farm with some history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import defusedxml.ElementTree
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from sqlalchemy import update

from pybots.core import tree
from pybots.farm import tree as words
from pybots.ledger import schema
from pybots.ledger.engine import announce
from pybots.web.endpoints import ENDPOINTS
from tests.farm.webyard import Web, free_port, start, stop
from tests.farm.webyard import settings as write_settings
from tests.unit.farm.builders import START, Book, make_farm, sha

PATIENCE = 60
ATOM = "{http://www.w3.org/2005/Atom}"
FUZZ = settings(
    max_examples=12, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    root, port = tmp_path_factory.mktemp("api") / "farm", free_port()
    write_settings(root, port)
    farm = make_farm(root, migrated=True)
    book = Book(farm)
    book.history(1, 6)
    lane = book.lane("anchor")
    first = book.run(lane, 4, "passed", counts={"passed": 3}, phase_seconds={"test": 1.5})
    run = book.run(lane, 5, "new_failure", count=1, failure_kind="test", summary="<b>red</b>")
    book.run(book.lane("fern", flavour="debug"), 6, None, state="wanted")
    book.build(6, "passed")
    book.attempt(run)
    book.worker()
    for number in range(3):
        book.breakage(run, {lane: [1]}, state="open" if number else "fixed")  # type: ignore[list-item]
    words.put(farm, tree.Word(state="throttled", text="a new disk", by="Ada"))
    made = Web(farm, book, port, start(root, port), {"lane": lane, "run": run, "first": first})
    yield made
    assert stop(made.process) == 0
    assert "Traceback" not in (root / "web.log").read_text()


def addresses(web: Web) -> dict[str, str]:
    """Of every endpoint one address that is there."""
    run = web.marks["run"]
    return {
        "lanes": "lanes?branch=main",
        "projects": "projects",
        "lane": "lane/anchor.release.main.release.linux-x86_64",
        "commit": f"commit/{sha(5)[:9]}",
        "run": f"run/{run}",
        "changes": f"run/{run}/changes?from={web.marks['first']}",
        "breakages": "breakages?state=open&branch=main&before=9",
        "breakage": "breakage/1",
        "workers": "workers",
        "tree": "tree",
    }


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.name)
def test_every_endpoint_answers_in_its_shape(web: Web, endpoint: Any) -> None:
    """No key too many, none missing; validated for reading again, and compressed for who wants it."""
    path = f"/api/v1/{addresses(web)[endpoint.name]}"
    reply = web.get(path)
    assert reply.status == 200, reply.text
    answer = msgspec.json.decode(reply.body, type=endpoint.shape)
    assert answer.version == 1
    assert set(reply.json) == set(endpoint.shape.__struct_fields__)
    assert web.get(path, If_None_Match=reply.headers["etag"]).status == 304
    assert reply.headers["cache-control"] == "no-cache"
    assert len(reply.body) < 600 or web.get(path, Accept_Encoding="gzip").body[:2] == b"\x1f\x8b"


def test_the_api_tells_what_the_farm_knows(web: Web) -> None:
    def ask(name: str) -> Any:
        return web.get(f"/api/v1/{addresses(web)[name]}").json

    assert [one["id"] for one in ask("breakages")["breakages"]] == [3, 2]
    assert ask("breakage")["lanes"][0]["run"] == web.marks["run"]
    assert ask("workers")["workers"][0]["name"] == "attic"
    assert "bob@example.org" not in json.dumps(ask("workers"))
    assert ask("tree")["words"][0]["text"] == "a new disk"
    assert ask("run")["summary"] == "<b>red</b>"
    assert {one["name"]: one["verdicts"] for one in ask("projects")["projects"]}["anchor"] == {
        "new_failure": 1
    }


FEEDS = ("project/anchor", "platform/linux-x86_64", "breakage/1", "tree/farm")


@pytest.mark.parametrize("feed", FEEDS)
def test_feeds_are_atom_with_ids_that_stay(web: Web, feed: str) -> None:
    reply = web.get(f"/feed/{feed}.atom")
    assert (reply.status, reply.headers["content-type"]) == (
        200,
        "application/atom+xml; charset=utf-8",
    )
    root = defusedxml.ElementTree.fromstring(reply.body)
    entries = root.findall(f"{ATOM}entry")
    assert entries and root.findtext(f"{ATOM}id") == f"http://127.0.0.1:{web.port}/feed/{feed}.atom"
    ids = [entry.findtext(f"{ATOM}id") for entry in entries]
    assert len(set(ids)) == len(ids)
    times = [entry.findtext(f"{ATOM}updated") for entry in entries]
    assert times == sorted(times, reverse=True) and root.findtext(f"{ATOM}updated") == times[0]
    for entry in entries:
        page = entry.find(f"{ATOM}link").attrib["href"].partition(str(web.port))[2]
        assert web.get(page).status == 200
    assert web.get(f"/feed/{feed}.atom", If_None_Match=reply.headers["etag"]).status == 304


def test_a_feed_tells_what_broke_and_what_passes_again(web: Web) -> None:
    with web.farm.ledger.write() as connection:
        connection.execute(
            update(schema.breakages)
            .where(schema.breakages.c.id == 1)
            .values(fixed=START + 5, title="<b>&\x1b[31m red \x00")
        )
        announce(connection, START, "test")
    text = web.get("/feed/project/anchor.atom").text
    assert "Passes again: &lt;b&gt;&amp;" in text and "\x1b" not in text and "\x00" not in text
    for path in ("project/nobody", "platform/none", "breakage/99", "breakage/x", "tree/x", "x/y"):
        assert web.get(f"/feed/{path}.atom").status == 404, path


def test_a_badge_says_in_words_what_its_colour_says(web: Web) -> None:
    reply = web.get("/badge/anchor.svg")
    assert (reply.status, reply.headers["content-type"]) == (200, "image/svg+xml; charset=utf-8")
    assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
    root = defusedxml.ElementTree.fromstring(reply.body)
    assert root.attrib["aria-label"] == "CPython main: 1 of 1 lanes fail"
    assert root.findtext("{http://www.w3.org/2000/svg}title") == root.attrib["aria-label"]
    assert "unknown" in web.get("/badge/fern.svg").text, "what has no verdict is not green"
    assert web.get("/badge/nobody.svg").status == 404


@pytest.mark.parametrize(
    "path",
    ["lanes?branch=", "lanes?branch=main&branch=main", "lanes?brunch=main", "run/1x", "run/-1", "run/99999999999999999",
     "breakages?state=broken", "breakages?before=one", "commit/12345", "commit/nothexatall", "lane/%00", "lanes?%FF"],
)  # fmt: skip
def test_nonsense_is_refused_with_words(web: Web, path: str) -> None:
    reply = web.get(f"/api/v1/{path}")
    assert reply.status == 400 and reply.json.keys() == {"error"} and reply.json["error"]


def test_what_is_not_there_is_404(web: Web) -> None:
    for path in (
        "run/999",
        "lane/nothing",
        f"commit/{'a' * 40}",
        "breakage/99",
        "nothing",
        "lanes?branch=3.99",
    ):
        reply = web.get(f"/api/v1/{path}")
        assert (reply.status, reply.headers["content-type"]) == (404, "application/json"), path


def test_the_description_survives_a_fuzzer(web: Web) -> None:
    """schemathesis asks for everything the description allows, and for what it forbids."""
    found = web.get("/api/v1/openapi.json")
    assert found.status == 200 and {one.documented for one in ENDPOINTS} == set(found.json["paths"])
    schema = schemathesis.openapi.from_dict(found.json)
    base = f"http://127.0.0.1:{web.port}"
    asked: set[str] = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        asked.add(operation.path)
        _fuzz(operation, schemathesis.GenerationMode.POSITIVE, base)
        if operation.definition.raw["parameters"]:  # else there is nothing to get wrong
            _fuzz(operation, schemathesis.GenerationMode.NEGATIVE, base)
    assert asked == set(found.json["paths"])


def _fuzz(operation: Any, mode: Any, base: str) -> None:
    strategy = operation.as_strategy(generation_mode=mode)

    @FUZZ
    @given(case=strategy)
    def ask(case: Any) -> None:
        case.call_and_validate(base_url=base, timeout=PATIENCE)

    ask()
