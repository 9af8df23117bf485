"""What a worker keeps between jobs: bounded in bytes, the least recently used goes first.

    cache/interpreters/<sha256>/data/   unpacked interpreters, mounted read-only
    cache/sources/<sha256>/data         blobs
    cache/uv/<project>.<n>/             uv's cache, one project's own: no job can plant a wheel for another; beside it the
                                        project's own builds (`phases/own.py`), which only the kit writes
    cache/ccache/<day>/                 compiled objects of CPython, which only the kit writes (`objects.py`)
    cache/configure/<key>               configure's answers

An entry appears by rename when it is complete, so a kit killed at any moment leaves only `.new-*`, swept at start.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

WAIT: Final = 0.1
NEW: Final = ".new-"
OLD: Final = ".old-"
MIXED: Final = "mixed"
"""In place of a key: this cache's wheels were built on several interpreters."""


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How the owner's cache size is split; bytes."""

    interpreters: int
    sources: int
    ccache: int
    uv: int


def shares(cache_mb: int) -> Shares:
    """Interpreters are the largest and the most useful; see the fractions."""
    total = cache_mb << 20
    return Shares(interpreters=total // 2, sources=total // 10, ccache=total // 5, uv=total // 5)


class Shelf:
    """Entries named by their digest, at most `limit` bytes of them (one that is in use is never removed)."""

    def __init__(self, root: Path, limit: int) -> None:
        self.root = root
        self.limit = limit
        root.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def hold(
        self, name: str, make: Callable[[Path], None], *, check: Callable[[], None]
    ) -> Iterator[Path]:
        """The entry `name`, kept from removal inside the block; `make(path)` fills it when it is not there.

        `check` may raise while we wait for another process that is making the same.
        """
        with self._ready(name, make, check) as path:
            yield path

    @contextlib.contextmanager
    def _ready(
        self, name: str, make: Callable[[Path], None], check: Callable[[], None]
    ) -> Iterator[Path]:
        while True:
            with self._used(name) as path:
                if path is not None:
                    yield path
                    return
            with exclusive(self.root / f".lock-{name}", check):
                if not (self.root / name).exists():
                    self._make(name, make)

    def _make(self, name: str, make: Callable[[Path], None]) -> None:
        new = self.root / f"{NEW}{secrets.token_hex(8)}"
        new.mkdir()
        try:
            make(new / "data")
            self._enter(new, name)
        finally:
            remove(new)

    def adopt(self, name: str, tree: Path) -> None:
        """Take a finished tree over as the entry `name`, by rename; nothing when it is there already."""
        if (self.root / name).exists():
            return
        new = self.root / f"{NEW}{secrets.token_hex(8)}"
        new.mkdir()
        try:
            tree.rename(new / "data")
            self._enter(new, name)
        finally:
            remove(new)

    def _enter(self, new: Path, name: str) -> None:
        size = tree_bytes(new / "data")
        self._shrink(self.limit - size)
        (new / "size").write_text(str(size))
        # Another process may have been quicker: its entry is as good.
        with contextlib.suppress(OSError):
            new.rename(self.root / name)

    @contextlib.contextmanager
    def _used(self, name: str) -> Iterator[Path | None]:
        """The entry's data under a shared lock, or None when it is not there."""
        entry = self.root / name
        try:
            mark = os.open(entry / "size", os.O_RDWR)
        except FileNotFoundError:
            yield None
            return
        try:
            fcntl.flock(mark, fcntl.LOCK_SH)
            os.utime(mark)
            # It may have been removed between the two calls: then the name is gone or stands for a newer one.
            yield entry / "data" if _same(mark, entry / "size") else None
        finally:
            os.close(mark)

    def _shrink(self, limit: int) -> None:
        """Remove the least recently used entries until at most `limit` bytes are left."""
        marks = sorted(self.root.glob("[!.]*/size"), key=lambda path: path.stat().st_mtime)
        total = sum(int(mark.read_text() or 0) for mark in marks)
        for mark in marks:
            if total <= limit:
                return
            size = int(mark.read_text() or 0)
            if self._remove(mark):
                total -= size

    def _remove(self, mark: Path) -> bool:
        with mark.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            old = self.root / f"{OLD}{secrets.token_hex(8)}"
            mark.parent.rename(old)
        remove(old)
        return True

    def sweep(self) -> None:
        """Remove what a killed kit left unfinished. Call at start, while no job runs."""
        for pattern in (f"{NEW}*", f"{OLD}*", ".lock-*"):
            for leftover in self.root.glob(pattern):
                remove(leftover)
        self._shrink(self.limit)


class UvCaches:
    """uv's caches: one a project, numbered so that two slots never share one at the same time."""

    def __init__(self, root: Path, limit: int) -> None:
        self.root = root
        self.limit = limit
        root.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def lease(self, project: str, key: str, *, keep: bool) -> Iterator[Path]:
        """A folder for UV_CACHE_DIR, for a run on the interpreter `key`.

        Wheels of dependencies that were built here survive only while the interpreter is the same: what they were
        built on is no part of uv's own key for them, and one built on another commit could hide a breakage. With
        `keep` (a probe, where time counts) they survive, and the next run without it starts anew.
        """
        with self._free(project) as folder:
            data = folder / "data"
            data.mkdir(exist_ok=True)
            same = _read(folder / "key") == key
            (folder / "key").write_text(key if same or not keep else MIXED)
            (folder / "size").unlink(missing_ok=True)
            _forget(data, interpreter=not same, wheels=not same and not keep)
            yield data
            (folder / "size").write_text(str(tree_bytes(folder)))

    @contextlib.contextmanager
    def _free(self, project: str) -> Iterator[Path]:
        number = 0
        while True:
            folder = self.root / f"{project}.{number}"
            # Not exist_ok, which looks again when it is there: `shrink` may be quicker.
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
            try:
                lock = (folder / "lock").open("wb")
            except FileNotFoundError:
                continue  # `shrink` removed the folder between the two calls
            with lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    number += 1
                    continue
                if not _same(lock.fileno(), folder / "lock"):
                    continue  # `shrink` removed it between the two calls
                os.utime(folder / "lock")
                yield folder
                return

    def size(self, data: Path) -> int:
        """Bytes in a leased folder."""
        return tree_bytes(data)

    def sweep(self) -> None:
        """Remove what a killed kit left half removed, and what is too much. Call at start, while no job runs."""
        for leftover in self.root.glob(f"{OLD}*"):
            remove(leftover)
        self.shrink()

    def shrink(self) -> None:
        """Remove the least recently used caches over the limit, never one that somebody has.

        One that nobody has and that has no size was not given back: removed. Several slots may shrink at once."""
        total = 0
        idle: list[tuple[float, int, Path]] = []
        for lock in self.root.glob("[!.]*/lock"):
            with contextlib.closing(_Claim(lock)) as claim:
                size = int(_read(lock.with_name("size")) or self.limit)
                if claim.since is None:
                    total += tree_bytes(lock.parent)
                else:
                    total += size
                    idle.append((claim.since, size, lock))
        for _, size, lock in sorted(idle):
            if total <= self.limit:
                return
            with contextlib.closing(_Claim(lock)) as claim:
                if claim.since is not None:
                    old = self.root / f"{OLD}{secrets.token_hex(8)}"
                    lock.parent.rename(old)
                    remove(old)
                    total -= size


class _Claim:
    """A try for a cache's lock. `since`: when it was last used; None: somebody has it, or it is gone."""

    def __init__(self, lock: Path) -> None:
        self.since: float | None = None
        self._file: BinaryIO | None = None
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            self._file = lock.open("rb")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same(self._file.fileno(), lock):
                self.since = os.fstat(self._file.fileno()).st_mtime

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _forget(data: Path, *, interpreter: bool, wheels: bool) -> None:
    """Forget what was built here of paths and URLs (the project itself among them), and leftovers of builds.

    `interpreter`: also what uv found out about the interpreter, which always has the same name and may have the
    same time. `wheels`: also what was built of releases.
    """
    for bucket in data.glob("sdists-v*"):
        if bucket.is_symlink():  # a job's doing: what it points to is none of our business
            bucket.unlink()
            continue
        for kind in ("path", "editable", "git", "url", *(("index", "pypi") if wheels else ())):
            remove(bucket / kind)
    for pattern in ("builds-v*", *(("interpreter-v*",) if interpreter else ())):
        for bucket in data.glob(pattern):
            remove(bucket)


@contextlib.contextmanager
def exclusive(path: Path, check: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path`; while another process has it, wait and let `check` raise."""
    with path.open("wb") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                check()
                time.sleep(WAIT)
        yield


def remove(path: Path) -> None:
    """Remove a file or a tree, whatever a job did to its modes; a link is removed itself, never followed."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except (PermissionError, RecursionError):
        _flatten(path)


def _flatten(path: Path) -> None:
    """Remove a folder whose folders have no rights for their owner, or lie deeper than rmtree (or a path) can reach:
    they are moved up one by one, so nothing here is ever more than two levels below `path`."""
    path.chmod(0o700)
    while entries := list(path.iterdir()):
        for entry in entries:
            if entry.is_symlink() or not entry.is_dir():
                entry.unlink()
                continue
            entry.chmod(0o700)
            for below in entry.iterdir():
                if below.is_symlink() or not below.is_dir():
                    below.unlink()
                else:
                    below.chmod(0o700)  # moving a folder writes its `..`
                    below.rename(path / f"{OLD}{secrets.token_hex(8)}")
            entry.rmdir()
    path.rmdir()


def tree_bytes(path: Path) -> int:
    """Bytes on disk of a file or a tree; links are not followed, what vanishes meanwhile counts nothing."""
    try:
        total = path.lstat().st_blocks * 512
    except OSError:
        return 0
    todo = [str(path)] if path.is_dir() and not path.is_symlink() else []
    while todo:
        # A cache has thousands of files: one call each, not three.
        with contextlib.suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
    return total


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
