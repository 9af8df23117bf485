"""One breakage's investigation: what to probe next, given what the probes came to; or the answer. Pure.

In order (DESIGN §6): do both ends show it with the tests concerned alone and a quickly built interpreter (`WAYS`)? Which
axis brings it (`crossover`)? Which change on that axis (`bisect`)? Is it proved, also on a second owner's worker
(`confirm`)? An inquiry is what is known and nothing else, so it is made anew from the ledger at every look: a farm that
was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pybots.core import asking, bisect, confirm, crossover, evidence, likely
from pybots.core.crossover import Axis
from pybots.core.evidence import Line
from pybots.core.inquiry import Ask, Change, Inquiry, More, case_of, ways
from pybots.core.trail import Candidate, Noise

Status = Literal["confirmed", "range", "axis", "flaky", "environment", "undecided"]

SEARCHED: Final[tuple[Axis, ...]] = ("interpreter", "dependencies", "project")
"""The axes that have a succession of changes, in the order in which one of an interaction is searched."""
TRIES: Final = 2
"""So often an end is tried one way before the next way is taken."""
MOST_PROBES: Final = 200
MOST_LOST: Final = 6
DAY: Final = 86_400.0
LONGEST: Final = 7 * DAY
"""An investigation that has not come to an end by then is given up."""
ENOUGH: Final = 0.95


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The end. `confirmed`: change `last` of `axis` did it, its parent did not. `range`: one of `first`..`last`, for
    this reason. `axis`: this axis brought it, and nothing more exact can be known. Otherwise `reason` says all."""

    status: Status
    reason: str
    axis: Axis | Literal[""] = ""
    first: int = 0
    last: int = 0
    confidence: float = 0.0
    evidence: tuple[Line, ...] = ()
    missing: tuple[str, ...] = ()


def worth(*, projects: int, age: float) -> float:
    """How much a breakage deserves to be looked into: projects hit, and days that it has waited."""
    return projects + min(age / DAY, 30.0)


def decide(inquiry: Inquiry, *, idle: int) -> More | Answer:
    """The probes that `idle` more slots should make now, or the answer."""
    lost = sum(one.outcome == "lost" for one in inquiry.seen)
    way = _way(inquiry)
    if isinstance(way, Answer):
        return way
    if lost >= MOST_LOST:
        return _given_up(inquiry, way, f"the farm lost {lost} of its probes")
    if len(inquiry.seen) >= MOST_PROBES:
        return _given_up(inquiry, way, f"{MOST_PROBES} probes were not enough")
    case = case_of(inquiry, way)
    step = asking.first_of_way(case, inquiry, way) or crossover.decide(case)
    if isinstance(step, crossover.Next):
        return More(asks=tuple(asking.crossed(inquiry, way, case, idle)))
    axis = _axis(step)
    if axis is None:
        return _without_search(step)
    return _searched(inquiry, way, step, axis, idle)


def given_up(inquiry: Inquiry, reason: str) -> Answer:
    """The answer when no more may be probed, for this reason: what is known by now."""
    way = _way(inquiry)
    return way if isinstance(way, Answer) else _given_up(inquiry, way, reason)


# Which way the failure shows ---------------------------------------------------------------------


def _way(inquiry: Inquiry) -> int | Answer:
    """The first way in which both ends may still show what they showed before."""
    reasons = []
    for number in (numbers := list(ways(inquiry))):
        why = _hidden(inquiry, number)
        if not why:
            return number
        reasons.append(why)
    case = case_of(inquiry, numbers[-1])
    last = crossover.decide(case)
    if isinstance(last, crossover.Conclusion) and _axis(last) is None:
        return _without_search(last)
    return Answer(status="undecided", reason=reasons[-1], evidence=evidence.of_case(case))


def _hidden(inquiry: Inquiry, way: int) -> str:
    """Why the ends don't show the failure this way; "": they do, or may."""
    case = case_of(inquiry, way, before=False)
    bad, good = case.tally(case.changed), case.tally(frozenset())
    again = crossover.SAMPLE if way == list(ways(inquiry))[-1] else TRIES
    if not bad.failed and (bad.skipped >= TRIES or bad.passed >= again):
        said = bad.note if bad.skipped else f"it passed {bad.passed} times"
        return f"the bad run does not show the failure when repeated: {said}"
    if case.changed and not good.passed and not good.failed and good.skipped >= TRIES:
        return f"the good run can't be repeated: {good.note}"
    return ""


# Which axis --------------------------------------------------------------------------------------


def _axis(found: crossover.Conclusion) -> Axis | None:
    """The axis whose changes are to be searched; None when there is none."""
    if found.kind not in ("axis", "interaction"):
        return None
    return next((axis for axis in SEARCHED if axis in found.axes), None)


def _without_search(found: crossover.Conclusion) -> Answer:
    status: Status = "undecided"
    axis: Axis | Literal[""] = ""
    if found.kind in ("flaky", "environment"):
        status = "flaky" if found.kind == "flaky" else "environment"
    elif found.kind == "axis":  # the worker: its machine is what changed
        status, axis = "environment", found.axes[0]
    return Answer(
        status=status, reason=found.reason, axis=axis, missing=found.missing,
        evidence=evidence.of_trials(found.evidence),
    )  # fmt: skip


# Which change ------------------------------------------------------------------------------------


def _searched(
    inquiry: Inquiry, way: int, found: crossover.Conclusion, axis: Axis, idle: int
) -> More | Answer:
    if axis not in inquiry.changes:
        return More(axis=axis)  # somebody has to find out what the changes are
    state = _state(inquiry, way, axis)
    if state is None:
        return Answer(
            status="axis", axis=axis, reason=found.reason, confidence=ENOUGH,
            evidence=evidence.of_trials(found.evidence),
        )  # fmt: skip
    changes = inquiry.changes[axis]
    conclusion = bisect.conclusion(state)
    slight = (
        axis == "interpreter"
        and isinstance(conclusion, bisect.Culprit)
        and likely.slight(changes[conclusion.index].files)
    )
    judged = confirm.judge(state, owners=inquiry.owners, slight=slight)
    if isinstance(judged, confirm.More):
        asks = asking.searching(inquiry, way, state, judged, idle)
        waits = any(one.outcome is None for one in inquiry.seen if one.way == way)
        if asks or waits or idle < 1:
            return _more(state, axis, asks)
        judged = confirm.Unproved(
            first=getattr(conclusion, "first", 1), last=getattr(conclusion, "last", len(changes) - 1),
            confidence=judged.confidence, reason="no probe that is left can tell more",
        )  # fmt: skip
    return _answer(inquiry, way, found, axis, state, judged)


def _state(inquiry: Inquiry, way: int, axis: Axis) -> bisect.State | None:
    """The search so far; None where there is no succession to be searched."""
    changes = inquiry.changes[axis]
    if len(changes) < 2 or changes[0].key == changes[-1].key:
        return None
    noise = Noise(
        bad_runs=inquiry.bad_runs, bad_failed=inquiry.bad_runs, good_runs=inquiry.good_runs,
        witnesses=inquiry.witnesses, certain=inquiry.certain,
    )  # fmt: skip
    last = len(changes) - 1
    state = bisect.start(
        list(_candidates(changes, inquiry.suspects, cpython=axis == "interpreter")),
        good=0, bad=last, noise=noise, enough=ENOUGH,
    )  # fmt: skip
    whole = case_of(inquiry, way).changed
    ends = {whole: last, whole - {axis}: 0}
    for one in inquiry.seen:
        place = ends.get(one.new & whole) if one.place is None else one.place
        if one.way != way or place is None or one.outcome not in ("good", "bad", "skip"):
            continue
        state = bisect.observe(
            state, place, one.outcome, worker=one.worker, owner=one.owner or one.worker,
            note=one.note,
        )  # fmt: skip
    return state


def _candidates(
    changes: Sequence[Change], suspects: Collection[str], *, cpython: bool
) -> Iterator[Candidate]:
    """What another breakage was traced to is twenty times as likely to have done this too."""
    places = {change.id: place for place, change in enumerate(changes)}
    for change in changes:
        weight = likely.weight(change.files) if cpython else 1.0
        if change.id in suspects:
            weight *= 20
        undoes = places.get(likely.reverted(change.message))
        yield Candidate(key=change.key, label=change.id, weight=weight, undoes=undoes)


def _more(state: bisect.State, axis: Axis, asks: Sequence[Ask]) -> More:
    found = bisect.conclusion(state)
    first, last = _range(found)
    return More(
        asks=tuple(asks), axis=axis, first=first, last=last,
        expected=bisect.expected(state).probes if isinstance(found, bisect.Undecided) else len(asks),
    )  # fmt: skip


def _range(found: bisect.Conclusion) -> tuple[int, int]:
    match found:
        case bisect.Culprit(index=index):
            return index, index
        case bisect.Undecided(first=first, last=last) | bisect.Range(first=first, last=last):
            return first, last
    return 0, 0


def _answer(
    inquiry: Inquiry,
    way: int,
    found: crossover.Conclusion,
    axis: Axis,
    state: bisect.State,
    judged: confirm.Confirmed | confirm.Unproved,
) -> Answer:
    shown = (
        *evidence.of_trials(found.evidence),
        *evidence.of_places(state, inquiry.changes[axis]),
    )
    reason = judged.reason
    if found.kind == "interaction":
        reason = f"{found.reason}; {reason}"
    if earlier := getattr(bisect.conclusion(state), "earlier", ()):
        reason += f"; it is the {_nth(len(earlier) + 1)} time: it had come and gone before"
    if isinstance(judged, confirm.Confirmed):
        return Answer(
            status="confirmed", axis=axis, reason=reason, first=judged.index, last=judged.index,
            confidence=judged.confidence, evidence=shown, missing=found.missing,
        )  # fmt: skip
    return Answer(
        status="range", axis=axis, reason=reason, first=max(judged.first, 1), last=judged.last,
        confidence=judged.confidence, evidence=shown, missing=found.missing,
    )  # fmt: skip


def _given_up(inquiry: Inquiry, way: int, reason: str) -> Answer:
    """What is known by now, and why it is not more."""
    case = case_of(inquiry, way)
    found = crossover.decide(case)
    axis = _axis(found) if isinstance(found, crossover.Conclusion) else None
    state = _state(inquiry, way, axis) if axis and axis in inquiry.changes else None
    if axis is None or state is None or isinstance(found, crossover.Next):
        return Answer(status="undecided", reason=reason, evidence=evidence.of_case(case))
    ended = bisect.give_up(state, reason)
    first, last = _range(ended)
    judged = confirm.Unproved(first=first, last=last, confidence=ended.confidence, reason=reason)
    return _answer(inquiry, way, found, axis, state, judged)


# The evidence ------------------------------------------------------------------------------------


def _nth(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")
