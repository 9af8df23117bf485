"""Who is told what, when and in which thread: row by row, over a farm that is nothing but data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from alerts_world import BOOK, T0, World, to, topics

from pybots.core import alerts
from pybots.core.audiences import DAY, Book, Caps, Reader
from pybots.core.rounds import HOLD_SECONDS


@pytest.fixture
def world() -> World:
    return World()


# Opened


def test_a_confirmed_breakage_goes_to_the_list_and_the_project_each_in_its_own_letter(
    world: World,
) -> None:
    world.breaks(1)
    of_list, of_project = world.look()
    assert (of_list.audience, of_list.recipients) == ("list", ("list@x",))
    assert (of_project.audience, of_project.recipients) == ("project", ("a@x", "shared@x"))
    assert of_list.begins and of_project.begins and of_list.key != of_project.key
    assert world.look() == [], "and once"


def test_a_person_gets_a_copy_of_their_own(world: World) -> None:
    world.breaks(1, "buoy")
    letters = world.look()
    assert [(one.audience, one.recipients) for one in letters] == [
        ("list", ("list@x",)), ("project", ("b@x",)), ("person", ("ada@x",)),
    ]  # fmt: skip


@pytest.mark.parametrize("project", ["calm", "mute"])
def test_who_chose_the_digest_or_nothing_is_not_told_at_once(world: World, project: str) -> None:
    world.breaks(1, project)
    assert to(world.look()) == ["list@x"]


@pytest.mark.parametrize("choice", ["digest", "none"])
def test_the_list_may_choose_too(world: World, choice: Any) -> None:
    world.book = replace(BOOK, list=Reader(address="list@x", when=choice))
    world.breaks(1)
    assert to(world.look()) == ["a@x", "shared@x"]


def test_nobody_to_tell_is_no_letter(world: World) -> None:
    world.book = Book()
    world.breaks(1)
    assert world.look() == []
    world.becomes(1, state="fixed")
    assert world.look(60) == []


def test_a_project_whose_address_is_the_lists_hears_once(world: World) -> None:
    world.book = replace(BOOK, projects={"anchor": (Reader(address="list@x"),)})
    world.breaks(1)
    assert to(world.look()) == ["list@x"]


# Holding


def test_the_first_mail_waits_for_the_control(world: World) -> None:
    world.breaks(1, state="suspected", control="wanted")
    assert world.look() == []
    assert world.look_again == T0 + HOLD_SECONDS
    world.becomes(1, state="open", control="green")
    assert topics(world.look(600)) == {"opened"}


def test_what_the_control_dismisses_is_never_told(world: World) -> None:
    world.breaks(1, state="suspected", control="wanted")
    world.look()
    world.becomes(1, state="dismissed", control="red", axis="environment")
    assert world.look(600) == [] and world.look(HOLD_SECONDS) == []
    assert world.threads[1].state == "closed"


def test_after_an_hour_a_suspicion_is_told_as_one(world: World) -> None:
    world.breaks(1, state="suspected", control="wanted")
    assert world.look(HOLD_SECONDS - 1) == []
    assert topics(world.look(1)) == {"opened"}
    told = world.broken[1].told
    assert told and not told.sure
    world.becomes(1, state="open", control="green")
    assert topics(world.look(60)) == {"known"}


def test_a_suspicion_that_was_told_and_is_dismissed_is_withdrawn(world: World) -> None:
    world.breaks(1, state="suspected", control="wanted")
    world.look(HOLD_SECONDS)
    world.becomes(1, state="dismissed", control="red", axis="environment")
    letters = world.look(60)
    assert topics(letters) == {"withdrawn"}
    assert to(letters) == ["list@x", "a@x", "shared@x"]
    assert world.threads[1].state == "closed"


def test_news_wait_until_the_interpreters_lanes_have_finished(world: World) -> None:
    world.breaks(1)
    world.busy = {"main": {5}}
    assert world.look() == []
    world.busy = {"main": {4, 6}, "3.14": {5}}
    assert topics(world.look(60)) == {"opened"}, "other commits' lanes are no reason to wait"


def test_lanes_that_never_finish_hold_nothing_for_longer_than_an_hour(world: World) -> None:
    world.breaks(1)
    world.busy = {"main": {5}}
    assert world.look(HOLD_SECONDS - 1) == []
    assert topics(world.look(1)) == {"opened"}


def test_what_is_fixed_before_it_was_told_is_no_news(world: World) -> None:
    world.breaks(1, state="suspected", control="wanted")
    world.look()
    world.becomes(1, state="fixed")
    assert world.look(60) == []
    assert world.look(HOLD_SECONDS) == []


# Changed


def test_another_project_tells_list_and_that_project_only(world: World) -> None:
    world.breaks(1)
    world.look()
    world.becomes(1, projects=("anchor", "buoy"), lanes=2)
    letters = world.look(60)
    assert [(one.topic, one.reader) for one in letters] == [
        ("more", "list"), ("opened", "project:buoy"), ("opened", "person:buoy:ada@x"),
    ]  # fmt: skip


def test_more_lanes_are_news_when_they_have_doubled(world: World) -> None:
    world.breaks(1, lanes=3)
    world.breaks(2, lanes=1, good=10, bad=11)
    world.look()
    world.becomes(1, lanes=5)
    world.becomes(2, lanes=3)
    assert world.look(60) == []
    world.becomes(1, lanes=6)
    assert [one.reader for one in world.look(60)] == ["list"]


def test_an_axis_that_becomes_known_is_told(world: World) -> None:
    world.breaks(1)
    world.look()
    world.becomes(1, axis="dependency", blamed="numpy")
    letters = world.look(60)
    assert topics(letters) == {"known"} and len(letters) == 2
    assert world.look(60) == []


def test_still_failing_is_silence_for_ever(world: World) -> None:
    world.breaks(1)
    world.look()
    assert [world.look(DAY) for _ in range(400)] == [[]] * 400


# Flaky, dependencies


@pytest.mark.parametrize("state", ["open", "suspected"])
def test_a_risen_flaky_rate_is_for_the_digest(world: World, state: Any) -> None:
    world.breaks(1, axis="flaky", state=state)
    assert world.look() == [] and world.look(2 * HOLD_SECONDS) == []


def test_a_dependencys_drift_is_told_to_the_projects_that_use_it_not_to_the_list(
    world: World,
) -> None:
    world.breaks(
        1, "anchor", "buoy", state="dismissed", control="red", axis="dependency", blamed="d"
    )
    assert sorted(to(world.look())) == ["a@x", "ada@x", "b@x", "shared@x"]
    world.becomes(1, state="fixed")
    assert "list@x" not in to(world.look(60))


# Fixed, again


def test_a_fix_goes_to_everybody_who_was_told(world: World) -> None:
    world.breaks(1, "anchor", "buoy")
    first = world.look()
    world.becomes(1, state="fixed")
    letters = world.look(60)
    assert topics(letters) == {"fixed"} and sorted(to(letters)) == sorted(to(first))
    assert {one.root for one in letters} == {one.key for one in first}
    assert world.threads[1].state == "closed"


def test_a_thread_is_closed_by_its_last_breakage_only(world: World) -> None:
    world.breaks(1)
    world.breaks(2, "buoy")
    world.look()
    world.becomes(1, state="fixed")
    assert world.look(60) == []
    world.becomes(2, state="fixed")
    letters = world.look(60)
    assert letters[0].news == ((1, "fixed"), (2, "fixed"))


def test_a_breakage_that_is_back_answers_in_its_old_thread(world: World) -> None:
    world.breaks(1)
    first = world.look()[0]
    world.becomes(1, state="fixed")
    world.look(60)
    world.becomes(1, state="suspected", control="wanted", reopened=1, good=8, bad=9)
    assert world.look(60) == []
    world.becomes(1, state="open", control="green")
    letters = world.look(60)
    assert topics(letters) == {"again"} and letters[0].root == first.key
    world.becomes(1, state="fixed")
    assert topics(world.look(60)) == {"fixed"}


def test_a_project_that_joins_what_is_back_hears_so(world: World) -> None:
    """It has heard of the fix in between, and it is not in it before it fails itself."""
    world.breaks(1, "anchor", "buoy")
    world.look()
    world.becomes(1, state="fixed")
    world.look(60)
    world.becomes(1, state="open", reopened=1, projects=("anchor",))
    assert sorted(to(world.look(60))) == ["a@x", "list@x", "shared@x"]
    world.becomes(1, projects=("anchor", "buoy"))
    letters = world.look(60)
    assert [(one.topic, one.reader) for one in letters] == [
        ("more", "list"), ("again", "project:buoy"), ("again", "person:buoy:ada@x"),
    ]  # fmt: skip


def test_what_only_comes_and_goes_is_left_to_the_digest(world: World) -> None:
    world.breaks(1)
    for times in range(10):
        world.becomes(1, state="open", reopened=times)
        world.look(DAY)
        world.becomes(1, state="fixed")
        world.look(DAY)
    assert len([one for one in world.letters if one.audience == "list"]) == 8


# The breaker


def test_an_open_breaker_holds_mail_beyond_the_hour(world: World) -> None:
    world.trips = {7: "open"}
    world.breaks(1, trip=7, state="suspected", control="wanted")
    assert world.look() == [] and world.look(5 * HOLD_SECONDS) == []
    world.trips = {7: "python"}
    world.becomes(1, state="open", control="green")
    assert topics(world.look()) == {"opened"}


def test_what_a_breaker_found_to_be_the_farms_is_never_told_in_public(world: World) -> None:
    world.trips = {7: "farm"}
    world.breaks(1, trip=7, state="suspected", control="wanted")
    world.breaks(2, "buoy", trip=7, state="open", control="none")
    for _ in range(10):
        assert world.look(HOLD_SECONDS) == []
    world.becomes(2, answered=True)
    assert topics(world.look()) == {"opened"}, "a person knows better"


def test_a_breakage_with_its_own_green_control_passes_the_farms_breaker(world: World) -> None:
    world.trips = {7: "farm"}
    world.breaks(1, trip=7, state="open", control="green")
    assert topics(world.look()) == {"opened"}


# Caps


def test_replies_beyond_the_cap_are_counted_in_the_next_letter(world: World) -> None:
    world.caps = Caps(list=100, project=2)
    world.breaks(1)
    world.look()
    for number in range(2, 6):
        world.breaks(number, good=number * 10, bad=number * 10 + 1)
        world.look(60)
    mine = [one for one in world.letters if one.reader == "project:anchor"]
    assert len(mine) == 2
    world.breaks(9, good=90, bad=91)
    (last,) = [one for one in world.look(DAY) if one.reader == "project:anchor"]
    assert last.held_back == 3
    assert "project:anchor" not in world.held_back


def test_what_the_list_must_know_waits_for_room_and_is_not_lost(world: World) -> None:
    world.book = replace(BOOK, projects={})
    world.caps = Caps(list=2)
    for number in range(1, 6):
        world.breaks(number, good=number * 10, bad=number * 10 + 1)
        world.look(60)
    assert len(world.letters) == 2
    assert world.look_again == T0 + 60 + DAY
    for _ in range(4):
        world.look(DAY)
    told = {number for one in world.letters for number, _ in one.news}
    assert told == {1, 2, 3, 4, 5}


# The farm's own people


def test_the_farms_faults_are_for_admin_and_owner_once_a_day_and_worker() -> None:
    made = [alerts.of_fault(w, d, BOOK) for w, d in (("attic", "1"), ("attic", "1"), ("shed", "1"))]
    assert [[one.desk.addresses for one in notices] for notices in made] == [
        [("admin@x",), ("bob@x",)], [("admin@x",), ("bob@x",)], [("admin@x",)],
    ]  # fmt: skip
    assert len({one.key for notices in made for one in notices}) == 3


def test_a_missing_worker_is_told_to_its_owner_once_for_each_absence() -> None:
    (notice,) = alerts.of_missing("attic", 5.0, BOOK)
    assert notice.desk.addresses == ("bob@x",)
    assert alerts.of_missing("attic", 5.0, BOOK) == [notice]
    assert alerts.of_missing("attic", 9.0, BOOK)[0].key != notice.key
    assert alerts.of_missing("shed", 5.0, BOOK)[0].desk.addresses == ("admin@x",)
    quiet = replace(BOOK, owners={"attic": Reader(address="bob@x", when="none")})
    assert alerts.of_missing("attic", 5.0, quiet) == []


def test_a_breakers_end_is_told_to_the_farms_people_only() -> None:
    assert {one.audience for one in alerts.of_breaker(1, "farm", "attic", BOOK)} == {
        "admin",
        "owner",
    }
    assert [one.audience for one in alerts.of_breaker(1, "open", "attic", BOOK)] == ["admin"]
