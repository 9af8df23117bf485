"""How likely a CPython commit is to be felt by other people's tests, as far as its files and message say. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

UNLIKELY: Final = (
    "Lib/test/", "Lib/idlelib/", "Lib/distutils/tests/", "Lib/unittest/test/", "Lib/ctypes/test/", "PC/", "PCbuild/",
    "Mac/", "Tools/", "Doc/", "Misc/", ".github/", ".azure-pipelines/",
)  # fmt: skip
"""Folders of CPython that other people's tests on this platform hardly ever see."""
LITTLE: Final = 0.05
"""The weight of a change to those alone: unlikely is not impossible."""
_REVERTS: Final = re.compile(r"This reverts commit ([0-9a-f]{7,40})")


def weight(files: Sequence[str]) -> float:
    """The prior weight of a commit with these files; one whose files are not known counts in full."""
    return LITTLE if files and all(name.startswith(UNLIKELY) for name in files) else 1.0


def slight(files: Iterable[str]) -> bool:
    """Whether a change is a small one: a single file that other people's code can see."""
    return sum(not name.startswith(UNLIKELY) for name in files) <= 1


def reverted(message: str) -> str:
    """The commit that a message says it reverts; "": none."""
    found = _REVERTS.search(message)
    return found[1] if found else ""
