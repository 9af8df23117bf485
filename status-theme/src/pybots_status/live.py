"""A page's live pieces: what an open page is told when they change, instead of the whole page.

A piece is an element that ends its start tag with `id="…" data-live`, or `id="…" data-row`, and that holds no element of
its own kind. Rows may come and go: they stand together at the end of the page's one element with `data-rows`. When
anything else between the pieces changes, the page is fetched again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_PIECE: Final = re.compile(r'<([a-z0-9]+)(?: [^<>]*)? id="([^"<> ]+)" data-(live|row)>')
_EVENT: Final = re.compile(r'<html[^<>]* data-event="([0-9]+)"')
_SPACE: Final = re.compile(r"\s+")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A page as a stream sees it. `pieces`: element id -> HTML. `rows`: the ids of rows in order. `rest`: a digest of
    everything else in it. `event`: the newest event it knows of, 0: it has no stream."""

    event: int
    pieces: Mapping[str, str]
    rows: tuple[str, ...]
    rest: str


def picture(html: str) -> Picture:
    """Take a rendered page apart."""
    begin, end = html.index('<header id="top">'), html.rindex("<footer>")
    pieces: dict[str, str] = {}
    rows: list[str] = []
    between: list[str] = []
    at = begin
    while (found := _PIECE.search(html, at, end)) is not None:
        tag, name, kind = found.groups()
        close = html.index(f"</{tag}>", found.end()) + len(tag) + 3
        between += (html[at : found.start()], "" if kind == "row" else f"<{name}>")
        pieces[name] = html[found.start() : close]
        if kind == "row":
            rows.append(name)
        at = close
    between.append(html[at:end])
    known = _EVENT.search(html, 0, begin)
    rest = _SPACE.sub(" ", "".join(between))
    return Picture(
        event=int(known[1]) if known else 0,
        pieces=pieces,
        rows=tuple(rows),
        rest=hashlib.sha256(rest.encode()).hexdigest(),
    )


def patch(pieces: Mapping[str, str], rows: tuple[str, ...] | None) -> str:
    """What the page's script is told: new pieces, and the order of the rows when that changed (None: it did not)."""
    told: dict[str, Any] = {"put": pieces} if pieces else {}
    if rows is not None:
        told["rows"] = rows
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def reload(within: float) -> str:
    """Fetch the page again, some time in so many seconds."""
    return json.dumps({"reload": round(within * 1000)})
