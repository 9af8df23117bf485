"""Routes that move bytes: uploads of workers, downloads for workers, raw logs and reports for everybody, the webhook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

from pybots.core import logmarks
from pybots.farm.views import api, doors, tails
from pybots.farm.views.common import Missing
from pybots.store import Stored, StoreError
from pybots.web import answers, hook
from pybots.web.answers import FileAnswer, Opened
from pybots.web.app import App
from pybots.web.bodies import Admission, Refused, Small, Upload, bearer, header
from pybots.web.query import Query

OCTETS = "application/octet-stream"
CHUNK = 1 << 20


class Files:
    """Adds its routes to the application. `secret`: the webhook's, "" when it is off."""

    def __init__(self, app: App, admission: Admission, secret: str) -> None:
        self.app = app
        self.farm = app.farm
        self.admission = admission
        self.secret = secret
        self._add_worker_routes()
        self._add_reader_routes()

    def _add_worker_routes(self) -> None:
        route = self.app.klein.route

        @route("/api/v1/upload/<run>/<attempt>/<kind>", methods=["PUT"])
        async def upload(request: Any, run: str, attempt: str, kind: str) -> bytes:
            body = request.body
            if not isinstance(body, Upload):
                raise Refused(404, "there is no such upload")
            body.begin_finish()
            stored = await self.app.threads.run(self._finish, body)
            made = json.dumps({"sha256": stored.sha256, "size": stored.size}).encode()
            return answers.send(request, answers.make(201, answers.JSON, made))

        @route("/api/v1/blob/<sha256>", methods=["GET"])
        async def blob(request: Any, sha256: str) -> Any:
            token = _argument(request, b"token") or bearer(request.requestHeaders)
            grant = self.admission.grant(token)
            if grant.kind != "read":
                raise Refused(403, "the token was made for something else")
            if not await self.app.threads.run(doors.may_read, self.farm, grant, sha256):
                raise Refused(403, "the attempt has ended, or its job does not name this blob")
            file, size = await self.app.threads.run(self._open_blob, sha256)
            request.setHeader("Cache-Control", answers.NEVER)
            return FileAnswer(file, size, OCTETS)

        @route("/hook/github", methods=["POST"])
        async def github(request: Any) -> bytes:
            body = request.body
            if not self.secret or not isinstance(body, Small):
                raise Missing("the webhook is off")
            headers = request.requestHeaders
            signature = header(headers, b"X-Hub-Signature-256")
            if not hook.verify(self.secret, body.file.getvalue(), signature):
                raise Refused(403, "the signature does not fit")
            event = header(headers, b"X-GitHub-Event")
            delivery = header(headers, b"X-GitHub-Delivery")
            await self.app.threads.run(hook.wake, self.farm, event, delivery)
            return answers.send(request, answers.make(202, answers.JSON, b'{"status":"woken"}'))

    def _finish(self, body: Upload) -> Stored:
        if not doors.is_running(self.farm, body.grant):
            body.drop()
            raise Refused(409, "the attempt no longer runs")
        return body.finish()

    def _open_blob(self, sha256: str) -> tuple[BinaryIO, int]:
        try:
            return _opened(self.farm.store.path(sha256))
        except (StoreError, OSError):
            raise Missing("there is no such blob") from None

    def _add_reader_routes(self) -> None:
        route = self.app.klein.route

        @route("/run/<int(max=9007199254740991):number>/log/<phase>", methods=["GET"])
        async def raw_log(request: Any, number: int, phase: str) -> FileAnswer | bytes:
            attempt = Query(request).number("attempt", 0, 0, 1 << 30)
            opened = await self.app.threads.run(self._open_log, number, phase, attempt)
            return answers.send_file(request, opened, answers.PLAIN)

        @route("/run/<int(max=9007199254740991):number>/report", methods=["GET"])
        async def report(request: Any, number: int) -> FileAnswer | bytes:
            opened = await self.app.threads.run(self._open_report, number)
            return answers.send_file(request, opened, answers.JSON)

    def _open_log(self, number: int, phase: str, attempt: int) -> Opened:
        self.app.pages.gate.check()
        found, kept = doors.log_of(self.farm, number, phase, attempt)
        blob = kept.blob if kept else None
        source = tails.source(self.farm.store, found, phase, blob, cut=False)
        if source is None:
            raise Missing("there is no such log")
        file, size = _opened(source.path)
        text = Plain(file)
        return Opened(
            file=text,
            size=text.measure(size),
            etag=_etag(blob) if blob else "",
            settled=bool(
                blob and attempt
            ),  # without a number it is the last attempt's, and there may come another
        )

    def _open_report(self, number: int) -> Opened:
        self.app.pages.gate.check()
        blob = api.report_blob(self.farm, number)
        file, size = self._open_blob(blob)
        return Opened(file=file, size=size, etag=_etag(blob))


class Plain:
    """A log as text: without the marks that tell its streams apart."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def measure(self, size: int) -> int:
        """How much text is in the first `size` bytes. Reads them all, and goes back to the beginning."""
        left, text = size, 0
        while left > 0 and (data := self._file.read(min(CHUNK, left))):
            left -= len(data)
            text += len(logmarks.plain(data))
        self._file.seek(0)
        return text

    def read(self, size: int, /) -> bytes:
        """At most so many bytes, b"" at the end only."""
        while data := self._file.read(size):
            if text := logmarks.plain(data):
                return text
        return b""

    def seek(self, offset: int, /) -> int:
        """To the beginning; a log is sent from there."""
        return self._file.seek(offset)

    def close(self) -> None:
        self._file.close()


def _etag(blob: str) -> str:
    """Of what a blob holds: the blob's name is its digest."""
    return f'"{blob[:32]}"'


def _opened(path: Path) -> tuple[BinaryIO, int]:
    """The file and its size now: a growing log is sent as far as it has come."""
    file = path.open("rb")
    size = file.seek(0, 2)
    file.seek(0)
    return file, size


def _argument(request: Any, name: bytes) -> str:
    values = (request.args or {}).get(name) or []
    return values[0].decode("ascii", "replace")[:1024] if len(values) == 1 else ""
