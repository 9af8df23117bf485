"""Compares CPython's heads with the ledger: at start, every so often, and whenever somebody says there is news."""

from __future__ import annotations

from collections.abc import Callable

from pybots.farm import commits, news
from pybots.farm.git import GitError
from pybots.glue.desk import Desk
from pybots.glue.loops import Loop


class Mirror:
    """`moved()` is called after every comparison that may have brought work."""

    def __init__(self, desk: Desk, moved: Callable[[], None]) -> None:
        self._desk, self._moved = desk, moved
        self._trouble = ""
        self._loop = Loop(
            desk.reactor, "looking at CPython", desk.farm.config.cpython.poll_seconds, self._sync
        )

    def start(self) -> None:
        self._loop.start()

    def wake(self) -> None:
        self._loop.wake()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _sync(self) -> None:
        try:
            await self._desk.call(commits.sync, self._desk.farm)
        except GitError as error:
            await self._tell(str(error))
        else:
            self._trouble = ""
        # Also after an error: an earlier branch may have moved before a later one could not be read.
        self._moved()

    async def _tell(self, trouble: str) -> None:
        """Once for each trouble, not once a minute."""
        if trouble != self._trouble:
            self._trouble = trouble
            await self._desk.call(news.trouble, self._desk.farm, trouble)
