"""`/breakages`: what stands and what is over, and that one change which breaks many tests is one row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import START, Book, make_farm

from pybots.farm.home import Farm
from pybots.farm.views import breakages
from pybots.farm.views.common import Missing, Visit
from pybots_status import render

VISIT = Visit()
SAID = "RuntimeError: 'lock' object is not what it was"


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = make_farm(tmp_path)
    yield made
    made.ledger.close()


class Farmyard:
    """Two lanes of one project and one of another, each with a run."""

    def __init__(self, farm: Farm) -> None:
        self.book = Book(farm)
        self.book.history(1, 1)
        self.lanes = [
            self.book.lane("anchor"),
            self.book.lane("anchor", flavour="debug"),
            self.book.lane("buoy"),
        ]
        self.run = self.book.run(self.lanes[0], 1)

    def breaks(self, *lanes: int, tests: int = 1, **values: Any) -> int:
        failing = [f"t{number}" for number in range(tests)]
        plain = {"title": SAID, "thread_id": 7, "state": "open"}
        return self.book.breakage(
            self.run, {self.lanes[lane]: failing for lane in lanes}, **{**plain, **values}
        )


def test_what_reads_the_same_in_one_thread_is_one_row(farm: Farm) -> None:
    yard = Farmyard(farm)
    first = yard.breaks(0, tests=2)
    newest = [yard.breaks(0, 1), yard.breaks(2)][-1]
    (row,) = breakages.page(farm, VISIT).standing
    assert (row.id, row.alike, row.alike_href) == (newest, 2, f"/breakages?like={newest}")
    assert (row.lanes, row.tests, row.project) == (3, 3, ""), "of all of them together"
    page = breakages.page(farm, VISIT, like=newest)
    assert [one.id for one in page.standing] == [newest, newest - 1, first]
    assert [one.project for one in page.standing] == ["buoy", "anchor", "anchor"]
    assert "and 2 more that say the same" in render(breakages.page(farm, VISIT))
    assert f"breakage {newest}</a>" in render(page)


@pytest.mark.parametrize(
    "other",
    [
        {"thread_id": 8},
        {"title": "KeyError: 'x'"},
        {"state": "suspected"},
        {"disposition": "expected"},
        {"person": "Ada"},
    ],
)
def test_another_story_error_state_or_answer_is_a_row_of_its_own(
    farm: Farm, other: dict[str, Any]
) -> None:
    yard = Farmyard(farm)
    numbers = [yard.breaks(0), yard.breaks(1, **other)]
    rows = breakages.page(farm, VISIT).standing
    assert [row.id for row in rows] == numbers[::-1] and not any(row.alike for row in rows)


def test_without_a_thread_equal_words_are_no_story(farm: Farm) -> None:
    yard = Farmyard(farm)
    numbers = [yard.breaks(lane, thread_id=0) for lane in (0, 1)]
    assert [row.id for row in breakages.page(farm, VISIT).standing] == numbers[::-1]
    assert [row.id for row in breakages.page(farm, VISIT, like=numbers[0]).standing] == numbers[:1]


def test_those_that_are_over_are_listed_beside_those_that_stand(farm: Farm) -> None:
    yard = Farmyard(farm)
    standing, over = yard.breaks(0), yard.breaks(1, state="fixed", fixed=START + 60)
    page = breakages.page(farm, VISIT, like=standing)
    assert ([one.id for one in page.standing], [one.id for one in page.over]) == (
        [standing],
        [over],
    )


def test_like_nothing_is_missing(farm: Farm) -> None:
    with pytest.raises(Missing):
        breakages.page(farm, VISIT, like=99)
