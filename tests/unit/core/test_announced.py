"""An announced change is told from one that nobody announced."""

from __future__ import annotations

import pytest

from pybots.core.announced import find, names, paragraphs

NEWS = """\
****************************
  What's New In Python 3.15
****************************

colorsys
--------

* Remove the deprecated :func:`!colorsys.rgb_to_yiq` function.
  Use a library instead.
  (Contributed by Ada Byron in :gh:`140001`.)

* :func:`colorsys.hsv_to_rgb` is faster.

Removed
=======

The :mod:`!imp` module has been removed: use :mod:`importlib`.
"""
FILE = "Doc/whatsnew/3.15.rst"


def test_the_paragraph_that_announces_it_is_quoted_with_its_place() -> None:
    said = "AttributeError: module 'colorsys' has no attribute 'rgb_to_yiq'"
    found = find({FILE: NEWS}, said, commit="Remove it")
    assert found is not None
    assert (found.file, found.line) == (FILE, 8)
    assert found.quote.startswith("* Remove the deprecated") and "Use a library" in found.quote
    assert "faster" not in found.quote


@pytest.mark.parametrize(
    ("said", "commit"),
    [
        ("AttributeError: module 'colorsys' has no attribute 'rgb_to_cmyk'", "Change hashing"),
        ("TypeError: unhashable type: 'array.array'", "Change hashing"),
        ("assert 3 == 4", "gh-1: Remove colorsys.rgb_to_yiq()"),
        ("NameError: name 'function' is not defined", "Change hashing"),
    ],
)
def test_what_nobody_announced_is_not_found(said: str, commit: str) -> None:
    assert find({FILE: NEWS}, said, commit=commit) is None


def test_a_common_name_counts_when_the_commit_speaks_of_it() -> None:
    said = "ModuleNotFoundError: No module named 'imp'"
    assert find({FILE: NEWS}, said, commit="gh-98040: Speed it up") is None
    found = find({FILE: NEWS}, said, commit="gh-98040: Remove the imp module")
    assert found is not None and "has been removed" in found.quote


def test_a_heading_speaks_for_what_stands_under_it() -> None:
    text = "Removed\n=======\n\ncolorsys\n--------\n\n* :func:`!colorsys.rgb_to_yiq` is no more.\n\nNew\n===\n\n* imp_lib.\n"
    found = find({FILE: text}, "no attribute 'rgb_to_yiq'", commit="x")
    assert found is not None and (found.line, found.quote[:2]) == (7, "* ")
    assert find({FILE: text}, "no attribute 'imp_lib'", commit="x") is None
    assert find({"Doc/deprecations/soon.rst": text}, "no attribute 'imp_lib'", commit="x")


def test_the_particular_names_come_first() -> None:
    said = (
        "module 'colorsys' has no attribute 'rgb_to_yiq'; error: unknown type name ‘PyMini_Count’"
    )
    assert names(said) == ("PyMini_Count", "rgb_to_yiq", "colorsys")


def test_items_of_a_list_are_paragraphs_of_their_own() -> None:
    assert [line for line, _ in paragraphs("* a\n  b\n* c\n\nd\n")] == [1, 3, 5]
