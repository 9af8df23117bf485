"""When the worker is connected: looks at its owner's rules, tells the farm how it is, comes and goes by them.

A worker that rests is not connected: no master can give it work. It tells the farm first, finishes what it has begun,
and hangs up; so nothing is lost and nobody looks for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from twisted.internet import defer, task, threads
from twisted.python import log

from pybots_worker import doctor, facts, farmlink, settings, signs
from pybots_worker.settings import WorkshopSettings
from pybots_worker.welcome import Known, Rest

LOOK_SECONDS: Final = 20.0
"""Hours and load change without anybody telling; a pause is told by a signal."""
HELLO_SECONDS: Final = 600.0
REFUSED_SECONDS: Final = 5.0
LOAD_SECONDS: Final = 300.0
DISMISSED: Final = 4
"""The exit status of a worker that the farm wants no more: nothing should start it again."""


class OwnLoad:
    """How much of the machine's load average is ours: the kernel's own formula, over the processors our jobs may use."""

    def __init__(self) -> None:
        self._average, self._at = 0.0, 0.0

    def update(self, now: float, processors: float) -> float:
        """Since the last update, jobs had this many processors. Returns the average now."""
        decay = math.exp(-max(0.0, now - self._at) / LOAD_SECONDS) if self._at else 0.0
        self._average = self._average * decay + processors * (1 - decay)
        self._at = now
        return self._average


class Attendance:
    """`connect(settings)` begins a connection that is kept, and returns what ends it; `dismissed()` stops the process."""

    def __init__(
        self,
        reactor: Any,
        root: Path,
        bot: Any,
        connect: Callable[[WorkshopSettings], Any],
        dismissed: Callable[[], None],
    ) -> None:
        self._reactor, self._root, self._bot = reactor, root, bot
        self._connect, self._dismissed = connect, dismissed
        self._service: Any = None
        self._own = OwnLoad()
        self._told: tuple[float, Rest | None] | None = None
        self._asked = self._looking = self._again = self._over = self._stranger = False
        self._turned = 0.0
        self._waking: Any = None
        self._loop = task.LoopingCall(lambda: defer.ensureDeferred(self._look()))
        self._loop.clock = reactor

    def start(self) -> None:
        self._loop.start(LOOK_SECONDS).addErrback(log.err, "attendance ended")

    def wake(self) -> None:
        """The owner or the master changed something: look at once, or again when the look under way is over."""
        if self._looking:
            self._again = True
        elif self._loop.running:
            defer.ensureDeferred(self._look())

    def refused(self) -> None:
        """The master did not let us in: the farm knows why."""
        if not self._asked and self._farm_knows_us:
            self._asked = True
            self._soon()

    def _soon(self) -> None:
        """Look in a moment; once, however often it is said meanwhile: a farm that is down is not besieged."""
        if self._waking is None or not self._waking.active():
            self._waking = self._reactor.callLater(REFUSED_SECONDS, self.wake)

    @property
    def _farm_knows_us(self) -> bool:
        return bool(self._bot.settings.farm and self._bot.settings.credential)

    async def _look(self) -> None:
        if self._looking:
            return
        self._looking = True
        try:
            await self._attend()
        except Exception:  # noqa: BLE001 - whatever it is, the next look may do better
            log.err(None, "attendance")
        finally:
            self._looking = False
        if self._again:
            self._again = False
            self._reactor.callLater(0, self.wake)

    async def _attend(self) -> None:
        if self._stranger:
            await self._read_credential()
        resting = self._rest()
        self._bot.resting = resting
        try:
            await self._tell(resting)
        except (farmlink.LinkError, farmlink.Turned) as error:
            log.msg(f"the farm was not told: {error}")
            self._stranger = isinstance(error, farmlink.Turned)
            self._turned = self._reactor.seconds()
            if not self._stranger and (self._told is None or self._told[1] != resting):
                self._soon()
        if resting and not self._bot.busy:
            await self._hang_up(resting.why)
        elif not resting and self._service is None and not self._over:
            self._service = self._connect(self._bot.settings)

    def _rest(self) -> Rest | None:
        now, known = time.time(), self._bot.settings
        share = (known.cores or facts.cores()) / known.slots
        ours = self._own.update(now, self._bot.at_work * share) / facts.cores()
        return signs.rest(self._root, known, now, max(0.0, signs.load() - ours))

    async def _read_credential(self) -> None:
        """The farm knows us no more: our owner may have joined anew, in this folder."""
        known = self._bot.settings
        found = settings.load(self._root).credential
        if found and found != known.credential:
            self._bot.settings = msgspec.structs.replace(known, credential=found)
            self._stranger, self._asked = False, True
            await self._hang_up("it has a new credential")

    async def _hang_up(self, why: str) -> None:
        if self._service is not None:
            service, self._service = self._service, None
            log.msg(f"not connected: {why}")
            await service.disownServiceParent()

    async def _tell(self, resting: Rest | None) -> None:
        known, now = self._bot.settings, self._reactor.seconds()
        fresh = self._told and now - self._told[0] < HELLO_SECONDS and self._told[1] == resting
        if not self._farm_knows_us or (fresh and not self._asked):
            return
        if self._stranger and now - self._turned < HELLO_SECONDS:
            return  # it would count against all who share our address
        self._asked = False
        said = await threads.deferToThread(self._hello, known, resting)
        self._told = (now, resting)
        await self._heed(said)

    def _hello(self, known: WorkshopSettings, resting: Rest | None) -> Known:
        """Blocks."""
        said = signs.hello(known, self._root, resting=resting)
        return farmlink.hello(doctor.way_of(known), known.credential, said)

    async def _heed(self, said: Known) -> None:
        """Do as the farm's answer says."""
        if said.state in ("revoked", "retired"):
            why = said.reason or "no reason was given"
            log.msg(f"the farm wants this worker no more ({said.state}): {why}")
            self._over = True
            self._dismissed()
        elif said.name != self._bot.settings.name:
            log.msg(f"the farm calls this worker {said.name} now")
            self._bot.settings = settings.change(self._root, {"name": said.name})
            await self._hang_up("it has another name")
        elif said.state != "approved":
            log.msg(f"the farm gives no work ({said.state}): {said.reason or 'its admin decides'}")
