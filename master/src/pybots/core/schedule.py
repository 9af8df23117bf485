"""What runs next, on which worker and slot. Pure: the ledger's wanted runs and the free slots in, assignments out.

The order: controls (somebody waits for the answer, and their interpreters are there), interpreters that a lane waits
for now, then runs of lanes, then interpreters wanted later, and last the probes of investigations with their
interpreters. A lane runs one routine run at a time, and controls beside it: its baseline (oldest) first, afterwards the newest commit whose interpreter is built. Between lanes
the one that has waited longest comes first, so that no project starves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pybots.core.model import Project, Worker

NETWORKS: Final = ("none", "install", "always")
"""From the least to the most."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A run that waits. `lane` is None for an interpreter's build; `ready` says its interpreter is published."""

    run: int
    lane: int | None
    project: str
    interpreter: int
    position: int
    platform: str
    abi: str
    trust: str
    created: float
    wants: frozenset[str] = frozenset()
    network: str = "none"
    ready: bool = False
    lane_started: float | None = None
    lane_has_head: bool = False
    lane_busy: bool = False
    avoid: frozenset[str] = frozenset()
    routine: bool = True
    prefer: frozenset[str] = frozenset()
    """Workers it goes to if they are free: a control asks about the very machine that saw the failure."""
    probe: bool = False
    """An investigation's: it takes what nobody else wants."""
    on: str = ""
    """The one worker that can answer it; "": any."""
    not_by: frozenset[str] = frozenset()
    """Owners whose workers can't: a second one is asked."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A place on a worker where one build can run now. `builder` is Buildbot's builder name."""

    builder: str
    worker: Worker


@dataclass(frozen=True, kw_only=True)
class Assignment:
    run: int
    slot: Slot


def assign(wanted: Sequence[Wanted], slots: Sequence[Slot]) -> list[Assignment]:
    """The assignments to make now: each run and each slot at most once."""
    free = list(slots)
    made: list[Assignment] = []
    for run in order(wanted):
        slot = _place(run, free)
        if slot:
            free.remove(slot)
            made.append(Assignment(run=run.run, slot=slot))
    return made


def order(wanted: Sequence[Wanted]) -> list[Wanted]:
    """The runs that could start if there were slots enough, the most wanted first."""
    probes = [run for run in wanted if run.probe and (run.lane is None or run.ready)]
    wanted = [run for run in wanted if not run.probe]
    controls = [run for run in wanted if run.lane is not None and not run.routine and run.ready]
    following = next_of_lanes(run for run in wanted if run.lane is not None and run.routine)
    waiting = Counter(run.interpreter for run in following if not run.ready)
    builds = [run for run in wanted if run.lane is None]
    urgent = [run for run in builds if waiting[run.interpreter]]
    later = [run for run in builds if not waiting[run.interpreter]]
    return [
        *sorted(controls, key=lambda run: (run.created, run.run)),
        *sorted(urgent, key=lambda run: (-waiting[run.interpreter], run.position, run.run)),
        *sorted(
            (run for run in following if run.ready),
            key=lambda run: (run.lane_started or 0.0, run.created, run.run),
        ),
        *sorted(later, key=lambda run: (-run.position, run.run)),
        *sorted(probes, key=lambda run: (run.created, run.run)),
    ]


def next_of_lanes(wanted: Iterable[Wanted]) -> list[Wanted]:
    """Each idle lane's next run: its oldest while it has no head to compare with, else its newest that is ready.

    Without one that is ready it is the newest: its interpreter is built next."""
    chosen: dict[int, Wanted] = {}
    for run in wanted:
        if run.lane is None or run.lane_busy:
            continue
        best = chosen.get(run.lane)
        if best is None or _sooner(run, best):
            chosen[run.lane] = run
    return list(chosen.values())


def _sooner(run: Wanted, than: Wanted) -> bool:
    place, other = (run.position, run.run), (than.position, than.run)
    if run.lane_has_head:
        return (run.ready, place) > (than.ready, other)
    return place < other


def coalesced(
    positions: Sequence[tuple[int, int]], *, has_head: bool, begun: Collection[int] = ()
) -> list[int]:
    """Of a lane's waiting routine runs, given as (position, run), those that need not run any more.

    The newest stays; so does the oldest while the lane has nothing to compare with. Of those whose interpreter is built
    or being built (`begun`) the newest stays as well: where commits come faster than builds, nothing would ever run
    otherwise. Bisection fills gaps when it matters.
    """
    ordered = sorted(positions)
    keep = ordered[-1:] if has_head else [*ordered[:1], *ordered[-1:]]
    keep += [place for place in ordered if place[1] in begun][-1:]
    return [run for place, run in ordered if (place, run) not in keep]


def _place(run: Wanted, free: Sequence[Slot]) -> Slot | None:
    fitting = [slot for slot in free if fits(run, slot.worker)]
    fresh = [slot for slot in fitting if slot.worker.name not in run.avoid]
    known = [slot for slot in fresh if slot.worker.name in run.prefer]
    return next(iter(known or fresh or fitting), None)


def fits(run: Wanted, worker: Worker) -> bool:
    """Whether this worker may and can run it."""
    return (
        worker.platform == run.platform
        and worker.abi == run.abi
        and worker.trust == run.trust
        and run.wants <= worker.facts
        and run.on in ("", worker.name)
        and (worker.owner or worker.name) not in run.not_by
        and (worker.builds if run.lane is None else lets(worker, run.project, run.network))
    )


def lets(worker: Worker, project: str, network: str) -> bool:
    """Whether farm and owner let this worker run a project's tests, which need this much of the network."""
    return (
        (not worker.kinds or "project" in worker.kinds)
        and (not worker.projects or project in worker.projects)
        and NETWORKS.index(network) <= NETWORKS.index(worker.network)
    )


def able(project: Project, platform: str, workers: Iterable[Worker]) -> list[Worker]:
    """The workers that could run a project on a platform at all; none: the lane is shown as "no worker".

    In the order given: a lane stays with the interpreters of the first. Where nobody builds any, nothing can be run."""
    workers = list(workers)
    wants = project.facts
    built = {(worker.platform, worker.abi, worker.trust) for worker in workers if worker.builds}
    return [
        worker
        for worker in workers
        if worker.platform == platform
        and wants <= worker.facts
        and lets(worker, project.name, project.network)
        and (platform, worker.abi, worker.trust) in built
    ]
