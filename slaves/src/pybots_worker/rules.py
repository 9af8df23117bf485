"""What the owner of this machine lets a job be and have, whatever the master says. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from pybots_worker.contract import InterpreterWork, Job, Limits
from pybots_worker.settings import WorkshopSettings
from pybots_worker.welcome import Decisions

NETWORKS: Final = ("none", "install", "always")
"""From the least to the most."""
MIB: Final = 1 << 20


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


def capped(job: Job, settings: WorkshopSettings) -> Job:
    """The job with the owner's caps, where they are tighter than the farm's."""
    limits = {phase: _capped(limit, settings) for phase, limit in job.limits.items()}
    return msgspec.structs.replace(job, limits=limits)


def _capped(limits: Limits, settings: WorkshopSettings) -> Limits:
    return msgspec.structs.replace(
        limits,
        memory_bytes=_least(limits.memory_bytes, settings.memory_mb),
        disk_bytes=_least(limits.disk_bytes, settings.disk_mb),
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
