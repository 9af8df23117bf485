"""What the owner of this machine lets a job be and have, whatever the master says. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from pybots_worker.contract import InterpreterWork, Job, Limits
from pybots_worker.settings import WorkshopSettings
from pybots_worker.welcome import Decisions

NETWORKS: Final = ("none", "install", "always")
"""From the least to the most."""
MIB: Final = 1 << 20
PROCESSES: Final = 8192
"""The most of one job, threads too, whatever the farm says: eight times its usual cap."""
OTHERS_MEMORY: Final = 512 * MIB
OTHERS_DISK: Final = 1024 * MIB
"""What a job leaves to everything else here: of memory at least this, or an eighth of all."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """What this machine has, bytes: all of its memory, and its disk that is free now."""

    memory: int
    disk: int


def objection(job: Job, settings: WorkshopSettings) -> str:
    """Why the owner does not let this job run here, in words for the farm; empty: it may."""
    work = job.work
    building = isinstance(work, InterpreterWork)
    kind = "interpreter" if building else "project"
    if settings.kinds and kind not in settings.kinds:
        return f"this worker's owner lets it do no work of the kind {kind!r}"
    if isinstance(work, InterpreterWork):
        return ""
    if settings.projects and work.project not in settings.projects:
        return f"this worker's owner does not let it run {work.project}"
    if NETWORKS.index(work.network) > NETWORKS.index(settings.network):
        return f"this worker's owner gives no network to what wants {work.network!r}"
    return ""


def capped(job: Job, settings: WorkshopSettings, room: Room) -> Job:
    """The job with the owner's caps, and those of a machine that has other things to do, where they are tighter than
    the farm's: a master that caps nothing does not bring it down."""
    limits = {phase: _capped(limit, settings, room) for phase, limit in job.limits.items()}
    return msgspec.structs.replace(job, limits=limits)


def _capped(limits: Limits, settings: WorkshopSettings, room: Room) -> Limits:
    memory = room.memory - max(OTHERS_MEMORY, room.memory // 8)
    return msgspec.structs.replace(
        limits,
        memory_bytes=min(_least(limits.memory_bytes, settings.memory_mb), max(memory, 64 * MIB)),
        disk_bytes=min(
            _least(limits.disk_bytes, settings.disk_mb), max(room.disk - OTHERS_DISK, 64 * MIB)
        ),
        processes=min(limits.processes, PROCESSES),
    )


def _least(farm: int, owner_mb: int) -> int:
    return min(farm, owner_mb * MIB) if owner_mb else farm


def decisions(settings: WorkshopSettings) -> Decisions:
    """What the farm is told of it."""
    return Decisions(
        projects=settings.projects,
        kinds=settings.kinds,
        network=settings.network,
        receipt=settings.receipt,
    )
