"""Carrying blobs between farm and worker: bounded, verified while they stream, never half there.

Nothing here trusts the other side: a blob is what its digest and size say or it is refused, redirects are followed
only to http(s), and `file://` only where the owner made this a local worker.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import os
import secrets
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pybots_worker.contract import Blob, Upload

CHUNK: Final = 1 << 20
PIECE: Final = 64 << 10
"""What is read at one time where the owner set a pace."""
TIMEOUT: Final = 60.0
"""Seconds without a byte before a transfer counts as failed."""
ATTEMPTS: Final = 3
PAUSE: Final = 1.0
"""Seconds before the second attempt; doubled before each further one."""


class FetchError(Exception):
    """A transfer failed for good; the text says what and where, without the token. The farm's trouble."""


class Passing(FetchError):
    """A transfer failed in a way that may pass: tried again."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What was uploaded."""

    sha256: str
    size: int


def nothing() -> None:
    """The `check` of a transfer that nobody can cancel."""


def download(blob: Blob, target: Path, *, local: bool, check: Callable[[], None] = nothing) -> None:
    """Fetch `blob` to the file `target`, which appears complete and verified, or not at all.

    `check` is called between pieces and may raise to stop. Raises FetchError.
    """
    _patiently(lambda: _download_once(blob, target, local, check))


def _download_once(blob: Blob, target: Path, local: bool, check: Callable[[], None]) -> None:
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    digest = hashlib.sha256()
    size = 0
    try:
        with part.open("xb") as file:
            for chunk in _read(blob.url, local):
                check()
                size += len(chunk)
                if size > blob.size:
                    raise FetchError(
                        f"{clean(blob.url)}: more than the {blob.size} bytes announced"
                    )
                digest.update(chunk)
                file.write(chunk)
        if size != blob.size:
            raise Passing(f"{clean(blob.url)}: {size} bytes came instead of {blob.size}")
        if digest.hexdigest() != blob.sha256:
            raise FetchError(
                f"{clean(blob.url)}: its sha256 is {digest.hexdigest()}, not {blob.sha256}"
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _read(url: str, local: bool) -> Iterator[bytes]:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file":
        yield from _read_file(_local_path(url, local))
        return
    try:
        with _opener(url).open(url, timeout=TIMEOUT) as answer:
            while chunk := answer.read(PIECE if terms.pace else CHUNK):
                yield paced(chunk)
    except urllib.error.HTTPError as error:
        raise _refusal(url, error) from error
    except (OSError, http.client.HTTPException) as error:
        raise Passing(f"{clean(url)}: {error}") from error


def _read_file(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise FetchError(f"{path}: {error.strerror}") from error


def upload(path: Path, to: Upload, *, local: bool) -> Sent:
    """PUT the file `path`. Raises FetchError, also when it is too large or was not taken as it is."""
    size = path.stat().st_size
    if size > to.max_bytes:
        raise FetchError(f"{path.name} has {size} bytes, the farm takes {to.max_bytes}")
    with path.open("rb") as file:
        sent = Sent(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size=size)
    if urllib.parse.urlsplit(to.url).scheme == "file":
        _place(path, _local_path(to.url, local))
    else:
        _patiently(lambda: _put_once(path, to, sent))
    return sent


def _put_once(path: Path, to: Upload, sent: Sent) -> None:
    with path.open("rb") as body:
        request = urllib.request.Request(to.url, data=_Paced(body), method="PUT")
        request.add_header("Authorization", f"Bearer {to.token}")
        request.add_header("Content-Type", "application/octet-stream")
        request.add_header("Content-Length", str(sent.size))
        request.add_header("X-Pybots-Sha256", sent.sha256)
        try:
            with _opener(to.url).open(request, timeout=TIMEOUT) as answer:
                answer.read(CHUNK)
        except urllib.error.HTTPError as error:
            raise _refusal(to.url, error) from error
        except (OSError, http.client.HTTPException) as error:
            raise Passing(f"{clean(to.url)}: {error}") from error


def _place(path: Path, target: Path) -> None:
    """A local upload: the file appears at `target` whole, by rename."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source, part.open("xb") as copy:
            while chunk := source.read(CHUNK):
                copy.write(chunk)
            copy.flush()
            os.fsync(copy.fileno())
        part.replace(target)
    except OSError as error:
        raise FetchError(f"{target}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _patiently(action: Callable[[], None]) -> None:
    """Do it, again after a pause when the trouble may pass; the last FetchError goes to the caller."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return action()
        except Passing:
            time.sleep(PAUSE * 2**attempt)
    return action()


def _refusal(url: str, error: urllib.error.HTTPError) -> FetchError:
    """The server's answer in words; what is its own trouble (5xx, 429) may pass."""
    said = error.read(2000).decode("utf-8", "replace").strip()
    text = f"{clean(url)}: {error.code} {error.reason}{': ' + said if said else ''}"
    return Passing(text) if error.code >= 500 or error.code == 429 else FetchError(text)


def opener(
    host: str, context: ssl.SSLContext | None = None, *more: urllib.request.BaseHandler
) -> urllib.request.OpenerDirector:
    """For a host without its port. Proxies of the environment are for the world, not for this machine itself."""
    handlers = [*more]
    if is_loopback(host):
        handlers.append(urllib.request.ProxyHandler({}))
    if context is not None:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    return urllib.request.build_opener(*handlers)


@dataclass
class Terms:
    """How this process carries: whom it believes at the farm's host, and how fast it may be (bytes a second, 0: freely)."""

    host: str = ""
    authority: ssl.SSLContext | None = None
    pace: int = 0


terms: Final = Terms()
"""Set once by the workshop; a process works for one worker."""


def _opener(url: str) -> urllib.request.OpenerDirector:
    host = urllib.parse.urlsplit(url).hostname or ""
    return opener(host, terms.authority if host == terms.host else None)


class _Paced:
    """A file that is read no faster than the owner allows. `send` in http.client asks for `read` only."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        return paced(self._file.read(size))


def paced(data: bytes) -> bytes:
    """The data, after the time it may take."""
    if terms.pace:
        time.sleep(len(data) / terms.pace)
    return data


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine.

    >>> is_loopback("127.0.0.1"), is_loopback("example.org")
    (True, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _local_path(url: str, local: bool) -> Path:
    if not local:
        raise FetchError(
            f"{clean(url)}: files of this machine are for local jobs only (local = true)"
        )
    return Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path))


def clean(url: str) -> str:
    """The address without what must not be in a log: query (tokens), user and password."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))
