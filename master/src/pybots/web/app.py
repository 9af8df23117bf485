"""The routes: which address shows which view. Everything that blocks runs in threads; every error becomes a page."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from klein import Klein
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException

from pybots.farm.home import Farm
from pybots.farm.views import (
    api,
    breakagepage,
    breakages,
    commitpage,
    flow,
    front,
    lanes,
    mailpages,
    projects,
    releasepage,
    runpage,
    statistics,
    treepage,
    words,
    workers,
)
from pybots.farm.views.common import Missing, Visit
from pybots.farm.views.reports import Digests
from pybots.web import answers
from pybots.web.bodies import Refused
from pybots.web.gate import Unready
from pybots.web.pages import Pages, data_error, reference
from pybots.web.query import Query
from pybots.web.threads import Busy, Threads
from pybots_status import assets
from pybots_status.pages import Page

log = logging.getLogger(__name__)


class App:
    """The public pages of a farm. `klein` is the application; `blobs` and `hook` add their routes to it."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.threads = Threads()
        self.pages = Pages(farm)
        self.digests = Digests(farm.store)
        self.recent = statistics.Recent()
        self.klein = Klein()
        # No redirects: werkzeug would build them from the Host header.
        self.klein.url_map.strict_slashes = False
        self.klein.url_map.merge_slashes = False
        self._add_pages()
        self._add_data()
        self._add_errors()

    async def page(self, request: Any, view: Callable[[Visit], Page]) -> bytes:
        """Answer with a page."""
        visit = Query(request).visit()
        return answers.send(request, await self.threads.run(self.pages.page, visit, view))

    async def data(self, request: Any, view: Callable[[], dict[str, Any]]) -> bytes:
        """Answer with JSON."""
        key = Query(request).here
        return answers.send(request, await self.threads.run(self.pages.data, key, view))

    def _add_pages(self) -> None:
        farm, route = self.farm, self.klein.route

        @route("/", methods=["GET"])
        async def console(request: Any) -> bytes:
            asked = Query(request).console()
            return await self.page(request, lambda visit: front.console(farm, visit, asked))

        @route("/waterfall", methods=["GET"])
        async def waterfall(request: Any) -> bytes:
            query = Query(request)
            project, before = query.text("project"), query.time("before")
            return await self.page(
                request, lambda visit: flow.waterfall(farm, visit, project=project, before=before)
            )

        @route("/projects", methods=["GET"])
        async def project_list(request: Any) -> bytes:
            return await self.page(request, lambda visit: projects.projects(farm, visit))

        @route("/project/<name>", methods=["GET"])
        async def project(request: Any, name: str) -> bytes:
            test = Query(request).text("test")
            return await self.page(
                request, lambda visit: projects.project(farm, visit, name, test=test)
            )

        @route("/lane/<name>", methods=["GET"])
        async def lane(request: Any, name: str) -> bytes:
            before = Query(request).number("before", 0, 0, 1 << 40)
            return await self.page(
                request, lambda visit: lanes.lane(farm, visit, name, before=before)
            )

        @route("/commit/<sha>", methods=["GET"])
        async def commit(request: Any, sha: str) -> bytes:
            return await self.page(request, lambda visit: commitpage.commit(farm, visit, sha))

        @route("/run/<int(max=9007199254740991):number>", methods=["GET"])
        async def run(request: Any, number: int) -> bytes:
            asked = Query(request).log()
            return await self.page(
                request, lambda visit: runpage.run(farm, visit, number, asked, self.digests)
            )

        @route("/breakage/<int(max=9007199254740991):number>", methods=["GET"])
        async def breakage(request: Any, number: int) -> bytes:
            return await self.page(
                request, lambda visit: breakagepage.breakage(farm, visit, number, self.digests)
            )

        @route("/breakages", methods=["GET"])
        async def breakage_list(request: Any) -> bytes:
            asked = Query(request)
            before, like = (asked.number(name, 0, 0, 1 << 40) for name in ("before", "like"))
            return await self.page(
                request, lambda visit: breakages.page(farm, visit, before=before, like=like)
            )

        @route("/workers", methods=["GET"])
        async def worker_list(request: Any) -> bytes:
            return await self.page(request, lambda visit: workers.workers(farm, visit))

        @route("/worker/<name>", methods=["GET"])
        async def worker(request: Any, name: str) -> bytes:
            return await self.page(request, lambda visit: workers.worker(farm, visit, name))

        @route("/mail", methods=["GET"])
        async def mail_archive(request: Any) -> bytes:
            before = Query(request).number("before", 0, 0, 1 << 40)
            return await self.page(
                request, lambda visit: mailpages.archive(farm, visit, before=before)
            )

        @route("/mail/<int(max=9007199254740991):number>", methods=["GET"])
        async def mail(request: Any, number: int) -> bytes:
            return await self.page(request, lambda visit: mailpages.message(farm, visit, number))

        @route("/stats", methods=["GET"])
        async def stats(request: Any) -> bytes:
            days = Query(request).number("days", statistics.USUAL_DAYS, 1, statistics.MAX_DAYS)
            return await self.page(
                request, lambda visit: statistics.page(farm, visit, days=days, recent=self.recent)
            )

        @route("/release/<path:tag>", methods=["GET"])
        async def release(request: Any, tag: str) -> bytes:
            since = Query(request).text("since")
            return await self.page(request, lambda visit: releasepage.page(farm, visit, tag, since))

        @route("/tree", methods=["GET"])
        async def tree(request: Any) -> bytes:
            before = Query(request).number("before", 0, 0, 1 << 40)
            return await self.page(request, lambda visit: treepage.page(farm, visit, before=before))

        @route("/legend", methods=["GET"])
        async def legend(request: Any) -> bytes:
            return await self.page(request, lambda visit: words.legend(farm, visit))

        @route("/join", methods=["GET"])
        async def join(request: Any) -> bytes:
            return await self.page(request, lambda visit: words.join(farm, visit))

    def _add_data(self) -> None:
        farm, route = self.farm, self.klein.route

        @route("/static/<name>", methods=["GET"])
        async def static(request: Any, name: str) -> bytes:
            asset = assets.assets().get(name)
            if asset is None:
                raise Missing("there is no such file")
            made = answers.make(
                200, asset.content_type, asset.body, cache=answers.FOREVER, tagged=True
            )
            return answers.send(request, made)

        @route("/healthz", methods=["GET"])
        async def healthz(request: Any) -> bytes:
            return answers.send(request, await self.threads.run(self.pages.health))

        @route("/robots.txt", methods=["GET"])
        async def robots(request: Any) -> bytes:
            text = b"User-agent: *\nDisallow: /api/\nDisallow: /run/\nDisallow: /waterfall\nDisallow: /answer\n"
            return answers.send(request, answers.make(200, answers.PLAIN, text))

        @route("/breakage/<int(max=9007199254740991):number>/capsule.json", methods=["GET"])
        async def capsule_data(request: Any, number: int) -> bytes:
            return await self.data(request, lambda: api.capsule(farm, number))

    def _add_errors(self) -> None:
        handle = self.klein.handle_errors

        @handle(Missing)
        async def missing(request: Any, failure: Failure) -> bytes:
            return await self._sorry(request, 404, failure.value.message, failure.value.hint)

        @handle(Unready)
        async def unready(request: Any, failure: Failure) -> bytes:
            request.setHeader("Retry-After", "30")
            return await self._sorry(request, 503, failure.value.message, failure.value.hint)

        @handle(Busy)
        async def busy(request: Any, failure: Failure) -> bytes:
            request.setHeader("Retry-After", "5")
            return answers.send(request, data_error(503, "too many readers; try again in a moment"))

        @handle(Refused)
        async def refused(request: Any, failure: Failure) -> bytes:
            return answers.send(request, data_error(failure.value.status, failure.value.message))

        @handle(HTTPException)
        async def http_error(request: Any, failure: Failure) -> bytes:
            status = failure.value.code or 500
            words_of = {404: "There is no such page", 405: "This can only be read"}
            return await self._sorry(request, status, words_of.get(status, "That can't be done"))

        @handle(Exception)
        async def broken(request: Any, failure: Failure) -> bytes:
            if failure.check(CancelledError):
                return b""  # the reader has gone
            name = reference()
            log.error("failure %s at %s\n%s", name, request.path, failure.getTraceback())
            return await self._sorry(
                request, 500, "This page failed",
                f"It was noted as {name}; please tell the farm's admin that name.",
            )  # fmt: skip

    async def _sorry(self, request: Any, status: int, message: str, hint: str = "") -> bytes:
        query = Query(request)
        if query.path.startswith("/api/") or query.path.startswith("/hook/"):
            return answers.send(request, data_error(status, message))
        made = await self.threads.run(self.pages.error, query.visit(), status, message, hint)
        return answers.send(request, made)
