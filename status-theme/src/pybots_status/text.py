"""Making other people's text harmless to look at, and our own numbers readable. Escaping for HTML is jinja's job."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from pybots_status.parts import TestCounts

_ESCAPE_SEQUENCE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movements
    r"|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # OSC: window titles, hyperlinks
    r"|\x1b[()*+][0-9A-Za-z]"  # character sets
)
_CONTROL: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and newline, DEL, C1
    "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that turn the reading direction
    "\u2028\u2029\ufeff\ud800-\udfff\ufff9-\ufffb]"  # line marks and what can't be encoded
)
_PICTURES: Final = 0x2400
_ADDRESS: Final = re.compile(r"https?://[^\s<>\"'`]+")


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(_PICTURES + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def clean(text: str) -> str:
    """The text without terminal escapes, any other control character made visible. Tabs and newlines stay."""
    if text.isprintable():
        return text
    return _CONTROL.sub(_visible, _ESCAPE_SEQUENCE.sub("", text.replace("\r\n", "\n")))


def addresses(text: str) -> Iterator[tuple[str, str]]:
    """The text in pieces (words, address): the address is "" where the words are no web address themselves."""
    at = 0
    for match in _ADDRESS.finditer(text):
        found = match.group().rstrip(".,;:!?)]}")
        yield text[at : match.start()], ""
        yield found, found
        at = match.start() + len(found)
    yield text[at:], ""


def utc(seconds: float) -> str:
    """`2026-05-01 13:40` in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def iso(seconds: float) -> str:
    """The same for machines: `2026-05-01T13:40:09Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(seconds: float) -> str:
    """`13:40:09` in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")


def day(seconds: float) -> str:
    """`2026-05-01` in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def duration(seconds: float) -> str:
    """`< 0.01 s`, `0.04 s`, `4.2 s`, `48 s`, `3 m 20 s`, `1 h 05 m`, `2 d 3 h`."""
    if seconds < 0.005:
        return "< 0.01 s"
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_of_hour = divmod(minutes, 60)
    days, hours_of_day = divmod(hours, 24)
    if days:
        return f"{days} d {hours_of_day} h"
    if hours:
        return f"{hours} h {minutes_of_hour:02} m"
    return f"{minutes} m {rest:02} s" if minutes else f"{rest} s"


def size(count: int) -> str:
    """`812 B`, `64 kB`, `24.1 MB` (thousands, not 1024s)."""
    if count < 1000:
        return f"{count} B"
    value, unit = count / 1000, "kB"
    for bigger in ("MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, bigger
    return f"{value:.0f} {unit}" if value >= 100 or unit == "kB" else f"{value:.1f} {unit}"


def ago(seconds: float) -> str:
    """A rough age: `just now`, `4 minutes ago`, `2 hours ago`, `3 days ago`."""
    if seconds < 60:
        return "just now"
    for length, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 lane`, `12 lanes`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


_COUNT_WORDS: Final = (
    ("failed", "failed"),
    ("error", "in error"),
    ("crashed", "crashed"),
    ("timed_out", "timed out"),
    ("not_run", "not run"),
    ("xpassed", "unexpectedly passed"),
    ("flaky", "flaky"),
    ("passed", "passed"),
    ("skipped", "skipped"),
    ("xfailed", "expected to fail"),
)


def counts(tests: TestCounts | None) -> str:
    """`3 failed, 412 passed, 10 skipped`: the bad first, zeros left out."""
    if tests is None:
        return ""
    parts = [
        f"{getattr(tests, name):,} {word}" for name, word in _COUNT_WORDS if getattr(tests, name)
    ]
    return ", ".join(parts) or "no tests ran"
