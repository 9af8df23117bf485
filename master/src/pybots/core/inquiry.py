"""What is known in one breakage's investigation, and what may be asked next: the words of `investigator`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from pybots.core import crossover
from pybots.core.crossover import Axis, Case, Mix
from pybots.core.trail import Outcome

How = Literal["probe", "routine"]
"""Which recipe an interpreter is built with."""
Stage = Literal["cross", "search", "confirm"]


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the failure is shown: the interpreter's recipe, and whether all tests run (`wide`) or the ones concerned."""

    how: How
    wide: bool


WAYS: Final = (
    Way(how="probe", wide=False),
    Way(how="probe", wide=True),
    Way(how="routine", wide=False),
    Way(how="routine", wide=True),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change on an axis. `key` is equal for two that need not be told apart; `message` tells what it reverts."""

    id: str
    key: str
    title: str = ""
    author: str = ""
    files: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One probe. `way` counts WAYS, `new` are the axes that were new in it, `place` is the change it was made at (None: a
    crossover's). `outcome` None: it is still under way; "lost": the farm's own fault, it says nothing."""

    way: int
    stage: Stage
    new: Mix
    place: int | None = None
    outcome: Outcome | Literal["lost"] | None = None
    elsewhere: bool = False
    worker: str = ""
    owner: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Inquiry:
    """All that is known. `bad_runs` are the runs that showed the failure before (one, and its retries), `good_runs`
    those that did not (the last good one, and its control). `narrow`: the tests concerned can be run alone.

    `changes`: the succession of each axis, from what the good run had to what the bad one had. `suspects`: ids that
    other breakages were traced to. `owners`: whose workers could take a probe now."""

    good: crossover.Run
    bad: crossover.Run
    seen: tuple[Seen, ...] = ()
    changes: Mapping[Axis, Sequence[Change]] = field(default_factory=dict)
    bad_runs: int = 1
    good_runs: int = 1
    narrow: bool = True
    witnesses: int = 1
    certain: bool = False
    suspects: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One probe to be made. `on`: the one worker it must run on; `not_by`: owners whose workers it must not run on."""

    way: int
    stage: Stage
    new: Mix
    place: int | None = None
    on: str = ""
    not_by: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class More:
    """Not known yet. `asks`: the probes to make now (none: those under way have to come in first).

    `left`: how many changes are left in question on `axis`; `expected`: about how many probes are still to come."""

    asks: tuple[Ask, ...] = ()
    axis: str = ""
    first: int = 0
    last: int = 0
    expected: int = 0


def ways(inquiry: Inquiry) -> Iterator[int]:
    for number, way in enumerate(WAYS):
        if inquiry.narrow or not way.wide:
            yield number


def case_of(inquiry: Inquiry, way: int, *, before: bool = True) -> Case:
    """The crossover so far; `before`: with the runs that were there before the investigation."""
    case = Case(good=inquiry.good, bad=inquiry.bad)
    if before:
        case = crossover.observe(case, case.changed, "bad", times=inquiry.bad_runs)
        if case.changed:
            case = crossover.observe(case, frozenset(), "good", times=inquiry.good_runs)
    for one in inquiry.seen:
        if one.way == way and one.stage == "cross" and one.outcome in ("good", "bad", "skip"):
            case = crossover.observe(case, one.new, one.outcome, note=one.note)
    return case


def renewed(inquiry: Inquiry, *asks: Ask, outcome: Outcome | None = None) -> Inquiry:
    """The inquiry after these probes were asked for, or have come to this."""
    more = tuple(
        Seen(
            way=ask.way, stage=ask.stage, new=ask.new, place=ask.place, outcome=outcome,
            elsewhere=bool(ask.not_by), worker=ask.on,
        )
        for ask in asks
    )  # fmt: skip
    return replace(inquiry, seen=(*inquiry.seen, *more))
