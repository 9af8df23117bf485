"""The signed link in a personal mail, over real HTTP: GET asks, POST acts, and nothing else does anything."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from pybots.farm import answering, answers
from pybots.farm.home import open_farm
from pybots.ledger import schema
from tests.farm.webyard import HOSTILE, Reply, Web, free_port, start, stop
from tests.unit.farm.builders import Book, make_farm

ADA = "ada@example.org"
PROJECT = f"""
title = "Anchor"
notify_personal = ["{ADA}"]
tracker = "https://tracker.example.org/"
[source.release]
index = "anchor"
[test]
runner = "pytest"
"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    root = tmp_path_factory.mktemp("web") / "farm"
    (root / "projects").mkdir(parents=True)
    (root / "projects" / "anchor.toml").write_text(PROJECT)
    port = free_port()
    (root / "farm.toml").write_text(
        f'[web]\nport = {port}\n[store]\nreserve_bytes = 0\n[gardeners]\nrota = ["Grace Hopper", "Ada"]\n'
    )
    farm = make_farm(root, migrated=True)
    book = Book(farm)
    book.history(1, 9)
    lane = book.lane("anchor")
    book.run(lane, 4)
    run = book.run(lane, 5, "new_failure")
    number = book.breakage(run, {lane: ["t.py::a"]}, title=HOSTILE, evidence=f"x\n{HOSTILE}")
    other = book.breakage(run, {lane: ["t.py::b"]}, title="Other", signature="o" * 64)
    opened = replace(open_farm(root), ledger=farm.ledger, store=farm.store)
    made = Web(opened, book, port, start(root, port), {"breakage": number, "other": other})
    yield made
    stop(made.process)
    farm.ledger.close()
    assert "Traceback" not in (root / "web.log").read_text()


def token(web: Web, breakage: str = "breakage", person: str = ADA) -> str:
    return answering.token(web.farm, web.marks[breakage], person, time.time())


def post(web: Web, **fields: str) -> Reply:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return web.ask("POST", "/answer", body=urlencode(fields), headers=headers)


def state(web: Web, breakage: str = "breakage") -> Any:
    return answers.get(web.farm, web.marks[breakage])


def test_asking_shows_a_form_and_changes_nothing(web: Web) -> None:
    before = state(web, "other")
    for _ in range(3):  # programs look at links in mail
        reply = web.get(f"/answer?t={token(web, 'other')}")
        assert reply.status == 200
    assert '<form method="post" action="/answer"' in reply.text
    assert ADA in reply.text and "Other" in reply.text
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert state(web, "other") == before


def test_sending_it_answers(web: Web) -> None:
    reply = post(
        web, t=token(web), disposition="python", person=HOSTILE, days="30", note=f"no\n{HOSTILE}",
        issue="https://github.com/python/cpython/issues/1",
    )  # fmt: skip
    assert reply.status == 200 and "Taken." in reply.text
    assert "<script>alert" not in reply.text
    said = state(web)
    assert (said.disposition, said.person, said.decided_by) == ("python", HOSTILE, ADA)
    assert said.expires is not None and 29 < (said.expires - time.time()) / 86_400 < 31
    page = web.get(f"/breakage/{web.marks['breakage']}").text
    assert "CPython&#39;s bug" in page and "issues/1" in page
    assert "<script>alert" not in page and ADA not in page, "the address is nobody's business"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"disposition": "nonsense"}, 422),
        ({"disposition": ""}, 422),
        ({"issue": "javascript:alert(1)"}, 422),
        ({"days": "x"}, 422),
        ({"days": "99999"}, 422),
        ({"t": ""}, 404),
        ({"t": "1-2-3-4"}, 404),
    ],
)
def test_what_does_not_fit_is_said_and_changes_nothing(
    web: Web, changes: dict[str, str], status: int
) -> None:
    before = state(web, "other")
    reply = post(web, **{"t": token(web, "other"), "disposition": "python", "days": "9", **changes})
    assert reply.status == status
    assert state(web, "other") == before


def test_a_link_for_one_breakage_opens_no_other(web: Web) -> None:
    mine = token(web)
    stolen = f"{web.marks['other']}-{mine.partition('-')[2]}"
    assert web.get(f"/answer?t={stolen}").status == 404
    assert post(web, t=stolen, disposition="python", days="9").status == 404
    assert web.get(f"/answer?t={token(web, person='eve@example.org')}").status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_do_nothing(web: Web, method: str) -> None:
    assert web.ask(method, f"/answer?t={token(web)}").status == 405


def test_a_body_that_is_no_small_form_is_refused(web: Web) -> None:
    for headers, body in (
        ({"Content-Type": "application/json"}, b"{}"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=b&" * 10_000),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"\xff\xfe=\x00"),
    ):
        assert web.ask("POST", "/answer", body=body, headers=headers).status in (400, 413, 415)


def test_the_token_is_not_in_the_log(web: Web) -> None:
    secret = token(web)
    web.get(f"/answer?t={secret}")
    assert secret not in (web.farm.folder.root / "web.log").read_text()


def test_the_header_shows_the_gardener_and_the_page_an_issue_text(web: Web) -> None:
    assert "Gardener" in web.get("/").text
    page = web.get(f"/breakage/{web.marks['breakage']}").text
    assert 'id="issue"' in page and "https://tracker.example.org/" in page
    assert "Found by Pybots" in html.unescape(page)


def test_the_answers_are_events(web: Web) -> None:
    with web.farm.ledger.read() as connection:
        rows = connection.execute(schema.events.select()).all()
    assert any(row.topic == "breakage" and row.data.get("disposition") == "python" for row in rows)
