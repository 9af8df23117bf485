"""What the farm's admin says about the farm: open, throttled, closed or in maintenance, and why. Pure.

It is a sign on the door beside the computed facts. It speaks of the farm, not of CPython's policy, and stops nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from pybots.core.normal import one_line

TreeState = Literal["open", "throttled", "closed", "maintenance"]
STATES: Final[tuple[TreeState, ...]] = get_args(TreeState)
MAX_TEXT, MAX_BY = 300, 120


class Unfit(ValueError):
    """A word that can't be taken; the text says why, and what would do."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """The admin's word. `by`: who said so."""

    state: TreeState
    text: str = ""
    by: str = ""


def word(state: str, text: str, by: str) -> Word:
    """The word as given, on one line and bounded. Whoever says anything but "open" says why. Raises Unfit."""
    known = next((one for one in STATES if one == state), None)
    if known is None:
        raise Unfit(f"unknown state {one_line(state, 40)!r}; known: {', '.join(STATES)}")
    said = one_line(text.strip(), MAX_TEXT)
    if known != "open" and not said:
        raise Unfit(f"say why the farm is {known}: readers see the reason on every page")
    return Word(state=known, text=said, by=one_line(by.strip(), MAX_BY))
