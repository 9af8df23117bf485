"""Workers and builders of the master's configuration, from the ledger's roster."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from buildbot.config import BuilderConfig
from buildbot.process.factory import BuildFactory
from buildbot.util import safeTranslate
from buildbot.util.identifiers import isIdentifier
from buildbot.worker import Worker
from twisted.internet import defer
from twisted.python import log

from pybots.farm.workers import Enrolled
from pybots.glue import slots
from pybots.glue.steps import OpenAttempt
from pybots.glue.topics import SLOTS, WORKERS

NOBODY: Final = "nobody"
"""Buildbot refuses to start without worker and builder: the name of both in a farm that has none yet."""


class FarmWorker(Worker):
    """Buildbot's worker that says when its slots change: Buildbot's own events come before the slots are usable."""

    @defer.inlineCallbacks
    def attached(self, conn: Any) -> Any:
        yield super().attached(conn)
        if self.conn is conn:
            self._tell("connected")

    @defer.inlineCallbacks
    def detached(self) -> Any:
        yield super().detached()
        self._tell("gone")

    def buildFinished(self, wfb: Any) -> None:
        super().buildFinished(wfb)
        self._slots_changed()

    def exitQuarantine(self) -> None:
        super().exitQuarantine()
        self._slots_changed()

    def _tell(self, state: str) -> None:
        if self.master is not None:
            self.master.mq.produce((*WORKERS, self.workername, state), {})

    def _slots_changed(self) -> None:
        if self.master is not None:
            self.master.mq.produce(SLOTS, {})


def usable(roster: Sequence[Enrolled]) -> list[Enrolled]:
    """Those whose names Buildbot takes. It refuses a whole configuration for one that it does not take, then and ever
    after, and nobody new could log in: one who came by an odd name stays outside alone."""
    fit = [one for one in roster if isIdentifier(50, one.name) and _is_folder(one.platform)]
    for one in roster:
        if one not in fit:
            log.msg(f"worker {one.name} ({one.platform}) can't log in: no name for Buildbot")
    return fit


def _is_folder(platform: str) -> bool:
    """Builders have folders; two whose names Buildbot makes the same are refused, with all the others."""
    return bool(safeTranslate(platform) == platform.encode())


def workers(roster: Sequence[Enrolled]) -> list[Any]:
    """The configured workers. Paused ones may connect; they are given nothing."""
    there = usable(roster)
    if not there:
        return [Worker(NOBODY, secrets.token_urlsafe(32))]
    return [FarmWorker(worker.name, worker.credential) for worker in there]


def builders(roster: Sequence[Enrolled]) -> list[Any]:
    """A builder for each slot of each platform."""
    there = usable(roster)
    offered = slots.builders_of((worker.name, worker.platform, worker.slots) for worker in there)
    return [_builder(name, names) for name, names in (offered or {NOBODY: [NOBODY]}).items()]


def _builder(name: str, names: list[str]) -> Any:
    return BuilderConfig(
        name=name,
        workernames=names,
        factory=BuildFactory([OpenAttempt()]),
        nextWorker=slots.next_worker,
        nextBuild=slots.next_build,
        collapseRequests=False,
        description="a slot; what runs here is listed as virtual builders",
    )
