"""Two states of the same lanes: every pair of verdicts has one meaning, and unknown is never green."""

from __future__ import annotations

import pytest

from pybots.core.compare import Name, compare, known

LANE = Name("django", "release", "release", "linux-x86_64")
OTHER = Name("six", "release", "release", "linux-x86_64")


@pytest.mark.parametrize(
    ("then", "now", "became"),
    [
        ("passed", "flaky", "well"),
        ("fixed", "new_failure", "worse"),
        ("passed", "still_failing", "worse"),
        ("passed", "blocked", "lost"),
        ("flaky", None, "lost"),
        ("still_failing", "fixed", "fixed"),
        ("new_failure", "still_failing", "same"),
        ("still_failing", "infra", "dark"),
        (None, "passed", "fresh"),
        ("infra", "new_failure", "new"),
        ("unknown", None, "dark"),
    ],
)
def test_each_pair_has_one_meaning(then: str | None, now: str | None, became: str) -> None:
    found = compare({LANE: then}, {LANE: now})
    assert vars(found)[became] == (LANE,)
    assert found.total == 1


def test_a_lane_that_one_side_lacks_is_unknown_there() -> None:
    found = compare({LANE: "passed"}, {OTHER: "new_failure"})
    assert (found.lost, found.new) == ((LANE,), (OTHER,))
    assert found.unknown == 1


def test_a_word_nobody_knows_is_unknown() -> None:
    assert known("splendid") == "unknown"
