"""For volunteers' machines: the kit at `/kit/`, an invitation exchanged at `/api/v1/join`, signs of life.

A code has 128 bits: nobody guesses one. Who sends many wrong ones is asked to wait all the same, so that a mistake in a
loop is heard of, and costs us nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from pybots.core.limiter import Limiter
from pybots.farm import authority, invitations, kit, signs
from pybots.farm.invitations import NotInvited
from pybots.farm.views.common import Missing
from pybots.web import answers
from pybots.web.app import App
from pybots.web.bodies import Refused, Small, bearer, header
from pybots_worker import welcome
from pybots_worker.contract import ContractError
from pybots_worker.welcome import Hello, Join, Joined, Known

WHEEL: Final = "application/octet-stream"
PEM: Final = "application/x-pem-file"
WRONG_CODES: Final = 10
"""So many wrong codes from one address, or wrong credentials, then it waits."""
WINDOW_SECONDS: Final = 600.0
HELLOS, HELLO_SECONDS = 6, 30.0
"""A worker that says more than that is not ours: they come every ten minutes, and when its owner changes something."""

Message = TypeVar("Message", Join, Hello)


class Joining:
    """Adds its routes to the application."""

    def __init__(self, app: App) -> None:
        self.app, self.farm = app, app.farm
        # Two counts: a worker whose credential is void must not keep its owner from joining with the new code.
        self._wrong = Limiter(WRONG_CODES, WINDOW_SECONDS, clock=time.monotonic)
        self._unknown = Limiter(WRONG_CODES, WINDOW_SECONDS, clock=time.monotonic)
        self._hellos = Limiter(HELLOS, HELLO_SECONDS, clock=time.monotonic)
        self._add_kit()
        self._add_exchange()

    def _add_kit(self) -> None:
        route = self.app.klein.route

        @route("/kit/", methods=["GET"])
        async def listing(request: Any) -> bytes:
            made = await self._kit()
            text = f"{made.sha256}  {made.name}\n"
            return answers.send(request, answers.make(200, answers.PLAIN, text.encode()))

        @route("/kit/<name>", methods=["GET"])
        async def file(request: Any, name: str) -> bytes:
            if f"/kit/{name}" == welcome.AUTHORITY:
                pem = await self.app.threads.run(authority.certificate, self.farm.folder)
                if not pem:
                    raise Missing("this farm has no certificate authority of its own")
                return answers.send(request, answers.make(200, PEM, pem))
            made = await self._kit()
            if name != made.name:
                raise Missing("there is no such kit", f"/kit/{made.name} is the one there is")
            answer = answers.make(200, WHEEL, made.data, cache=answers.REVALIDATE, tagged=True)
            return answers.send(request, answer)

    async def _kit(self) -> kit.Kit:
        try:
            return await self.app.threads.run(kit.kit)
        except kit.KitError as error:
            raise Missing(str(error)) from error

    def _add_exchange(self) -> None:
        route = self.app.klein.route

        @route(welcome.JOIN, methods=["POST"])
        async def exchange(request: Any) -> bytes:  # klein knows routes by their functions' names
            where = _address(request)
            _patience(self._wrong.wait(where), "too many wrong codes from here")
            asked = _message(request, Join)
            try:
                row = await self.app.threads.run(self._ready(invitations.accept), self.farm, asked)
            except NotInvited as error:
                self._wrong.count(where)
                raise Refused(403, str(error)) from error
            return _send(request, 201, self._joined(row))

        @route(welcome.HELLO, methods=["POST"])
        async def hello(request: Any) -> bytes:
            credential = bearer(request.requestHeaders)
            where = _address(request)
            _patience(self._unknown.wait(where), "too many wrong credentials from here")
            said = _message(request, Hello)
            if not said.leaving:
                _patience(self._hellos.wait(credential), "you say too much")
            try:
                known = await self.app.threads.run(
                    self._ready(signs.hello), self.farm, credential, said
                )
            except NotInvited as error:
                self._unknown.count(where)
                raise Refused(403, str(error)) from error
            self._hellos.count(credential)
            return _send(request, 200, known)

    def _ready(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The work, refused while the ledger is being upgraded."""

        def checked(*arguments: Any) -> Any:
            self.app.pages.gate.check()
            return work(*arguments)

        return checked

    def _joined(self, row: Any) -> Joined:
        config = self.farm.config
        words = "" if row.platform in config.platforms else (
            f"this farm has no lanes for {row.platform} yet: the worker waits until it has"
        )  # fmt: skip
        if row.state == "waiting":
            words = "the farm's admin looks at it before it gets work"
        return Joined(
            name=row.name,
            state=row.state,
            farm=config.name,
            master=f":{config.buildbot.pb_port}",
            tls=config.tls.on,
            words=words,
        )


def _message(request: Any, kind: type[Message]) -> Message:
    """The request's body. Raises Refused."""
    body = request.body
    data = body.file.getvalue() if isinstance(body, Small) else b""
    try:
        return welcome.decode(data, kind)
    except ContractError as error:
        raise Refused(400, str(error)) from error


def _patience(seconds: float, why: str) -> None:
    if seconds > 0:
        raise Refused(429, f"{why}: try again in {seconds:.0f} s")


def _address(request: Any) -> str:
    """Who asks. A proxy of this machine says for whom it does."""
    host = str(request.getClientAddress().host)
    if host in ("127.0.0.1", "::1"):
        said = header(request.requestHeaders, b"X-Forwarded-For").rpartition(",")[2].strip()
        return said[:64] or host
    return host


def _send(request: Any, status: int, message: Joined | Known) -> bytes:
    return answers.send(request, answers.make(status, answers.JSON, welcome.encode(message)))
