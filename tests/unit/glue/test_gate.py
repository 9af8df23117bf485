"""The workers' port: strangers are few, quick, and seldom wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet import defer
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.spread.banana import Banana

from pybots.glue import gate
from pybots.glue.gate import Gate
from pybots_worker import wire


class Wire(StringTransport):
    def abortConnection(self) -> None:
        self.disconnecting = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(clock: Clock) -> Gate:
    return Gate(Portal(None), clock)


def knock(door: Gate, host: str = "192.0.2.7") -> Any:
    """A connection, or None when it is not let in."""
    address = IPv4Address("TCP", host, 1)
    broker = door.buildProtocol(address)
    if broker is not None:
        broker.makeConnection(Wire(peerAddress=address))
    return broker


def test_a_stranger_that_says_nothing_is_hung_up_on(door: Gate, clock: Clock) -> None:
    silent, worker = knock(door), knock(door)
    door.known(worker)
    clock.advance(gate.LOGIN_SECONDS)
    assert silent.transport.disconnecting
    assert not worker.transport.disconnecting


def test_strangers_are_few_and_workers_don_t_count(
    door: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "MOST_HERE", 3)
    monkeypatch.setattr(gate, "MOST_STRANGERS", 5)
    crowd = [knock(door) for _ in range(3)]
    assert all(crowd) and knock(door) is None
    door.known(crowd[0])
    assert knock(door) is not None, "a worker is no stranger"
    assert [knock(door, f"192.0.2.{n}") is None for n in (8, 9, 10)] == [False, False, True]
    crowd[1].connectionLost(SimpleNamespace(value=None))
    assert knock(door) is not None, "who is gone makes room"


def test_who_is_often_wrong_waits_and_nobody_else_does(door: Gate, clock: Clock) -> None:
    for _ in range(gate.WRONG_LOGINS):
        broker = knock(door)
        door.wrong(broker)
        clock.advance(0)
        assert broker.transport.disconnecting
        door.known(broker)
    assert knock(door) is None
    assert knock(door, "192.0.2.8") is not None
    clock.advance(gate.WINDOW_SECONDS + 1)
    assert knock(door) is not None


def said(size: int) -> bytes:
    """A text of so many bytes, as the wire has it."""
    line, speaker = StringTransport(), Banana()
    speaker.makeConnection(line)
    line.clear()
    speaker.sendEncoded(b"x" * size)
    return line.value()


ENDLESS = b"\x00\x00\x10\x80"
"""The beginning of a list of 262,144 items: none of it is done with before all of it is there."""


def test_who_is_not_logged_in_says_little(door: Gate) -> None:
    """A message that never ends would make the master as large as a stranger likes."""
    stranger, worker = knock(door), knock(door)
    door.known(worker)
    for broker in (stranger, worker):
        broker.dataReceived(said(2).replace(b"xx", b"pb"))
        broker.dataReceived(ENDLESS + said(gate.STRANGERS_BYTES))
    assert stranger.transport.disconnecting and not stranger.listStack
    assert not worker.transport.disconnecting


def test_no_message_is_endless_and_any_number_of_them_is_welcome(
    door: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = knock(door)
    door.known(worker)
    monkeypatch.setattr(worker, "expressionReceived", lambda _: None)
    worker.dataReceived(said(2).replace(b"xx", b"pb"))
    for _ in range(wire.MESSAGE_BYTES // 500_000 + 2):
        whole = said(500_000)
        worker.dataReceived(whole[:-1])  # pieces end where they like
        worker.dataReceived(whole[-1:])
    assert not worker.transport.disconnecting
    worker.dataReceived(ENDLESS)
    for _ in range(wire.MESSAGE_BYTES // 500_000 + 1):
        worker.dataReceived(said(500_000))
    assert worker.transport.disconnecting


def test_who_keeps_the_master_busy_all_the_time_is_hung_up_on(
    door: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, now, spent = knock(door), [0.0], [0.0]
    door.known(worker)
    monkeypatch.setattr(
        wire, "time", SimpleNamespace(monotonic=lambda: now[0], thread_time=lambda: spent[0])
    )

    def cost(_: object) -> None:
        spent[0] += 1.0

    monkeypatch.setattr(worker, "expressionReceived", cost)
    worker.dataReceived(said(2).replace(b"xx", b"pb"))
    for _ in range(100):  # a quarter of the time
        worker.dataReceived(said(1))
        now[0] += 4.0
    assert not worker.transport.disconnecting
    for _ in range(100):
        worker.dataReceived(said(1))
        now[0] += 1.1
    assert worker.transport.disconnecting


def test_only_a_wrong_login_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails in the master itself is not the worker's doing."""
    keeper = gate.Gatekeeper.__new__(gate.Gatekeeper)
    told: list[str] = []
    keeper.serverFactory = SimpleNamespace(
        wrong=lambda broker: told.append(f"wrong {broker}"),
        known=lambda broker: told.append(f"known {broker}"),
    )
    for answer in (b"attic", UnauthorizedLogin(), OSError("no database")):
        result = defer.fail(answer) if isinstance(answer, Exception) else defer.succeed(answer)
        monkeypatch.setattr(gate.managers.Dispatcher, "requestAvatarId", lambda *_, r=result: r)
        said = keeper.requestAvatarId(SimpleNamespace(broker="b"))
        said.addErrback(lambda failure: None)
    assert told == ["known b", "wrong b"]
