"""The caps of a job's phases: what is built in, what a project's file asks for, what the farm allows at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import Field

from pybots.config.closed import Closed
from pybots.core.model import Project
from pybots_worker import contract

MIB: Final = 1 << 20
CORES_AT_MOST: Final = 16
"""A phase may use this many cores' worth of CPU time before CPU, not wall, time ends it."""

Minutes = Annotated[float, Field(gt=0, le=10_000)]
Mebibytes = Annotated[int, Field(ge=1, le=1 << 20)]


class LimitTable(Closed):
    """`[limits.<phase>]`. Minutes and mebibytes; absent = the built-in cap.

    For `test`, where project files say what they need, these are the most they get."""

    wall_minutes: Minutes | None = None
    cpu_minutes: Minutes | None = None
    memory_mb: Mebibytes | None = None
    disk_mb: Mebibytes | None = None
    processes: Annotated[int, Field(ge=1, le=100_000)] | None = None
    log_mb: Mebibytes | None = None


@dataclass(frozen=True, kw_only=True)
class Cap:
    """One phase's caps in people's units."""

    wall_minutes: float
    cpu_minutes: float | None = None
    memory_mb: int = 2048
    disk_mb: int = 4096
    processes: int = 1024
    log_mb: int = 64


# Generous multiples of what two slow cores need (DESIGN §5: configure 18 s, make 63 s, install 14 s). CPython's
# compile of a debug build with one core takes about 10 minutes; half a gigabyte a compiler process is enough.
BUILT_IN: Final[Mapping[str, Cap]] = MappingProxyType(
    {
        "interpreter": Cap(wall_minutes=15),
        "source": Cap(wall_minutes=15),
        "configure": Cap(wall_minutes=20),
        "compile": Cap(wall_minutes=90, memory_mb=8192, disk_mb=8192),
        "install": Cap(wall_minutes=45, memory_mb=4096, disk_mb=8192),
        "test": Cap(wall_minutes=30, memory_mb=4096, disk_mb=8192),
        "publish": Cap(wall_minutes=20),
        "report": Cap(wall_minutes=15),
    }
)


def limits(
    phase: contract.Phase, project: Project | None, table: LimitTable | None
) -> contract.Limits:
    """The caps of one phase of a project's job, or of an interpreter's (None)."""
    cap = BUILT_IN[phase]
    if project is not None and phase == "test":
        cap = replace(cap, wall_minutes=project.timeout_minutes, memory_mb=project.memory_mb)
    elif project is not None and phase == "install":
        cap = replace(cap, memory_mb=max(cap.memory_mb, project.memory_mb))
    cap = _overridden(cap, table, at_most=project is not None and phase == "test")
    cpu = cap.cpu_minutes or cap.wall_minutes * CORES_AT_MOST
    return contract.Limits(
        wall_seconds=cap.wall_minutes * 60,
        cpu_seconds=cpu * 60,
        memory_bytes=cap.memory_mb * MIB,
        processes=cap.processes,
        disk_bytes=cap.disk_mb * MIB,
        log_bytes=cap.log_mb * MIB,
    )


def _overridden(cap: Cap, table: LimitTable | None, *, at_most: bool) -> Cap:
    if table is None:
        return cap
    given = table.model_dump(exclude_none=True)
    if at_most:
        for key in given.keys() & {"wall_minutes", "memory_mb"}:
            given[key] = min(given[key], getattr(cap, key))
    return replace(cap, **given)
