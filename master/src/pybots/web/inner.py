"""A page as this process asks itself for it: through the same routes, without a socket."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs

from klein import Klein
from werkzeug.exceptions import HTTPException

from pybots.farm.views.common import Missing
from pybots.web import answers
from pybots.web.bodies import Refused

MAX_ADDRESS: Final = 600


class Inner:
    """As much of a request as a page's route looks at."""

    method = b"GET"

    def __init__(self, address: str) -> None:
        path, _, query = address.partition("?")
        self.uri = address.encode("ascii")
        self.path = path.encode("ascii")
        self.args = parse_qs(query.encode("ascii"), max_num_fields=40)
        self.headers: dict[str, str] = {}
        self.status = 200

    def getHeader(self, _name: str) -> None:
        return None

    def setHeader(self, name: str, value: str) -> None:
        self.headers[name] = value

    def setResponseCode(self, status: int) -> None:
        self.status = status


def inner(address: str) -> Inner:
    """The request for a local address. Raises Refused for one that no page has."""
    if not address.startswith("/") or len(address) > MAX_ADDRESS or not address.isascii():
        raise Refused(400, "this is no address of a page")
    try:
        return Inner(address)
    except ValueError:  # too many parameters
        raise Refused(400, "this is no address of a page") from None


async def fetch(klein: Klein, request: Inner) -> tuple[str, bool]:
    """(the page's HTML, whether it may change without any news). Raises Refused where there is no page."""
    try:
        adapter = klein.url_map.bind("farm")
        endpoint, arguments = adapter.match(request.path.decode("ascii"), method="GET")
        body: Any = await klein.execute_endpoint(endpoint, request, **arguments)
    except (HTTPException, Missing):
        raise Refused(404, "there is no such page") from None
    if request.status != 200 or request.headers.get("Content-Type") != answers.HTML:
        raise Refused(404, "this is no page")
    return body.decode(), request.headers["Cache-Control"] == answers.NEVER
