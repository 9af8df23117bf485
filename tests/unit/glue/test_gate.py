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

from pybots.glue import gate
from pybots.glue.gate import Gate


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
