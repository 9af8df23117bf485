"""Hearing of news: one watcher for the whole process, however many readers there are.

Every commit to the ledger, by whichever process, writes to its log file: the kernel says so (inotify). A slow look at
the ledger beside that is the safety net, and notices what needs no commit: a master that fell silent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor, task
from twisted.internet.defer import ensureDeferred
from twisted.python.filepath import FilePath

from pybots.web.threads import Busy, Threads

log = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 0.03
"""A commit writes several times; the ledger is looked at when it has done so."""
LOOK_SECONDS: Final = 5.0
LOOK_ALONE_SECONDS: Final = 1.0
"""Where the kernel tells nothing."""


class Watch:
    """Calls `news` on the reactor whenever `state` (blocking, run in a thread) gives something new.

    `wanted` says whether anybody would listen: without readers nothing is looked at."""

    def __init__(
        self,
        folder: Path,
        threads: Threads,
        state: Callable[[], object],
        *,
        wanted: Callable[[], bool],
        news: Callable[[], None],
    ) -> None:
        self._threads = threads
        self._state = state
        self._wanted = wanted
        self._news = news
        self._known: object = None
        self._looking = self._again = False
        self._soon: Any = None
        told = self._listen(folder)
        self._loop = task.LoopingCall(self._tick)
        self._loop.start(LOOK_SECONDS if told else LOOK_ALONE_SECONDS, now=False)

    def _listen(self, folder: Path) -> bool:
        """Whether the kernel will tell of commits."""
        try:
            from twisted.internet import inotify  # there is none but on Linux

            notifier = inotify.INotify()
            notifier.startReading()
            mask = inotify.IN_MODIFY | inotify.IN_CREATE | inotify.IN_MOVED_TO
            notifier.watch(FilePath(str(folder)), mask, callbacks=[self._touched])
        except (ImportError, OSError) as error:
            log.info("the ledger is looked at every second: %s", error)
            return False
        return True

    def _touched(self, _notifier: Any, path: Any, _mask: int) -> None:
        if path.basename() in ("ledger.sqlite-wal", b"ledger.sqlite-wal") and self._soon is None:
            self._soon = reactor.callLater(SETTLE_SECONDS, self._tick)

    def _tick(self) -> None:
        if self._soon is not None and self._soon.active():
            self._soon.cancel()
        self._soon = None
        if not self._wanted():
            self._known = None
            return
        if self._looking:
            self._again = True
            return
        self._looking = True
        ensureDeferred(self._look())

    async def _look(self) -> None:
        try:
            state = await self._threads.run(self._state)
        except Busy:
            state = self._known
        except Exception as error:  # noqa: BLE001 - an upgrade, a full disk: the next look may succeed
            log.warning("no news: %s", error)
            state = self._known
        self._looking = False
        if state != self._known:
            self._known = state
            self._news()
        if self._again:
            self._again = False
            self._tick()
