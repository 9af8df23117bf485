"""When a worker may work: `hours = ["mon-fri 18:00-08:00", "sat-sun"]`, in the machine's own time. Pure.

An entry is days, times, or both: days `mon`, `sat-sun`, `mon,wed`; times `22:00-07:00`, which may cross midnight and
then belong to the day on which they begin. No entries: always.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY: Final = 24 * 60
WEEK: Final = 7 * DAY
_TIMES: Final = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)-([01]?\d|2[0-4]):([0-5]\d)")


class HoursError(ValueError):
    """An entry can't be understood; the text shows it and how one looks."""


@dataclass(frozen=True)
class Span:
    """Minutes of the week, from (included) until (excluded); `until` may lie in the next week."""

    begin: int
    end: int


def read_hours(entries: Iterable[str]) -> tuple[Span, ...]:
    """The spans of all entries. Raises HoursError."""
    return tuple(span for entry in entries for span in _entry(entry))


def _entry(text: str) -> list[Span]:
    words = text.lower().split()
    times = [word for word in words if ":" in word]
    days = [word for word in words if ":" not in word]
    if not words or len(times) > 1 or len(days) > 1:
        raise _unfit(text)
    begin, end = _minutes(times[0], text) if times else (0, DAY)
    chosen = _days(days[0], text) if days else range(7)
    return [Span(day * DAY + begin, day * DAY + end) for day in chosen]


def _minutes(word: str, text: str) -> tuple[int, int]:
    found = _TIMES.fullmatch(word)
    if not found:
        raise _unfit(text)
    first, last = (int(found[n]) * 60 + int(found[n + 1]) for n in (1, 3))
    if max(first, last) > DAY or first == last:
        raise _unfit(text)
    return first, last if last > first else last + DAY


def _days(word: str, text: str) -> list[int]:
    chosen: list[int] = []
    for part in word.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise _unfit(text)
        start, count = DAYS.index(first), DAYS.index(last or first) - DAYS.index(first)
        chosen += [(start + step) % 7 for step in range(count % 7 + 1)]
    return chosen


def _unfit(text: str) -> HoursError:
    return HoursError(f'hours: {text!r} is not like "mon-fri 18:00-08:00" or "sat-sun"')


def minutes_until(spans: Sequence[Span], weekday: int, minute: int) -> int:
    """Minutes until it may work: 0 now. `weekday` 0 is Monday, `minute` counts from midnight."""
    now = weekday * DAY + minute
    if not spans or any(_within(span, now) for span in spans):
        return 0
    return min((span.begin - now) % WEEK for span in spans)


def _within(span: Span, now: int) -> bool:
    return span.begin <= now < span.end or span.begin <= now + WEEK < span.end
