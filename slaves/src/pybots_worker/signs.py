"""How this worker is: what it tells its farm, whether its owner paused it, and that it runs only once."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from pybots_worker import rules, welcome
from pybots_worker.facts import Facts, measure
from pybots_worker.hours import minutes_until, read_hours
from pybots_worker.reporting import KIT
from pybots_worker.settings import WorkshopSettings
from pybots_worker.welcome import Hello, Machine, Rest, Signs

PAUSED: Final = "paused.json"
LOCK: Final = "running.pid"


@dataclass(frozen=True, kw_only=True)
class Pause:
    """The owner's word. `until` None: until `resume`."""

    until: float | None = None


def pause(root: Path, until: float | None) -> None:
    """Take no more jobs. What runs now is finished."""
    root.mkdir(parents=True, exist_ok=True)
    (root / PAUSED).write_text(msgspec.json.encode({"until": until}).decode())


def resume(root: Path) -> None:
    """Take jobs again."""
    (root / PAUSED).unlink(missing_ok=True)


def paused(root: Path, now: float) -> Pause | None:
    """The pause in force; one that has ended is none."""
    try:
        said = msgspec.json.decode((root / PAUSED).read_bytes(), type=dict[str, float | None])
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        return Pause()  # somebody meant a pause
    until = said.get("until")
    return None if until is not None and until <= now else Pause(until=until)


def rest(root: Path, settings: WorkshopSettings, now: float, load: float) -> Rest | None:
    """Why and until when it takes no jobs: the owner's pause, hours, load. None: it works. `load`: per processor."""
    if stop := paused(root, now):
        return Rest(why="paused by its owner", until=stop.until)
    here = datetime.fromtimestamp(now).astimezone()
    wait = minutes_until(read_hours(settings.hours), here.weekday(), here.hour * 60 + here.minute)
    if wait:
        back = here.replace(second=0, microsecond=0) + timedelta(minutes=wait)
        return Rest(why="outside its hours", until=back.timestamp())
    if settings.max_load and load > settings.max_load:
        return Rest(why=f"its machine is busy (load {load:.1f} for each processor)")
    return None


def load() -> float:
    """Processes that want a processor, for each of those that we may use, over the last five minutes."""
    return os.getloadavg()[1] / len(os.sched_getaffinity(0))


def machine(facts: Facts, settings: WorkshopSettings) -> Machine:
    """What the farm is told of this machine."""
    return Machine(
        platform=facts.platform,
        abi=facts.abi,
        slots=settings.slots,
        cores=facts.cores,
        memory_bytes=facts.memory_bytes,
        system=facts.system,
        kit=KIT,
        facts=facts.provided[:200],
    )


def hello(
    settings: WorkshopSettings,
    root: Path = Path("/"),
    *,
    resting: Rest | None = None,
    leaving: bool = False,
) -> Hello:
    """How it is now. Takes some 10 ms."""
    return Hello(
        version=welcome.VERSION,
        machine=machine(measure(settings.provides), settings),
        signs=Signs(
            clock=time.time(),
            disk_free_bytes=shutil.disk_usage(root).free,
            memory_free_bytes=_memory_free(),
            load=round(load(), 2),
        ),
        decisions=rules.decisions(settings),
        rest=resting,
        leaving=leaving,
    )


def _memory_free() -> int:
    """What could be used without swapping (Linux); 0 where that can't be told."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    found = (line.split() for line in lines if line.startswith("MemAvailable:"))
    return next((int(words[1]) << 10 for words in found), 0)


@contextmanager
def alone(root: Path) -> Iterator[bool]:
    """Whether no other process works in this folder; while inside, none can begin to. The file has our pid."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield True


def runner(root: Path) -> int | None:
    """The process that works in this folder, None when nothing does."""
    try:
        with (root / LOCK).open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
    except (FileNotFoundError, ValueError):
        return None
    return None
