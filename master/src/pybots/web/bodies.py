"""What a request may send, decided from its head alone: most send nothing, workers send blobs, GitHub a few kilobytes.

Bodies are never buffered beyond their cap, and blobs go straight into the store. Everything here runs on the reactor:
no ledger, no waiting; a verified token is the permission to send, the ledger is asked before a blob becomes real.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import ExitStack
from io import BytesIO
from typing import Final, Protocol
from urllib.parse import unquote_to_bytes

from twisted.web.http_headers import Headers

from pybots.farm import tokens
from pybots.farm.home import Farm
from pybots.farm.tokens import Grant, TokenError
from pybots.store import Stored, StoreError, StoreFull

SMALL_BYTES: Final = 64 << 10
"""Any other request's body: nobody needs one, some clients send one."""
HOOK_BYTES: Final = 8 << 20
UPLOADS_PER_ATTEMPT: Final = 8
"""Uploads one attempt may begin per kind (answers get lost, clients try again); a web restart forgets the count."""
_COUNTED: Final = 10_000

UPLOAD: Final = re.compile(rb"/api/v1/upload/([0-9]{1,15})/([0-9]{1,15})/(report|artifact)")
HOOK: Final = b"/hook/github"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Refused(Exception):
    """The request is answered with `status` and the text, and its connection closed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Body(Protocol):
    """Where a request's bytes go. `write` raises Refused; `discard` may be called at any time, also twice."""

    def write(self, data: bytes) -> None: ...

    def discard(self) -> None: ...


class Small:
    """A bounded body in memory."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.file = BytesIO()

    def write(self, data: bytes) -> None:
        if self.file.tell() + len(data) > self.limit:
            raise Refused(413, f"the body has more than {self.limit} bytes")
        self.file.write(data)

    def discard(self) -> None:
        """Nothing was kept anywhere."""


class Upload:
    """A blob on its way into the store. It exists for others only after `finish`."""

    def __init__(self, farm: Farm, grant: Grant, sha256: str, length: int | None) -> None:
        self.grant = grant
        self.sha256 = sha256
        self._length = length
        self._finishing = False
        self._stack = ExitStack()
        try:
            farm.store.check_room(length or 0)
            self._incoming = self._stack.enter_context(farm.store.incoming(limit=grant.max_bytes))
        except StoreFull as error:
            raise Refused(507, str(error)) from error

    def write(self, data: bytes) -> None:
        try:
            self._incoming.write(data)
        except StoreFull as error:
            raise Refused(507, str(error)) from error
        except StoreError as error:
            raise Refused(413, str(error)) from error

    def discard(self) -> None:
        if not self._finishing:
            self._stack.close()

    def begin_finish(self) -> None:
        """From here on the thread that finishes owns the file; a lost connection changes nothing."""
        self._finishing = True

    def finish(self) -> Stored:
        """Make the blob real. Blocking. Raises Refused; nothing is kept then."""
        with self._stack:
            if self._length is not None and self._incoming.size != self._length:
                raise Refused(400, "the body has another length than announced")
            try:
                return self._incoming.finish(expect=self.sha256)
            except StoreFull as error:
                raise Refused(507, str(error)) from error
            except StoreError as error:
                raise Refused(422, str(error)) from error

    def drop(self) -> None:
        """Give up what begin_finish took over."""
        self._stack.close()


class Admission:
    """Decides what a request may send."""

    def __init__(self, farm: Farm, key: bytes | None) -> None:
        self._farm = farm
        self._key = key
        self._begun: Counter[tuple[int, str]] = Counter()

    def admit(self, method: bytes, uri: bytes, headers: Headers, length: int | None) -> Body:
        """The body of a request with this head; `length` None: chunked. Raises Refused."""
        _check_head(uri, headers)
        path = uri.partition(b"?")[0]
        if path.startswith(b"/api/v1/upload/"):
            return self._upload(method, path, headers, length)
        limit = HOOK_BYTES if path == HOOK and method == b"POST" else SMALL_BYTES
        if length is not None and length > limit:
            raise Refused(413, f"the body has more than {limit} bytes")
        if limit == HOOK_BYTES and not headers.hasHeader(b"X-Hub-Signature-256"):
            raise Refused(401, "the delivery is not signed with SHA-256")
        return Small(limit)

    def _upload(self, method: bytes, path: bytes, headers: Headers, length: int | None) -> Body:
        if method != b"PUT":
            raise Refused(405, "uploads are PUT")
        match = UPLOAD.fullmatch(path)
        if match is None:
            raise Refused(404, "uploads go to /api/v1/upload/<run>/<attempt>/<report or artifact>")
        run, attempt, kind = int(match[1]), int(match[2]), match[3].decode()
        grant = self.grant(bearer(headers))
        if (grant.run, grant.attempt, grant.kind) != (run, attempt, kind):
            raise Refused(403, "the token was made for something else")
        sha256 = header(headers, b"X-Pybots-Sha256")
        if not _SHA256.fullmatch(sha256):
            raise Refused(400, "X-Pybots-Sha256 is missing or not a sha256 digest")
        if length is not None and length > grant.max_bytes:
            raise Refused(413, f"over the limit of {grant.max_bytes} bytes")
        self._count(attempt, kind)
        return Upload(self._farm, grant, sha256, length)

    def _count(self, attempt: int, kind: str) -> None:
        if len(self._begun) > _COUNTED:
            self._begun.clear()
        self._begun[attempt, kind] += 1
        if self._begun[attempt, kind] > UPLOADS_PER_ATTEMPT:
            raise Refused(429, "this attempt has begun too many uploads")

    def grant(self, token: str) -> Grant:
        """What a token allows. Raises Refused."""
        if not token:
            raise Refused(401, "a token is needed: Authorization: Bearer …")
        if self._key is None:
            raise Refused(503, "this farm has no token key; `pybots init` makes it")
        try:
            return tokens.verify(self._key, token, now=self._farm.clock())
        except TokenError as error:
            raise Refused(403, str(error)) from error


def _check_head(uri: bytes, headers: Headers) -> None:
    try:
        uri.decode("ascii")
        from_percent(uri)
    except UnicodeDecodeError:
        raise Refused(400, "the address is not UTF-8") from None
    if len(headers.getRawHeaders(b"Host") or ()) > 1:
        raise Refused(400, "more than one Host")


def from_percent(uri: bytes) -> str:
    """The path decoded. Raises UnicodeDecodeError."""
    return unquote_to_bytes(uri.partition(b"?")[0]).decode("utf-8")


def header(headers: Headers, name: bytes) -> str:
    """The only value of a header; "" when it is missing, repeated or not ASCII."""
    values = headers.getRawHeaders(name) or []
    if len(values) != 1 or not values[0].isascii():
        return ""
    return str(values[0].decode("ascii"))


def bearer(headers: Headers) -> str:
    """The token of an Authorization header; "" without one."""
    scheme, _, token = header(headers, b"Authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
