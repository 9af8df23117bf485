"""Whoever knocks at a real master's port: with a wrong credential, with a right one twice, or with rubbish.

The test knocks from an address of its own (127.0.0.2), so that the farm's worker, who comes from another, is undisturbed."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.hard import farm_yard
from tests.hard.farm_yard import Yard
from tests.hard.knocking import ENDLESS, HERE, MUCH, item, log_in, resident

from pybots.glue import gate
from pybots.ledger import schema


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with farm_yard.running(
        farm_yard.make(tmp_path_factory.mktemp("strangers"), ("sprout",))
    ) as made:
        yield made


def worker(yard: Yard) -> Any:
    return yard.rows(schema.workers, schema.workers.c.name == "local")[0]


def credential(yard: Yard) -> str:
    return (yard.farm.folder.worker / "password").read_text().strip()


def test_a_second_login_is_refused_and_the_first_works_on(yard: Yard) -> None:
    """Though the credential is the right one: somebody copied it, or started the worker twice."""
    before = worker(yard).last_seen
    assert "duplicate" in log_in(yard, "local", credential(yard))
    sha = yard.commit("good-c-change")
    assert yard.verdict(sha, "sprout").verdict == "passed"
    assert worker(yard).connected and worker(yard).last_seen >= before


def test_rubbish_and_silence_hurt_nobody(yard: Yard) -> None:
    port = yard.farm.config.buildbot.pb_port
    with contextlib.ExitStack() as stack:
        for rubbish in (
            b"",
            b"GET / HTTP/1.0\r\n\r\n",
            b"\x80" * 70,
            b"\x7f" * 200_000,
            b"pb\x87" * 1000,
        ):
            wire = stack.enter_context(
                socket.create_connection(("127.0.0.1", port), 20, source_address=(HERE, 0))
            )
            with contextlib.suppress(OSError):
                wire.sendall(rubbish)
        sha = yard.commit("good-c-change")
        assert yard.verdict(sha, "sprout").verdict == "passed"


def test_a_message_that_never_ends_fills_nothing(yard: Yard) -> None:
    """Before any login; what is sent is as much as the sender likes."""
    before = resident(yard.processes["master"].pid)
    address = ("127.0.0.1", yard.farm.config.buildbot.pb_port)
    with socket.create_connection(address, 20, source_address=(HERE, 0)) as wire:
        wire.sendall(b"\x02\x82pb" + ENDLESS)
        with pytest.raises(OSError):  # the connection is gone
            for _ in range(MUCH // 600_000):
                wire.sendall(item(600_000))
    assert resident(yard.processes["master"].pid) - before < MUCH // 4
    sha = yard.commit("good-c-change")
    assert yard.verdict(sha, "sprout").verdict == "passed"


def test_who_guesses_is_soon_not_heard_any_more(yard: Yard) -> None:
    """Refused, without a word about the master's insides; then not even heard. The worker beside it stays connected."""
    said = [log_in(yard, "local", f"guess {n}") for n in range(gate.WRONG_LOGINS)]
    assert all(said), "none is let in"
    assert not any("Traceback" in words or "site-packages" in words for words in said)
    began = time.monotonic()
    assert log_in(yard, "local", credential(yard)), "not even with the right one"
    assert time.monotonic() - began < 15, "the connection just ends"
    sha = yard.commit("good-c-change")
    assert yard.verdict(sha, "sprout").verdict == "passed"
    assert worker(yard).connected
