"""Normal forms of what workers say: test ids, messages and paths, without what differs from run to run. Pure.

Everything here is hostile data: any length, control characters, markup. The results are bounded, printable and stable:
memory addresses, temporary paths, process ids, durations, dates, line numbers and the order of dicts and sets are gone.
Small plain numbers stay ("404 != 200" and "500 != 200" are two failures), long ones go (ids, ports, timestamps).
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

MAX_ID: Final = 500
"""Characters of a test id; a longer one is cut and told apart by a digest of the whole."""
MAX_SHAPE: Final = 600

RESERVED: Final = "<"
"""Ids that begin with this are the farm's own (`outcomes.INSTALL` …); no test may be named so."""

_TMP = r"(?:/private)?/(?:tmp|var/tmp|var/folders|dev/shm)(?:/[^\s'\"<>:,;)\]}]*)?"
_VARYING: Final = (
    (re.compile(_TMP), "TMP"),
    (re.compile(r"\btmp[a-z0-9_]{8}\b"), "TMP"),
    (re.compile(r"\bpytest-of-[\w.-]+/pytest-\d+"), "TMP"),
    (re.compile(r"\b0[xX][0-9a-fA-F]{5,}\b"), "ADDRESS"),
    (
        re.compile(
            r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"
        ),
        "UUID",
    ),
)
_SUSPICIOUS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]|0[xX][0-9a-fA-F]{5}|tmp|pytest-of-|/private|/dev/shm|/var/folders"
    r"|[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-|^<"
)
_SHAPES: Final = (
    *_VARYING,
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?(?:Z|[+-]\d\d:?\d\d)?\b"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"), "TIME"),
    (
        re.compile(
            r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)? ?(?:ns|µs|us|usec|ms|msec|milliseconds?|s|secs?|seconds?|min|minutes?|h|hours?)\b"
        ),
        "DURATION",
    ),
    (re.compile(r"\b(lines?) \d+(?:-\d+)?"), r"\1 N"),
    (re.compile(r"\b(col(?:umn)?|char|position|offset) \d+"), r"\1 N"),
    (re.compile(r"(\.(?:pyx?|pyi|c|cc|cpp|cxx|h|hpp|rs|f90|S)):\d+(?::\d+)?"), r"\1:N"),
    (re.compile(r"\b(pid|PID|port|fd|id|ID|inode|tid)([ =:#]+'?)\d+"), r"\1\2N"),
    (re.compile(r"\b(Thread|Task|Process|ForkPoolWorker|SpawnPoolWorker|ThreadPoolExecutor|Dummy|gw)-?\d+(?:_\d+)?"), r"\1-N"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{12,}\b"), "HEX"),
    (re.compile(r"(?<![\w.])\d+\.\d{3,}(?:e[+-]?\d+)?\b"), "FLOAT"),
    # unittest shortens what it compares, in the middle of addresses too: `<obj[21 chars]a07e330>`.
    (re.compile(r"<?\[\d+ chars\][^\s,\]>)]*"), "[CHARS]"),
    (re.compile(r"(?<![\w.])\d{4,}(?!\w)"), "N"),
    (re.compile(r"\.cpython-\d+[a-z]*(?:-[\w-]+)?(?=\.)"), ""),
    (re.compile(r"\bpython3\.\d+t?\b"), "python3"),
)  # fmt: skip
_BRACES = re.compile(r"\{([^{}]*)\}")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def stable_id(text: str) -> str:
    """The stable, printable, bounded name of a test."""
    if len(text) <= MAX_ID and not _SUSPICIOUS.search(text):
        return text
    shown = printable(text).replace("\n", " ").replace("\t", " ")
    for pattern, word in _VARYING:
        shown = pattern.sub(word, shown)
    if shown.startswith(RESERVED):
        shown = "‹" + shown[1:]
    return bounded(shown, MAX_ID)


def bounded(text: str, limit: int) -> str:
    """The text itself, or its beginning and a digest of the whole, `limit` characters long."""
    if len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{text[: limit - 14]}…~{digest}"


def printable(text: str) -> str:
    """Without terminal colours, control, invisible and text-direction characters (newlines and tabs stay)."""
    return _UNPRINTABLE.sub("?", _ANSI.sub("", text.replace("\r\n", "\n")))


def one_line(text: str, limit: int = 120) -> str:
    """Printable, on one line, not longer than `limit`."""
    line = " ".join(printable(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def shape(message: str, *, lines: int = 2) -> str:
    """The form of an error message: its first non-empty lines without what varies between two runs."""
    kept = [line.strip() for line in printable(message[:20_000]).splitlines() if line.strip()]
    text = "\n".join(line[:MAX_SHAPE] for line in kept[:lines])
    for pattern, word in _SHAPES:
        text = pattern.sub(word, text)
    return " ".join(_sorted_braces(text).split())[:MAX_SHAPE]


def _sorted_braces(text: str) -> str:
    """Dicts and sets in one order, innermost first. The result only has to be stable, not readable."""
    for _depth in range(8):
        text, changed = _BRACES.subn(_sort, text)
        if not changed:
            break
    return text


def _sort(match: re.Match[str]) -> str:
    return "⟨" + ", ".join(sorted(part.strip() for part in match[1].split(","))) + "⟩"


def plain(name: str) -> str:
    """A distribution's name in the index's normal form, without version or extras: `Foo_Bar[x]==1` is `foo-bar`."""
    bare = re.match(r"[A-Za-z0-9._-]*", name.strip())
    return re.sub(r"[-_.]+", "-", bare[0] if bare else "").strip("-").lower()
