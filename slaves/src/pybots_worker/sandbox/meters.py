"""What a run has used so far, asked a few times a second: from its control group, or by walking its processes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from .cgroups import Usage
from .inside import HOME, SHM, TMP
from .model import Ended, Limits
from .proc import (
    PAGE,
    PROC,
    TICK,
    Stat,
    marked_members,
    namespace_members,
    own_tmpfs,
    proportional_memory,
)


class Meter(Protocol):
    """Anything that can be read; `cgroups.Group` is one."""

    def read(self) -> Usage:
        """The usage now; CPU seconds never go down."""
        ...


class TreeMeter:
    """Adds up a tree of processes. Sees only what lives at the moment it looks; hence the rlimits beside it."""

    def __init__(self, root: int, memory_cap: int, *, marker: bytes = b"") -> None:
        """`root` is bubblewrap's first process inside or, with a `marker`, the job itself without a sandbox."""
        self.root = root
        self.memory_cap = memory_cap
        self.marker = marker
        self.sandboxed = not marker
        self.members: list[Stat] = []
        self._cpu = 0.0

    def read(self) -> Usage:
        """Walk /proc once."""
        self.members = (
            namespace_members(self.root)
            if self.sandboxed
            else marked_members(self.root, self.marker)
        )
        self._cpu = max(self._cpu, sum(stat.cpu_ticks for stat in self.members) / TICK)
        threads = sum(stat.threads for stat in self.members)
        # bubblewrap's first process inside is not the job's.
        return Usage(self._cpu, self._memory(), processes=max(0, threads - self.sandboxed))

    def _memory(self) -> int:
        folders = self._folders() if self.sandboxed else 0
        resident = sum(stat.rss_pages for stat in self.members) * PAGE + folders
        if resident <= self.memory_cap:
            return resident
        # Pages shared by forked processes were counted once for each; a closer look costs more and is rare.
        shares = [proportional_memory(stat.pid) or 0 for stat in self.members]
        return (sum(shares) + folders) if any(shares) else resident

    def _folders(self) -> int:
        """What lies in the job's folders in memory, which belongs to no process."""
        total = 0
        with suppress(OSError):
            mounts = own_tmpfs(Path(f"{PROC}/{self.root}/mountinfo").read_text())
            for target in {TMP, SHM, HOME} & mounts.keys():
                # Until bubblewrap has changed its root, this shows the host's own.
                if mounts[target] != device(target):
                    info = os.statvfs(f"{PROC}/{self.root}/root{target}")
                    total += (info.f_blocks - info.f_bfree) * info.f_frsize
        return total


def device(path: str) -> str | None:
    """The device of a path of the host's, as "major:minor"."""
    try:
        number = Path(path).stat().st_dev
    except OSError:
        return None
    return f"{os.major(number)}:{os.minor(number)}"


def exceeded(usage: Usage, limits: Limits) -> Ended | None:
    """The cap that was hit, if one was. Memory first: a tree that is out of memory often also fails to fork."""
    if usage.oom_kills or usage.memory_bytes > limits.memory_bytes:
        return "memory"
    if usage.refused_forks or usage.processes > limits.processes:
        return "processes"
    if usage.cpu_seconds > limits.cpu_seconds:
        return "cpu_timeout"
    return None
