"""Content-addressed blobs in a folder, and the live tails of running logs.

    store/blobs/ab/abcdef…    a blob, named by its sha256, never changed
    store/live/<attempt>/<phase>   a log that still grows; becomes a blob when its phase ends
    store/incoming/…          unfinished writes, locked by who writes them; swept at start

A blob appears by rename after fsync: whoever can name it can read it whole, whatever was killed when.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20


class StoreError(Exception):
    """The store refused or could not keep a blob; the text says why."""


class StoreFull(StoreError):
    """The disk (or the quota) has no room; nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    sha256: str
    size: int


class Store:
    """Blobs by digest. Safe for several processes at once. `reserve` bytes of the disk are left free."""

    def __init__(self, root: Path, *, reserve: int = 512 << 20) -> None:
        self.root = root
        self.reserve = reserve
        for name in ("blobs", "live", "incoming"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Where the blob lies, or would lie."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise StoreError(f"not a sha256 digest: {sha256[:80]!r}")
        return self.root / "blobs" / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def size(self, sha256: str) -> int:
        return self.path(sha256).stat().st_size

    def read(self, sha256: str) -> bytes:
        """The whole blob. Raises StoreError when it is not there."""
        try:
            return self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise StoreError(f"no blob {sha256}") from None

    def open(self, sha256: str) -> BinaryIO:
        try:
            return self.path(sha256).open("rb")
        except FileNotFoundError:
            raise StoreError(f"no blob {sha256}") from None

    def put(self, data: bytes) -> Stored:
        return self.put_stream([data], limit=len(data))

    def put_stream(
        self, chunks: Iterable[bytes], *, limit: int, expect: str | None = None
    ) -> Stored:
        """Keep what `chunks` bring. Raises StoreError when it is over `limit` bytes or not `expect`."""
        with self.incoming(limit=limit) as incoming:
            for chunk in chunks:
                incoming.write(chunk)
            return incoming.finish(expect=expect)

    @contextlib.contextmanager
    def incoming(self, *, limit: int) -> Iterator[Incoming]:
        """A blob under way, fed by write(); it exists only after finish()."""
        self.check_room(0)
        incoming = Incoming(self, limit)
        try:
            yield incoming
        finally:
            incoming.discard()

    def check_room(self, size: int) -> None:
        free = shutil.disk_usage(self.root).free
        if free - size < self.reserve:
            raise StoreFull(
                f"the store's disk has {free >> 20} MiB left, {self.reserve >> 20} MiB are kept free"
            )

    def live(self, attempt: int, phase: str) -> Path:
        """The growing log of a phase."""
        return self.root / "live" / str(int(attempt)) / phase

    def sweep(self) -> None:
        """Remove what killed processes left unfinished; what a living one writes is locked, and left alone."""
        for leftover in (self.root / "incoming").iterdir():
            with contextlib.suppress(OSError), leftover.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink(missing_ok=True)


class Incoming:
    """A bounded write into the store: digest and size are counted on the way."""

    def __init__(self, store: Store, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._digest = hashlib.sha256()
        self._path = store.root / "incoming" / secrets.token_hex(12)
        self._file: BinaryIO | None = _locked(self._path)
        self.size = 0

    def write(self, chunk: bytes) -> None:
        assert self._file is not None
        self.size += len(chunk)
        if self.size > self._limit:
            raise StoreError(f"over the limit of {self._limit} bytes")
        self._digest.update(chunk)
        try:
            self._file.write(chunk)
        except OSError as error:
            raise StoreFull(f"the store could not be written: {error.strerror}") from error

    def finish(self, *, expect: str | None = None) -> Stored:
        """Make the blob real. Raises StoreError when its digest is not `expect`."""
        assert self._file is not None
        sha256 = self._digest.hexdigest()
        if expect is not None and sha256 != expect:
            raise StoreError(f"the digest is {sha256}, not {expect} as announced")
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            target = self._store.path(sha256)
            target.parent.mkdir(exist_ok=True)
            self._path.replace(target)
            self._file.close()
            self._file = None
            _sync_folder(target.parent)
        except OSError as error:
            raise StoreFull(f"the store could not be written: {error.strerror}") from error
        return Stored(sha256=sha256, size=self.size)

    def discard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._path.unlink(missing_ok=True)


def _locked(path: Path) -> BinaryIO:
    """A new file, locked for as long as it is open (and its process lives). Raises StoreFull."""
    while True:
        try:
            file = path.open("xb")
        except OSError as error:
            raise StoreFull(f"the store could not be written: {error.strerror}") from error
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():
            return file
        file.close()  # a sweep came between making and locking it


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
