"""Messages that say by themselves what went wrong, wherever it is met: a name that is gone, a call that is refused. Pure.

CPython removes a function, and thirty tests of a project that call it fail, each in its own frames: that is one failure.
What is told here is the cause's own name, so that it is the same in all of them, and whether it is the standard
library's, so that it is the same in all projects. Messages that many causes share ("'NoneType' object has no attribute
…", "invalid literal") are not told: there the frames must tell.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pybots.core.normal import printable, shape

REMOVED: Final = frozenset(
    {
        "asynchat", "asyncore", "binhex", "distutils", "dummy_threading", "formatter", "imp", "macpath", "parser",
        "smtpd", "symbol", "aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap",
        "msilib", "nis", "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib",
    }
)  # fmt: skip
"""Modules that a standard library had which the farm's own Python may not know (PEP 594, 632, What's New 3.9 to 3.12)."""
STANDARD: Final = sys.stdlib_module_names | REMOVED
COMMON: Final = frozenset(
    {
        "NoneType", "bool", "bytearray", "bytes", "complex", "coroutine", "dict", "float", "frozenset", "function",
        "generator", "int", "list", "method", "object", "property", "set", "str", "super", "tuple", "type",
    }
)  # fmt: skip
"""Types of values that get where they should not: an attribute that they lack says nothing of the cause."""
ANNOUNCING: Final = ("DeprecationWarning", "FutureWarning", "SyntaxWarning")
"""Warnings, made errors by a runner's settings, that name what will be gone."""
MIN_WORDS: Final = 3
"""A warning of fewer words names nothing."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """`what`: the cause's name, in words that do not vary. `standard`: it is the standard library's own."""

    what: tuple[str, ...]
    standard: bool = False


def _module(match: re.Match[str]) -> Told:
    # A class may have a module's name.
    return Told(what=("module", *match.groups()), standard=match[1].split(".")[0] in STANDARD)


def _import(match: re.Match[str]) -> Told:
    return Told(what=(match[2], match[1]), standard=match[2].split(".")[0] in STANDARD)


def _attribute(match: re.Match[str]) -> Told | None:
    if match[1].rpartition(".")[2] in COMMON:
        return None
    if _ASSERTION.match(match[2]):  # of unittest.TestCase: every class of tests would name itself
        return Told(what=("", match[2]))
    return Told(what=match.groups())


def _call(match: re.Match[str]) -> Told | None:
    name = match[1].rpartition(".")[2]
    if name == "<lambda>" or (name == match[1] and name.startswith("__")):
        return None
    return Told(what=match.groups())


_ASSERTION = re.compile(r"(?:assert|fail)(?:[A-Z]\w*|_)$|failUnless|failIf")
_NAME = r"'([\w.]+)'"
_SAID: Final[tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str]], Told | None]], ...]] = (
    ("AttributeError", re.compile(rf"module {_NAME} has no attribute '(\w+)'"), _module),
    ("ImportError", re.compile(rf"cannot import name '(\w+)' from {_NAME}"), _import),
    ("ModuleNotFoundError", re.compile(rf"No module named {_NAME}"), _module),
    ("AttributeError", re.compile(rf"type object {_NAME} has no attribute '(\w+)'"), _attribute),
    ("AttributeError", re.compile(rf"{_NAME} object has no attribute '(\w+)'"), _attribute),
    ("TypeError", re.compile(r"([\w.<>]+)\(\) got an unexpected keyword argument '(\w+)'"), _call),
)  # fmt: skip


def told(name: str, message: str) -> Told | None:
    """What an exception's type and message say of the cause; None when it takes the frames to know."""
    bare, first = name.rsplit(".", 1)[-1], printable(message[:2000]).strip().split("\n", 1)[0]
    for type_, pattern, read in _SAID:
        if bare == type_ and (match := pattern.match(first)):
            return read(match)
    if bare.endswith(ANNOUNCING) and len(first.split()) >= MIN_WORDS:
        return Told(what=(shape(message),))
    return None
