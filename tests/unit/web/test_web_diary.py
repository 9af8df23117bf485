"""What a reader has missed is told from the last event they know of, or the whole page is fetched again."""

from __future__ import annotations

import json
from typing import Any

from pybots.web.diary import MAX_SPREAD, Diary
from pybots_status.live import Picture


def picture(event: int, rest: str = "rest", **pieces: str) -> Picture:
    named = {name.replace("_", "-"): html for name, html in pieces.items()}
    return Picture(
        event=event,
        pieces=named,
        rows=tuple(name for name in named if name.startswith("r-")),
        rest=rest,
    )


def told(text: str) -> Any:
    return json.loads(text) if text else None


def test_only_what_changed_is_told() -> None:
    diary = Diary(picture(5, banner="green", r_1="one"), begun=5)
    assert told(diary.update(picture(6, banner="green", r_1="one"), 1)) is None
    assert told(diary.update(picture(7, banner="red", r_1="one"), 1)) == {"put": {"banner": "red"}}
    assert told(diary.update(picture(8, banner="red", r_2="two", r_1="one"), 1)) == {
        "put": {"r-2": "two"},
        "rows": ["r-2", "r-1"],
    }


def test_who_comes_back_hears_what_happened_since() -> None:
    diary = Diary(picture(5, banner="green", r_1="one"), begun=5)
    diary.update(picture(7, banner="red", r_1="one"), 1)
    diary.update(picture(9, banner="red", r_2="two", r_1="ONE"), 1)
    assert told(diary.since(5)) == {
        "put": {"banner": "red", "r-1": "ONE", "r-2": "two"},
        "rows": ["r-2", "r-1"],
    }
    assert told(diary.since(7)) == {"put": {"r-1": "ONE", "r-2": "two"}, "rows": ["r-2", "r-1"]}
    assert told(diary.since(9)) is None
    assert told(diary.since(12)) is None, "a page newer than the picture has missed nothing"


def test_a_row_that_is_gone_is_not_told() -> None:
    diary = Diary(picture(5, r_1="one"), begun=5)
    diary.update(picture(6, r_1="ONE"), 1)
    diary.update(picture(7, r_2="two"), 1)
    assert told(diary.since(5)) == {"put": {"r-2": "two"}, "rows": ["r-2"]}


def test_of_rows_that_are_gone_nothing_is_remembered() -> None:
    """A growing log moves through its page line by line for hours."""
    diary = Diary(picture(5, banner="green"), begun=5)
    for event in range(6, 50):
        diary.update(picture(event, banner=str(event), **{f"r_{event}": "line"}), 1)
    assert set(diary.changed) == {"banner", "r-49"}


def test_what_nobody_remembers_is_fetched_again() -> None:
    diary = Diary(picture(5, banner="green"), begun=5)
    assert "reload" in told(diary.since(4))
    assert "reload" in told(diary.since(0))
    assert "reload" in told(diary.update(picture(6, "another rest", banner="green"), 1))
    assert "reload" in told(diary.since(5))
    assert told(diary.since(6)) is None


def test_many_readers_are_spread() -> None:
    diary = Diary(picture(5), begun=5)
    few = told(diary.update(picture(6, "b"), 10))["reload"]
    many = told(diary.update(picture(7, "c"), 100_000))["reload"]
    assert 0 < few < many == 1000 * MAX_SPREAD


def test_a_change_without_an_event_reaches_who_comes_later() -> None:
    """A master that fell silent announces nothing; a page fetched just before has the same event."""
    diary = Diary(picture(5, notices=""), begun=5)
    assert told(diary.update(picture(5, notices="down"), 1)) == {"put": {"notices": "down"}}
    assert "reload" in told(diary.since(5))
    diary.update(picture(6, notices="down"), 1)
    assert told(diary.since(6)) is None
