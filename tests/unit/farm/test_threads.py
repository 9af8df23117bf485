"""Mail over the ledger: held, told once, told again by the clock, and nothing lost or doubled wherever we are killed."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lane_world import PLATFORM, World, make_project, make_report, make_test, make_world
from sqlalchemy import insert, update

from pybots.core import dispositions
from pybots.farm import answering, answers, mailing, news, notify, parking, threads, tokens
from pybots.farm.answering import BadLink
from pybots.farm.views.common import Missing, Visit
from pybots.farm.views.mailpages import archive, message
from pybots.ledger import schema

GOOD = [make_test("t.py::a"), make_test("t.py::b")]
BAD = [GOOD[0], make_test("t.py::b", "failed", "TypeError: x")]
HOUR, DAY = 3600.0, 86_400.0
outbox, breakages = schema.outbox, schema.breakages


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path, *(f"p{n}" for n in range(8)))
    tokens.make_key(made.farm.folder.secrets)
    yield made
    made.farm.ledger.close()


def change(world: World, number: int, **values: Any) -> None:
    with world.farm.ledger.write() as connection:
        connection.execute(update(breakages).where(breakages.c.id == number).values(**values))


def text(row: Any) -> str:
    parsed = email.message_from_string(row.message, policy=email.policy.default)
    body = parsed.get_body(("plain",))  # type: ignore[attr-defined] # the policy gives an EmailMessage
    return str(body.get_content())


@pytest.mark.deep
def test_one_commit_that_breaks_many_projects_is_one_letter_to_the_list(world: World) -> None:
    lanes = [world.lane(f"p{n}") for n in range(4)]
    for lane in lanes:
        world.go(1, GOOD, lane=lane)
    runs = [world.run(2, lane=lane) for lane in lanes]
    for run in runs:
        assert world.letters() == [], "the others are under way"
        world.record(run, world_report(BAD))
    (letter,) = world.letters()
    assert all(f"p{n}" in text(letter) for n in range(4))
    copies = world.rows(outbox, outbox.c.audience == "project")
    assert [row.recipients for row in copies] == [[f"p{n}@example.org"] for n in range(4)]
    assert all("p0" not in text(row) for row in copies[1:]), "each its own"


def world_report(tests: list[Any]) -> Any:

    return make_report(tests)


def test_lanes_that_never_finish_hold_mail_for_an_hour(world: World) -> None:
    lanes = [world.lane("p0"), world.lane("p1")]
    for lane in lanes:
        world.go(1, GOOD, lane=lane)
    world.run(2, lane=lanes[1])
    world.go(2, BAD, lane=lanes[0])
    world.later(HOUR - 60)
    notify.consider(world.farm)
    assert world.letters() == []
    world.later(60)
    for _ in range(3):
        notify.consider(world.farm)
    assert len(world.letters()) == 1


def test_a_suspicion_waits_for_its_control(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.go(1, GOOD, lane=world.lane("p0"))
    monkeypatch.setattr(threads, "consider", lambda *_: None)
    world.go(2, BAD, lane=world.lane("p0"))
    monkeypatch.undo()
    change(world, 1, state="suspected", control="wanted", confirmed=None)
    with world.farm.ledger.write() as connection:
        threads.consider(world.farm, connection, world.farm.clock())
    assert world.letters() == []
    change(world, 1, state="open", control="green")
    notify.consider(world.farm)
    assert "Confirmed." in text(world.letters()[0])


@pytest.mark.deep
def test_killed_at_any_letter_all_of_them_are_written_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The letters are in the transaction that records: it is all or nothing, and then it is done again."""
    lane = world.lane("p0")
    world.go(1, GOOD, lane=lane)
    run = world.run(2, lane=lane)
    real, calls = mailing.put, []

    def put(*args: Any) -> bool:
        calls.append(args)
        if len(calls) in (1, 3):
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(mailing, "put", put)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            world.record(run, world_report(BAD))
        assert world.rows(outbox) == [] and world.rows(breakages) == []
    world.record(run, world_report(BAD))
    assert [row.alert for row in world.rows(outbox)] == [
        "thread:1:0:list", "thread:1:0:project:p0",
    ]  # fmt: skip
    with world.farm.ledger.write() as connection:
        threads.consider(world.farm, connection, world.farm.clock())
    assert len(world.rows(outbox)) == 2


def mass_red(world: World, *, control: str, state: str) -> None:
    """Six lanes of one worker turn red at once, their controls say the same."""
    lanes = [world.lane(f"p{n}") for n in range(6)]
    for lane in lanes:
        world.go(1, GOOD, lane=lane)
    runs = [world.run(2, lane=lane) for lane in lanes]
    for number, run in enumerate(runs):
        bad = [GOOD[0], make_test("t.py::b", "failed", f"OSError: p{'x' * number}")]
        world.record(run, world_report(bad))
    for row in world.rows(breakages):
        change(world, row.id, control=control, state=state)
    with world.farm.ledger.write() as connection:
        threads.consider(world.farm, connection, world.farm.clock())


@pytest.mark.deep
def test_most_lanes_red_at_once_is_held_and_the_farms_doing_goes_to_the_admin(world: World) -> None:
    mass_red(world, control="red", state="dismissed")
    (breaker,) = world.rows(schema.breakers)
    assert (breaker.scope, breaker.name, breaker.state) == ("worker", "attic", "farm")
    world.later(5 * HOUR)
    notify.consider(world.farm)
    (letter,) = world.rows(outbox)
    assert letter.audience == "admin" and "it is not CPython" in letter.subject


@pytest.mark.deep
def test_most_lanes_red_at_once_with_a_green_control_is_one_thread(world: World) -> None:
    mass_red(world, control="green", state="open")
    assert world.rows(schema.breakers)[0].state == "python"
    (letter,) = world.letters()
    assert letter.audience == "list" and "6 projects" in letter.subject
    assert len({row.thread for row in world.rows(outbox)}) == 1


@pytest.mark.deep
def test_a_breaker_that_has_let_go_does_not_trip_again(world: World) -> None:
    """Whatever is recorded afterwards: nothing is held twice, and nobody is told that it was the farm."""
    mass_red(world, control="green", state="open")
    for position, name in ((2, "p6"), (3, "p7")):
        world.go(position, GOOD, lane=world.lane(name))
    world.later(60)
    notify.consider(world.farm)
    assert [row.state for row in world.rows(schema.breakers)] == ["python"]
    assert world.rows(outbox, outbox.c.audience == "admin") == []


@pytest.mark.deep
def test_a_breaker_whose_lanes_all_pass_again_is_over_without_a_word(world: World) -> None:
    """A revert came before any control could tell: that it was the farm would be a guess."""
    mass_red(world, control="wanted", state="suspected")
    for number in range(6):
        world.go(3, GOOD, lane=world.lane(f"p{number}"))
    world.later(HOUR)
    notify.consider(world.farm)
    assert [row.state for row in world.rows(schema.breakers)] == ["over"]
    assert world.rows(outbox) == []


@pytest.mark.deep
def test_a_breaker_that_nothing_settles_is_the_admins_until_somebody_answers(world: World) -> None:
    mass_red(world, control="none", state="open")
    assert world.rows(outbox) == []
    world.later(HOUR)
    for _ in range(2):
        notify.consider(world.farm)
    (letter,) = world.rows(outbox)
    assert letter.audience == "admin" and "mail is held" in letter.subject
    answers.put(world.farm, 1, dispositions.answer("python", now=world.farm.clock()), "test")
    notify.consider(world.farm)
    assert world.rows(schema.breakers)[0].state == "python"
    assert [row.audience for row in world.letters()] == ["admin", "list"]


def personal(world: World) -> World:
    project = make_project("p0", notify=("list@p0.example",), notify_personal=("ada@example.org",))
    farm = replace(world.farm, projects={**world.farm.projects, "p0": project})
    return World(farm)


def test_a_person_gets_a_link_that_answers_and_nobody_else_does(world: World) -> None:
    world = personal(world)
    for position, tests in enumerate([GOOD, BAD]):
        world.go(position, tests, lane=world.lane("p0"))
    by_audience = {row.audience: row for row in world.rows(outbox)}
    assert set(by_audience) == {"list", "project", "person"}
    assert all("answer?t=" not in text(by_audience[name]) for name in ("list", "project"))
    found = re.search(r"answer\?t=(\S+)", text(by_audience["person"]))
    assert found
    now = world.farm.clock()
    link = answering.read(world.farm, found[1], now)
    assert (link.breakage, link.person) == (1, "ada@example.org")
    assert len(archive(world.farm, Visit()).rows) == 2, "the copy with the link is not public"
    with pytest.raises(Missing):
        message(world.farm, Visit(), by_audience["person"].id)


def test_links_that_were_made_up_changed_old_or_left_do_nothing(world: World) -> None:
    world = personal(world)
    now = world.farm.clock()
    token = answering.token(world.farm, 1, "ada@example.org", now)
    assert answering.read(world.farm, token, now + 59 * DAY).breakage == 1
    bad = ["", "x", token.replace("1-", "2-", 1), token[:-1] + ("A" if token[-1] != "A" else "B")]
    for given in bad:
        with pytest.raises(BadLink):
            answering.read(world.farm, given, now)
    with pytest.raises(BadLink, match="expired"):
        answering.read(world.farm, token, now + 62 * DAY)
    gone = replace(world.farm, projects={"p0": make_project("p0")})
    with pytest.raises(BadLink, match="not a project's any more"):
        answering.read(gone, token, now)


def test_an_answer_that_expires_leaves_the_breakage_untriaged(world: World) -> None:
    for position, tests in enumerate([GOOD, BAD]):
        world.go(position, tests, lane=world.lane("p0"))
    given = dispositions.answer("python", now=world.farm.clock(), person="Ada", days=1)
    answers.put(world.farm, 1, given, "ada")
    assert answers.get(world.farm, 1).disposition == "python"
    world.later(DAY)
    assert answers.get(world.farm, 1).disposition == "untriaged", "even before anybody has swept"
    with world.farm.ledger.write() as connection:
        threads.expire(connection, world.farm.clock())
    assert (world.one(breakages, 1).disposition, world.one(breakages, 1).person) == (
        "untriaged",
        "",
    )


def worker(world: World, **values: Any) -> None:
    plain = {
        "name": "shed", "owner": "Bob", "email": "bob@example.org", "platform": PLATFORM, "abi": "a",
        "slots": 1, "trust": "farm", "facts": [], "projects": [], "state": "approved",
        "credential": "x", "connected": False, "last_seen": world.farm.clock(), **values,
    }  # fmt: skip
    with world.farm.ledger.write() as connection:
        connection.execute(insert(schema.workers).values(**plain))


@pytest.mark.deep
@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, ["bob@example.org"]),
        ({"connected": True}, []),
        ({"state": "paused"}, []),
        ({"email": ""}, ["root@localhost"]),
        ({"notify": "none"}, []),
        ({"last_seen": None}, []),
    ],
)
def test_a_missing_workers_owner_is_told_once(
    world: World, values: dict[str, Any], told: list[str]
) -> None:
    worker(world, **values)
    notify.consider(world.farm)
    assert world.rows(outbox) == [], "not before it is gone for long"
    for _ in range(3):
        world.later(HOUR)
        notify.consider(world.farm)
    assert [row.recipients[0] for row in world.rows(outbox)] == told


@pytest.mark.deep
def test_digests_come_once_and_only_when_there_is_something(world: World) -> None:
    farm = replace(
        world.farm,
        projects={
            **world.farm.projects,
            "p0": make_project("p0", notify=(), notify_daily=("d@x.org",)),
        },
    )
    world = World(farm)
    notify.consider(farm)
    world.later(8 * DAY)
    notify.consider(farm)
    assert world.rows(outbox) == [], "a week without anything"
    for position, tests in enumerate([GOOD, BAD]):
        world.go(position, tests, lane=world.lane("p0"))
    assert [row.audience for row in world.rows(outbox)] == ["list"]
    for _ in range(3):
        world.later(DAY)
        notify.consider(farm)
    daily = world.rows(outbox, outbox.c.topic == "daily")
    assert [row.recipients for row in daily] == [["d@x.org"]]
    assert "TypeError: x" in text(daily[0])
    world.later(7 * DAY)
    for _ in range(2):
        notify.consider(farm)
    weekly = world.rows(outbox, outbox.c.topic == "weekly")
    assert sorted(row.audience for row in weekly) == ["admin", "list"]
    assert "Nobody has looked at these yet" in text(weekly[0])


def test_a_daily_reader_hears_of_ends_and_beginnings_only(world: World) -> None:
    """What was mended and broke again between two letters is as it was for who reads once a day; so is what came and went."""
    daily = make_project("p0", notify=(), notify_daily=("d@x.org",))
    world = World(replace(world.farm, projects={**world.farm.projects, "p0": daily}))
    lane, said = world.lane("p0"), []
    notify.consider(world.farm)
    for position, runs in enumerate([[GOOD, BAD], [GOOD, BAD], [], [GOOD], [BAD, GOOD], [BAD]]):
        for number, tests in enumerate(runs):
            world.go(10 * position + number, tests, lane=lane)
            world.later(HOUR)
        world.later(DAY)
        notify.consider(world.farm)
        letters = world.rows(outbox, outbox.c.topic == "daily")
        said.append([head for row in letters for head in ("Newly", "Fixed") if head in text(row)])
    assert said == [["Newly"]] * 3 + [["Newly", "Fixed"]] * 2 + [["Newly", "Fixed", "Newly"]]


def test_a_thread_that_was_over_waits_no_longer_when_what_came_back_was_chance(
    world: World,
) -> None:
    """Else mail would be considered at every look of the postman, for ever."""
    lane = world.lane("p0")
    for position, tests in enumerate([GOOD, BAD]):
        world.go(position, tests, lane=lane)
    with world.farm.ledger.write() as connection:
        connection.execute(schema.threads.update().values(state="closed", since=1.0))
        connection.execute(breakages.update().values(state="dismissed", axis="flaky"))
        assert threads.waiting(connection)
        threads.consider(world.farm, connection, world.farm.clock())
        assert not threads.waiting(connection)


def test_a_test_that_comes_and_goes_more_often_is_no_news_of_a_day(world: World) -> None:
    """Who is told at once does not hear of it either; the week's digest lists it."""
    daily = make_project("p0", notify=(), notify_daily=("d@x.org",))
    world = World(replace(world.farm, projects={**world.farm.projects, "p0": daily}))
    lane = world.lane("p0")
    notify.consider(world.farm)
    for position, tests in enumerate([GOOD, BAD]):
        world.go(position, tests, lane=lane)
    with world.farm.ledger.write() as connection:
        connection.execute(breakages.update().values(state="open", axis="flaky", confirmed=1.0))
    world.later(DAY)
    notify.consider(world.farm)
    assert world.rows(outbox, outbox.c.topic == "daily") == []


def test_a_lane_red_for_long_is_parked_until_somebody_acts(world: World) -> None:
    lane = world.lane("p0")
    for position, tests in enumerate([GOOD, BAD]):
        world.go(position, tests, lane=lane)
    slug = world.one(schema.lanes, lane).slug

    def parked() -> dict[str, bool]:
        with world.farm.ledger.read() as connection:
            found = parking.rests(connection, world.farm.clock())
        return {name: one.rests for name, one in found.items()}

    assert parked() == {}
    world.later(15 * DAY)
    assert parked() == {slug: False}
    world.go(2, BAD, lane=lane)
    assert parked() == {slug: True}, "it had its run of the day"
    world.later(DAY)
    assert parked() == {slug: False}
    answers.put(world.farm, 1, dispositions.answer("project", now=world.farm.clock()), "ada")
    assert parked() == {}


@pytest.mark.deep
def test_a_lane_that_was_always_red_is_parked_until_something_changes(world: World) -> None:
    """Nobody is accused of what its first run showed, so there is no breakage that could tell."""
    lane = world.lane("p0")
    world.go(0, BAD, lane=lane)
    assert world.rows(breakages) == []

    def parked() -> bool:
        with world.farm.ledger.read() as connection:
            return bool(parking.rests(connection, world.farm.clock()))

    assert not parked()
    world.later(15 * DAY)
    assert parked()
    world.go(1, [make_test("t.py::a", "failed", "KeyError: 'a'"), BAD[1]], lane=lane)
    assert not parked(), "something changed"
    world.later(15 * DAY)
    assert parked()
    world.go(2, GOOD, lane=lane)
    assert not parked()


def test_the_events_say_what_was_answered(world: World) -> None:
    for position, tests in enumerate([GOOD, BAD]):
        world.go(position, tests, lane=world.lane("p0"))
    answers.put(world.farm, 1, dispositions.answer("expected", now=world.farm.clock()), "ada")
    last = news.since(world.farm, 0)[-1]
    assert (last.topic, last.data["disposition"]) == ("breakage", "expected")
    with pytest.raises(answers.NoBreakage):
        answers.put(world.farm, 99, dispositions.answer("expected", now=1.0), "ada")
