"""What the farm's service makes of Buildbot's news of workers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet import defer

from pybots.glue.service import FarmService

WORKER = "attic"


class Desk:
    """A desk whose threads are as slow as the test wants: each call ends when the test says so."""

    def __init__(self) -> None:
        self.farm = object()
        self.calls: list[tuple[bool, Any]] = []

    def call(self, _function: Any, _farm: Any, _name: str, *, connected: bool) -> Any:
        self.calls.append((connected, defer.Deferred()))
        return self.calls[-1][1]

    def asked(self) -> list[bool]:
        return [connected for connected, _ended in self.calls]


def service(desk: Desk) -> Any:
    made: Any = FarmService(object(), ())
    made.desk = desk
    made._seeing = defer.DeferredLock()
    made.gone = []
    made.dispatcher = SimpleNamespace(gone=made.gone.append, wake=lambda: None)
    return made


def tell(farm: Any, *states: str) -> None:
    for state in states:
        farm._worker_changed(("workers", WORKER, state), {})


def test_news_of_a_worker_are_written_one_after_the_other() -> None:
    desk = Desk()
    farm = service(desk)
    tell(farm, "connected", "disconnected", "connected")
    assert desk.asked() == [True], "the second is not begun before the first is written"
    for expected in ([True, False], [True, False, True]):
        desk.calls[-1][1].callback(None)
        assert desk.asked() == expected
    assert farm.gone == [WORKER], "what ran there is given up at once, not in its turn"


def test_news_that_cannot_be_written_do_not_hold_up_the_next() -> None:
    desk = Desk()
    farm = service(desk)
    told = farm._worker_changed(("workers", WORKER, "connected"), {})
    told.addErrback(lambda _failure: None)
    tell(farm, "disconnected")
    desk.calls[0][1].errback(OSError("the disk is full"))
    assert desk.asked() == [True, False]
