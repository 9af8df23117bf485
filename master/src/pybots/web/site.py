"""HTTP with bounds: small heads, bodies decided from the head, security headers on every answer, quiet logs."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final

from twisted.internet import reactor
from twisted.web import http, server

from pybots.web.bodies import Admission, Body, Refused, Small, Upload
from pybots.web.patience import HEAD_SECONDS, Deadline, Door, Speed
from pybots_status.assets import CONTENT_SECURITY_POLICY

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 60
LINGER_SECONDS: Final = 10.0
"""How long a refused sender is still listened to, so that it reads the answer instead of a reset connection."""
LINGER_BYTES: Final = 64 << 20

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "Pybots",
}


class FarmRequest(server.Request):
    """A request whose body goes where Admission says. `body` is what came of it."""

    body: Body | None = None
    begun: float = 0.0
    _refused: Refused | None = None
    _dropped = 0
    _linger: Any = None
    _speed: Speed | None = None

    def gotLength(self, length: int | None) -> None:
        self.begun = time.monotonic()
        self.content = BytesIO()
        channel = self.channel
        channel.head_ended()
        if length != 0:
            self._speed = Speed(self._abort)
        self.method, self.uri, self.clientproto = channel._command, channel._path, channel._version
        try:
            self.body = self.channel.site.admission.admit(
                channel._command, channel._path, self.requestHeaders, length
            )
        except Refused as refused:
            self._refuse(refused)
        if isinstance(self.body, Upload):  # it has shown a token
            channel.site.door.busy(channel)
        # klein makes URLs from it and chokes on odd ones; no page depends on it.
        self.requestHeaders.setRawHeaders(b"Host", [b"farm"])

    def handleContentChunk(self, data: bytes) -> None:
        if self._speed is not None:
            self._speed.hear(len(data))
        if self._refused is not None:
            self._dropped += len(data)
            if self._dropped > LINGER_BYTES:
                self._abort()
            return
        assert self.body is not None
        try:
            self.body.write(data)
        except Refused as refused:
            self.body.discard()
            self._refuse(refused)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        self._body_ended()
        self.channel.site.door.busy(self.channel)
        if self._refused is not None:
            self.channel.loseConnection()
            return
        if isinstance(self.body, Small):
            self.content = self.body.file
        super().requestReceived(command, path, version)

    def process(self) -> None:
        for name, value in HEADERS.items():
            self.setHeader(name, value)
        super().process()
        self.setHeader("Server", HEADERS["Server"])

    def connectionLost(self, reason: Any) -> None:
        if self._linger is not None and self._linger.active():
            self._linger.cancel()
        self._body_ended()
        if self.body is not None:
            self.body.discard()
        super().connectionLost(reason)

    def _body_ended(self) -> None:
        if self._speed is not None:
            self._speed.done()

    def _refuse(self, refused: Refused) -> None:
        """Answer now, before the body has come, and hear the rest of it out for a moment."""
        self._refused = refused
        self.code = refused.status
        self.requestHeaders.removeHeader(b"Expect")  # no "100 Continue" after a final answer
        body = json.dumps({"error": refused.message}).encode()
        reason = http.RESPONSES.get(refused.status, b"Refused")
        lines = [f"{name}: {value}" for name, value in HEADERS.items()]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        head = b"HTTP/1.1 %d %s\r\n" % (refused.status, reason)
        head += "\r\n".join([*lines, "Connection: close", "", ""]).encode()
        self.channel.transport.write(head + body)
        self.channel.persistent = 0
        self.sentLength = len(body)
        self.channel.site.log(self)
        self._linger = reactor.callLater(LINGER_SECONDS, self._abort)

    def _abort(self) -> None:
        if self.channel is not None:
            self.channel.transport.abortConnection()


class Channel(http.HTTPChannel):
    """Request line and all headers together: 16 KiB (Twisted's own bound), and fewer of them."""

    maxHeaders = 100
    _handling = False

    def connectionMade(self) -> None:
        super().connectionMade()
        self._late = Deadline(self.abort)
        self._late.begin(HEAD_SECONDS)
        self.site.door.entered(self)

    def dataReceived(self, data: bytes) -> None:
        if not self._handling:
            self._late.begin(HEAD_SECONDS)
        super().dataReceived(data)

    def head_ended(self) -> None:
        """It is known what is asked for; a body may follow."""
        self._handling = True
        self._late.off()

    def requestDone(self, request: Any) -> None:
        self._handling = False
        self.site.door.waits(self)
        super().requestDone(request)

    def connectionLost(self, reason: Any) -> None:
        self._late.off()
        self.site.door.left(self)
        super().connectionLost(reason)

    def abort(self) -> None:
        """End the connection now."""
        self.transport.abortConnection()


class FarmSite(server.Site):
    """The listener's factory. `answered(address, status, seconds)` hears of every request."""

    protocol = Channel
    displayTracebacks = False

    def __init__(
        self,
        resource: Any,
        admission: Admission,
        answered: Callable[[bytes, int, float], None],
        most: int = 750,
    ) -> None:
        """`most` connections at a time."""
        super().__init__(
            resource,
            requestFactory=FarmRequest,
            parsePOSTFormSubmission=False,
            timeout=IDLE_SECONDS,
        )
        self.admission = admission
        self.door = Door(most)
        self.answered = answered

    def log(self, request: Any) -> None:
        """One line per request, without its query: tokens and names of readers stay out of the log."""
        path = request.uri.partition(b"?")[0][:200].decode("ascii", "backslashreplace")
        method = request.method[:20].decode("ascii", "backslashreplace")
        took = time.monotonic() - request.begun if request.begun else 0.0
        self.answered(request.uri, request.code, took)
        log.info("%s %s %s %s %.0f ms", request.code, method, path, request.sentLength, took * 1000)
