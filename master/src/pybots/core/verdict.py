"""What a report means against its lane's history: one pure, exhaustive decision (DESIGN §2's table).

Rules, in the order they are asked:

1. The farm's own fault (worker, network, sandbox) is `infra` and says nothing about anybody's code. A project whose
   source can't be had was not tested: `unknown`.
2. A lane's first run sets a baseline: what is bad then is `still_failing`, opens nothing and accuses nobody. The same
   holds for single tests while the lane has never run its suite to the end.
3. A state that turned from good (or unknown) to bad is a `new_failure`, also inside an already red lane; so is a bad
   test that fails with another signature than before. A signature the test has shown before in the same red period
   is not news (messages that vary would otherwise make news of every run).
4. Something bad, but nothing new: `still_failing`. Was bad, nothing is bad now: `fixed`.
5. All of 3 (or of 4, when there is nothing new) is explained by something else, a control that was red too or a
   dependency that is red on the same interpreter: `blocked` instead.
6. Nothing bad, but something passed only when retried, or its learned rate explains that it did not: `flaky`; a rate that
   has risen is news beside the verdict. Else `passed`.

Green but hollow is red: see `hollow`. What a control makes of a `new_failure` afterwards: see `control`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pybots.core import flaky, hollow, words
from pybots.core.model import RED, FailureKind, Verdict
from pybots.core.outcomes import INSTALL, Bad, Observed, State, is_test
from pybots.core.signatures import named
from pybots_worker.contract import Failure

SEVERITY: Final[tuple[FailureKind, ...]] = (
    "interpreter", "install", "collection", "crash", "timeout", "memory", "hollow", "test",
)  # fmt: skip
"""When several kinds come together, the first of these names the run."""


@dataclass(frozen=True, kw_only=True)
class LaneHistory:
    """What a lane knew before the run: the last known state of every id, newest conclusive run first.

    `compared`: there is a head to compare with. `complete`: some run of the lane reached the end of its suite.
    `revision`: the project revision of the head. `seen`: signatures that ids, bad now, have shown in this red period.
    `blocked`: signatures of failures that something else is to blame for, and what: their control was red as well.
    `red_dependencies`: registered projects that are red on the same interpreter, by their names as distributions.
    `flaky`: the past of tests that were flaky before in this lane, or are now.
    `fleeting`: ids that were bad and are not there any more, and that never ran well: names of a trouble (a module that could
    not be collected, a fixture of a class that failed), which end with it.
    """

    states: Mapping[str, State] = field(default_factory=dict)
    compared: bool = False
    complete: bool = False
    revision: str | None = None
    seen: Mapping[str, frozenset[str]] = field(default_factory=dict)
    blocked: Mapping[str, str] = field(default_factory=dict)
    red_dependencies: frozenset[str] = frozenset()
    flaky: Mapping[str, flaky.Past] = field(default_factory=dict)
    fleeting: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The verdict, and why. `changes` are the states to write into the lane's history (None: the id is gone).

    `flaky` passed when retried; `excused` did not, but their learned rates explain it; `risen`: rates that are news."""

    verdict: Verdict
    kind: FailureKind | None = None
    new: tuple[Bad, ...] = ()
    still: tuple[Bad, ...] = ()
    fixed: tuple[str, ...] = ()
    flaky: tuple[str, ...] = ()
    excused: tuple[Bad, ...] = ()
    risen: tuple[Bad, ...] = ()
    changes: Mapping[str, State | None] = field(default_factory=dict)
    summary: str = ""

    @property
    def bad(self) -> frozenset[str]:
        """Everything that is bad after this run, as far as the run says."""
        return frozenset(bad.id for bad in (*self.new, *self.still))


def decide(
    history: LaneHistory, observed: Observed, *, project: str, revision: str | None = None
) -> Decision:
    """The decision. `revision` is the project revision that ran; `project` names hollow failures."""
    if observed.farm_fault:
        return Decision(verdict="infra", summary=observed.farm_fault)
    if observed.no_source:
        return Decision(verdict="unknown", summary=observed.no_source)
    excused = tuple(found for found in observed.bad.values() if _is_excused(history, found))
    observed = observed.without(excused)
    risen = _risen(history, observed, project)
    states, bad, gone = hollow.completed(
        history.states, observed, project=project, same=revision == history.revision,
        fleeting=history.fleeting,
    )  # fmt: skip
    new = [found for found in bad.values() if _is_new(history, found)]
    ids = {found.id for found in new}
    still = [found for found in bad.values() if found.id not in ids]
    fixed = [
        name for name, before in history.states.items()
        if before[1] and (not states[name][1] if name in states else name in gone & history.fleeting)
    ]  # fmt: skip
    verdict = _verdict(history, new, still, fixed, observed.flaky)
    return Decision(
        verdict=verdict,
        kind=_kind(new or still),
        new=tuple(new),
        still=tuple(still),
        fixed=tuple(fixed),
        flaky=tuple(observed.flaky),
        excused=excused,
        risen=risen,
        changes=_changes(history.states, states, gone),
        summary=_words(verdict, history, new, still, fixed, observed)
        + (f"; {risen[0].id}: {risen[0].failure.message}" if risen else ""),
    )


def _words(
    verdict: Verdict,
    history: LaneHistory,
    new: list[Bad],
    still: list[Bad],
    fixed: list[str],
    observed: Observed,
) -> str:
    if verdict == "new_failure":
        return words.new_words(new, still)
    if verdict == "blocked":
        return words.blocked_words(words.red_words(new or still), _blamed(history, new or still))
    if verdict == "still_failing":
        return words.still_words(still) if history.compared else words.baseline_words(still)
    return words.fixed_words(fixed) if verdict == "fixed" else words.passed_words(observed.counts)


def _is_new(history: LaneHistory, found: Bad) -> bool:
    before = history.states.get(found.id)
    if not history.compared:
        return False
    if before is None:
        return history.complete
    if before[1] is None:
        return True
    return found.signature != before[1] and found.signature not in history.seen.get(
        found.id, frozenset()
    )


def _is_excused(history: LaneHistory, found: Bad) -> bool:
    """A flaky test that failed in its retries as well, by chance. What was bad before is not asked; nor is a crash."""
    before = history.states.get(found.id)
    past = history.flaky.get(found.id)
    if past is None or found.kind != "test" or not is_test(found.id) or (before and before[1]):
        return False
    return flaky.excused(past, found.retries)


def _risen(history: LaneHistory, observed: Observed, project: str) -> tuple[Bad, ...]:
    """Tests whose flaky rate is higher than it was, with the words that say so."""
    found = []
    for name, outcome in observed.flaky.items():
        rise = flaky.risen(history.flaky[name]) if name in history.flaky else None
        if rise:
            sig = named("test", "flaky", project, name)
            said = Failure(message=str(rise))
            found.append(Bad(id=name, outcome=outcome, kind="test", signature=sig, failure=said))
    return tuple(found)


def _blamed(history: LaneHistory, found: Iterable[Bad]) -> list[str]:
    """What the failures are blamed on that something else explains."""
    said = (history.blocked.get(bad.signature) or bad.dependency for bad in found)
    return sorted({word for word in said if word})


def _is_blocked(history: LaneHistory, found: Collection[Bad]) -> bool:
    """Whether something else explains all of it: a red control, or a dependency that is red itself."""
    return bool(found) and all(
        bad.signature in history.blocked or bad.dependency in history.red_dependencies
        for bad in found
    )


def _verdict(
    history: LaneHistory,
    new: Collection[Bad],
    still: Collection[Bad],
    fixed: Collection[str],
    flaky: Collection[str],
) -> Verdict:
    if _is_blocked(history, new or still):
        return "blocked"
    if new:
        return "new_failure"
    if still:
        return "still_failing"
    if fixed:
        return "fixed"
    return "flaky" if flaky else "passed"


def _kind(found: Iterable[Bad]) -> FailureKind | None:
    kinds = {bad.kind for bad in found}
    return next((kind for kind in SEVERITY if kind in kinds), None)


def _changes(
    before: Mapping[str, State], after: Mapping[str, State], gone: Iterable[str]
) -> dict[str, State | None]:
    changed: dict[str, State | None] = {
        name: state for name, state in after.items() if before.get(name) != state
    }
    return changed | dict.fromkeys(gone)


def repeated(verdict: str | None) -> Verdict:
    """The verdict of a run without flaky events that found exactly what the lane's head, with `verdict`, found."""
    return "still_failing" if verdict in RED else "passed"


def repeated_words(summary: str) -> str:
    """The summary of a still failing run that found exactly what the head, with this summary, found."""
    return "still: " + summary.partition(": ")[2] if summary else "still failing"


def decide_build(previous: str | None, *, failed: Bad | None, farm_fault: str = "") -> Decision:
    """The verdict on a commit's interpreter. `previous`: the state of the nearest older one of its kind, if any.

    Only a commit after one that was published is accused of not building; the first of its kind is a baseline."""
    if farm_fault:
        return Decision(verdict="infra", summary=farm_fault)
    if failed is None:
        verdict: Verdict = "fixed" if previous == "failed" else "passed"
        return Decision(verdict=verdict, summary="the interpreter builds")
    what = "builds, but does not install" if failed.id == INSTALL else "does not build"
    line = f"the interpreter {what}: {words.error_line(failed, 200)}"
    if previous == "published":
        return Decision(
            verdict="new_failure", kind="interpreter", new=(failed,), summary=f"new: {line}"
        )
    word = "baseline" if previous is None else "still"
    return Decision(
        verdict="still_failing", kind="interpreter", still=(failed,), summary=f"{word}: {line}"
    )
