"""Charts: what is drawn where, and that the numbers also stand in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from status_html import parse

from pybots_status.charts import BOTTOM, HEIGHT, TOP, Chart, Series, ceiling, draw, number
from pybots_status.render import render
from pybots_status.samples import SAMPLES

BARS = Chart(
    title="Runs",
    kind="bars",
    labels=("mon", "tue"),
    series=(
        Series(name="passed", tone="ok", values=(3, 0)),
        Series(name="failed", tone="new", values=(1, 4)),
    ),
)


def test_bars_stand_on_each_other_and_reach_the_top_at_the_ceiling() -> None:
    first, second, third = draw(BARS).bars
    assert first.y == pytest.approx(second.y + second.height)
    assert first.y + first.height == third.y + third.height == HEIGHT - BOTTOM
    assert second.y == third.y == TOP, "4 is the axis' end, and both days have 4"
    assert third.words == "tue: 4 failed"


def test_a_gap_ends_a_line_and_a_lonely_value_is_a_dot() -> None:
    values = (1, 2, None, 3, None, 4, 5)
    made = replace(
        BARS,
        kind="lines",
        labels=tuple("abcdefg"),
        series=(Series(name="s", tone="line", values=values),),
    )
    drawing = draw(made)
    assert [len(line.points.split()) for line in drawing.lines] == [2, 2]
    assert len(drawing.dots) == 5


def test_a_series_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 values for 1 labels"):
        draw(replace(BARS, labels=("mon",)))


@pytest.mark.parametrize(
    ("most", "end"), [(0, 4), (0.3, 0.4), (1, 1), (3, 4), (9, 10), (11, 20), (81, 100), (999, 1000)]
)
def test_the_axis_ends_at_a_round_number(most: float, end: float) -> None:
    assert ceiling(most) == pytest.approx(end)


def test_numbers_in_words() -> None:
    assert [number(value) for value in (0, 0.44, 7, 12.6, 1234)] == ["0", "0.4", "7", "13", "1,234"]


def test_a_chart_of_nothing_is_drawn() -> None:
    assert draw(replace(BARS, labels=(), series=())).bars == ()


def test_every_chart_has_a_name_and_its_numbers_as_a_table() -> None:
    root = parse(render(SAMPLES["stats"]))
    drawings = [e for e in root.all("svg") if e.attributes.get("role") == "img"]
    assert len(drawings) == 3
    names = {e.attributes["id"] for e in root.walk() if "id" in e.attributes}
    assert {e.attributes["aria-labelledby"] for e in drawings} <= names
    tables = [t for f in root.all("figure") for t in f.all("table")]
    assert len(tables) == 3
    assert "nine of ten" in tables[1].words()
