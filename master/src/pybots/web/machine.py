"""Routes for programs beside the API: metrics, feeds, badges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pybots.farm.views import feeds
from pybots.web import answers, metrics
from pybots.web.answers import Answer
from pybots.web.app import App
from pybots.web.metrics import Metrics
from pybots.web.query import Query
from pybots_status import feed

ATOM: Final = "application/atom+xml; charset=utf-8"
SVG: Final = "image/svg+xml; charset=utf-8"


class Machine:
    """Adds its routes to the application."""

    def __init__(self, app: App, counted: Metrics) -> None:
        self.app = app
        self.metrics = counted
        route = app.klein.route

        @route("/metrics", methods=["GET"])
        async def numbers(request: Any) -> bytes:
            return answers.send(request, await app.threads.run(self._numbers))

        @route("/feed/<kind>/<name>.atom", methods=["GET"])
        async def feed_of(request: Any, kind: str, name: str) -> bytes:
            def made() -> bytes:
                return feed.atom(feeds.about(app.farm, kind, name))

            return answers.send(request, await self._kept(request, ATOM, made))

        @route("/badge/<name>.svg", methods=["GET"])
        async def badge_of(request: Any, name: str) -> bytes:
            branch = Query(request).text("branch")

            def made() -> bytes:
                return feed.badge(feeds.badge(app.farm, name, branch))

            return answers.send(request, await self._kept(request, SVG, made))

    async def _kept(self, request: Any, content_type: str, made: Callable[[], bytes]) -> Answer:
        """Other sites show badges and read feeds, so they may."""
        request.setHeader("Cross-Origin-Resource-Policy", "cross-origin")
        key = Query(request).here
        return await self.app.threads.run(self.app.pages.kept, key, content_type, made)

    def _numbers(self) -> Answer:
        self.app.pages.gate.check()
        return answers.make(200, metrics.CONTENT_TYPE, self.metrics.text())
