"""The farm inside the master: one Buildbot service that owns dispatcher, mirror, postman, watch and sign of life."""

from __future__ import annotations

import os
from typing import Any, Final, cast

import buildbot
from buildbot.util.service import BuildbotService
from twisted.internet import defer
from twisted.python import log

from pybots.farm import days, health, news, workers
from pybots.farm.home import Farm
from pybots.farm.news import Event
from pybots.farm.workers import Enrolled
from pybots.glue.desk import Desk
from pybots.glue.dispatcher import Dispatcher
from pybots.glue.janitor import Janitor
from pybots.glue.loops import Loop
from pybots.glue.mirror import Mirror
from pybots.glue.postman import Postman
from pybots.glue.topics import SLOTS, WORKERS
from pybots.glue.watch import Watch

NAME: Final = "pybots"
BEAT_SECONDS: Final = 5.0
CARE_SECONDS: Final = 60.0
DAYS_SECONDS: Final = 3600.0
CALM_SECONDS: Final = 1.0
"""The watchdog looks so long after news of a worker: once for all that came meanwhile."""


class FarmService(BuildbotService):
    """Configured with an open farm and the roster that the configuration was made of."""

    name = NAME

    def checkConfig(self, farm: Farm, roster: tuple[Enrolled, ...]) -> None:
        self._farm, self._roster = farm, roster

    def reconfigService(self, farm: Farm, roster: tuple[Enrolled, ...]) -> Any:
        self._farm, self._roster = farm, roster
        if self.running:
            self.desk.renew(farm)
            self.dispatcher.wake()
        return defer.succeed(None)

    def startService(self) -> Any:
        return defer.ensureDeferred(self._start())

    async def _start(self) -> None:
        self.desk = Desk(self.master.reactor, self._farm)
        self.dispatcher = Dispatcher(self.master, self.desk, self.hang_up)
        self._mirror = Mirror(self.desk, self.dispatcher.wake)
        self._postman = Postman(self.desk)
        self._janitor = Janitor(self.master)
        self._watch = Watch(self.desk, self.heard)
        self._care = Loop(
            self.master.reactor, "looking after the workers", CARE_SECONDS, self._look_after
        )
        self._days = Loop(self.master.reactor, "counting the days", DAYS_SECONDS, self._count_days)
        self._beat = Loop(self.master.reactor, "the sign of life", BEAT_SECONDS, self._alive)
        self._look: Any = None
        self._seeing = defer.DeferredLock()
        self.desk.start()
        await self.desk.call(self._farm.store.sweep)
        await self.desk.call(workers.all_gone, self._farm)
        await super().startService()
        consume = self.master.mq.startConsuming
        self._consumers = [
            await consume(self._worker_changed, (*WORKERS, None, None)),
            await consume(lambda *_: self.dispatcher.wake(), SLOTS),
        ]
        self._watch.start()
        await self.dispatcher.start()
        for part in (
            self._beat,
            self._mirror,
            self._postman,
            self._janitor,
            self._care,
            self._days,
        ):
            part.start()

    def stopService(self) -> Any:
        return defer.ensureDeferred(self._stop())

    async def _stop(self) -> None:
        if self._look is not None and self._look.active():
            self._look.cancel()
        for consumer in self._consumers:
            consumer.stopConsuming()
        parts = (
            self._watch, self._care, self._mirror, self._postman, self._beat, self._janitor,
            self._days,
        )  # fmt: skip
        for part in (*parts, self.dispatcher):
            await part.stop()
        await super().stopService()
        await self.desk.call(workers.all_gone, self.desk.farm)
        await self.desk.stop()

    # What the steps tell

    def recorded(self) -> None:
        """A report was recorded: there may be letters to send and runs to start."""
        self._postman.wake()
        self.dispatcher.wake()

    def hang_up(self, worker: str, reason: str) -> None:
        """Drop a worker's connection at once; it may come back."""
        found = self.master.workers.workers.get(worker)
        connection = found.conn if found is not None else None
        if connection is not None and connection.mind is not None:
            log.msg(f"hanging up on {worker}: {reason}")
            connection.mind.broker.transport.abortConnection()

    # What the workers and other processes tell

    def _worker_changed(self, key: tuple[str, ...], _message: object) -> Any:
        name, state = key[-2:]
        return defer.ensureDeferred(self._seen(name, state == "connected"))

    async def _seen(self, name: str, connected: bool) -> None:
        if not connected:
            self.dispatcher.gone(name)
        # In order: two threads could write "gone" before the "connected" that came first, and that would stand.
        async with self._seeing:
            await self.desk.call(workers.seen, self.desk.farm, name, connected=connected)
        self.dispatcher.wake()

    def heard(self, event: Event) -> None:
        """News of the ledger, our own included."""
        if event.topic == "wake":
            self._mirror.wake()
        elif event.topic in ("mail", "breakage"):
            self._postman.wake()
        elif event.topic == "worker" and event.data.get("state") not in ("connected", "gone"):
            compared = defer.ensureDeferred(self._compare_roster())
            compared.addErrback(log.err, "the roster could not be taken over")
            if event.data.get("state") in ("enrolled", "approved", "told"):
                self._mirror.wake()  # there may be lanes that nobody could run before
        if event.topic in ("wake", "run", "verdict", "commit", "worker"):
            self.dispatcher.wake()
        if event.topic == "worker" and not (self._look is not None and self._look.active()):
            self._look = self.master.reactor.callLater(CALM_SECONDS, self._care.wake)

    async def _compare_roster(self) -> None:
        """Bring Buildbot's workers in line with the ledger's, without disturbing what runs."""
        roster = tuple(await self.desk.call(workers.roster, self.desk.farm))
        if roster == self._roster:
            return
        allowed = {(worker.name, worker.credential) for worker in roster}
        gone = [w.name for w in self._roster if (w.name, w.credential) not in allowed]
        self._roster = roster
        for name in gone:
            self.hang_up(name, "no longer welcome")
        await self.master.reconfig()
        for name in gone:  # it may have come back before its credential was forgotten
            self.hang_up(name, "no longer welcome")

    async def _look_after(self) -> None:
        for name in await self.desk.call(health.look, self.desk.farm):
            log.msg(f"worker {name} was quarantined or released: its page says why")

    async def _count_days(self) -> None:
        await self.desk.call(days.count, self.desk.farm)

    async def _alive(self) -> None:
        await self.desk.call(news.beat, self.desk.farm, pid=os.getpid(), buildbot=buildbot.version)


def of(master: Any) -> FarmService:
    """The farm of a running master."""
    return cast(FarmService, master.service_manager.namedServices[NAME])
