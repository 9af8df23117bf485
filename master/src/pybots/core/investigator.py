"""One breakage's investigation: what to probe next, given what the probes came to; or the answer. Pure.

In order (DESIGN §6): do both ends show it with the tests concerned alone and a quickly built interpreter (`WAYS`)? Which
axis brings it (`crossover`)? Which change on that axis (`bisect`)? Is it proved, also on a second owner's worker
(`confirm`)? An inquiry is what is known and nothing else, so it is made anew from the ledger at every look: a farm that
was killed goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Literal

from pybots.core import bisect, confirm, crossover, likely
from pybots.core.crossover import Axis, Case, Mix
from pybots.core.trail import Candidate, Noise, Outcome

How = Literal["probe", "routine"]
"""Which recipe an interpreter is built with."""
Stage = Literal["cross", "search", "confirm"]
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
HAS: Final = "has the failure"
LACKS: Final = "has not got it"


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


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the evidence: what was run, how often it passed and failed, on whose workers, what that rules out."""

    what: str
    passed: int
    failed: int
    skipped: int = 0
    owners: tuple[str, ...] = ()
    says: str = ""


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
    case = _case(inquiry, way)
    step = _first_of_way(case, inquiry, way) or crossover.decide(case)
    if isinstance(step, crossover.Next):
        return More(asks=tuple(_crossed(inquiry, way, case, idle)))
    axis = _axis(step)
    if axis is None:
        return _without_search(step)
    return _searched(inquiry, way, step, axis, idle)


def given_up(inquiry: Inquiry, reason: str) -> Answer:
    """The answer when no more may be probed, for this reason: what is known by now."""
    way = _way(inquiry)
    return way if isinstance(way, Answer) else _given_up(inquiry, way, reason)


# Which way the failure shows ---------------------------------------------------------------------


def _ways(inquiry: Inquiry) -> Iterator[int]:
    for number, way in enumerate(WAYS):
        if inquiry.narrow or not way.wide:
            yield number


def _way(inquiry: Inquiry) -> int | Answer:
    """The first way in which both ends may still show what they showed before."""
    reasons = []
    for number in (ways := list(_ways(inquiry))):
        why = _hidden(inquiry, number)
        if not why:
            return number
        reasons.append(why)
    case = _case(inquiry, ways[-1])
    last = crossover.decide(case)
    if isinstance(last, crossover.Conclusion) and _axis(last) is None:
        return _without_search(last)
    return Answer(status="undecided", reason=reasons[-1], evidence=_crossing(inquiry, case))


def _hidden(inquiry: Inquiry, way: int) -> str:
    """Why the ends don't show the failure this way; "": they do, or may."""
    case = _case(inquiry, way, before=False)
    bad, good = case.tally(case.changed), case.tally(frozenset())
    again = crossover.SAMPLE if way == list(_ways(inquiry))[-1] else TRIES
    if not bad.failed and (bad.skipped >= TRIES or bad.passed >= again):
        said = bad.note if bad.skipped else f"it passed {bad.passed} times"
        return f"the bad run does not show the failure when repeated: {said}"
    if case.changed and not good.passed and not good.failed and good.skipped >= TRIES:
        return f"the good run can't be repeated: {good.note}"
    return ""


# Which axis --------------------------------------------------------------------------------------


def _case(inquiry: Inquiry, way: int, *, before: bool = True) -> Case:
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


def _crossed(inquiry: Inquiry, way: int, case: Case, idle: int) -> Iterator[Ask]:
    """The crossover's next trials. Both ends are asked at once: whatever one says, the other is needed."""
    running = Counter(
        one.new & case.changed for one in inquiry.seen
        if one.way == way and one.stage == "cross" and one.outcome is None
    )  # fmt: skip
    asks: list[Ask] = []
    step = _first_of_way(case, inquiry, way) or crossover.decide(case)
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


def _first_of_way(case: Case, inquiry: Inquiry, way: int) -> crossover.Next | None:
    """Runs of before say nothing of this way: this way too the bad end must have failed, and the good one been seen."""
    return _unseen(inquiry, way, case, case.changed) or _unseen(inquiry, way, case, frozenset())


def _other_end(case: Case, inquiry: Inquiry, way: int, end: Mix) -> crossover.Next | None:
    return _unseen(inquiry, way, case, frozenset()) if end == case.changed and end else None


def _unseen(inquiry: Inquiry, way: int, case: Case, end: Mix) -> crossover.Next | None:
    seen = _case(inquiry, way, before=False).tally(end)
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
        evidence=tuple(_line(one) for one in found.evidence),
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
            evidence=tuple(_line(one) for one in found.evidence),
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
        asks = _next(inquiry, way, axis, state, judged, idle)
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
    whole = _case(inquiry, way).changed
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


def _next(
    inquiry: Inquiry, way: int, axis: Axis, state: bisect.State, judged: confirm.More, idle: int
) -> list[Ask]:
    whole = _case(inquiry, way).changed
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
    evidence = (*map(_line, found.evidence), *_places(inquiry, state, axis))
    reason = judged.reason
    if found.kind == "interaction":
        reason = f"{found.reason}; {reason}"
    if earlier := getattr(bisect.conclusion(state), "earlier", ()):
        reason += f"; it is the {_nth(len(earlier) + 1)} time: it had come and gone before"
    if isinstance(judged, confirm.Confirmed):
        return Answer(
            status="confirmed", axis=axis, reason=reason, first=judged.index, last=judged.index,
            confidence=judged.confidence, evidence=evidence, missing=found.missing,
        )  # fmt: skip
    return Answer(
        status="range", axis=axis, reason=reason, first=max(judged.first, 1), last=judged.last,
        confidence=judged.confidence, evidence=evidence, missing=found.missing,
    )  # fmt: skip


def _given_up(inquiry: Inquiry, way: int, reason: str) -> Answer:
    """What is known by now, and why it is not more."""
    case = _case(inquiry, way)
    found = crossover.decide(case)
    axis = _axis(found) if isinstance(found, crossover.Conclusion) else None
    state = _state(inquiry, way, axis) if axis and axis in inquiry.changes else None
    if axis is None or state is None or isinstance(found, crossover.Next):
        return Answer(status="undecided", reason=reason, evidence=_crossing(inquiry, case))
    ended = bisect.give_up(state, reason)
    first, last = _range(ended)
    judged = confirm.Unproved(first=first, last=last, confidence=ended.confidence, reason=reason)
    return _answer(inquiry, way, found, axis, state, judged)


# The evidence ------------------------------------------------------------------------------------


def _nth(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _crossing(inquiry: Inquiry, case: Case) -> tuple[Line, ...]:
    return tuple(_line(one) for one in crossover.evidence(case))


def _line(one: crossover.Evidence) -> Line:
    return Line(
        what=one.what, passed=one.passed, failed=one.failed, skipped=one.skipped,
        says=f"rules out {one.rules_out}",
    )  # fmt: skip


def _places(inquiry: Inquiry, state: bisect.State, axis: Axis) -> Iterator[Line]:
    """A line for each change that was probed, in the order of history."""
    by_place: dict[int, list[tuple[str, str]]] = {}
    for one in state.observations:
        by_place.setdefault(one.index, []).append((one.outcome, one.owner))
    changes = inquiry.changes[axis]
    for place in sorted(by_place):
        count = Counter(outcome for outcome, _ in by_place[place])
        owners = sorted({owner for outcome, owner in by_place[place] if outcome != "skip"} - {""})
        yield Line(
            what=f"{_short(changes[place].id)} {changes[place].title}".strip(),
            passed=count["good"], failed=count["bad"], skipped=count["skip"],
            owners=tuple(owners), says=_says(count),
        )  # fmt: skip


def _says(count: Counter[str]) -> str:
    if count["good"] and count["bad"]:
        return "comes and goes here"
    if count["bad"]:
        return HAS
    return LACKS if count["good"] else "could not be tested"


def _short(id: str) -> str:
    return id[:12] if len(id) == 40 else id


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
