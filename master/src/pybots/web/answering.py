"""`/answer?t=<token>`: GET shows a form and changes nothing, POST takes the answer. The token is the whole permission.

Programs that look at the links in mail only ever GET. The token is in the query, which our logs leave out, and the page is
neither kept nor named to other sites.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

from pybots.core import dispositions
from pybots.core.dispositions import Unfit
from pybots.farm import answers
from pybots.farm.views import answerpage
from pybots.farm.views.common import Visit
from pybots.web import answers as web_answers
from pybots.web.app import App
from pybots.web.bodies import Refused
from pybots.web.query import Query
from pybots_status import render

MAX_FORM: Final = 16 << 10
FIELDS: Final = ("t", "disposition", "person", "issue", "note", "days")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


class Answering:
    """Adds its routes to the application."""

    def __init__(self, app: App) -> None:
        self.app = app
        route = app.klein.route

        @route("/answer", methods=["GET"])
        async def ask(request: Any) -> bytes:
            token = _token(dict(_pairs(request.uri.partition(b"?")[2])))
            return await self._answer(request, lambda visit: self._form(visit, token), token)

        @route("/answer", methods=["POST"])
        async def take(request: Any) -> bytes:
            given = _fields(request)
            token = _token(given)
            return await self._answer(request, lambda visit: self._take(visit, token, given), token)

    async def _answer(self, request: Any, make: Any, token: str) -> bytes:
        request.setHeader("Referrer-Policy", "no-referrer")
        request.setHeader("X-Robots-Tag", "noindex")
        theme = Query(request).visit().theme
        visit = Visit(here=f"/answer?t={token}", theme=theme)
        status, body = await self.app.threads.run(make, visit)
        return web_answers.send(request, web_answers.make(status, web_answers.HTML, body))

    def _form(self, visit: Visit, token: str) -> tuple[int, bytes]:
        self.app.pages.gate.check()
        return 200, render(answerpage.form(self.app.farm, visit, token)).encode()

    def _take(self, visit: Visit, token: str, given: dict[str, str]) -> tuple[int, bytes]:
        self.app.pages.gate.check()
        farm = self.app.farm
        allowed = answerpage.link(farm, token)
        try:
            answer = dispositions.answer(
                given.get("disposition", ""),
                now=farm.clock(),
                person=given.get("person", ""),
                issue=given.get("issue", ""),
                note=given.get("note", ""),
                days=_days(given.get("days", "")),
            )
        except Unfit as error:
            page = answerpage.form(farm, visit, token, problem=str(error))
            return 422, render(page).encode()
        if known := _exists(farm, allowed.breakage):
            answers.put(farm, known, answer, allowed.person)
        return 200, render(answerpage.form(farm, visit, token, done=True)).encode()


def _exists(farm: Any, number: int) -> int:
    try:
        return answers.get(farm, number).id
    except answers.NoBreakage:
        return 0  # the form says so


def _days(text: str) -> float:
    if not text.isascii() or not text.isdigit() or len(text) > 4:
        raise Unfit("say for how many days it holds, as a whole number")
    return float(text)


def _token(given: dict[str, str]) -> str:
    token = given.get("t", "")
    return token if _TOKEN.fullmatch(token) else ""


def _fields(request: Any) -> dict[str, str]:
    """The form's fields. Raises Refused for anything that is not a small form."""
    kind = (request.getHeader("Content-Type") or "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415, "this takes a form")
    body = request.content.read(MAX_FORM + 1)
    if len(body) > MAX_FORM:
        raise Refused(413, f"the form has more than {MAX_FORM} bytes")
    return dict(_pairs(body))


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    try:
        found = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="replace"
        )
    except ValueError as error:  # also bytes that are not ASCII
        raise Refused(400, "the form can't be read") from error
    return [(name, value) for name, value in found if name in FIELDS]
