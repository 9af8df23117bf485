"""Releases side by side, over a ledger: by branch, by commit, at a prompt and as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import START, Book, make_farm, sha
from sqlalchemy import update

from pybots import cli
from pybots.farm import compare
from pybots.farm.home import Farm
from pybots.farm.views import releasepage
from pybots.farm.views.common import Missing, Visit
from pybots.ledger import schema
from pybots_status import render


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = make_farm(tmp_path)
    yield made
    made.ledger.close()


@pytest.fixture
def book(farm: Farm) -> Book:
    return broken_since(farm)


def broken_since(farm: Farm) -> Book:
    """An old tag on which two of three projects pass, and a main on which one of them broke and one is not known."""
    made = Book(farm)
    made.commit(1, branch="v1")
    made.history(1, 9)
    for name, verdict in (("django", "passed"), ("six", "passed"), ("lxml", "still_failing")):
        made.run(made.lane(name, branch="v1"), 1, verdict)
    django, six, lxml = (made.lane(name) for name in ("django", "six", "lxml"))
    made.run(django, 3)
    bad = made.run(django, 5, "new_failure")
    made.run(django, 9, "still_failing")
    made.run(six, 9, "infra")
    made.run(lxml, 9, "still_failing")
    made.breakage(
        bad, {django: ["t.py::a"]}, title="TypeError: `x`", good_position=4, bad_position=5,
        state="open", disposition="python", person="Ada",
    )  # fmt: skip
    with farm.ledger.write() as connection:
        connection.execute(
            update(schema.lanes).where(schema.lanes.c.id == lxml).values(reason="parked since May")
        )
        connection.execute(
            update(schema.lanes).where(schema.lanes.c.id == six).values(verdict=None, head_run=None)
        )
    return made


@pytest.mark.deep
def test_a_breakage_explains_what_got_worse(farm: Farm, book: Book) -> None:
    page = releasepage.page(farm, Visit(), "main", "v1")
    render(page)
    [blocker] = page.blockers
    assert (blocker.title, blocker.disposition, blocker.who) == (
        "TypeError: `x`",
        "CPython's bug",
        "Ada",
    )
    assert blocker.culprit is not None and blocker.culprit.sha == sha(5)
    assert "only commit" in blocker.culprit.note
    assert [row.project for row in blocker.lanes] == ["django"]
    assert [row.project for row in page.unknown] == ["six"]
    assert [(row.project, row.reason) for row in page.known] == [("lxml", "parked since May")]
    assert page.copy.splitlines()[2].startswith("- [ ] `TypeError: 'x'` (django: 1 lane), since ")


def test_commits_are_compared_as_they_were_known_then(farm: Farm, book: Book) -> None:
    earlier = releasepage.page(farm, Visit(), sha(4), "v1")
    assert not earlier.blockers
    assert [fact.value for fact in earlier.facts if fact.name == "Pass in both"] == ["1"]
    with farm.ledger.read() as connection:
        made = compare.comparison(connection, sha(7)[:9], sha(3), START)
    assert [name.project for name in made.found.worse] == ["django"]
    assert [cause.number for cause in made.causes] == [1]


def test_what_no_breakage_explains_is_said(farm: Farm, book: Book) -> None:
    with farm.ledger.write() as connection:
        connection.execute(update(schema.breakages).values(state="fixed"))
    [blocker] = releasepage.page(farm, Visit(), "main", "v1").blockers
    assert (blocker.number, blocker.title) == (0, compare.UNEXPLAINED)


def test_without_a_past_there_is_a_choice(farm: Farm, book: Book) -> None:
    page = releasepage.page(farm, Visit(), "v1", "")
    assert page.choices == ("main",) and "Name what it is" in render(page)


@pytest.mark.parametrize(("tag", "since"), [("nope", "main"), ("main", "zz"), ("abc", "main")])
def test_what_is_not_known_is_missing(farm: Farm, book: Book, tag: str, since: str) -> None:
    with pytest.raises(Missing):
        releasepage.page(farm, Visit(), tag, since)


@pytest.mark.deep
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    farm = make_farm(tmp_path, migrated=True)
    broken_since(farm)
    farm.ledger.close()
    root = str(tmp_path)
    assert cli.main(["compare", "v1", "main", "--farm", root]) == 1
    said = capsys.readouterr().out
    assert "1 got worse, 1 unknown" in said and "breakage 1: TypeError" in said
    assert cli.main(["compare", "v1", "main", "--farm", root, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["worse"][0]["first_bad"] == sha(5) and found["lost"][0]["project"] == "six"
    assert cli.main(["compare", "main", "main", "--farm", root, "--blockers"]) == 2
    assert cli.main(["compare", "main", "nope", "--farm", root]) == 3
