"""Reading /proc: who belongs to a tree of processes, and what the tree uses. The lowest rung's eyes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Stat:
    """One line of /proc/<pid>/stat. `cpu_ticks` includes children that ended and were waited for."""

    pid: int
    parent: int
    cpu_ticks: int
    threads: int
    started: int
    rss_pages: int


def parse_stat(line: bytes) -> Stat:
    """Parse a stat line; a command's name may itself hold spaces and parentheses.

    >>> parse_stat(b"7 (a) b) S 1 7 5 0 -1 4 0 0 0 0 3 2 1 1 20 0 4 0 99 1 12 1").parent
    1
    """
    head, _, tail = line.rpartition(b")")
    words = tail.split()
    return Stat(
        pid=int(head.split(b" ", 1)[0]),
        parent=int(words[1]),
        cpu_ticks=sum(int(word) for word in words[11:15]),
        threads=int(words[17]),
        started=int(words[19]),
        rss_pages=int(words[21]),
    )


def read_stat(pid: int, proc: Path = PROC) -> Stat | None:
    """The process's stat line, or None when it is gone."""
    try:
        return parse_stat(_read(f"{proc}/{pid}/stat"))
    except (OSError, IndexError, ValueError):
        return None


def _read(path: str) -> bytes:
    """One short file of /proc. The lowest rung reads hundreds of them, many times a second: no frills."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)


def all_pids(proc: Path = PROC) -> list[int]:
    """Every process we can see."""
    with os.scandir(proc) as entries:
        return [int(entry.name) for entry in entries if entry.name.isdigit()]


def tree(roots: Iterable[int], stats: Mapping[int, Stat]) -> list[Stat]:
    """The `roots` that are alive and all that descend from them."""
    children: dict[int, list[int]] = {}
    for stat in stats.values():
        children.setdefault(stat.parent, []).append(stat.pid)
    todo, seen = list(roots), set[int]()
    while todo:
        pid = todo.pop()
        if pid not in seen:
            seen.add(pid)
            todo += children.get(pid, ())
    return [stats[pid] for pid in seen if pid in stats]


def pid_namespace(pid: int, proc: Path = PROC) -> str | None:
    """The identity of a process's pid namespace, or None when it is gone or not ours to see."""
    try:
        return os.readlink(f"{proc}/{pid}/ns/pid")  # noqa: PTH115 (pathlib costs three times the call itself)
    except OSError:
        return None


def own_tmpfs(text: str) -> dict[str, str]:
    """Whole tmpfs mounts in a mountinfo file: mount point -> device, as "major:minor"."""
    found = {}
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        words = left.split()
        if right.startswith("tmpfs ") and words[3] == "/":
            found[words[4]] = words[2]
    return found


def proportional_memory(pid: int, proc: Path = PROC) -> int | None:
    """Bytes in memory with shared pages divided among their users (Pss), or None."""
    try:
        text = (proc / str(pid) / "smaps_rollup").read_bytes()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return None


def carries(pid: int, marker: bytes, proc: Path = PROC) -> bool:
    """Whether the process was born with this variable (`NAME=value`) in its environment."""
    try:
        return marker in (proc / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def namespace_members(first: int, proc: Path = PROC) -> list[Stat]:
    """The processes of the sandbox whose first process is `first`: those in its pid namespace.

    No job can leave it, and none can make another inside it.
    """
    namespace = pid_namespace(first, proc)
    if namespace is None:
        return []
    pids = [pid for pid in all_pids(proc) if pid_namespace(pid, proc) == namespace]
    return [stat for pid in pids if (stat := read_stat(pid, proc))]


def marked_members(root: int | None, marker: bytes, proc: Path = PROC) -> list[Stat]:
    """Without a sandbox: `root`, whoever was born with the marker, and their descendants.

    That finds the forgotten, not the sly.
    """
    stats = {pid: stat for pid in all_pids(proc) if (stat := read_stat(pid, proc))}
    roots = [pid for pid in stats if pid == root or carries(pid, marker, proc)]
    return tree(roots, stats)
