"""What people answer about a breakage, and how long the answer holds. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from pybots.core.audiences import DAY
from pybots.core.normal import one_line

Disposition = Literal["untriaged", "expected", "python", "project", "dependency"]
DISPOSITIONS: Final[tuple[Disposition, ...]] = get_args(Disposition)

WORDS: Final[dict[str, str]] = {
    "untriaged": "nobody has looked yet",
    "expected": "expected: the change is meant to do this",
    "python": "CPython's bug",
    "project": "the project's bug",
    "dependency": "a dependency's bug",
}
"""Each disposition in words; one of a newer ledger is shown as it stands."""
USUAL_DAYS: Final = 90.0
"""An answer without an expiry holds this long; then somebody looks again."""
_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[!-~]*)?")
MAX_PERSON, MAX_ISSUE, MAX_NOTE = 80, 300, 1000


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer, valid until `expires` (seconds since the epoch; None: it never ends)."""

    disposition: Disposition
    person: str = ""
    issue: str = ""
    note: str = ""
    expires: float | None = None


class Unfit(ValueError):
    """An answer that can't be taken; the text says why, and what would do."""


def answer(
    disposition: str, *, now: float, person: str = "", issue: str = "", note: str = "",
    days: float | None = USUAL_DAYS,
) -> Answer:  # fmt: skip
    """The answer as given, made harmless. `days`: how long it holds; None: for ever. Raises Unfit."""
    known = next((one for one in DISPOSITIONS if one == disposition), None)
    if known is None:
        raise Unfit(
            f"unknown disposition {one_line(disposition, 40)!r}; known: {', '.join(DISPOSITIONS)}"
        )
    issue = one_line(issue.strip(), MAX_ISSUE)
    if issue and not is_address(issue):
        raise Unfit("the issue must be an address that begins with https:// or http://")
    if days is not None and not 0 < days <= 3660:
        raise Unfit("an answer holds for more than 0 and at most 3660 days")
    return Answer(
        disposition=known,
        person=one_line(person.strip(), MAX_PERSON),
        issue=issue,
        note=one_line(note.strip(), MAX_NOTE),
        expires=None if days is None or known == "untriaged" else now + days * DAY,
    )


def is_address(text: str) -> bool:
    """Whether it is a web address that may be shown as a link."""
    return bool(_ADDRESS.fullmatch(text))


def current(disposition: str, expires: float | None, now: float) -> str:
    """The disposition that holds now: one that has expired is untriaged again."""
    return "untriaged" if expires is not None and expires <= now else disposition


def acted(disposition: str, person: str, expires: float | None, now: float) -> bool:
    """Whether somebody has taken it up: judged it, or put their name to it."""
    if expires is not None and expires <= now:
        return False
    return disposition != "untriaged" or bool(person)
