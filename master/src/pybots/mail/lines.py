"""Lines of a letter: wrapped, cut, made harmless. What workers and commits say never leaves its line. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pybots.core.normal import printable

WIDTH: Final = 78


def wrap(paragraph: str, width: int = WIDTH) -> list[str]:
    """A paragraph in lines of 78 columns."""
    return textwrap.wrap(printable(paragraph), width, break_long_words=True, break_on_hyphens=False)


def cut(line: str, width: int = WIDTH) -> str:
    """A line made harmless and not wider than `width`; its indentation stays."""
    clean = _clean(line)
    return clean if len(clean) <= width else clean[: width - 1] + "…"


def cut_front(line: str, width: int = WIDTH) -> str:
    """As `cut`, but the end stays: that is what tells one test of a file from the next."""
    clean = _clean(line)
    return clean if len(clean) <= width else "…" + clean[1 - width :]


def _clean(line: str) -> str:
    return printable(line).replace("\n", " ").replace("\t", "    ").rstrip()


def counted(items: Sequence[str], shown: int, more: str = "more") -> Iterator[str]:
    """The first few lines, and how many others there are."""
    yield from items[:shown]
    if len(items) > shown:
        yield f"  … and {len(items) - shown:,} {more}"


def number(count: int, one: str, several: str = "") -> str:
    """`1 test`, `1,234 tests`."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def listed(names: Sequence[str], shown: int = 3) -> str:
    """`anchor`, `anchor and buoy`, `anchor, buoy, fern and 37 others`."""
    if len(names) > shown + 1:
        return f"{', '.join(names[:shown])} and {len(names) - shown:,} others"
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def quoted(text: str, shown: int, *, front: str = "  | ") -> list[str]:
    """The last lines of a longer text, each behind a bar so that nothing in it can be taken for ours."""
    lines = [line.rstrip() for line in printable(text).expandtabs(4).splitlines()]
    kept = [line for line in lines if line][-shown:]
    return [front + cut(line, WIDTH - len(front)) for line in kept]


def body(lines: Iterable[str]) -> str:
    """The lines as a text; more than one empty line in a row is one."""
    out: list[str] = []
    for line in lines:
        if line or (out and out[-1]):
            out.append(line)
    return "\n".join(out).rstrip() + "\n"
