"""Trying one change: build (or find) what it needs, run the tests concerned, judge; with times, in the journal's terms."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import msgspec

from pybots.core.outcomes import State, is_test
from pybots.core.target import Judged, Target, judge
from pybots.core.trail import Noise
from pybots.farm.jobs import NO_TEST
from pybots.laptop.changes import Change
from pybots.laptop.interpreters import BuildFailed, Built
from pybots.laptop.journal import Journal
from pybots.laptop.probes import Prober, Sample
from pybots.laptop.progress import Progress
from pybots_worker import contract

How = Literal["probe", "routine"]
"""Which recipe an interpreter is built with."""

FAULTS: Final = 3
"""So often a change is tried when the machine or the network gets in the way."""


class Ground(Protocol):
    """What a search moves over: the changes, and how one of them is tried."""

    axis: str
    changes: Sequence[Change]

    @property
    def builds(self) -> int:
        """How many interpreters were built for it so far in this process."""
        ...

    def at(self, index: int, how: How) -> tuple[Built, Prober]:
        """The interpreter and the prober at a change. Raises BuildFailed, LaptopError."""
        ...

    def cached(self, index: int, how: How) -> bool:
        """Whether nothing has to be built there."""
        ...


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What the ends showed: the failure to follow, and everything a probe is judged by.

    `only` are the tests that run at a probe (empty: all), `states` those of the good end as far as they are run. `first`
    and `last` are the ends' places. `pins`: dependencies that every probe gets, so that none of them can be the cause."""

    target: Target
    how: How
    only: tuple[str, ...]
    states: dict[str, State]
    noise: Noise
    first: int = 0
    last: int = 0
    pins: tuple[contract.Locked, ...] = ()

    @classmethod
    def narrowed(cls, target: Target, how: How, states: Mapping[str, State], *, wide: bool) -> Aim:
        """An aim at the tests that show the failure; with `wide` at all of them."""
        only = () if wide else target.only(states)
        return cls(
            target=target,
            how=how,
            only=only,
            states=target.concerned(states, only, wide=wide),
            noise=Noise(),
        )

    def test(self, usual: contract.Test) -> contract.Test:
        """How the tests run at a probe."""
        if self.target.at_install and not any(map(is_test, self.states)):
            return NO_TEST
        return msgspec.structs.replace(usual, only=self.only, retries=0)


@dataclass(kw_only=True)
class Lab:
    """Where the changes are tried. Safe for several threads."""

    ground: Ground
    project: str
    journal: Journal
    progress: Progress
    cancel: threading.Event = field(default_factory=threading.Event)

    def sample(self, index: int, how: How, aim: Aim | None = None) -> tuple[Sample, dict[str, Any]]:
        """One run at a change, all tests unless there is an aim; and its times for the journal. Raises BuildFailed."""
        change = self.ground.changes[index]
        what = f"{change.short} {change.subject[:60]}".strip()
        self.progress.begin(what)
        began = time.monotonic()
        try:
            built, prober = self.ground.at(index, how)
            if aim and aim.pins:
                prober = prober.pinned(aim.pins)
            self._go_on()
            made = time.monotonic()
            usual = prober.project.test
            sample = prober.run(built, test=aim.test(usual) if aim else usual)
            self._go_on()
        finally:
            self.progress.end(what)
        facts = {
            "seconds": round(time.monotonic() - began, 2),
            "build_seconds": round(made - began, 2),
            "build": _rounded(built.phases),
            "test": _rounded(sample.phases),
            "causes": list(sample.causes),
        }
        return sample, facts

    def probe(self, index: int, aim: Aim) -> tuple[Judged, dict[str, Any]]:
        """Try a change and judge it; what is the machine's own trouble is tried again."""
        judged, spent = Judged(outcome="fault"), 0.0
        facts: dict[str, Any] = {}
        for _ in range(FAULTS):
            began = time.monotonic()
            try:
                sample, facts = self.sample(index, aim.how, aim)
                judged = judge(
                    aim.target, aim.states, sample.observed, project=self.project, only=aim.only
                )
            except BuildFailed as error:
                judged = Judged(outcome="skip", note=str(error))
            spent += time.monotonic() - began
            if judged.outcome != "fault":
                break
        return judged, facts | {"seconds": round(spent, 2)}

    def _go_on(self) -> None:
        if self.cancel.is_set():
            raise KeyboardInterrupt


def _rounded(phases: Mapping[str, float]) -> dict[str, float]:
    return {name: round(seconds, 2) for name, seconds in phases.items()}
