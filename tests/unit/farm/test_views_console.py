"""The console's algorithm, without a ledger: which run speaks for which commit, and what a box shows."""

from __future__ import annotations

import json
from collections.abc import Collection

from pybots.farm.views import console
from pybots.farm.views.console import (
    Box,
    Column,
    Heard,
    Lane,
    Seen,
    cells,
    is_bad,
    now_state,
    title,
)

RELEASE = Column("linux-x86_64", "release")
DEBUG = Column("linux-x86_64", "debug")
DJANGO = Lane(id=1, column=RELEASE, project="django")
TWISTED = Lane(id=2, column=RELEASE, project="twisted")


def seen(lane: int, position: int, state: str = "passed", tests: int = 0) -> Seen:
    return Seen(lane, position, 100 * lane + position, state, tests)  # type: ignore[arg-type]


def heard(lane: Lane, found: list[Seen], *, older: bool = False, away: bool = False) -> Heard:
    told = [(one.position, one.run, one.state, one.tests) for one in found if one.lane == lane.id]
    return Heard(lane=lane, told=json.dumps(told), older=older, away=away)


def boxes(
    positions: list[int], lanes: list[Lane], found: list[Seen], *, before: Collection[int] = ()
) -> list[dict[Column, Box]]:
    said = [heard(lane, found, older=lane.id in before) for lane in lanes]
    return console.boxes(positions, said)


def states(
    positions: list[int], lanes: list[Lane], found: list[Seen], before: set[int] | None = None
) -> list[str]:
    grid = boxes(positions, lanes, found, before=before or set())
    return [row[RELEASE].state if RELEASE in row else "" for row in grid]


def test_a_commit_without_a_run_is_spoken_for_by_the_first_run_that_contains_it() -> None:
    found = [seen(1, 5, "new_failure"), seen(1, 2)]
    assert states([6, 5, 4, 3, 2], [DJANGO], found) == [
        "", "new_failure", "new_failure", "new_failure", "passed",
    ]  # fmt: skip


def test_a_lanes_first_run_speaks_for_its_own_commit_only() -> None:
    assert states([5, 4, 3], [DJANGO], [seen(1, 4)]) == ["", "passed", ""]


def test_an_older_run_outside_the_window_lets_a_pillar_reach_the_bottom() -> None:
    assert states([5, 4, 3], [DJANGO], [seen(1, 4)], before={1}) == ["", "passed", "passed"]


def test_a_newer_run_outside_the_window_speaks_for_its_top() -> None:
    assert states([5, 4, 3], [DJANGO], [seen(1, 9, "running"), seen(1, 4)]) == [
        "running",
        "passed",
        "",
    ]


def test_a_column_shows_the_worst_of_its_lanes_and_counts_new_failures() -> None:
    found = [seen(1, 5, "new_failure", 3), seen(2, 5, "new_failure"), seen(1, 4), seen(2, 4)]
    grid = boxes([5, 4], [DJANGO, TWISTED], found)
    rows = cells(grid, [RELEASE], [(5, "a" * 40), (4, "b" * 40)])
    assert (rows[0][0].state, rows[0][0].count) == ("new_failure", 2)
    assert rows[0][0].href == f"/commit/{'a' * 40}"
    assert rows[0][0].title == "release on linux-x86_64: new failure django (3 tests), twisted"
    assert (rows[1][0].state, rows[1][0].count) == ("passed", 0)
    assert rows[1][0].title == "release on linux-x86_64: 2 passed"


def test_a_single_loudest_lane_links_to_its_run() -> None:
    grid = boxes([5], [DJANGO, TWISTED], [seen(1, 5, "still_failing"), seen(2, 5)])
    [[cell]] = cells(grid, [RELEASE], [(5, "a" * 40)])
    assert (cell.state, cell.href) == ("still_failing", "/run/105")


def test_an_interpreter_is_silent_while_it_builds_and_loud_when_it_fails() -> None:
    python = Lane(id=-1, column=RELEASE)
    found = [seen(-1, 6), seen(-1, 5, "new_failure"), seen(-1, 3), seen(1, 6), seen(1, 3)]
    assert states([6, 5, 4, 3], [DJANGO, python], found) == [
        "passed", "new_failure", "new_failure", "passed",
    ]  # fmt: skip
    assert states([6], [python], [seen(-1, 6)]) == [""]


def test_neighbouring_rows_of_the_same_runs_are_one_pillar() -> None:
    found = [seen(1, 5, "new_failure"), seen(1, 2)]
    commits = [(5, "a"), (4, "b"), (3, "c"), (2, "d")]
    rows = cells(boxes([5, 4, 3, 2], [DJANGO], found), [RELEASE], commits)
    assert [(row[0].joined_above, row[0].joined_below) for row in rows] == [
        (False, True), (True, True), (True, False), (False, False),
    ]  # fmt: skip


def test_rows_that_a_filter_tore_apart_are_not_joined() -> None:
    found = [seen(1, 5), seen(1, 1)]
    rows = cells(boxes([5, 3], [DJANGO], found), [RELEASE], [(5, "a"), (3, "c")])
    assert not rows[0][0].joined_below and not rows[1][0].joined_above


def test_what_waits_for_workers_that_are_away_is_offline() -> None:
    found = [seen(1, 5, "queued"), seen(1, 4, "running")]
    there = console.boxes([5, 4], [heard(DJANGO, found)])
    away = console.boxes([5, 4], [heard(DJANGO, found, away=True)])
    assert [row[RELEASE].state for row in there] == ["queued", "running"]
    assert [row[RELEASE].state for row in away] == ["offline", "running"]


def test_a_newer_run_beyond_the_window_speaks_for_its_top() -> None:
    [row] = console.boxes([5], [heard(DJANGO, [])._replace(beyond=seen(1, 9, "infra"), older=True)])
    assert row[RELEASE].state == "infra"


def test_a_column_that_says_the_same_again_is_taken_over_and_its_neighbour_made_anew() -> None:
    """What is remembered is known by all that was given: a lane that says something else changes its column only."""
    other = Lane(id=3, column=DEBUG, project="django")
    before = [heard(DJANGO, [seen(1, 5)]), heard(other, [seen(3, 5)])]
    after = [before[0], heard(other, [seen(3, 5, "new_failure")])]
    [old], [new] = console.boxes([5], before), console.boxes([5], after)
    assert new[RELEASE] is old[RELEASE]
    assert (old[DEBUG].state, new[DEBUG].state) == ("passed", "new_failure")


def test_a_column_without_anything_is_empty() -> None:
    [[cell]] = cells([{}], [DEBUG], [(5, "a")])
    assert (cell.state, cell.href) == ("none", "")


def test_bad_rows_are_those_a_reader_in_search_of_trouble_wants() -> None:
    grid = boxes([2, 1], [DJANGO], [seen(1, 2, "infra"), seen(1, 1, "flaky")])
    assert [is_bad(row) for row in grid] == [True, False]


def test_the_last_known_state_prefers_a_verdict_to_what_is_on_its_way() -> None:
    assert now_state("still_failing", "running", "active") == "still_failing"
    assert now_state(None, "queued", "active") == "queued"
    assert now_state(None, "queued", "no_worker") == "no_worker"
    assert now_state(None, None, "active") == "none"


def test_a_lane_that_nobody_runs_any_more_is_not_green() -> None:
    assert now_state("passed", None, "no_worker") == "no_worker"
    assert now_state("fixed", "queued", "refused") == "refused"
    assert now_state("new_failure", None, "no_worker") == "new_failure", (
        "what was red stays to be seen"
    )


def test_a_title_names_few_projects_and_counts_the_rest() -> None:
    found = [(f"p{n}", seen(n, 1, "still_failing")) for n in range(7)]
    assert title(DEBUG, found) == "debug on linux-x86_64: still failing p0, p1, p2, p3 and 3 more"
