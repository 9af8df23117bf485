"""Logs as pages show them: a bounded part of a blob, or of the file that still grows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from pybots.core import logmarks
from pybots.store import Store
from pybots_status import links
from pybots_status.logs import tail
from pybots_status.pages import Log
from pybots_worker.contract import INTERPRETER_PHASES, PROJECT_PHASES

SHOWN_LINES: Final = 400
HEADING: Final = "pybots: "
"""How the worker kit's own remarks begin: the commands it ran, what it re-used, what it could not do."""
MAX_BYTES: Final = 512 << 10
"""At most this much of a log is read into a page, however long its lines are."""
_CHUNK: Final = 1 << 20

PHASES: Final = frozenset(INTERPRETER_PHASES) | frozenset(PROJECT_PHASES)
"""The closed set of phases: nothing else ever becomes part of a path."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a phase's log lies. `live`: it may still grow."""

    path: Path
    live: bool
    cut: bool = False


def source(store: Store, attempt: int, phase: str, blob: str | None, *, cut: bool) -> Source | None:
    """The log of an attempt's phase; None when there is none (yet, or any more)."""
    if phase not in PHASES:
        return None
    if blob is not None:
        kept = store.path(blob)
        return Source(path=kept, live=False, cut=cut) if kept.is_file() else None
    growing = store.live(attempt, phase)
    return Source(path=growing, live=True) if growing.is_file() else None


def read(found: Source, *, start: int = 0, here: str = "", raw: str = "", live: bool) -> Log:
    """SHOWN_LINES lines from line number `start` on (counted from 1); 0: the last ones. `here`: the page's address."""
    with found.path.open("rb") as file:
        first, data = _from(file, start) if start else _last(file)
        more = bool(start) and bool(file.read(1))
    log = tail(
        data.decode("utf-8", "replace"),
        keep=SHOWN_LINES,
        first=first,
        live=live,
        raw=raw,
        cut=found.cut,
        heading=HEADING,
        stderr=logmarks.STDERR,
    )
    return replace(
        log,
        earlier=_part(here, max(1, log.left_out + 1 - SHOWN_LINES)) if log.left_out else "",
        later=_part(here, first + len(log.lines)) if more and log.lines else "",
    )


def _part(here: str, start: int) -> str:
    return links.replace_query(here, **{"from": str(start)})


def _last(file: BinaryIO) -> tuple[int, bytes]:
    """The number of the first line of the file's last MAX_BYTES, and those bytes."""
    size = file.seek(0, 2)
    skip = max(0, size - MAX_BYTES)
    lines = _count(file, skip)
    file.seek(skip)
    return lines + 1, file.read(MAX_BYTES)


def _count(file: BinaryIO, limit: int) -> int:
    """How many newlines the first `limit` bytes have."""
    file.seek(0)
    lines = 0
    while limit > 0:
        chunk = file.read(min(_CHUNK, limit))
        if not chunk:
            break
        lines += chunk.count(b"\n")
        limit -= len(chunk)
    return lines


def _from(file: BinaryIO, start: int) -> tuple[int, bytes]:
    """The bytes from line `start` on, SHOWN_LINES lines or MAX_BYTES of them."""
    lines, offset = 0, 0
    while lines < start - 1:
        chunk = file.read(_CHUNK)
        if not chunk:
            return lines + 1, b""
        here = chunk.count(b"\n")
        if lines + here >= start - 1:
            offset += _after(chunk, start - 1 - lines)
            break
        lines += here
        offset += len(chunk)
    file.seek(offset)
    data = file.read(MAX_BYTES)
    shown = data[: _after(data, SHOWN_LINES)]
    file.seek(offset + len(shown))
    return start, shown


def _after(data: bytes, newlines: int) -> int:
    """The offset just behind the n-th newline (the end, when there are fewer)."""
    at = 0
    for _ in range(newlines):
        found = data.find(b"\n", at)
        if found < 0:
            return len(data)
        at = found + 1
    return at
