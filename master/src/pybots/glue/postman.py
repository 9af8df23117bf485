"""Delivers what the alerts wrote into the outbox: at start, when something was written, and when a retry is due."""

from __future__ import annotations

from typing import Final

from pybots.farm import post
from pybots.glue.desk import Desk
from pybots.glue.loops import Loop

RETRY_SECONDS: Final = 15.0


class Postman:
    """How long a letter waits after a failure is decided by farm.notify."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._loop = Loop(desk.reactor, "delivering mail", RETRY_SECONDS, self._deliver)

    def start(self) -> None:
        self._loop.start()

    def wake(self) -> None:
        self._loop.wake()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _deliver(self) -> None:
        while await self._desk.call(post.deliver, self._desk.farm):
            pass  # there may be more than one batch
