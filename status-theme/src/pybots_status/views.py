"""What a template needs that is computed from its page: layout only, nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from pybots_status import links
from pybots_status.charts import draw
from pybots_status.pages import (
    Cell,
    CommitRow,
    Console,
    Page,
    Projects,
    Stats,
    Strip,
    Waterfall,
)
from pybots_status.states import STATES, State, worst
from pybots_status.waterfall import lay_out

STRIPS_SHOWN = 16
"""More projects than this fold away, so that the commits stay on the first screen; those in trouble last."""

TROUBLE: frozenset[State] = frozenset(
    {"new_failure", "running_failing", "still_failing", "blocked", "infra"}
)

WIDE = 34
"""More columns than this scroll sideways under a fixed commit column instead of sharing the window's width."""


FEW = 8
"""So many columns get boxes wide enough for their platform's name; more would squeeze the commit."""


@dataclass(frozen=True, kw_only=True)
class ShownRow:
    """A commit's row: `cells` as (opens a platform, cell), `summary` one cell per platform for phones."""

    cells: tuple[tuple[bool, Cell], ...]
    summary: tuple[Cell, ...]


def summary(cells: tuple[Cell, ...], href: str = "", title: str = "") -> Cell:
    """One cell for several: the worst state, the number of boxes in it when that is more than one."""
    state = worst(tuple(cell.state for cell in cells))
    alike = sum(cell.state == state for cell in cells)
    loud = not STATES[state].quiet
    return Cell(state=state, count=alike if loud and alike > 1 else 0, href=href, title=title)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a console's rows are laid out: how many columns each platform has, whether boxes of one run are joined."""

    platforms: tuple[int, ...]
    expanded: bool

    @property
    def width(self) -> int:
        return sum(self.platforms) + 1

    def parts(self, cells: tuple[Cell, ...]) -> tuple[tuple[Cell, ...], ...]:
        """Cells by platform."""
        rest = iter(cells)
        return tuple(tuple(islice(rest, count)) for count in self.platforms)

    def row(self, row: CommitRow) -> ShownRow:
        """A commit's row as it is shown."""
        cells = row.cells
        if self.expanded:
            cells = tuple(replace(cell, joined_above=False, joined_below=False) for cell in cells)
        return ShownRow(
            cells=tuple(
                (index == 0, cell) for part in self.parts(cells) for index, cell in enumerate(part)
            ),
            summary=tuple(summary(part, links.commit(row.sha)) for part in self.parts(row.cells)),
        )


def strip_words(strip: Strip) -> str:
    """A strip in words: `1 new failure, 20 passed`. Boxes of 15 pixels are for eyes only."""
    tally: dict[str, int] = {}
    for cell in strip.cells:
        if cell.state != "none":
            words = STATES[cell.state].words
            tally[words] = tally.get(words, 0) + 1
    return ", ".join(f"{count} {words}" for words, count in sorted(tally.items())) or "no data"


def fold(strips: tuple[Strip, ...]) -> tuple[tuple[Strip, ...], tuple[Strip, ...]]:
    """(the strips shown, those folded away), both in their own order: what is in trouble is shown before what is not."""
    calm = [all(cell.state not in TROUBLE for cell in strip.cells) for strip in strips]
    first = sorted(range(len(strips)), key=calm.__getitem__)[:STRIPS_SHOWN]
    shown = set(first)
    return (
        tuple(strip for index, strip in enumerate(strips) if index in shown),
        tuple(strip for index, strip in enumerate(strips) if index not in shown),
    )


def _console(page: Console) -> dict[str, Any]:
    columns = [column for group in page.groups for column in group.columns]
    for row in page.rows:
        if len(row.cells) != len(columns):
            raise ValueError(f"{row.sha}: {len(row.cells)} cells for {len(columns)} columns")
    now = tuple(column.now for column in columns)
    shown, folded = fold(page.strips)
    layout = Layout(
        platforms=tuple(len(group.columns) for group in page.groups),
        expanded=page.filters.expanded,
    )
    return {
        "layout": layout,
        "now_summary": tuple(summary(part) for part in layout.parts(now)),
        "strips": shown,
        "more_strips": folded,
        "wide": len(columns) > WIDE,
        "few": len(columns) <= FEW,
    }


def _waterfall(page: Waterfall) -> dict[str, Any]:
    return {"rows": lay_out(page, {run.id: links.run(run.id) for run in page.runs})}


def view(page: Page) -> dict[str, Any]:
    """Further template variables of a page."""
    match page:
        case Console():
            return _console(page)
        case Waterfall():
            return _waterfall(page)
        case Stats():
            return {"drawings": tuple(draw(chart) for chart in page.charts)}
        case Projects():
            return {"summary": summary}
        case _:
            return {}
