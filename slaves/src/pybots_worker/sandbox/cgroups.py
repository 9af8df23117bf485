"""Control groups: where our own runs may be put, what one is told, and what it tells. Both versions."""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .model import Limits
from .proc import read_stat

V1_CONTROLLERS = ("memory", "pids", "cpuacct")
V2_CONTROLLERS = frozenset({"memory", "pids"})
OVERHEAD_PROCESSES = 2
"""bubblewrap's two own processes live in the group as well and are not the job's."""
SUPERVISOR = "pybots-supervisor"
OURS = re.compile(r"^pybots-job-(\d+)-(\d+)-\d+$")
_COUNTER = itertools.count()


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A mounted hierarchy: version 2 has no controllers in its mount options."""

    version: int
    controllers: frozenset[str]
    root: str
    mounted: Path


def parse_mountinfo(text: str) -> list[Hierarchy]:
    """The control group hierarchies in /proc/self/mountinfo."""
    found = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        words, kind = left.split(), right.split()
        if not kind or kind[0] not in ("cgroup", "cgroup2"):
            continue
        options = frozenset(kind[2].split(",")) if kind[0] == "cgroup" else frozenset[str]()
        version = 1 if kind[0] == "cgroup" else 2
        found.append(Hierarchy(version, options, words[3], Path(words[4])))
    return found


def parse_membership(text: str) -> dict[str, str]:
    """/proc/self/cgroup as controller -> path; version 2's line has the empty name."""
    found = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            found[name] = path
    return found


def own_folder(hierarchy: Hierarchy, path: str) -> Path | None:
    """The folder of our own group, or None when it lies outside of what is mounted (some containers)."""
    if not Path(path).is_relative_to(hierarchy.root):
        return None
    return hierarchy.mounted / Path(path).relative_to(hierarchy.root)


def own_groups(membership: str, mountinfo: str) -> tuple[Path | None, dict[str, Path]]:
    """Our own group: (version 2's folder, version 1's folder per controller we use)."""
    paths = parse_membership(membership)
    unified, v1 = None, {}
    for hierarchy in parse_mountinfo(mountinfo):
        if hierarchy.version == 2 and "" in paths:
            unified = own_folder(hierarchy, paths[""])
        for name in hierarchy.controllers & frozenset(V1_CONTROLLERS) & paths.keys():
            if folder := own_folder(hierarchy, paths[name]):
                v1[name] = folder
    return unified, v1


def usable_v1(folders: Mapping[str, Path]) -> dict[str, Path] | None:
    """The folders, if each controller is there and lets us make a group (in practice: as root)."""
    if set(folders) != set(V1_CONTROLLERS):
        return None
    return dict(folders) if all(map(_can_make_groups, folders.values())) else None


def usable_v2(own: Path | None) -> Path | None:
    """A folder in which groups with memory and pids can be made, or None.

    Inside a service with Delegate=yes the service's processes are first moved into a leaf, for a group that
    hands controllers to children may hold no processes. Nothing is moved in a group that was not delegated.
    """
    if own is None:
        return None
    base = own.parent if own.name == SUPERVISOR else own
    with suppress(OSError):
        if not set((base / "cgroup.controllers").read_text().split()) >= V2_CONTROLLERS:
            return None
        if not _hands_down(base):
            if not _delegated(base):
                return None
            _make_room(base)
        return base if _hands_down(base) and _can_make_groups(base) else None
    return None


def usable_top(mounted: Path) -> Path | None:
    """For root outside of any service: a folder of our own at the top, if the hierarchy hands memory down there."""
    with suppress(OSError):
        if _hands_down(mounted):
            base = mounted / "pybots"
            base.mkdir(exist_ok=True)
            (base / "cgroup.subtree_control").write_text("+memory +pids")
            return base if _can_make_groups(base) else None
    return None


def _hands_down(base: Path) -> bool:
    return set((base / "cgroup.subtree_control").read_text().split()) >= V2_CONTROLLERS


def _delegated(base: Path) -> bool:
    """systemd marks what it delegates, for the user and for root."""
    for name in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            if os.getxattr(base, name) == b"1":
                return True
    return False


def _make_room(base: Path) -> None:
    leaf = base / SUPERVISOR
    leaf.mkdir(exist_ok=True)
    for pid in (base / "cgroup.procs").read_text().split():
        with suppress(ProcessLookupError):
            (leaf / "cgroup.procs").write_text(pid)
    (base / "cgroup.subtree_control").write_text("+memory +pids")


def _can_make_groups(folder: Path) -> bool:
    trial = folder / _fresh_name()
    try:
        trial.mkdir()
        trial.rmdir()
    except OSError:
        return False
    return True


def _fresh_name() -> str:
    """A name that says whose it is: pid and start time, so that a reused pid is not taken for its owner."""
    stat = read_stat(os.getpid())
    return f"pybots-job-{os.getpid()}-{stat.started if stat else 0}-{next(_COUNTER)}"


def sweep(groups: Mapping[str, Path]) -> int:
    """Remove the groups of runs whose owner is gone (killed, power cut); returns how many went."""
    gone = 0
    for parent in set(groups.values()):
        with suppress(OSError):
            for folder in parent.iterdir():
                if _orphaned(folder.name):
                    kill_all(folder)
                    gone += remove(folder)
    return gone


def _orphaned(name: str) -> bool:
    match = OURS.match(name)
    if match is None:
        return False
    stat = read_stat(int(match[1]))
    return stat is None or stat.started != int(match[2])


def kill_all(folder: Path) -> None:
    """Kill every process in the group."""
    with suppress(OSError):
        if (folder / "cgroup.kill").exists():
            (folder / "cgroup.kill").write_text("1")
            return
        for pid in (folder / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def remove(folder: Path, *, patience: float = 1.0) -> bool:
    """Remove the group, waiting a moment for processes that are still on their way out."""
    end = time.monotonic() + patience
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        else:
            return True


def parse_flat(text: str) -> dict[str, int]:
    """A file of `name number` lines; lines of another shape are skipped."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.strip().isdigit():
            found[name] = int(value)
    return found


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run has used so far. `refused_forks` and `oom_kills` count how often a cap was hit."""

    cpu_seconds: float
    memory_bytes: int
    processes: int = 0
    oom_kills: int = 0
    refused_forks: int = 0


class Group:
    """One run's own group: one folder in version 2, one per controller in version 1."""

    def __init__(self, groups: Mapping[str, Path], limits: Limits) -> None:
        """Make the folders and set the caps; raises OSError, leaving nothing behind."""
        name = _fresh_name()
        self.folders = {key: parent / name for key, parent in groups.items()}
        try:
            for folder in self.folders.values():
                folder.mkdir(exist_ok=True)  # version 1 may mount two controllers together
            self._cap(limits)
        except OSError:
            self.close()
            raise

    @property
    def procs(self) -> list[Path]:
        """The files a process writes its pid to, to join."""
        return [folder / "cgroup.procs" for folder in dict.fromkeys(self.folders.values())]

    def _cap(self, limits: Limits) -> None:
        pids = str(limits.processes + OVERHEAD_PROCESSES)
        if unified := self.folders.get("unified"):
            (unified / "memory.max").write_text(str(limits.memory_bytes))
            _write_if_there(unified / "memory.swap.max", "0")
            _write_if_there(unified / "memory.oom.group", "1")
            (unified / "pids.max").write_text(pids)
            return
        memory = self.folders["memory"]
        (memory / "memory.limit_in_bytes").write_text(str(limits.memory_bytes))
        _write_if_there(memory / "memory.memsw.limit_in_bytes", str(limits.memory_bytes))
        (self.folders["pids"] / "pids.max").write_text(pids)

    def read(self) -> Usage:
        """The counters now. Memory leaves out the page cache, which the kernel takes back when it is short."""
        if unified := self.folders.get("unified"):
            cpu = _flat(unified / "cpu.stat").get("usage_usec", 0) / 1e6
            memory = _flat(unified / "memory.stat")
            held = memory.get("anon", 0) + memory.get("shmem", 0)
            kills = _flat(unified / "memory.events").get("oom_kill", 0)
            forks = _flat(unified / "pids.events").get("max", 0)
            return Usage(cpu, held, oom_kills=kills, refused_forks=forks)
        cpu = int((self.folders["cpuacct"] / "cpuacct.usage").read_text()) / 1e9
        memory = _flat(self.folders["memory"] / "memory.stat")
        held = memory.get("total_rss", 0) + memory.get("total_shmem", 0)
        kills = _flat(self.folders["memory"] / "memory.oom_control").get("oom_kill", 0)
        forks = _flat(self.folders["pids"] / "pids.events").get("max", 0)
        return Usage(cpu, held, oom_kills=kills, refused_forks=forks)

    def pids(self) -> list[int]:
        """Everything that lives in it now."""
        return [int(pid) for pid in self.procs[0].read_text().split()]

    def kill(self) -> None:
        """Kill everything inside."""
        for folder in self.folders.values():
            kill_all(folder)

    def close(self) -> None:
        """Remove the folders; what cannot go now goes with the next `sweep`."""
        for folder in dict.fromkeys(self.folders.values()):
            remove(folder)


def _flat(path: Path) -> dict[str, int]:
    return parse_flat(path.read_text())


def _write_if_there(path: Path, text: str) -> None:
    """Not every kernel counts swap."""
    if path.exists():
        path.write_text(text)
