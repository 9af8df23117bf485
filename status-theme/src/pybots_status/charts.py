"""Charts as data, and their geometry: drawn by the server as SVG, without scripts or styles, each with its numbers in words.

A colour never speaks alone: every series has its own name in the key and its own row in the table beside the drawing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Tone = Literal["ok", "new", "old", "infra", "idle", "line", "line2"]

WIDTH: Final = 640
HEIGHT: Final = 180
LEFT, RIGHT, TOP, BOTTOM = 56, 8, 10, 24
MAX_LABELS: Final = 8


@dataclass(frozen=True, kw_only=True)
class Series:
    """One row of values, as long as the chart's labels; None where nothing is known."""

    name: str
    tone: Tone
    values: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing. `bars` are stacked in the order of the series; `lines` lie over each other. `unit` stands behind numbers."""

    title: str
    kind: Literal["bars", "lines"]
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    unit: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A rectangle, in the drawing's units; `words` are its tooltip."""

    x: float
    y: float
    width: float
    height: float
    tone: Tone
    words: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A polyline: `points` as SVG wants them; `dots` (x, y, words). A gap in the values ends one and begins another."""

    points: str
    tone: Tone


@dataclass(frozen=True, kw_only=True)
class Dot:
    x: float
    y: float
    tone: Tone
    words: str


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A chart laid out on WIDTH × HEIGHT."""

    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    dots: tuple[Dot, ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]


def number(value: float) -> str:
    """`0`, `0.4`, `12`, `1,200`."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def draw(chart: Chart) -> Drawing:
    """The chart's geometry. Raises ValueError when a series is not as long as the labels."""
    for one in chart.series:
        if len(one.values) != len(chart.labels):
            raise ValueError(f"{one.name}: {len(one.values)} values for {len(chart.labels)} labels")
    top = ceiling(_most(chart))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(chart.labels))
    stacked = chart.kind == "bars"
    return Drawing(
        bars=tuple(_bars(chart, step, top)) if stacked else (),
        lines=() if stacked else tuple(_lines(chart, step, top)),
        dots=() if stacked else tuple(_dots(chart, step, top)),
        rows=tuple(
            Tick(at=_y(top * part / 4, top), text=f"{number(top * part / 4)}{chart.unit}")
            for part in (0, 2, 4)
        ),
        columns=_columns(chart.labels, step),
    )


def _most(chart: Chart) -> float:
    if chart.kind == "bars":
        sums = [
            sum(one.values[at] or 0.0 for one in chart.series) for at in range(len(chart.labels))
        ]
    else:
        sums = [value for one in chart.series for value in one.values if value is not None]
    return max(sums, default=0.0)


def ceiling(most: float) -> float:
    """The axis' end: the next 1, 2, 4 or 8 times a power of ten, so that its quarters are round."""
    if most <= 0:
        return 4.0
    power = 10.0 ** (len(str(int(most))) - 1) if most >= 1 else 0.1
    return next(power * factor for factor in (1, 2, 4, 8, 10, 20) if power * factor >= most)


def _y(value: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM), 1)


def _x(index: int, step: float) -> float:
    return round(LEFT + step * (index + 0.5), 1)


def _words(chart: Chart, one: Series, index: int, value: float) -> str:
    return f"{chart.labels[index]}: {number(value)}{chart.unit} {one.name}"


def _bars(chart: Chart, step: float, top: float) -> list[Bar]:
    made, width = [], round(max(1.0, step - 3), 1)
    for index in range(len(chart.labels)):
        below = 0.0
        for one in chart.series:
            value = one.values[index] or 0.0
            if value <= 0:
                continue
            high, low = _y(below + value, top), _y(below, top)
            made.append(
                Bar(
                    x=round(_x(index, step) - width / 2, 1), y=high, width=width,
                    height=round(low - high, 1), tone=one.tone,
                    words=_words(chart, one, index, value),
                )
            )  # fmt: skip
            below += value
    return made


def _lines(chart: Chart, step: float, top: float) -> list[Line]:
    made = []
    for one in chart.series:
        piece: list[str] = []
        for index, value in enumerate((*one.values, None)):
            if value is not None:
                piece.append(f"{_x(index, step)},{_y(value, top)}")
                continue
            if len(piece) > 1:
                made.append(Line(points=" ".join(piece), tone=one.tone))
            piece = []
    return made


def _dots(chart: Chart, step: float, top: float) -> list[Dot]:
    return [
        Dot(x=_x(index, step), y=_y(value, top), tone=one.tone, words=_words(chart, one, index, value))
        for one in chart.series
        for index, value in enumerate(one.values)
        if value is not None
    ]  # fmt: skip


def _columns(labels: tuple[str, ...], step: float) -> tuple[Tick, ...]:
    every = -(-len(labels) // MAX_LABELS) or 1
    return tuple(
        Tick(at=_x(index, step), text=text)
        for index, text in enumerate(labels)
        if index % every == 0
    )
