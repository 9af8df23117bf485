"""Pieces of pages that were made before: of a console's rows and strips an event changes one or two.

A piece is known by its macro's name and all that the macro is given; nothing else may decide how it looks. So nothing
has ever to be thrown away because it is wrong, only because there is too much of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Any, Final

KEPT_CHARACTERS: Final = 12_000_000


class Kept:
    """Rendered pieces, at most `limit` characters of them; what was not wanted for longest goes first. Safe for threads."""

    def __init__(self, limit: int = KEPT_CHARACTERS) -> None:
        self._limit = limit
        self._size = 0
        self._pieces: OrderedDict[Hashable, str] = OrderedDict()
        self._lock = Lock()

    def __call__(self, macro: Any, *given: Hashable) -> str:
        """What the jinja macro gives, made only when it is not known."""
        key = (macro.name, *given)
        with self._lock:
            known = self._pieces.get(key)
            if known is not None:
                self._pieces.move_to_end(key)
                return known
        made: str = macro(*given)
        with self._lock:
            if key not in self._pieces:
                self._pieces[key] = made
                self._size += len(made)
            while self._size > self._limit:
                _, gone = self._pieces.popitem(last=False)
                self._size -= len(gone)
        return made

    def __len__(self) -> int:
        return len(self._pieces)
