"""The signature of a failure: what makes two reds the same one (DESIGN §2). Pure.

A sha256 over the failure's kind, exception type, message shape and top frames (or signal, or compiler error). The test
is left out while the frames tell where it failed, so that one cause in forty tests is one failure; where they don't,
project and test come in, so that two causes never share a signature for want of evidence. Where the message names the
cause itself (`telling`), the frames are left out as well: a function that is gone is one failure wherever it is missed.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from pybots.core.causes import cause
from pybots.core.frames import SOURCE, STDLIB, Frame, frames, top
from pybots.core.model import FailureKind
from pybots.core.normal import plain, shape
from pybots.core.telling import told
from pybots_worker.contract import Failure

VAGUE: Final = frozenset(
    {"", "AssertionError", "Exception", "Error", "Failed", "FailTest", "SystemExit", "TimeoutError"}
)
"""Exception types that don't say what went wrong; without frames the test's id must tell."""

RUNNERS: Final = frozenset({"_pytest", "pluggy", "pytest", "xdist", "execnet", "nose"})
"""Packages that run tests, as their frames name them."""

_TYPE = re.compile(
    r"^([A-Za-z_][\w.]*?(?:Error|Exception|Warning|Interrupt|Exit|Failed|Group|Failure))(?:: |$)"
)
_LOADER = re.compile(r"^(?:ImportError: )?Failed to import test module: ")
"""unittest wraps what a module raised, and names each module that imports the broken one in its own words."""
_LAST = re.compile(
    r"^(?:E\s+)?([A-Za-z_][\w.]*(?:Error|Exception|Warning|Interrupt|Exit|Failed|Group|Failure))(?::\s(.*))?$"
)


def signature(kind: FailureKind, failure: Failure | None, *, project: str, where: str) -> str:
    """The sha256 that names a failure. `where` is the test's id or the phase; `project` the one under test."""
    parts = _parts(kind, failure or Failure(), project, where)
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).hexdigest()


def named(kind: FailureKind, *words: str) -> str:
    """The signature of something that has no traceback and no message: vanished tests, a lost extension …"""
    return hashlib.sha256("\x1f".join((kind, "named", *words)).encode()).hexdigest()


def _parts(kind: FailureKind, failure: Failure, project: str, where: str) -> list[str]:
    name, message = exception_of(failure)
    if kind in ("install", "interpreter") and (why := cause(failure.detail)):
        if why.how == "compiler":
            return [kind, why.how, shape(why.text)]
        name, message = why.how, why.text
        if why.package and not why.local and plain(why.package) != plain(project):
            return [
                kind,
                name,
                shape(message),
                plain(why.package),
            ]  # a dependency's: whoever wants it
    said = told(name, message) if kind in ("test", "collection") else None
    owner = _foreign(failure, project) if said else ""
    # A dependency that misses something of the library is a failure of its own; what else it says, of callers perhaps that
    # are strangers to each other, takes its frames to know.
    if said and (said.standard or not owner):
        own = [] if said.standard else [project]
        return [kind, name.rsplit(".", 1)[-1], *said.what, owner, *own]
    # What does not say what went wrong needs the test to tell.
    vague = name.rsplit(".", 1)[-1] in VAGUE or not message
    found = top(frames(failure.detail), callers=vague)
    parts = [kind, name, shape(message), *(_frame(frame, n) for n, frame in enumerate(found))]
    return parts + _context(kind, name, message, found, project, where)


def _foreign(failure: Failure, project: str) -> str:
    """The installed package, other than the project, in whose frames it failed; "" when there is none. What runs the tests
    imports them, and is nobody's dependency there."""
    owners = (frame.owner for frame in frames(failure.detail))
    inner = next((one for one in owners if one != STDLIB and one not in RUNNERS), SOURCE)
    return "" if inner == SOURCE or plain(inner) == plain(project) else inner


def _frame(frame: Frame, depth: int) -> str:
    # The innermost source line tells `assert a` from `assert b` in one test; further out it would only split.
    return f"{frame.owner}|{frame.path}|{frame.function}|{frame.text if depth == 0 else ''}"


def _context(
    kind: FailureKind, name: str, message: str, found: list[Frame], project: str, where: str
) -> list[str]:
    """What must be added because the evidence alone doesn't tell two failures apart."""
    bare = name.rsplit(".", 1)[-1]
    if (
        found
        and found[-1].owner != SOURCE
        and bare in VAGUE
        and plain(found[-1].owner) != plain(project)
    ):
        return [project, where]  # a helper's assertion: every caller of it would look the same
    if found:
        return [project] if found[-1].owner == SOURCE else []
    if kind in ("install", "interpreter") and message:
        return [project]
    return [project, where] if bare in VAGUE or not message else [project]


def exception_of(failure: Failure) -> tuple[str, str]:
    """(type, message) of a failure, also when the runner put both into one field or only into the traceback."""
    name, message = failure.type.strip(), failure.message.strip()
    first = message.split("\n", 1)[0]
    if _LOADER.match(first) and (last := _last_line(failure.detail)):
        return last
    if match := _TYPE.match(first):
        if name in ("", match[1], match[1].rsplit(".", 1)[-1]) or name.rsplit(".", 1)[-1] in VAGUE:
            return match[1].rsplit(".", 1)[-1], message[match.end() :].strip()
    elif not message and (last := _last_line(failure.detail)):
        return last
    return name.rsplit(".", 1)[-1], message


def _last_line(detail: str) -> tuple[str, str] | None:
    for line in reversed(detail.splitlines()[-60:]):
        if match := _LAST.match(line.rstrip()):
            return match[1].rsplit(".", 1)[-1], match[2] or ""
    return None
