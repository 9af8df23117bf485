"""Pieces that were made before are taken again; the page is the same as if all of it had been made anew."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pybots_status
from pybots_status import render
from pybots_status.kept import Kept
from pybots_status.pages import Console
from pybots_status.render import make_environment
from pybots_status.samples import SAMPLES


class Macro:
    """As much of a jinja macro as matters; counts its calls."""

    def __init__(self, name: str) -> None:
        self.name, self.calls = name, 0

    def __call__(self, *given: Any) -> str:
        self.calls += 1
        return f"{self.name}{given}"


def test_a_piece_is_made_once_for_what_it_is_given() -> None:
    kept, row, strip = Kept(), Macro("row"), Macro("strip")
    assert kept(row, 1, "main") == kept(row, 1, "main") == "row(1, 'main')"
    assert kept(row, 2, "main") != kept(row, 1, "main")
    assert kept(strip, 1, "main") == "strip(1, 'main')"
    assert (row.calls, strip.calls) == (2, 1)


def test_what_was_not_wanted_for_longest_goes_first() -> None:
    kept, row = Kept(limit=20), Macro("row")
    for number in (1, 2, 1, 3):
        kept(row, number)  # "row(1,)": 7 characters
    assert len(kept) == 2
    kept(row, 1)
    assert row.calls == 3, "1 was wanted lately, 2 is gone"


def test_a_kept_macro_has_its_name_alone() -> None:
    """Pieces are known by their macro's name: a second one of that name would be taken for it."""
    templates = Path(pybots_status.__file__).parent / "templates"
    text = "".join(path.read_text("utf-8") for path in templates.rglob("*.html"))
    names = set(re.findall(r"\bkept\((\w+),", text))
    assert {"commit_row", "strip", "box"} <= names
    for name in names:
        assert text.count(f"{{% macro {name}(") == 1, name


@pytest.mark.deep
def test_a_console_of_kept_pieces_is_the_one_made_anew() -> None:
    """Also when one cell, the branch or the layout has changed since."""
    page = SAMPLES["console"]
    assert isinstance(page, Console)
    first = page.rows[0]
    changed = replace(first.cells[0], state="new_failure", title="it broke")
    rows = (replace(first, cells=(changed, *first.cells[1:])), *page.rows[1:])
    others = (
        replace(page, rows=rows),
        replace(page, frame=replace(page.frame, branch="3.15")),
        replace(page, filters=replace(page.filters, expanded=True)),
        replace(page, frame=replace(page.frame, base_url="/pybots")),
    )
    for one in (page, *others, page):
        again = render(one)
        make_environment.cache_clear()
        assert render(one) == again
