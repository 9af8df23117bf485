"""Links by which one person answers about one breakage: signed, expiring, and dead when the address leaves its project.

A link acts for whoever has it, so it is only in mail to that one person: never in a copy that a list gets.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from pybots.core.audiences import DAY
from pybots.farm import tokens
from pybots.farm.home import Farm

LINK_DAYS: Final = 60
_TOKEN: Final = re.compile(r"(\d{1,12})-(\d{1,6})-([0-9a-f]{10})-([A-Za-z0-9_-]{22})")


class BadLink(Exception):
    """A link that does nothing; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a valid link allows: `person` may answer about `breakage`."""

    breakage: int
    person: str


def address(farm: Farm, breakage: int, person: str, now: float) -> str:
    """The address of the form, for one person."""
    return f"{farm.config.url.rstrip('/')}/answer?t={token(farm, breakage, person, now)}"


def token(farm: Farm, breakage: int, person: str, now: float) -> str:
    last = int(now // DAY) + LINK_DAYS
    return f"{breakage}-{last}-{_digest(person)}-{_sign(farm, breakage, last, person)}"


def read(farm: Farm, given: str, now: float) -> Link:
    """What the link allows. Raises BadLink when it was not made here, is over, or is for nobody any more."""
    match = _TOKEN.fullmatch(given)
    if match is None:
        raise BadLink("this is not a link of ours; maybe the mail program cut it")
    breakage, last, digest = int(match[1]), int(match[2]), match[3]
    person = next((one for one in _persons(farm) if _digest(one) == digest), None)
    if person is None or not hmac.compare_digest(_sign(farm, breakage, last, person), match[4]):
        raise BadLink(
            "this link is not valid, or the address it was sent to is not a project's any more"
        )
    if int(now // DAY) > last:
        raise BadLink("this link has expired; a newer mail has a newer one")
    return Link(breakage=breakage, person=person)


def _persons(farm: Farm) -> list[str]:
    return sorted({one for project in farm.projects.values() for one in project.notify_personal})


def _digest(person: str) -> str:
    return hashlib.sha256(person.encode()).hexdigest()[:10]


@cache
def _key(folder: Path) -> bytes:
    """Read once: links are made inside writing transactions, where nothing is read from disk."""
    return tokens.load_key(folder)


def _sign(farm: Farm, breakage: int, last: int, person: str) -> str:
    said = f"answer\0{breakage}\0{last}\0{person}".encode()
    made = hmac.new(_key(farm.folder.secrets), said, hashlib.sha256).digest()[:16]
    return base64.urlsafe_b64encode(made).decode().rstrip("=")
