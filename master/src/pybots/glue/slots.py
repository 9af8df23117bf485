"""Buildbot's builders as slots: which are free, and which worker a request is meant for. No reactor needed.

A (builder, worker) pair runs one build at a time (measured), so a worker that offers three slots sits on the builders
`<platform>-1` to `<platform>-3`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from pybots.farm.dispatch import Slot

ATTEMPT: Final = "pybots_attempt"
WORKER: Final = "pybots_worker"
"""Properties of a build request: the attempt's id in the ledger, and who must run it."""

PREFIX: Final = "pybots"


def builder_name(platform: str, slot: int) -> str:
    """The builder of a platform's n-th slots, counted from 1."""
    return f"{platform}-{slot}"


def builders_of(workers: Iterable[tuple[str, str, int]]) -> dict[str, list[str]]:
    """Builder name -> names of its workers, from (name, platform, slots)."""
    builders: dict[str, list[str]] = {}
    for name, platform, slots in workers:
        for slot in range(1, slots + 1):
            builders.setdefault(builder_name(platform, slot), []).append(name)
    return dict(sorted(builders.items()))


def free_slots(builders: Mapping[str, Any], taken: Collection[tuple[str, str]]) -> list[Slot]:
    """The slots where a build could start now: connected, idle, and nothing submitted for them.

    `builders` is botmaster.builders. Slots of workers that do nothing come first."""
    free = [
        Slot(builder=name, worker=place.worker.workername)
        for name, builder in builders.items()
        for place in builder.getAvailableWorkers()
        if (name, place.worker.workername) not in taken
    ]
    busy: dict[str, int] = {}
    for _, worker in taken:
        busy[worker] = busy.get(worker, 0) + 1
    return sorted(free, key=lambda slot: (busy.get(slot.worker, 0), slot.builder, slot.worker))


def next_worker(_builder: Any, places: Sequence[Any], request: Any) -> Any:
    """Buildbot's nextWorker: the worker that the dispatcher chose, or none."""
    wanted = request.properties.getProperty(WORKER)
    return next((place for place in places if place.worker.workername == wanted), None)


def next_build(builder: Any, requests: Sequence[Any]) -> Any:
    """Buildbot's nextBuild: the oldest request whose worker is there, so that no request blocks another worker's."""
    there = {place.worker.workername for place in builder.getAvailableWorkers()}
    return next((one for one in requests if one.properties.getProperty(WORKER) in there), None)


def attempt_of(external_id: str | None) -> int | None:
    """The attempt's id in a buildset's external id `pybots:<run>:<number>:<attempt>`; None when it isn't ours.

    >>> attempt_of("pybots:12:1:34")
    34
    """
    parts = (external_id or "").split(":")
    if len(parts) != 4 or parts[0] != PREFIX or not all(part.isdecimal() for part in parts[1:]):
        return None
    return int(parts[3])
