"""Whether CPython's own documentation announces what a failure complains about. Pure.

The names that the failure speaks of are looked for in What's New and in the lists of deprecations and removals, in a
paragraph that says that something goes or changes, or under a heading that does. Names that everything has (`str`, `name`) say nothing by themselves:
the commit must speak of them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_QUOTED: Final = re.compile(r"['‘’\"`]([A-Za-z_][\w.]{2,80})['‘’\"`(]")
_CALLED: Final = re.compile(r"\b([A-Za-z_]\w{2,80}(?:\.\w+)*)\(\)")
_SPEAKS: Final = re.compile(
    r"\b(remov|deprecat|no longer|renam|drop|discontinu|disallow|rais(?:e|es) |now |chang|instead)",
    re.IGNORECASE,
)
_UNDERLINED: Final = re.compile(r"(?:[^\w\s]+\n)?\s*(\S[^\n]*)\n([=*~^\"'-])\2{2,}")
_ITEM: Final = re.compile(r"^\s*(?:[*-]|\d+\.|#\.)\s")
MAX_QUOTE: Final = 600
MAX_NAMES: Final = 20


@dataclass(frozen=True, kw_only=True)
class Announced:
    """Where, and in which words. `line` counts from 1."""

    file: str
    line: int
    quote: str


def names(failure: str) -> tuple[str, ...]:
    """The names that an error speaks of, the most particular first."""
    found = dict.fromkeys((*_QUOTED.findall(failure), *_CALLED.findall(failure)))
    parts = dict.fromkeys(part for name in found for part in (name, name.rpartition(".")[2]))
    return tuple(sorted((name for name in parts if len(name) > 2), key=_particular))[:MAX_NAMES]


def _particular(name: str) -> tuple[bool, int]:
    return (not distinctive(name), -len(name))


def distinctive(name: str) -> bool:
    """Whether a name is rare enough to mean one thing wherever it stands."""
    return "_" in name.strip("_") or "." in name or (not name.islower() and len(name) > 5)


def find(documents: Mapping[str, str], failure: str, *, commit: str) -> Announced | None:
    """The paragraph that announces it: the one that speaks of most of the failure's names. `commit`: its message.

    `documents`: file -> text, the most telling first."""
    wanted = [name for name in names(failure) if distinctive(name) or _has(commit, name)]
    best: tuple[int, Announced] | None = None
    for file, text in documents.items():
        for line, heading, paragraph in sections(text) if wanted else ():
            count = sum(_has(paragraph, name) for name in wanted)
            speaks = _SPEAKS.search(paragraph) or _SPEAKS.search(heading) or "deprecat" in file
            if count and speaks and (best is None or count > best[0]):
                best = count, Announced(file=file, line=line, quote=paragraph[:MAX_QUOTE])
    return best[1] if best else None


def sections(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, headings above it, text) of every paragraph that is none itself."""
    above: list[tuple[str, str]] = []
    for line, paragraph in paragraphs(text):
        mark = _UNDERLINED.fullmatch(paragraph)
        if mark is None:
            yield line, " / ".join(words for _, words in above), paragraph
            continue
        signs = [sign for sign, _ in above]
        above = above[: signs.index(mark[2]) if mark[2] in signs else len(above)]
        above.append((mark[2], mark[1]))


def paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every paragraph; an item of a list is one of its own."""
    found: list[str] = []
    first = 1
    for number, line in enumerate((*text.splitlines(), ""), 1):
        if found and (not line.strip() or _ITEM.match(line)):
            yield first, "\n".join(found)
            found = []
        if line.strip():
            first = first if found else number
            found.append(line.rstrip())


def _has(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", text) is not None
