"""Answers ready to send: bytes made in a thread, kept by what they depend on, sent with validators and gzip."""

from __future__ import annotations

import gzip
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Protocol

from twisted.web import resource, server, static

GZIP_MIN: Final = 600
GZIP_LEVEL: Final = 5
CACHE_BYTES: Final = 48 << 20

HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json"
PLAIN: Final = "text/plain; charset=utf-8"

REVALIDATE: Final = "no-cache"
FOREVER: Final = "public, max-age=31536000, immutable"
NEVER: Final = "no-store"

RAW_POLICY: Final = "default-src 'none'; sandbox; frame-ancestors 'none'"
"""For text and JSON that other people wrote: it is data, whatever a browser may think of it."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole response. `packed`: the same body compressed, b"" when that isn't worth it. `etag` "": not validated."""

    status: int
    content_type: str
    body: bytes
    packed: bytes = b""
    etag: str = ""
    cache: str = NEVER
    location: str = ""

    @property
    def size(self) -> int:
        return len(self.body) + len(self.packed) + 200


def make(
    status: int, content_type: str, body: bytes, *, cache: str = NEVER, tagged: bool = False
) -> Answer:
    """An Answer with its compressed form and, when `tagged`, its ETag."""
    packed = gzip.compress(body, GZIP_LEVEL, mtime=0) if len(body) >= GZIP_MIN else b""
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"' if tagged else ""
    return Answer(
        status=status, content_type=content_type, body=body, packed=packed, etag=etag, cache=cache
    )


def send(request: Any, answer: Answer) -> bytes:
    """Set the headers; returns what klein writes. An unchanged answer becomes 304, a redirect its Location."""
    request.setResponseCode(answer.status)
    request.setHeader("Cache-Control", answer.cache)
    if answer.location:
        request.setHeader("Location", answer.location)
    if answer.etag:
        request.setHeader("ETag", answer.etag)
        if answer.etag in _tags(request):
            request.setResponseCode(304)
            return b""
    request.setHeader("Content-Type", answer.content_type)
    body = answer.body
    if answer.packed:
        request.setHeader("Vary", "Accept-Encoding")
        if _takes_gzip(request):
            request.setHeader("Content-Encoding", "gzip")
            body = answer.packed
    request.setHeader("Content-Length", str(len(body)))
    return body


def _tags(request: Any) -> list[str]:
    value = request.getHeader("If-None-Match") or ""
    return [tag.strip() for tag in value.split(",")]


def _takes_gzip(request: Any) -> bool:
    value = request.getHeader("Accept-Encoding") or ""
    for part in value.lower().split(","):
        name, _, parameters = part.partition(";")
        if name.strip() == "gzip":
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


class Cache:
    """Answers by address, valid for one state of the farm; the least used go first. Safe for threads."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[str, tuple[object, Answer]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str, state: object) -> Answer | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None or found[0] != state:
                return None
            self._kept.move_to_end(key)
            return found[1]

    def put(self, key: str, state: object, answer: Answer) -> None:
        with self._lock:
            old = self._kept.pop(key, None)
            self._size += answer.size - (old[1].size if old else 0)
            self._kept[key] = (state, answer)
            while self._size > self._limit:
                _, (_, gone) = self._kept.popitem(last=False)
                self._size -= gone.size


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A file to send: `size` bytes from its beginning. `etag` "": it may still grow. `settled`: at this address it will
    always be the same."""

    file: Readable
    size: int
    etag: str = ""
    settled: bool = False


class Readable(Protocol):
    """As much of a file as sending it takes."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, /) -> int: ...
    def close(self) -> None: ...


def send_file(request: Any, opened: Opened, content_type: str) -> FileAnswer | bytes:
    """What klein writes: the file, or nothing when the reader has it."""
    kept = FOREVER if opened.settled else REVALIDATE
    request.setHeader("Cache-Control", kept if opened.etag else NEVER)
    if opened.etag:
        request.setHeader("ETag", opened.etag)
        if opened.etag in _tags(request):
            opened.file.close()
            request.setResponseCode(304)
            return b""
    return FileAnswer(opened.file, opened.size, content_type)


class FileAnswer(resource.Resource):
    """Sends `size` bytes of an open file as they are wanted, never whole in memory."""

    isLeaf = True

    def __init__(self, file: Readable, size: int, content_type: str) -> None:
        super().__init__()
        self._file = file
        self._size = size
        self._type = content_type

    def render(self, request: Any) -> Any:
        request.setHeader("Content-Type", self._type)
        request.setHeader("Content-Length", str(self._size))
        request.setHeader("Content-Security-Policy", RAW_POLICY)
        if request.method == b"HEAD" or not self._size:
            self._file.close()
            return b""
        static.SingleRangeStaticProducer(request, self._file, 0, self._size).start()
        return server.NOT_DONE_YET
