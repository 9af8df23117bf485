"""What the tests of the theme look at: a document as a strict little tree, and pages filled with hostile text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from html import unescape
from html.parser import HTMLParser
from typing import Any, Literal, get_args, get_origin, get_type_hints

VOID = frozenset({"meta", "link", "input", "br", "img", "hr"})


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def walk(self) -> Iterator[Element]:
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting.extend(reversed(element.children))

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.walk() if element.tag == tag]

    def words(self) -> str:
        return self.text + "".join(child.words() for child in self.children)


class Document(HTMLParser):
    """Raises AssertionError on an end tag that does not fit, a doubled attribute or an element left open."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("#root", {})
        self.open = [self.root]
        self.feed(html)
        self.close()
        assert len(self.open) == 1, f"left open: {[element.tag for element in self.open[1:]]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> says an attribute twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}> at {self.getpos()}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].text += data


def parse(html: str) -> Element:
    return Document(html).root


def addresses(html: str) -> list[str]:
    """Every address of a well-formed document, faster than by parsing it."""
    return [unescape(value) for value in re.findall(r'\s(?:href|src|action)="([^"]*)"', html)]


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _is_text(hint: Any) -> bool:
    return hint is str or (get_origin(hint) is not Literal and str in get_args(hint))


def poisoned(value: Any, text: str, keep: frozenset[str] = frozenset({"base_url"})) -> Any:
    """The dataclass with `text` in every field of free text, at any depth; closed vocabularies stay."""
    changes: dict[str, Any] = {}
    hints = _hints(type(value))
    for item in fields(value):
        inner = getattr(value, item.name)
        if item.name in keep or get_origin(hints[item.name]) is Literal:
            continue
        if _is_text(hints[item.name]) and isinstance(inner, str):
            changes[item.name] = text
        elif is_dataclass(inner):
            changes[item.name] = poisoned(inner, text, keep)
        elif isinstance(inner, tuple):
            changes[item.name] = tuple(
                poisoned(one, text, keep)
                if is_dataclass(one)
                else text
                if isinstance(one, str)
                else one
                for one in inner
            )
    return replace(value, **changes)
