"""What other machines say, fit for a terminal."""

from __future__ import annotations

from typing import TextIO


def plain(text: str, most: int = 500) -> str:
    """One line without what moves a cursor or turns the reading direction.

    >>> plain("done\\x1b[2J\\nreally")
    'done [2J really'
    """
    return "".join(sign if sign.isprintable() else " " for sign in text)[:most]


class Plainly:
    """A stream of lines whose words may be anybody's: a master names a thing in an error, and the log shows it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """As a file's, for texts that end where lines do or not."""
        if not text.isprintable():
            kept = (sign if sign.isprintable() or sign in "\n\t" else " " for sign in text)
            text = "".join(kept)
        self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()
