"""Who may knock at the workers' port: strangers are few, quick, and seldom wrong.

Buildbot's own listener waits for ever for a login, counts nobody's attempts, and sends strangers its tracebacks. A worker
that is logged in is not our business here: a second login under its name Buildbot refuses while the first one answers.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from buildbot.worker.protocols.manager import pb as managers
from twisted.cred.error import UnauthorizedLogin
from twisted.python import log
from twisted.spread import pb

from pybots.core.limiter import Limiter
from pybots_worker.wire import Bounded

WRONG_LOGINS: Final = 60
"""So many wrong logins from one address in the window, then it waits. A machine with a credential that is void tries some
25 times; who knows nothing guesses none of 256 bits anyway."""
WINDOW_SECONDS: Final = 600.0
LOGIN_SECONDS: Final = 60.0
MOST_HERE: Final = 256
"""Connections of one address that are not logged in: a house full of workers whose master has come back."""
MOST_STRANGERS: Final = 512
STRANGERS_BYTES: Final = 16 << 10
"""What a connection may say before it is logged in; a login takes some 500 bytes."""


class Gate(pb.PBServerFactory):
    """Buildbot's listener, for strangers. `clock` as the reactor."""

    unsafeTracebacks = False
    protocol = Bounded

    def __init__(self, portal: Any, clock: Any) -> None:
        super().__init__(portal)
        self._clock = clock
        self._wrong = Limiter(WRONG_LOGINS, WINDOW_SECONDS, clock=clock.seconds)
        self._strangers: dict[Any, tuple[str, Any]] = {}
        self._here: Counter[str] = Counter()

    def buildProtocol(self, address: Any) -> Any:
        """None, which closes the connection, for one stranger too many."""
        host = str(getattr(address, "host", ""))
        if (
            self._wrong.wait(host)
            or self._here[host] >= MOST_HERE
            or len(self._strangers) >= MOST_STRANGERS
        ):
            return None
        broker = super().buildProtocol(address)
        broker.allowance = STRANGERS_BYTES
        timer = self._clock.callLater(LOGIN_SECONDS, self._late, broker)
        self._strangers[broker] = (host, timer)
        self._here[host] += 1
        broker.notifyOnDisconnect(lambda: self.known(broker))
        return broker

    def _late(self, broker: Any) -> None:
        if broker in self._strangers and broker.transport is not None:
            broker.transport.abortConnection()

    def known(self, broker: Any) -> None:
        """It is logged in, or gone: no stranger any more."""
        broker.allowance = None
        host, timer = self._strangers.pop(broker, ("", None))
        if timer is None:
            return
        if timer.active():
            timer.cancel()
        self._here[host] -= 1
        if not self._here[host]:
            del self._here[host]

    def wrong(self, broker: Any) -> None:
        """Its login was refused: it hears so, and the connection ends."""
        host = str(getattr(broker.transport.getPeer(), "host", ""))
        self._wrong.count(host)
        if self._wrong.wait(host):
            log.msg(f"too many wrong logins from {host}: it waits")
        self._clock.callLater(0, broker.transport.loseConnection)


class Gatekeeper(managers.Dispatcher):
    """Buildbot's dispatcher of logins, with a gate before it."""

    def __init__(self, config_portstr: str, portstr: str) -> None:
        from twisted.internet import reactor  # importing it installs it

        super().__init__(config_portstr, portstr)
        self.serverFactory = Gate(self.portal, reactor)

    def requestAvatarId(self, creds: Any) -> Any:
        broker = creds.broker
        asked = super().requestAvatarId(creds)
        return asked.addCallbacks(
            self._right, self._wrong, callbackArgs=(broker,), errbackArgs=(broker,)
        )

    def _right(self, name: Any, broker: Any) -> Any:
        self.serverFactory.known(broker)
        return name

    def _wrong(self, failure: Any, broker: Any) -> Any:
        if failure.check(UnauthorizedLogin):
            self.serverFactory.wrong(broker)
        return failure


def install() -> None:
    """Before Buildbot makes its manager, which asks its class for this."""
    managers.PBManager.dispatcher_class = Gatekeeper
