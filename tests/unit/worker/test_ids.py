"""A test keeps its name from run to run, from commit to commit, from machine to machine."""

from __future__ import annotations

import doctest

import pytest

from pybots_worker.inside import pybots_ids
from pybots_worker.inside.pybots_ids import LONGEST, Numbered, stable


def test_the_examples_hold() -> None:
    assert doctest.testmod(pybots_ids).failed == 0


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("t.py::a[x-1]", "t.py::a[x-1]"),
        ("t.py::a[<f at 0x7f3a5c0d1e50>]", "t.py::a[<f at 0x…>]"),
        ("t.py::a[0x10]", "t.py::a[0x10]"),
        ("t.py::a[0xFFFFFFFF]", "t.py::a[0xFFFFFFFF]"),
        ("t.py::a[/tmp/tmpab12/x]", "t.py::a[/tmp/…/x]"),
        ("t.py::a[/pybots/tmp/q]", "t.py::a[/tmp/…]"),
        ("t.py::a[pytest-of-root/pytest-12/x]", "t.py::a[pytest-of-…/x]"),
        ("../venv/lib/python3.16/site-packages/p/t.py::a", "site-packages/p/t.py::a"),
        ("lib/python3.14t/site-packages/p/t.py::a", "site-packages/p/t.py::a"),
        ("a\x1b[31m\n\x00", "a\\x1b[31m\\n\\x00"),
        ("a\ud800", "a\\ud800"),
        ("a\u2028b\x85", "a\\u2028b\\x85"),
        ("é ☃", "é ☃"),
        ("", "(no name)"),
    ],
)
def test_what_changes_from_run_to_run_is_taken_out(raw: str, name: str) -> None:
    assert stable(raw) == name


def test_a_long_name_is_shortened_and_stays_its_own() -> None:
    one, two = stable("a" * 1000 + "1"), stable("a" * 1000 + "2")
    assert one != two and len(one) <= LONGEST and one.startswith("aaa")


def test_a_stable_name_is_stable() -> None:
    name = stable("t.py::a[<f at 0x7f3a5c0d1e50>]" + "x" * 900)
    assert stable(name) == name


def test_a_name_that_comes_again_is_numbered() -> None:
    number = Numbered()
    assert [number(name) for name in "abaca"] == ["a", "b", "a#2", "c", "a#3"]


def test_a_retry_keeps_the_numbers_of_the_first_run() -> None:
    number = Numbered(["a#2", "b", "a#4"])
    assert [number(name) for name in ("a", "b", "a", "a")] == ["a#2", "b", "a#4", "a#3"]
