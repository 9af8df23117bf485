"""Which breakages are one story: by their ranges, by what they say, by what is found to have caused them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from alerts_world import BOOK, T0, World, to, topics

from pybots.core.audiences import DAY
from pybots.core.threads import kin


@pytest.fixture
def world() -> World:
    return World()


# One cause, one thread


def test_one_commit_that_breaks_forty_projects_is_one_mail_with_forty_rows(world: World) -> None:
    world.book = replace(BOOK, projects={})
    world.busy = {"main": {5}}
    for number in range(1, 41):
        world.breaks(number, f"p{number}", good=4 - number % 3)
        assert world.look(10) == []
    world.busy = {}
    (letter,) = world.look(10)
    assert len(letter.news) == 40
    assert world.threads[1].good == 4, "the range is what all of them have in common"


def test_later_news_answer_in_the_thread(world: World) -> None:
    world.breaks(1)
    first = world.look()[0]
    world.breaks(2, "buoy")
    letters = world.look(3 * 3600)
    assert letters[0].root == first.key and not letters[0].begins
    assert [one.audience for one in letters] == ["list", "project", "person"]
    assert letters[1].begins, "the project's first letter of this thread"


@pytest.mark.parametrize(
    ("changes", "together"),
    [
        ({"good": 4, "bad": 5}, True),
        ({"good": 2, "bad": 9}, True),
        ({"good": None, "bad": 5}, True),
        ({"good": 5, "bad": 6}, False),
        ({"good": 3, "bad": 4}, False),
        ({"branch": "3.14"}, False),
    ],
)
def test_ranges_that_may_have_one_cause_share_a_thread(
    world: World, changes: dict[str, Any], together: bool
) -> None:
    world.breaks(1)
    world.breaks(2, "buoy", **changes)
    world.look()
    assert (world.broken[2].thread == 1) is together


def test_a_project_that_changed_itself_has_a_thread_of_its_own(world: World) -> None:
    """No CPython commit lies between good and bad: what one project broke then is one story, not the neighbours'."""
    world.breaks(1, "anchor", good=5, bad=5)
    world.breaks(2, "anchor", good=5, bad=5)
    world.breaks(3, "buoy", good=5, bad=5)
    world.look()
    assert [world.broken[n].thread for n in (1, 2, 3)] == [1, 1, 3]


def test_an_old_thread_takes_nothing_in_any_more(world: World) -> None:
    world.breaks(1)
    world.look()
    world.breaks(2, "buoy", opened=T0 + 8 * DAY, good=1, bad=9)
    world.look(8 * DAY)
    assert world.broken[2].thread == 2


def test_threads_that_turn_out_to_have_one_cause_are_joined_by_a_pointer(world: World) -> None:
    world.breaks(1, "anchor", good=3, bad=9)
    world.breaks(2, "buoy", good=9, bad=12)
    world.look()
    assert {world.broken[1].thread, world.broken[2].thread} == {1, 2}
    for number in (1, 2):
        world.becomes(number, axis="dependency", blamed="dep")
    world.look(60)
    letters = world.look(60)
    assert topics(letters) == {"pointer"} and {one.points_to for one in letters} == {1}
    assert to(letters) == ["list@x", "b@x", "ada@x"]
    assert world.threads[2].state == "pointed" and world.broken[2].thread == 1
    assert world.look(60) == [], "once"
    for number in (1, 2):
        world.becomes(number, state="fixed")
    closing = world.look(60)
    assert sorted(to(closing)) == ["a@x", "ada@x", "b@x", "list@x", "shared@x"]
    assert all(not one.begins for one in closing)


# A commit that was found


def test_a_commit_found_among_many_is_told_once_in_the_thread(world: World) -> None:
    world.breaks(1, good=4, bad=9)
    world.look()
    world.becomes(1, axis="cpython", blamed="c7", good=6, bad=7)
    letters = world.look(60)
    assert topics(letters) == {"known"} and not any(one.begins for one in letters)
    assert (world.threads[1].good, world.threads[1].bad) == (6, 7)
    assert world.look(60) == []


def test_a_commit_that_was_told_as_the_only_one_is_no_news_when_it_is_proved(world: World) -> None:
    world.breaks(1, good=4, bad=5)
    world.look()
    world.becomes(1, axis="cpython", blamed="c5")
    assert world.look(60) == []
    world.becomes(1, axis="project", blamed="1.1")
    assert topics(world.look(60)) == {"known"}, "it was the project's own after all"


def test_threads_that_one_commit_explains_end_with_one_pointer(world: World) -> None:
    world.breaks(1, good=4, bad=9)
    world.look()
    world.breaks(2, "buoy", good=2, bad=9)
    world.now += 8 * DAY  # the first thread takes nothing in any more
    world.look()
    assert len(world.threads) == 2
    for number in (1, 2):
        world.becomes(number, axis="cpython", blamed="c7", good=6, bad=7)
        world.look(60)
    pointers = [one for one in world.letters if one.topic == "pointer"] + [
        one for one in world.look(60) if one.topic == "pointer"
    ]
    assert {one.points_to for one in pointers} == {1}
    assert world.threads[2].state == "pointed"
    assert not [one for one in world.look(60) if one.topic == "pointer"], "and once"


# What says the same


SAID = kin("test", "RuntimeError: 'lock' object is not what it was")


def test_a_lane_that_meets_a_standing_failure_late_joins_its_thread_however_old(
    world: World,
) -> None:
    """An installation that failed hid the tests of a lane for weeks; the error it shows then is the one that stands."""
    world.breaks(1, kin=SAID)
    first = world.look()[0]
    world.breaks(2, "buoy", opened=T0 + 11 * DAY, good=1, bad=9, kin=SAID)
    letters = world.look(11 * DAY)
    assert world.broken[2].thread == 1 and letters[0].root == first.key


@pytest.mark.parametrize(
    "changes",
    [
        {"kin": kin("test", "RuntimeError: something else has changed here")},
        {"kin": ""},
        {"kin": SAID, "good": 6, "bad": 9},
    ],
)
def test_other_words_or_another_range_begin_a_thread_of_their_own(
    world: World, changes: dict[str, Any]
) -> None:
    world.breaks(1, kin=SAID)
    world.look()
    world.breaks(2, "buoy", **{"opened": T0 + 11 * DAY, "good": 1, "bad": 9, **changes})
    world.look(11 * DAY)
    assert world.broken[2].thread == 2


def test_what_has_been_mended_draws_nobody_in(world: World) -> None:
    world.breaks(1, kin=SAID)
    world.breaks(2, "calm")
    world.look()
    world.becomes(1, state="fixed")
    world.look(60)
    world.breaks(3, "buoy", opened=T0 + 11 * DAY, good=1, bad=9, kin=SAID)
    world.look(11 * DAY)
    assert world.broken[2].thread == 1 and world.broken[3].thread == 3


def test_of_two_threads_the_one_that_says_the_same_is_joined(world: World) -> None:
    world.breaks(1, "anchor", good=4, bad=5, kin=SAID)
    world.breaks(2, "calm", good=6, bad=7)
    world.look()
    assert world.broken[2].thread == 2
    world.breaks(3, "buoy", good=3, bad=9, kin=SAID)
    world.look()
    assert world.broken[3].thread == 1


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("test", "AssertionError: assert 1 == 2 in the end"),
        ("test", "TypeError: 'NoneType' object is not subscriptable"),
        ("test", "KeyError: 'x'"),
        ("test", "RuntimeError"),
        ("install", "leaf: CommandFailed: uv said nothing much of use"),
        ("crash", "tests/test_a.py::test_b: killed by signal SIGSEGV"),
    ],
)
def test_words_that_many_causes_share_make_nobody_kin(kind: str, title: str) -> None:
    assert kin(kind, title) == ""


def test_addresses_do_not_part_kin() -> None:
    one, other = (
        "RuntimeError: lock 0x7f0123456789 was held too long",
        "RuntimeError: lock 0x7fabcdef0123 was held too long",
    )
    assert kin("test", one) == kin("test", other) != ""
