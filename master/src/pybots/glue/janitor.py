"""Prunes Buildbot's own copies of logs. Its own janitor would need a scheduler that anybody may force."""

from __future__ import annotations

from typing import Any, Final

from twisted.python import log

from pybots.glue.loops import Loop

EVERY_SECONDS: Final = 6 * 3600.0
KEEP_SECONDS: Final = 14 * 24 * 3600.0


class Janitor:
    """The farm's logs are in its store; Buildbot's are for the admin and for two weeks."""

    def __init__(self, master: Any) -> None:
        self._master = master
        self._loop = Loop(master.reactor, "pruning Buildbot's logs", EVERY_SECONDS, self._prune)

    def start(self) -> None:
        self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _prune(self) -> None:
        older = self._master.reactor.seconds() - KEEP_SECONDS
        pruned = await self._master.db.logs.deleteOldLogChunks(older)
        if pruned:
            log.msg(f"pruned {pruned} pieces of Buildbot's logs")
