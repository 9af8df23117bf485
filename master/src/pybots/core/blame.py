"""Whether a failure is a dependency's, as far as the failure itself says. Pure.

A dependency is named when the innermost frame outside the standard library lies in its own installed files, or when it
is what could not be built or resolved. Failed assertions name nobody: helpers such as `numpy.testing` raise for others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pybots.core.causes import cause
from pybots.core.frames import SOURCE, STDLIB, frames
from pybots.core.model import FailureKind
from pybots.core.normal import plain
from pybots.core.signatures import VAGUE, exception_of
from pybots_worker.contract import Failure, Locked

IMPORTED_AS: Final[Mapping[str, str]] = {
    "yaml": "pyyaml", "pil": "pillow", "dateutil": "python-dateutil", "bs4": "beautifulsoup4",
    "openssl": "pyopenssl", "pkg-resources": "setuptools", "crypto": "pycryptodome", "attr": "attrs",
    "zmq": "pyzmq", "serial": "pyserial", "usb": "pyusb", "jwt": "pyjwt", "git": "gitpython",
    "docx": "python-docx", "magic": "python-magic", "dotenv": "python-dotenv", "mysqldb": "mysqlclient",
}  # fmt: skip
"""Well-known packages whose import name is not their distribution's; taken only when the latter is installed."""


@dataclass(frozen=True, kw_only=True)
class Owners:
    """Whose installed files are whose: the project's own names, and the other distributions of the environment."""

    own: frozenset[str]
    others: frozenset[str] = frozenset()

    @classmethod
    def of(cls, own: Iterable[str], lock: Iterable[Locked]) -> Owners:
        mine = frozenset(map(plain, own))
        return cls(own=mine, others=frozenset(plain(pin.name) for pin in lock) - mine)

    def distribution(self, top: str) -> str:
        """The dependency that a top-level module belongs to; "" when it is the project's own, or unknown."""
        name = plain(top)
        if name in self.own:
            return ""
        return next((n for n in (name, IMPORTED_AS.get(name, "")) if n in self.others), "")


def blamed(kind: FailureKind, failure: Failure, owners: Owners) -> str:
    """The distribution that the failure names, in the index's normal form; "": none."""
    if kind == "install":
        why = cause(failure.detail)
        name = plain(why.package) if why and not why.local else ""
        return "" if name in owners.own else name
    if kind not in ("test", "collection") or exception_of(failure)[0].rsplit(".", 1)[-1] in VAGUE:
        return ""
    inner = next((frame for frame in frames(failure.detail) if frame.owner != STDLIB), None)
    return "" if inner is None or inner.owner == SOURCE else owners.distribution(inner.owner)
