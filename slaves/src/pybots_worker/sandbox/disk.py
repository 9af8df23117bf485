"""How much the writable mounts hold, measured a slice at a time so that a huge tree never stops the run's loop."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from .proc import PROC

LONGEST_PAUSE = 30.0
SHORTEST_PAUSE = 0.2


class Scan:
    """One pass over the folders, in slices. Links are never followed; a file with two names counts once.

    `blind` is set when something could not be read (rights taken away, names too deep), so that the caller
    knows that the sum is a lower bound.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        self.total = 0
        self.blind = False
        self.spent = 0.0
        self._todo = [str(root) for root in roots]
        self._linked: set[tuple[int, int]] = set()

    def advance(self, seconds: float) -> bool:
        """Work for about this long; true when the pass is complete."""
        began = time.monotonic()
        while self._todo and time.monotonic() - began < seconds:
            self._folder(self._todo.pop())
        self.spent += time.monotonic() - began
        return not self._todo

    def _folder(self, path: str) -> None:
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    self._count(entry)
        except FileNotFoundError:
            pass  # the job removed it meanwhile
        except NotADirectoryError:
            self.total += os.lstat(path).st_blocks * 512
        except OSError:
            self.blind = True

    def _count(self, entry: os.DirEntry[str]) -> None:
        try:
            info = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(info.st_mode):
            self._todo.append(entry.path)
        elif info.st_nlink > 1:
            if (info.st_dev, info.st_ino) in self._linked:
                return
            self._linked.add((info.st_dev, info.st_ino))
        self.total += info.st_blocks * 512


def held(roots: Iterable[Path]) -> int:
    """Bytes below these folders, in one go."""
    scan = Scan(roots)
    scan.advance(float("inf"))
    return scan.total


class DiskWatch:
    """Decides when to look again, and whether the cap is exceeded.

    The file system's own count of used blocks costs nothing to ask: a pass is made when it grew by a tenth of
    the cap since the last one, or after `LONGEST_PAUSE`. So a quiet job costs nothing.
    """

    def __init__(self, roots: Iterable[Path], cap: int, *, caches: Iterable[Path] = ()) -> None:
        """`roots` are all writable mounts; what those among them that are `caches` hold now is not counted."""
        self.roots = tuple(roots)
        self._before = held(caches)
        self.cap = cap
        self.used = 0
        self._began = self._looked = self._filled()
        self._blind = False
        self._scan: Scan | None = None
        self._next = time.monotonic() + SHORTEST_PAUSE
        self._due = time.monotonic()

    def exceeded(self, pids: Callable[[], Iterable[int]], *, final: bool = False) -> bool:
        """Do a slice of work; true once the mounts are known to hold more than the cap.

        `pids` lists the run's processes, for the rare case that they have to be looked into. `final` finishes
        the pass, if one is called for.
        """
        if not self.roots or not self._advance(final):
            return False
        if self.used > self.cap:
            return True
        # More was written than is seen: deleted files that are still open, or folders closed to us.
        if self._looked - self._began <= self.cap:
            return False
        return self._blind or self.used + deleted_bytes(pids(), self._devices()) > self.cap

    def _advance(self, final: bool) -> bool:
        """Start or continue a pass; true when one has just been completed."""
        now = time.monotonic()
        if final and self._filled() - self._looked > self.cap / 10:
            self._scan = None  # what it passed before the last writes is out of date
        if self._scan is None:
            if not self._wanted(now, final):
                return False
            self._looked = self._filled()
            self._scan = Scan(self.roots)
        while not self._scan.advance(0.02):
            if not final:
                return False
        self.used, self._blind = self._scan.total - self._before, self._scan.blind
        self._next = now + min(max(SHORTEST_PAUSE, 20 * self._scan.spent), LONGEST_PAUSE)
        self._due, self._scan = now + LONGEST_PAUSE, None
        return True

    def _wanted(self, now: float, final: bool) -> bool:
        if now < self._next and not final:
            return False
        return (now >= self._due and not final) or self._filled() - self._looked > self.cap / 10

    def _filled(self) -> int:
        """Used bytes of the file systems below the mounts, each once."""
        found = {}
        for root in self.roots:
            info = os.statvfs(root)
            found[root.stat().st_dev] = (info.f_blocks - info.f_bfree) * info.f_frsize
        return sum(found.values())

    def _devices(self) -> set[int]:
        return {root.stat().st_dev for root in self.roots}


def deleted_bytes(pids: Iterable[int], devices: set[int], proc: Path = PROC) -> int:
    """What the processes hold open of files without a name, on these devices."""
    found: dict[tuple[int, int], int] = {}
    for pid in pids:
        try:
            for path in (proc / str(pid) / "fd").iterdir():
                info = path.stat()
                if stat.S_ISREG(info.st_mode) and not info.st_nlink and info.st_dev in devices:
                    found[info.st_dev, info.st_ino] = info.st_blocks * 512
        except OSError:
            continue
    return sum(found.values())
