"""A live log as it is written: streams told apart, the limit kept, a full disk no disaster."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pybots.glue.tail import Tail


class Desk:
    """Calls at once."""

    async def call(self, function: Any, *given: Any) -> Any:
        return function(*given)


def written(path: Path, *pieces: tuple[str, bool], limit: int = 100) -> tuple[str, bool]:
    """What is in the file after it, and whether it was cut."""
    tail = Tail(Desk(), path, limit)  # type: ignore[arg-type]

    async def write() -> None:
        for text, stderr in pieces:
            await tail.write(text, stderr=stderr)

    asyncio.run(write())
    return path.read_text(), tail.cut


def test_lines_of_standard_error_are_marked_where_they_begin(tmp_path: Path) -> None:
    said = [("out\nha", False), ("lf", True), ("\nerr\ne", True), ("rr\n", True), ("out\n", False)]
    assert written(tmp_path / "live" / "test", *said) == (
        "out\nhalf\n\x0eerr\n\x0eerr\nout\n",
        False,
    )


def test_the_limit_counts_what_was_printed_not_its_marks(tmp_path: Path) -> None:
    assert written(tmp_path / "log", ("a\nb\n", True), limit=4) == ("\x0ea\n\x0eb\n", False)
    assert written(tmp_path / "cut", ("a\nb\nc", True), ("more", False), limit=4) == (
        "\x0ea\n\x0eb\n",
        True,
    )


def test_what_cannot_be_written_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    tail = Tail(Desk(), tmp_path / "file" / "log", 100)  # type: ignore[arg-type]
    asyncio.run(tail.write("lost"))
    assert tail.cut
