"""`/events?view=<address>`: open pages hear of their changes. One rendering per view, whoever and however many look at it.

A view is a page's canonical address. When there are news, each view that has readers is rendered once (the answer that
other visitors get too), taken apart into its live pieces, and what changed is written to all of its readers. Rendering
never takes more than a share of one core: with many views the ones with most readers and the longest wait come first.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.internet import reactor, task
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.web import resource, server

from pybots.web import inner
from pybots.web.app import App
from pybots.web.bodies import Refused
from pybots.web.diary import Diary
from pybots.web.query import Query
from pybots.web.watch import Watch
from pybots_status import live
from pybots_status.live import Picture

log = logging.getLogger(__name__)

MAX_READERS: Final = 2000
MAX_VIEWS: Final = 300
SHARE: Final = 0.12
"""Of one core, at most, for rendering."""
MIN_GAP: Final = 0.1
BEAT_SECONDS: Final = 20.0
"""So often an idle stream says that it is there; proxies close silent ones."""
GROWING_SECONDS: Final = 2.0
"""A page with a growing log is looked at so often without any news."""
KEPT_SECONDS: Final = 60.0
"""How long a view without readers is remembered: somebody's connection broke and comes back."""
RETRY_MS: Final = (1000, 4000)


class Reader:
    """One open stream. A reader who doesn't take what is written is let go, and comes back where it was."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.slow = False
        request.registerProducer(self, True)

    def write(self, data: bytes) -> None:
        if self.slow:
            self.request.channel.transport.abortConnection()
        else:
            self.request.write(data)

    def pauseProducing(self) -> None:
        self.slow = True

    def resumeProducing(self) -> None:
        self.slow = False

    def stopProducing(self) -> None:
        self.slow = True


@dataclass(eq=False)
class View:
    """A page that somebody looks at. `dirty`: since when it waits to be rendered, 0: it does not."""

    address: str
    diary: Diary
    growing: bool
    readers: set[Reader] = field(default_factory=set)
    dirty: float = 0.0
    left: float = 0.0


class Stream(resource.Resource):
    """An answer that has no end."""

    isLeaf = True

    def __init__(self, first: bytes, view: View, left: Callable[[View, Reader], None]) -> None:
        super().__init__()
        self._first = first
        self._view = view
        self._left = left

    def render(self, request: Any) -> Any:
        request.setHeader("Content-Type", "text/event-stream")
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("X-Accel-Buffering", "no")
        if request.method == b"HEAD":
            return b""
        request.write(self._first)
        reader = Reader(request)
        self._view.readers.add(reader)
        request.notifyFinish().addBoth(lambda _: self._left(self._view, reader))
        return server.NOT_DONE_YET


class Hub:
    """Adds its route to the application. `count` hears how many readers there are."""

    def __init__(self, app: App, count: Callable[[int], None]) -> None:
        self.app = app
        self._count = count
        self._views: dict[str, View] = {}
        self._working = False
        self._beat = 0.0
        farm = app.farm
        self._watch = Watch(
            farm.folder.root,
            app.threads,
            app.pages.state,
            wanted=lambda: self.readers > 0,
            news=self._news,
        )
        self._loop = task.LoopingCall(self._tick)
        self._loop.start(1.0, now=False)

        @app.klein.route("/events", methods=["GET"])
        async def events(request: Any) -> Stream:
            address = _parameter(request, b"view")
            known = request.getHeader("Last-Event-ID") or _parameter(request, b"since")
            view = await self._view(address)
            missed = view.diary.since(_number(known))
            first = b"retry: %d\n\n" % random.randint(*RETRY_MS)
            return Stream(first + _message(view, missed), view, self._left)

    @property
    def readers(self) -> int:
        return sum(len(view.readers) for view in self._views.values())

    async def _view(self, address: str) -> View:
        """The view of a page's address. Raises Refused."""
        key = Query(inner.inner(address)).here
        known = self._views.get(key)
        if known is None:
            if len(self._views) >= MAX_VIEWS or self.readers >= MAX_READERS:
                raise Refused(503, "too many readers; the page fetches itself")
            picture, growing = await self._picture(key)
            if not picture.event:
                raise Refused(404, "this page has no news")
            diary = Diary(picture=picture, begun=picture.event)
            made = View(address=key, diary=diary, growing=growing, left=time.monotonic())
            known = self._views.setdefault(key, made)
        if self.readers >= MAX_READERS:
            raise Refused(503, "too many readers; the page fetches itself")
        reactor.callLater(0, self._counted)
        return known

    async def _picture(self, address: str) -> tuple[Picture, bool]:
        html, growing = await inner.fetch(self.app.klein, inner.inner(address))
        return await self.app.threads.run(live.picture, html), growing

    def _left(self, view: View, reader: Reader) -> None:
        view.readers.discard(reader)
        view.left = time.monotonic()
        self._counted()

    def _counted(self) -> None:
        self._count(self.readers)

    def _news(self) -> None:
        for view in self._views.values():
            self._soil(view)
        self._work_on()

    @staticmethod
    def _soil(view: View) -> None:
        if view.readers and not view.dirty:
            view.dirty = time.monotonic()

    def _work_on(self) -> None:
        if not self._working:
            self._working = True
            ensureDeferred(self._work())

    async def _work(self) -> None:
        """Render what is dirty, and rest after each so that the share is kept."""
        try:
            while waiting := [view for view in self._views.values() if view.dirty]:
                now = time.monotonic()
                view = max(waiting, key=lambda one: len(one.readers) * (now - one.dirty + 0.01))
                began = time.process_time()
                await self._refresh(view)
                used = time.process_time() - began
                await _sleep(max(MIN_GAP, used / SHARE - used))
        finally:
            self._working = False

    async def _refresh(self, view: View) -> None:
        view.dirty = 0.0
        try:
            picture, view.growing = await self._picture(view.address)
        except Exception as error:  # noqa: BLE001 - the page is gone, or the ledger is being upgraded: others go on
            log.info("no news for %s: %s", view.address.partition("?")[0], error)
            return
        told = _message(view, view.diary.update(picture, len(view.readers)))
        if told:
            for reader in list(view.readers):
                reader.write(told)

    def _tick(self) -> None:
        now = time.monotonic()
        for key, view in list(self._views.items()):
            if not view.readers and now - view.left > KEPT_SECONDS:
                del self._views[key]
            elif view.growing and round(now) % GROWING_SECONDS == 0:
                self._soil(view)
        if any(view.dirty for view in self._views.values()):
            self._work_on()
        if now - self._beat >= BEAT_SECONDS:
            self._beat = now
            for view in self._views.values():
                for reader in list(view.readers):
                    if not reader.slow:
                        reader.write(b": still here\n\n")


def _message(view: View, told: str) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (view.diary.picture.event, told.encode()) if told else b""


def _sleep(seconds: float) -> Any:
    done: Any = Deferred()
    reactor.callLater(seconds, done.callback, None)
    return done


def _parameter(request: Any, name: bytes) -> str:
    values = (request.args or {}).get(name) or []
    return values[0].decode("utf-8", "replace") if values else ""


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
