"""Logging in to a real master as a worker would, from an address of the test's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from tests.hard.farm_yard import Yard
from tests.hard.hostile_master import run_reactor
from twisted.cred.credentials import UsernamePassword
from twisted.internet import defer, reactor, task, threads
from twisted.spread import pb

HERE: Final = "127.0.0.2"
"""On loopback too, but not where the farm's worker comes from."""
PATIENCE: Final = 20


class Mind(pb.Referenceable):
    """What a worker shows a master; it says as little as it can."""

    def remote_print(self, message: object) -> None:
        pass

    def remote_getWorkerInfo(self) -> dict[str, object]:
        return {"worker_commands": {}}

    def remote_setBuilderList(self, _wanted: object) -> dict[str, object]:
        return {}


ENDLESS: Final = b"\x00\x00\x10\x80"
"""The beginning of a list of 262,144 items, as a perspective broker reads it."""
MUCH: Final = 64 << 20


def item(size: int) -> bytes:
    """One item of such a list: a text of so many bytes, less than 2,097,152."""
    return bytes((size & 127, size >> 7 & 127, size >> 14, 0x82)) + b"x" * size


def resident(pid: int) -> int:
    """What a process holds in memory, bytes."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


class Slot(pb.Referenceable):
    """Takes an order, and is gone before it is done."""

    def __init__(self, taken: Any) -> None:
        self._taken = taken

    def remote_startBuild(self) -> None:
        pass

    def remote_startCommand(self, *_: object) -> None:
        if not self._taken.called:
            self._taken.callback(None)


class Taker(Mind):
    """A worker with slots."""

    def __init__(self, taken: Any) -> None:
        self._taken = taken

    def remote_getWorkerInfo(self) -> dict[str, object]:
        return {"worker_commands": {"pybots": "1"}, "system": "posix", "numcpus": 1}

    def remote_setBuilderList(self, wanted: Any) -> dict[str, object]:
        return {name: Slot(self._taken) for name, _folder in wanted}


def take_and_go(yard: Yard, name: str, password: str) -> None:
    """Log in, take the first order that comes, and hang up. Raises when none comes in time."""
    run_reactor()

    def attempt() -> Any:
        taken, factory = defer.Deferred(), pb.PBClientFactory()
        port = yard.farm.config.buildbot.pb_port
        connector = reactor.connectTCP("127.0.0.1", port, factory, bindAddress=(HERE, 0))

        def refused(failure: Any) -> None:
            if not taken.called:
                taken.errback(RuntimeError(failure.getErrorMessage() or "refused"))

        kept: list[Any] = []  # what the master gave; who forgets it has logged out
        asked = factory.login(UsernamePassword(name.encode(), password.encode()), Taker(taken))
        asked.addCallbacks(kept.append, refused)
        taken.addTimeout(4 * PATIENCE, reactor)

        def over(result: Any) -> Any:
            kept.clear()
            connector.disconnect()
            return result

        return taken.addBoth(over)

    threads.blockingCallFromThread(reactor, attempt)


def log_in(yard: Yard, name: str, password: str, stay: float = 0.0) -> str:
    """How a login ended: "" when it was granted (it is then kept for `stay` seconds), else what was said."""
    run_reactor()

    def attempt() -> Any:
        factory = pb.PBClientFactory()
        port = yard.farm.config.buildbot.pb_port
        connector = reactor.connectTCP("127.0.0.1", port, factory, bindAddress=(HERE, 0))
        asked = factory.login(UsernamePassword(name.encode(), password.encode()), Mind())
        asked.addTimeout(PATIENCE, reactor)
        asked.addCallback(lambda _: task.deferLater(reactor, stay, lambda: ""))
        asked.addErrback(lambda failure: failure.getErrorMessage() or "refused")

        def over(said: str) -> str:
            connector.disconnect()
            return said

        return asked.addCallback(over)

    return str(threads.blockingCallFromThread(reactor, lambda: defer.maybeDeferred(attempt)))
