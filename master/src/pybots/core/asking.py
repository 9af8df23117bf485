"""Which probes to ask for next: the crossover's trials, the search's places, the runs that confirm; none twice. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

from pybots.core import bisect, confirm, crossover
from pybots.core.crossover import Case, Mix
from pybots.core.inquiry import Ask, Inquiry, case_of
from pybots.core.trail import Outcome


def crossed(inquiry: Inquiry, way: int, case: Case, idle: int) -> Iterator[Ask]:
    """The crossover's next trials. Both ends are asked at once: whatever one says, the other is needed."""
    running = Counter(
        one.new & case.changed for one in inquiry.seen
        if one.way == way and one.stage == "cross" and one.outcome is None
    )  # fmt: skip
    asks: list[Ask] = []
    step = first_of_way(case, inquiry, way) or crossover.decide(case)
    while isinstance(step, crossover.Next):
        wanted = 1 if step.stop_at_bad else step.times
        for _ in range(wanted - running[step.new]):
            asks.append(_cross(inquiry, way, case, step))
        if step.new not in (case.changed, frozenset()):
            break
        expected: Outcome = "bad" if step.new == case.changed and case.changed else "good"
        case = crossover.observe(case, step.new, expected, times=step.times)
        step = _other_end(case, inquiry, way, step.new) or crossover.decide(case)
    yield from asks[: max(idle, 0)]


def first_of_way(case: Case, inquiry: Inquiry, way: int) -> crossover.Next | None:
    """Runs of before say nothing of this way: this way too the bad end must have failed, and the good one been seen."""
    return _unseen(inquiry, way, case, case.changed) or _unseen(inquiry, way, case, frozenset())


def _other_end(case: Case, inquiry: Inquiry, way: int, end: Mix) -> crossover.Next | None:
    return _unseen(inquiry, way, case, frozenset()) if end == case.changed and end else None


def _unseen(inquiry: Inquiry, way: int, case: Case, end: Mix) -> crossover.Next | None:
    seen = case_of(inquiry, way, before=False).tally(end)
    whole = end == case.changed
    if seen.failed if whole else seen.runs:
        return None
    name = "bad" if whole else "good"
    return crossover.Next(new=end, times=1, why=f"does the {name} run show the same again?")


def _cross(inquiry: Inquiry, way: int, case: Case, step: crossover.Next) -> Ask:
    pinned = "worker" in case.changed
    return Ask(
        way=way, stage="cross", new=step.new, why=step.why,
        on=case.run(step.new).worker if pinned else "",
    )  # fmt: skip


def searching(
    inquiry: Inquiry, way: int, state: bisect.State, judged: confirm.More, idle: int
) -> list[Ask]:
    """The search's next places; once it has its change, the runs that prove it."""
    whole = case_of(inquiry, way).changed
    here = [one for one in inquiry.seen if one.way == way and one.outcome is None]
    running = [one.place for one in here if one.place is not None and one.stage == "search"]
    make = partial(Ask, way=way, new=whole)
    if not judged.runs:
        found = bisect.next_probes(state, idle_workers=idle, running=running)
        return [make(place=one.index, stage="search", why=one.why) for one in found]
    asks: list[Ask] = []
    for ask in judged.runs:
        under_way = sum(
            one.place == ask.index and one.stage == "confirm" and one.elsewhere == ask.elsewhere
            for one in here
        )
        why = "makes sure of the change found" + (", elsewhere" if ask.elsewhere else "")
        one = make(place=ask.index, stage="confirm", why=why, not_by=ask.not_by)
        asks += [one] * (ask.times - under_way)
    return asks[: max(idle, 0)]
