"""Most lanes turn red together: what trips, what is held, whose doing it was."""

from __future__ import annotations

import pytest

from pybots.core import breaker
from pybots.core.breaker import Breaker, Reported, Scope
from pybots.core.rounds import HOLD_SECONDS
from pybots.core.threads import Broken

NOW = 1e6


def lanes(
    red: int, green: int, *, worker: str = "attic", platform: str = "linux", first: int = 0
) -> list[Reported]:
    return [
        Reported(lane=first + n, worker=worker, platform=platform, turned=(first + n,) if n < red else ())
        for n in range(red + green)
    ]  # fmt: skip


def tripped(*reported: Reported, known: list[Breaker] | None = None) -> list[tuple[Scope, str]]:
    return [(one.scope, one.name) for one in breaker.check(reported, known or [], NOW)]


@pytest.mark.parametrize(
    ("red", "green", "trips"),
    [(5, 4, True), (5, 5, False), (4, 0, False), (40, 0, True), (0, 9, False), (40, 60, False)],
)
def test_most_lanes_and_enough_of_them(red: int, green: int, trips: bool) -> None:
    assert bool(tripped(*lanes(red, green))) is trips


def test_one_workers_trouble_is_that_workers() -> None:
    good = lanes(0, 20, worker="shed", first=100)
    assert tripped(*lanes(6, 1), *good) == [("worker", "attic")]


def test_a_platforms_trouble_is_more_than_one_workers() -> None:
    reported = [
        *lanes(6, 1),
        *lanes(6, 1, worker="shed", first=100),
        *lanes(0, 30, worker="w3", platform="mac", first=200),
    ]
    assert tripped(*reported) == [("platform", "linux")]


def test_the_whole_farm_is_more_than_one_platform() -> None:
    reported = [*lanes(6, 1), *lanes(6, 1, worker="w3", platform="mac", first=200)]
    assert tripped(*reported) == [("farm", "")]


def test_what_is_held_already_trips_nothing_more() -> None:
    known = [Breaker(id=1, scope="worker", name="attic", tripped=NOW)]
    assert tripped(*lanes(9, 0), known=known) == []
    assert breaker.held(lanes(3, 3), known[0]) == {0, 1, 2}
    assert breaker.held(lanes(3, 3, worker="shed"), known[0]) == set()


def test_a_wider_breaker_needs_something_that_is_not_held_yet() -> None:
    held = [Breaker(id=1, scope="worker", name="attic", tripped=NOW)]
    other = [Breaker(id=2, scope="worker", name="shed", tripped=NOW)]
    both = [*lanes(6, 0), *lanes(6, 0, worker="shed", first=100)]
    assert tripped(*both, known=held) == [("platform", "linux")]
    assert tripped(*both, known=[*held, *other]) == []


def broken(control: str = "wanted", state: str = "suspected", *, answered: bool = False) -> Broken:
    return Broken(
        id=1, branch="main", state=state, good=1, bad=2, opened=NOW, control=control, answered=answered  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("members", "state"),
    [
        ([broken(), broken()], "open"),
        ([broken("green", "open"), broken()], "python"),
        ([broken("red", "dismissed"), broken()], "farm"),
        ([broken("red", "dismissed"), broken("red", "dismissed"), broken("green", "open")], "farm"),
        ([broken("none", "open"), broken("none", "open")], "open"),
        ([broken("none", "open", answered=True)], "python"),
        ([broken("wanted", "fixed")], "over"),
    ],
)
def test_controls_and_people_settle_it(members: list[Broken], state: str) -> None:
    assert breaker.settle(Breaker(id=1, scope="farm", name="", tripped=NOW), members) == state


def test_an_hour_without_an_answer_is_long() -> None:
    one = Breaker(id=1, scope="farm", name="", tripped=NOW)
    assert not breaker.overdue(one, NOW + HOLD_SECONDS - 1)
    assert breaker.overdue(one, NOW + HOLD_SECONDS)
