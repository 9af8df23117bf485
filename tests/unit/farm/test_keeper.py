"""The registry's upkeep: what the ledger knows of files that nobody mends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from tests.unit.farm.builders import START, Book, make_farm
from tests.unit.farm.lane_world import make_project

from pybots.core.digest import Upkeep
from pybots.core.model import GitBranch, IndexSource, Revision
from pybots.farm import digests, git, keeper, sources
from pybots.farm.home import Farm
from pybots.ledger import schema
from pybots_worker import contract

DAY = 86400.0


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """Two projects; a commit a day."""
    farm = make_farm(tmp_path)
    sources: dict[str, Any] = {"release": IndexSource(name="x"), "trunk": GitBranch(url="/x")}
    projects = {name: make_project(name, sources=sources) for name in ("anchor", "moss")}
    made = Book(replace(farm, projects=projects))
    made.history(1, 40)
    yield made
    farm.ledger.close()


def cases(farm: Farm, day: float) -> list[Upkeep]:
    with farm.ledger.read() as connection:
        return keeper.cases(farm, connection, START + day * DAY)


def at(day: float, **values: Any) -> dict[str, Any]:
    return {"created": START + day * DAY, "finished": START + day * DAY, **values}


def test_nothing_is_said_of_what_works(book: Book) -> None:
    lane = book.lane("anchor")
    book.run(lane, 1, "passed", **at(1))
    book.run(lane, 2, "still_failing", **at(2, failure_kind="test"))
    assert cases(book.farm, 30) == []


@pytest.mark.parametrize(("source", "key"), [("release", "index"), ("trunk", "git")])
def test_a_source_that_is_gone_is_named_with_the_key_to_correct(
    book: Book, source: str, key: str
) -> None:
    row = {"project": "anchor", "source": source, "error": "anchor: not found"}
    row |= {"failing": START, "checked": START + DAY}
    with book.farm.ledger.write() as connection:
        connection.execute(insert(schema.sources).values(**row))
        connection.execute(insert(schema.sources).values(**{**row, "project": "of-no-file"}))
    (case,) = cases(book.farm, 1)
    assert (case.project, case.source, case.said) == ("anchor", source, "anchor: not found")
    assert case.propose == f"correct `{key}` of [source.{source}], or remove that table"
    assert case.since == START


def test_a_source_that_fails_for_hours_may_come_back(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is gone when every look of a day says so; one that succeeds in between begins anew."""
    project = book.farm.projects["anchor"]
    trunk = replace(project, sources={"trunk": project.sources["trunk"]})
    errors = ["gone", "gone", "", "gone", "gone", "gone"]
    listed = []
    for hour, error in zip((0, 20, 40, 60, 80, 84), errors, strict=True):
        good = None if error else Revision(label="x", source=contract.OwnSource())
        answer = sources.Resolved(project="anchor", source="trunk", revision=good, error=error)
        monkeypatch.setattr(sources, "_resolve", lambda *_, answer=answer: answer)
        at = START + hour * 3600
        sources.refresh(replace(book.farm, clock=lambda at=at: at), trunk)
        listed.append([case.since for case in cases(book.farm, hour / 24)])
    assert listed == [[], [], [], [], [], [START + 60 * 3600]]


@pytest.mark.parametrize("odd", ['"', "\\", "`", "<", ">", "'", " x", "\x1b", "\u202e", "a" * 600])
def test_an_address_that_would_not_stay_in_its_line_is_not_proposed(odd: str) -> None:
    said = "warning: redirecting to https://new.example/{}/\n"
    assert git.moved_to("https://a.example/x", said.format("x")) == "https://new.example/x"
    assert git.moved_to("https://a.example/x", said.format(f"x{odd}y")) == ""


def test_a_source_that_has_moved_is_named_with_its_new_address(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the file says so, or the host sends nobody on any more."""
    project = book.farm.projects["anchor"]
    trunk = replace(project, sources={"trunk": GitBranch(url="/x")})
    good = Revision(label="x", source=contract.OwnSource())
    for moved in ("https://new.example/x", "/x", ""):
        answer = sources.Resolved(project="anchor", source="trunk", revision=good, moved=moved)
        monkeypatch.setattr(sources, "_resolve", lambda *_, answer=answer: answer)
        sources.refresh(book.farm, trunk)
        found = cases(book.farm, 1)
        assert [case.what for case in found] == ["its source has moved"] * (moved[:5] == "https")
        assert all('`git = "https://new.example/x"`' in case.propose for case in found)


def test_tests_that_no_longer_collect_are_named_since_when(book: Book) -> None:
    lane = book.lane("anchor")
    book.run(lane, 1, "passed", **at(1))
    book.run(lane, 2, "new_failure", **at(2, failure_kind="collection", summary="no module x"))
    book.run(lane, 3, "still_failing", **at(3, failure_kind="collection", summary="no module x"))
    book.run(lane, 4, "infra", **at(4))
    (case,) = cases(book.farm, 5)
    assert (case.what, case.since) == ("its tests no longer collect", START + 2 * DAY)
    assert "pybots try anchor --source release" in case.propose and case.said == "no module x"


def test_a_control_that_is_red_for_weeks_comes_with_the_last_good_day(book: Book) -> None:
    lane = book.lane("anchor")
    book.run(lane, 1, "passed", **at(1, revision_label="1.4"))
    book.run(lane, 2, "blocked", **at(2))
    book.run(lane, 3, "blocked", **at(10))
    assert cases(book.farm, 15) == []
    (case,) = cases(book.farm, 16.5)
    assert (case.what, case.since) == ("its control has been red for weeks", START + 2 * DAY)
    assert 'version = "1.4"' in case.propose and 'as_of = "' in case.propose
    book.run(lane, 4, "passed", **at(17))
    assert cases(book.farm, 40) == []


def test_a_control_that_never_was_green_says_so(book: Book) -> None:
    book.run(book.lane("anchor", source="trunk"), 1, "blocked", **at(1))
    (case,) = cases(book.farm, 30)
    assert "it was never green here" in case.propose


def test_many_lanes_of_a_project_are_one_case(book: Book) -> None:
    for flavour, day in (("debug", 3), ("release", 1), ("jit", 2)):
        book.run(book.lane("moss", flavour=flavour), 1, "blocked", **at(day))
    (case,) = cases(book.farm, 60)
    assert (case.project, case.since) == ("moss", START + DAY)


def test_the_weekly_digest_names_them(book: Book) -> None:
    book.run(book.lane("anchor"), 1, "blocked", **at(1))
    with book.farm.ledger.read() as connection:
        week = digests.of_week(book.farm, connection, START + 30 * DAY)
    assert [case.project for case in week.upkeep] == ["anchor"] and not week.empty
    _subject, body = digests.digests.weekly(week, "https://x/", "2026-01-31")
    assert "anchor (release): its control has been red for weeks, for 4 weeks" in body
    assert "`pybots try anchor --source release`: it was never green here" in body
