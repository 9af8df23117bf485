"""The farm's own troubles (mail server, disk) and CPython's (it does not build): said clearly, and over when they are over."""

from __future__ import annotations

import email
import email.policy
import html
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from tests.hard import farm_yard
from tests.hard.farm_yard import ADMIN, LIST, MAINTAINER, Yard

from pybots import cli_up
from pybots.farm.setup import write_settings
from pybots.ledger import schema

outbox, commits = schema.outbox, schema.commits
HUGE = 1 << 50
"""More than any disk has free: the store's disk is full."""


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    port = cli_up.free_port(0)
    made = farm_yard.make(
        tmp_path_factory.mktemp("trouble"), ("anchor",),
        mail__transport="smtp", mail__smtp__port=port,
    )  # fmt: skip
    with farm_yard.running(made):
        yield made


@dataclass
class Post:
    """A mail server that takes everything but what it is told to refuse."""

    refuse: str = ""
    taken: list[Any] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.refuse:
            return self.refuse
        self.taken.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"


def serve(yard: Yard, handler: Post) -> Controller:
    server = Controller(handler, hostname="127.0.0.1", port=yard.farm.config.mail.smtp.port)
    server.start()
    return server


def queue(yard: Yard, state: str) -> list[Any]:
    return yard.rows(outbox, outbox.c.state == state)


def test_mail_waits_for_its_server_and_goes_out_once(yard: Yard) -> None:
    """SMTP down: the letter waits with the reason beside it, shown; up again: delivered, exactly once."""
    bad = yard.commit("break-anchor")
    assert yard.verdict(bad, "anchor").verdict == "new_failure"
    yard.wait(lambda: queue(yard, "queued"), "letters")  # written together, given back one by one
    yard.wait(lambda: all(row.tries for row in queue(yard, "queued")), "failed deliveries")
    letter, copy = sorted(queue(yard, "queued"), key=lambda row: row.id)
    assert "refused" in letter.error.lower()
    assert "delayed" in yard.get("/mail")
    assert letter.error in yard.last_words(), "the reason is in the log, for the admin"
    handler = Post()
    server = serve(yard, handler)
    try:
        yard.mail_is_due()
        yard.wait(lambda: len(queue(yard, "sent")) == 2, "the delivery")
        yard.mail_is_due()
        yard.restart("master")
        sha = yard.commit("docs-only")
        yard.wait(lambda: yard.rows(commits, commits.c.sha == sha), "a look at CPython")
        yard.calm()
    finally:
        server.stop()
    assert [one["Message-ID"] for one in handler.taken] == [letter.message_id, copy.message_id]
    assert (letter.recipients, copy.recipients) == ([LIST], [MAINTAINER])


def test_a_letter_refused_for_good_is_marked_and_shown(yard: Yard) -> None:
    """A 5xx answer is final: not tried again, and everybody can see it."""
    handler = Post(refuse="554 no such list here")
    server = serve(yard, handler)
    try:
        good = yard.commit("fix-anchor")
        assert yard.verdict(good, "anchor").verdict == "fixed"
        yard.wait(lambda: len(queue(yard, "rejected")) >= 2, "the refusal")
        yard.wait(lambda: not queue(yard, "queued"), "the word to the admin")
        handler.refuse = ""
        yard.mail_is_due()
        yard.calm()
    finally:
        server.stop()
    assert handler.taken == []
    refused = queue(yard, "rejected")
    assert all("554 no such list here" in letter.error for letter in refused)
    told = [letter for letter in refused if letter.topic == "rejected"]
    assert [letter.recipients for letter in told] == [[ADMIN], [ADMIN]], "one for each letter"
    assert "not delivered" in yard.get("/mail"), "what the server said is for the admin only"


@pytest.mark.parametrize(
    ("break_", "fix", "phase", "word"),
    [
        ("does-not-configure", "fix-configure", "configure", "no moon"),
        ("does-not-compile", "fix-compile", "compile", "expected"),
        ("does-not-install", "fix-install", "install", "python.man"),
    ],
)
def test_a_commit_that_does_not_build(
    yard: Yard, break_: str, fix: str, phase: str, word: str
) -> None:
    """A verdict on the commit, one letter to the list; the runs that waited for it are unknown, never red."""
    handler = Post()
    server = serve(yard, handler)
    try:
        bad = yard.commit(break_)
        run = yard.verdict(bad)
        assert (run.verdict, run.failure_kind) == ("new_failure", "interpreter")
        waiting = yard.verdict(bad, "anchor")
        assert waiting.verdict == "unknown"
        assert f"does not {'install' if phase == 'install' else 'build'}" in waiting.summary
        yard.wait(lambda: handler.taken, "the letter")
        page = yard.get(f"/run/{run.id}")
        assert word in run.summary and phase in page and word in page
        assert "does not build" in yard.get("/")
        assert word in yard.get(f"/commit/{bad}")
        good = yard.commit(fix)
        assert yard.verdict(good, "anchor").verdict == "passed"
        yard.wait(lambda: len(handler.taken) == 2, "the second letter")
    finally:
        server.stop()
    red, green = handler.taken
    assert bad[:12] in red["Subject"] and word in red.get_content()
    assert red["Message-ID"] in green["References"]
    rows = yard.rows(outbox, outbox.c.run_id == run.id)
    assert [row.recipients for row in rows] == [[LIST]]


def test_a_disk_that_fills_under_a_run_costs_it_an_attempt(yard: Yard) -> None:
    """What can't be uploaded is the farm's fault, told with its reason; the run is made again when there is room."""
    write_settings(yard.farm.folder.config, {"store.reserve_bytes": HUGE})
    yard.restart("web")  # the master hasn't noticed yet
    sha = yard.commit("good-c-change")
    (lost,) = yard.wait(
        lambda: [t for r in yard.of(sha) for t in yard.tries(r.id) if t.state == "lost"],
        "the first attempt's end",
    )
    write_settings(yard.farm.folder.config, {"store.reserve_bytes": 0})
    yard.restart("web")
    assert "507" in lost.reason and "kept free" in lost.reason
    assert yard.verdict(sha).lost in (1, 2)
    assert yard.verdict(sha, "anchor").verdict == "passed"
    page = html.unescape(yard.get(f"/run/{lost.run_id}"))
    assert "kept free" in page
    assert yard.half_written() == [] and yard.damaged() == []


def test_a_full_disk_loses_nothing_and_is_over_when_there_is_room(yard: Yard) -> None:
    """Said on the pages; nobody's project is blamed; what was recorded stays readable; work goes on afterwards."""
    before = yard.run_of(yard.world.head(), "anchor")
    kept = yard.named_blobs()
    yard.change(store__reserve_bytes=HUGE)
    sha = yard.commit("good-lib-change")
    yard.wait(lambda: yard.of(sha, "anchor"), "the commit")
    yard.wait(lambda: "kept free" in yard.get("/"), "a word on the page")
    assert all(yard.farm.store.has(blob) for blob in kept)
    assert before.summary in yard.get(f"/run/{before.id}")
    assert yard.get(f"/run/{before.id}/log/test")
    yard.change(store__reserve_bytes=0)
    assert yard.verdict(sha, "anchor").verdict == "passed"
    assert "kept free" not in yard.get("/")
    told = {row.topic for row in yard.rows(outbox) if ADMIN in row.recipients}
    assert told <= {"rejected"}, "of the letters that were refused above"
