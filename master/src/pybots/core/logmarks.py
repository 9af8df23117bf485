"""How a log tells standard error from standard output: one byte before each line that began there.

A log is one file, which readers follow while it grows and in which they jump to any line. The mark is a control character
that no text needs (shift out); what a job itself prints of it becomes its picture, so a mark is always ours.
"""

from __future__ import annotations

from typing import Final

STDERR: Final = "\x0e"
PICTURE: Final = "\N{SYMBOL FOR SHIFT OUT}"
_MARK: Final = STDERR.encode()


def encoded(text: str) -> bytes:
    """What a job printed as bytes without any mark."""
    return text.replace(STDERR, PICTURE).encode("utf-8", "replace")


def marked(data: bytes, *, fresh: bool) -> bytes:
    """Standard error as it is kept. `fresh`: a line begins here.

    >>> marked(b"one\\ntwo\\n", fresh=True)
    b'\\x0eone\\n\\x0etwo\\n'
    """
    inner = data[:-1].replace(b"\n", b"\n" + _MARK) + data[-1:]
    return _MARK + inner if fresh and data else inner


def plain(data: bytes) -> bytes:
    """The text alone."""
    return data.translate(None, _MARK)
