"""Making other people's words fit the contract: valid UTF-8, bounded, the useful end kept."""

from __future__ import annotations

from typing import Final

from pybots_worker.contract import Failure

LINE: Final = 4000
TEXT: Final = 20_000


def clean(text: str) -> str:
    """Without lone surrogates and NULs, which JSON readers and databases refuse."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def line(text: str) -> str:
    """At most LINE characters, the head kept."""
    return clean(text)[:LINE]


def head(text: str) -> str:
    """At most TEXT characters, the head kept."""
    return clean(text)[:TEXT]


def tail(text: str) -> str:
    """At most TEXT characters, the tail kept: the error is at the end of a traceback."""
    return clean(text)[-TEXT:]


def failure(kind: str, message: str, detail: str = "") -> Failure:
    """A Failure that fits."""
    return Failure(type=line(kind), message=head(message), detail=tail(detail))
