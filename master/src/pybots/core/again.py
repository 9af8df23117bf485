"""The new combination once more, before a failure that stands alone is believed (DESIGN §6). Pure.

A green control says that the last good combination passes now, one that says nothing (the test failed there in another way,
or did not run) not even that. Neither says that the new one fails: a test may have failed by chance, its retries included,
which were all made within a minute, by one machine, under one load. Where many tests or lanes show a failure, chance is no
explanation. A few tests in one lane are run again, once, in a run of their own:

- any of them is bad again: it is believed.
- all of them pass, if only when retried: chance; nobody hears of it, and the tests are learned to be flaky.
- silence (lost, skipped, not reached, an hour gone): it is believed. A missing answer must not hide a failure.

It is asked of a failure in two runs of the lane that follow each other; what second runs have explained away in both is
believed at once in the third. Crashes, timeouts and lack of memory are never explained away, nor is what can't be installed,
collected or found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pybots.core.control import Answer, Concern, Judgement
from pybots.core.outcomes import FLAKY, RAN, Observed, is_test

MAX_TESTS: Final = 3
"""More tests that fail at once, saying the same, are no chance."""
MAX_ASKED: Final = 2
"""Chance does not explain run after run."""

ASKING: Final[frozenset[Answer]] = frozenset({"green", "none"})
"""What a control answered that leaves room for chance. It stays the breakage's control, whatever the second run says."""
HELD: Final = Judgement(
    control="green", state="suspected", reason="the new combination is run once more"
)
BELIEVED: Final = Judgement(
    control="green", state="open", reason="the new combination fails once more"
)
UNANSWERED: Final = Judgement(
    control="green", state="open", reason="the new combination could not be run once more"
)
CHANCE: Final = Judgement(
    control="green", state="dismissed", axis="flaky",
    reason="the new combination passes when it is run once more",
)  # fmt: skip


def alone(kind: str, ids: Sequence[str], *, lanes: int, failing: int) -> bool:
    """Whether chance might explain a breakage of this kind, in so many lanes, with these tests.

    `failing`: how many tests fail anew in its run and say the same, those of other breakages included. One that fails by
    chance beside what a commit has broken says something else."""
    return (
        kind == "test" and lanes == 1 and failing <= MAX_TESTS and bool(ids) and all(map(is_test, ids))
    )  # fmt: skip


def judge(concern: Concern, observed: Observed) -> Judgement:
    """What the second run of the new combination says of the failure."""
    if observed.farm_fault or observed.no_source:
        return UNANSWERED
    if any(name in observed.bad for name in concern.ids):
        return BELIEVED
    outcomes = [observed.states.get(name, ("", None))[0] for name in concern.ids]
    passed = outcomes and all(outcome in RAN or outcome == FLAKY for outcome in outcomes)
    return CHANCE if passed else UNANSWERED
