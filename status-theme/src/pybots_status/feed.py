"""Atom feeds and SVG badges: a farm's news for programs, other sites and their readers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree

from pybots_status.states import STATES, State
from pybots_status.text import clean

ATOM: Final = "http://www.w3.org/2005/Atom"
SVG: Final = "http://www.w3.org/2000/svg"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One piece of news. `path`: its page; `key` tells several entries of one page apart. `at`: seconds since the epoch."""

    title: str
    path: str
    key: str
    at: float
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """News about one thing, newest first. `base`: the farm's public address; `path` the feed's own, `about` its page's."""

    title: str
    base: str
    path: str
    about: str
    farm: str
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Badge:
    """A state in a few words: `CPython main` `2 of 9 lanes fail`."""

    label: str
    words: str
    state: State


COLOURS: Final[dict[str, str]] = {
    "s-ok": "#1a6b2f",
    "s-fix": "#1a6b2f",
    "s-flaky": "#1a6b2f",
    "s-new": "#b3261e",
    "s-old": "#8a3a35",
}
"""Dark enough for white letters (at least 4.5 : 1); every other state is grey."""
GREY: Final = "#555b63"
CHARACTER: Final = 6.6
"""Width in pixels of a letter of 11 px Verdana, generously."""


def atom(feed: Feed) -> bytes:
    """The feed as an Atom document (RFC 4287)."""
    root = ElementTree.Element("feed", {"xmlns": ATOM})
    base = feed.base.rstrip("/")
    _add(root, "id", base + feed.path)
    _add(root, "title", feed.title)
    _add(root, "updated", _time(max((entry.at for entry in feed.entries), default=0.0)))
    _add(root, "link", rel="self", type="application/atom+xml", href=base + feed.path)
    _add(root, "link", rel="alternate", type="text/html", href=base + feed.about)
    author = _add(root, "author")
    _add(author, "name", feed.farm)
    for entry in feed.entries:
        one = _add(root, "entry")
        _add(one, "id", f"{base}{entry.path}#{entry.key}")
        _add(one, "title", entry.title)
        _add(one, "updated", _time(entry.at))
        _add(one, "link", rel="alternate", type="text/html", href=base + entry.path)
        _add(one, "content", entry.text or entry.title, type="text")
    return _bytes(root)


def badge(shown: Badge) -> bytes:
    """The badge as an SVG image: words and a letter beside the colour, a title for who can't see it."""
    info = STATES[shown.state]
    label, words = clean(shown.label), clean(f"{info.glyph} {shown.words}".strip())
    left, right = (round(len(text) * CHARACTER) + 12 for text in (label, words))
    root = ElementTree.Element(
        "svg",
        {"xmlns": SVG, "width": str(left + right), "height": "20", "role": "img",
         "aria-label": f"{label}: {clean(shown.words)}"},
    )  # fmt: skip
    _add(root, "title", f"{label}: {shown.words}")
    _add(root, "rect", width=str(left), height="20", fill="#3a3f45")
    fill = COLOURS.get(info.css, GREY)
    _add(root, "rect", x=str(left), width=str(right), height="20", fill=fill)
    style = {"fill": "#fff", "font-family": "Verdana,DejaVu Sans,sans-serif", "font-size": "11"}
    middle = {"y": "14", "text-anchor": "middle"}
    _add(root, "text", label, x=str(left / 2), **style, **middle)
    _add(root, "text", words, x=str(left + right / 2), **style, **middle)
    return _bytes(root)


def _bytes(root: ElementTree.Element) -> bytes:
    made: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return made


def _add(
    parent: ElementTree.Element, tag: str, text: str = "", **attributes: str
) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag, {k: clean(v) for k, v in attributes.items()})
    element.text = clean(text) or None
    return element


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
