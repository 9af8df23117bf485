"""Raw log text to the lines a page shows: bounded, numbered, harmless."""

from __future__ import annotations

from typing import Final, Literal

from pybots_status.pages import Log, LogLine
from pybots_status.text import clean

Stream = Literal["stdout", "stderr", "header"]

MAX_LINE: Final = 2000
"""Characters of a line that are shown; a suite may print a gigabyte without a newline."""


def line(number: int, text: str, stream: Stream = "stdout") -> LogLine:
    """One line, cut to MAX_LINE with a note of what is missing. The cut comes first, so cost is bounded."""
    left_out = len(text) - MAX_LINE
    shown = clean(text[:MAX_LINE])
    note = f" … {left_out:,} more characters" if left_out > 0 else ""
    return LogLine(number=number, text=shown + note, stream=stream)


def tail(
    text: str,
    *,
    keep: int = 400,
    first: int = 1,
    stream: Stream = "stdout",
    live: bool = False,
    raw: str = "",
    cut: bool = False,
    heading: str = "",
    stderr: str = "",
) -> Log:
    """The last `keep` lines of `text`, whose first line has the number `first`. A bare carriage return ends no line.

    `cut`: the farm's size cap ended the log early. `raw`: the address of the whole log. `heading`: lines that begin so are
    shown as headings. What the job prints may begin so too: a heading is a look, no proof of who wrote it. `stderr`: what
    stands before lines that went to standard error; it is not shown.
    """
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    skipped = max(0, len(lines) - keep)
    shown = tuple(
        _told_apart(first + skipped + index, words.removesuffix("\r"), stream, heading, stderr)
        for index, words in enumerate(lines[skipped:])
    )
    return Log(lines=shown, live=live, raw=raw, left_out=first - 1 + skipped, cut=cut)


def _told_apart(number: int, words: str, stream: Stream, heading: str, stderr: str) -> LogLine:
    if heading and words.startswith(heading):
        return line(number, words, "header")
    if stderr and words.startswith(stderr):
        return line(number, words.removeprefix(stderr), "stderr")
    return line(number, words, stream)
