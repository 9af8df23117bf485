"""Gives Buildbot a buildset whenever a slot is free, and tells the ledger of attempts that came to nothing.

The ledger is the only queue; Buildbot's stays empty. What is remembered here (which attempts were submitted where) is
found again at start from Buildbot's incomplete buildsets, which carry the attempt's id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from buildbot.data import resultspec
from buildbot.process.results import statusToString
from twisted.internet import defer
from twisted.python import log

from pybots.farm import controls, dispatch, investigations, livelogs, news
from pybots.farm.dispatch import Dispatch, OpenAttempt
from pybots.farm.home import Farm
from pybots.glue import slots
from pybots.glue.desk import Desk
from pybots.glue.loops import Loop
from pybots.store import StoreError, StoreFull

POLL_SECONDS: Final = 30.0
"""Wake-ups bring the work; this is for the one that got lost."""
START_SECONDS: Final = 120.0
"""A build that has not begun by then (frozen worker, worker that never came back) is given up."""
MOST_STARTING: Final = 16
"""So many builds may be on their way to their beginning. Measured: two hundred at once kept a busy master from beginning
the last of them in START_SECONDS, and their workers were blamed."""
SLOW_SECONDS: Final = 20.0
"""What has not begun after that is no reason to keep others waiting."""


@dataclass
class Submitted:
    """An attempt that Buildbot has, `since` when. `request` is the id of its build request, once it is known."""

    attempt: int
    builder: str
    worker: str
    since: float
    request: int | None = None
    begun: bool = False
    timer: Any = None


class Dispatcher:
    """`hang_up(worker, reason)` drops a worker's connection."""

    def __init__(self, master: Any, desk: Desk, hang_up: Any) -> None:
        self._master, self._desk, self._hang_up = master, desk, hang_up
        self._submitted: dict[int, Submitted] = {}
        self._consumers: list[Any] = []
        self._full = self._held = False
        self._loop = Loop(desk.reactor, "dispatching", POLL_SECONDS, self._dispatch)

    async def start(self) -> None:
        """Adopt what there is, then begin. Nothing new is submitted before."""
        await self._adopt()
        for topic, heard in (
            (("buildrequests", None, "complete"), self._complete),
            (("buildrequests", None, "unclaimed"), self._requeued),
        ):
            self._consumers.append(await self._master.mq.startConsuming(heard, topic))
        self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()
        for consumer in self._consumers:
            consumer.stopConsuming()
        for submitted in self._submitted.values():
            _disarm(submitted)

    def wake(self) -> None:
        """Something may be dispatched now."""
        self._loop.wake()

    # Submitting

    async def _dispatch(self) -> None:
        await self._desk.call(controls.expire, self._desk.farm)
        taken = {(one.builder, one.worker) for one in self._submitted.values()}
        free = slots.free_slots(self._master.botmaster.builders, taken)
        if not free or self._master.botmaster.shuttingDown:
            return
        self._held = self._room() < MOST_STARTING // 2
        if self._held:
            return
        await self._investigate(free)
        most = self._room()
        try:
            chosen = await self._desk.call(dispatch.next_dispatches, self._desk.farm, free, most)
        except StoreFull as error:
            await self._no_room(str(error))
            return
        self._full, self._held = False, len(chosen) == most
        # All are expected before the first is submitted: what fails on the way is given up in time.
        expected = [self._expect(one.attempt, one.builder, one.worker) for one in chosen]
        for one, submitted in zip(chosen, expected, strict=True):
            await self._submit(one, submitted)

    def _room(self) -> int:
        """How many builds more may be on their way to their beginning."""
        since = self._desk.reactor.seconds() - SLOW_SECONDS
        waiting = (one for one in self._submitted.values() if not one.begun and one.since > since)
        return MOST_STARTING - sum(1 for _ in waiting)

    async def _investigate(self, free: list[dispatch.Slot]) -> None:
        """What nobody wants may answer a question. Whatever goes wrong there, routine runs go on."""
        asked = defer.ensureDeferred(self._desk.call(investigations.advance, self._desk.farm, free))
        await asked.addErrback(log.err, "the investigator failed; dispatching goes on")

    async def _no_room(self, trouble: str) -> None:
        """Told once; looked at again every POLL_SECONDS."""
        if not self._full:
            self._full = True
            log.msg(f"nothing is dispatched: {trouble}")
            await self._desk.call(news.trouble, self._desk.farm, trouble)

    async def _submit(self, made: Dispatch, submitted: Submitted) -> None:
        updates = self._master.data.updates
        builder = await updates.findBuilderId(made.builder)
        _, requests = await updates.addBuildset(
            waited_for=False,
            scheduler=slots.PREFIX,
            builderids=[builder],
            sourcestamps=[sourcestamp(self._desk.farm.config.cpython.repository, made)],
            reason=made.description,
            properties=properties(made),
            external_idstring=made.external_id,
        )
        submitted.request = requests[builder]

    def _expect(self, attempt: int, builder: str, worker: str) -> Submitted:
        now = self._desk.reactor.seconds()
        submitted = Submitted(attempt=attempt, builder=builder, worker=worker, since=now)
        submitted.timer = self._desk.reactor.callLater(START_SECONDS, self._not_begun, submitted)
        self._submitted[attempt] = submitted
        return submitted

    def begun(self, attempt: int) -> None:
        """The attempt's build has started."""
        if attempt in self._submitted:
            self._submitted[attempt].begun = True
            _disarm(self._submitted[attempt])
        if self._held and self._room() >= MOST_STARTING // 2:
            self.wake()

    # Attempts that end

    def _complete(self, _key: object, message: dict[str, Any]) -> Any:
        """A build is over and its slot free. If its report was recorded, giving the attempt up changes nothing."""
        result = statusToString(message["results"])
        why = self._stopped() or f"the build ended without a report ({result})"
        return self._over(message["buildrequestid"], why, cancel=False)

    def _requeued(self, _key: object, message: dict[str, Any]) -> Any:
        """Buildbot would do it again for ever; the farm decides itself what is done again."""
        why = self._stopped() or "the worker was lost"
        return self._over(message["buildrequestid"], why, cancel=True)

    def _stopped(self) -> str:
        return "the master was stopped" if self._master.botmaster.shuttingDown else ""

    def _over(self, request: int, why: str, *, cancel: bool) -> Any:
        for submitted in self._submitted.values():
            if submitted.request == request:
                return self._give_up(submitted, why, cancel=cancel)
        return None

    def _give_up(self, submitted: Submitted, why: str, *, cancel: bool = True) -> Any:
        """The attempt is over in Buildbot, and unless it has reported, in the ledger too."""
        _disarm(submitted)
        lost = defer.ensureDeferred(self._lose(submitted, why, cancel))
        return lost.addErrback(self._not_lost, submitted, why, cancel)

    def _not_lost(self, failure: Any, submitted: Submitted, why: str, cancel: bool) -> None:
        """The ledger did not take it, for example on a full disk: its slot must not stay taken for ever."""
        log.err(failure, f"attempt {submitted.attempt} could not be given up yet")
        submitted.timer = self._desk.reactor.callLater(
            POLL_SECONDS, self._give_up, submitted, why, cancel=cancel
        )

    async def _lose(self, submitted: Submitted, why: str, cancel: bool) -> None:
        # The slot stays taken until the ledger knows: then the same run may go to it again.
        counts = not self._stopped()
        await self._desk.call(
            dispatch.attempt_lost, self._desk.farm, submitted.attempt, why, counts=counts
        )
        if cancel and submitted.request is not None:
            self._cancel(submitted.request, why)
        self._submitted.pop(submitted.attempt, None)
        self.wake()

    def _cancel(self, request: int, why: str) -> None:
        self._master.mq.produce(
            ("control", "buildrequests", str(request), "cancel"), {"reason": why}
        )

    def _not_begun(self, submitted: Submitted) -> Any:
        why = f"no build began within {START_SECONDS:.0f} s"
        log.msg(f"attempt {submitted.attempt} on {submitted.worker}: {why}")
        if submitted.request is not None:  # else it was never submitted, and the worker is innocent
            self._hang_up(submitted.worker, why)
        return self._give_up(submitted, why)

    def gone(self, worker: str) -> None:
        """A worker's connection is lost. Its running builds end by themselves; those not begun never would."""
        for submitted in list(self._submitted.values()):
            if submitted.worker == worker and not submitted.begun:
                self._give_up(submitted, "the worker went away")

    # After a restart

    async def _adopt(self) -> None:
        farm = self._desk.farm
        opened = {
            one.attempt_id: one for one in await self._desk.call(dispatch.open_attempts, farm)
        }
        for request, attempt in await self._requests():
            known = opened.get(attempt)
            if known is not None and known.state == "dispatched":
                self._adopted(opened.pop(attempt), request)
            else:  # it ended, or it was running when the master died: nothing can go on with it
                self._cancel(request, "the master was restarted")
        for lost in opened.values():
            why = (
                "the master was restarted" if lost.state == "running" else "it was never submitted"
            )
            await self._desk.call(dispatch.attempt_lost, farm, lost.attempt_id, why, counts=False)
            await self._desk.call(keep_logs, farm, lost.attempt_id)

    def _adopted(self, opened: OpenAttempt, request: int) -> None:
        submitted = self._expect(opened.attempt_id, opened.builder, opened.worker)
        submitted.request = request

    async def _requests(self) -> list[tuple[int, int]]:
        """(build request, attempt) of every buildset of ours that Buildbot has not completed."""
        found: list[tuple[int, int]] = []
        incomplete = resultspec.Filter("complete", "eq", [False])
        for buildset in await self._master.data.get(("buildsets",), filters=[incomplete]):
            attempt = slots.attempt_of(buildset["external_idstring"])
            if attempt is None:
                continue
            of_set = resultspec.Filter("buildsetid", "eq", [buildset["bsid"]])
            requests = await self._master.data.get(("buildrequests",), filters=[of_set])
            found += [(one["buildrequestid"], attempt) for one in requests]
        return found


def _disarm(submitted: Submitted) -> None:
    if submitted.timer is not None and submitted.timer.active():
        submitted.timer.cancel()


def keep_logs(farm: Farm, attempt: int) -> None:
    """Keep what a killed master left of an attempt's live logs. Blocks."""
    folder = farm.store.live(attempt, "any").parent
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            livelogs.store_log(farm, attempt, path.name, True)
        except StoreError as error:
            log.msg(f"the log {path.name} of attempt {attempt} is lost: {error}")


def sourcestamp(repository: str, made: Dispatch) -> dict[str, str]:
    """Buildbot insists on one; it only shows what is built."""
    return {
        "codebase": "",
        "repository": repository,
        "branch": made.branch,
        "revision": made.sha,
        "project": slots.PREFIX,
    }


def properties(made: Dispatch) -> dict[str, tuple[Any, str]]:
    """What the build carries: whose it is, and the virtual builder under which it is listed. No secrets."""
    values: dict[str, Any] = {
        slots.ATTEMPT: made.attempt,
        slots.WORKER: made.worker,
        "virtual_builder_name": made.virtual_builder,
        "virtual_builder_description": made.description,
        "virtual_builder_tags": [made.builder],
    }
    return {name: (value, slots.PREFIX) for name, value in values.items()}
