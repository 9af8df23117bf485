"""Routes for programs: metrics, feeds, badges, the API and its description."""

from __future__ import annotations

from typing import Any

from pybots.web import answers, metrics
from pybots.web.answers import Answer
from pybots.web.app import App
from pybots.web.metrics import Metrics


class Machine:
    """Adds its routes to the application."""

    def __init__(self, app: App, counted: Metrics) -> None:
        self.app = app
        self.metrics = counted
        route = app.klein.route

        @route("/metrics", methods=["GET"])
        async def numbers(request: Any) -> bytes:
            return answers.send(request, await app.threads.run(self._numbers))

    def _numbers(self) -> Answer:
        self.app.pages.gate.check()
        return answers.make(200, metrics.CONTENT_TYPE, self.metrics.text())
