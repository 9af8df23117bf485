"""The routes of the JSON API and of its description."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from pybots.farm.views.frame import VERSION
from pybots.web import answers, openapi
from pybots.web.app import App
from pybots.web.endpoints import ENDPOINTS, Endpoint, read


class Api:
    """Adds its routes to the application."""

    def __init__(self, app: App) -> None:
        self._app = app
        for endpoint in ENDPOINTS:
            self._add(endpoint)
        farm = app.farm
        described = openapi.document(farm.config.name, VERSION, farm.config.url, ENDPOINTS)
        body = json.dumps(described, indent=1, sort_keys=True).encode()
        made = answers.make(200, answers.JSON, body, cache=answers.REVALIDATE, tagged=True)

        @app.klein.route("/api/v1/openapi.json", methods=["GET"], endpoint="api_description")
        async def description(request: Any) -> bytes:
            return answers.send(request, made)

    def _add(self, endpoint: Endpoint) -> None:
        @self._app.klein.route(endpoint.route, methods=["GET"], endpoint=f"api_{endpoint.name}")
        async def answer(request: Any, **values: str) -> bytes:
            given = read(endpoint, request.uri.partition(b"?")[2], values)
            key = f"{endpoint.documented}?{urlencode(sorted(given.items()))}"
            return answers.send(
                request,
                await self._app.threads.run(
                    self._app.pages.data, key, lambda: endpoint.view(self._app.farm, given)
                ),
            )
