"""Which architecture the programs of this machine are for."""

from __future__ import annotations

import platform
import sys
from typing import Final

NARROW: Final = {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}
"""A kernel of 64 bits, by the two names that arm64's goes by, and what its 32-bit programs are for."""


def machine() -> str:
    """`x86_64`, `aarch64` …: what `platform.machine()` says, but for 32-bit programs on a 64-bit kernel.

    Raspberry Pi OS has them, and containers: there the kernel names itself, and an interpreter built there would not
    run on a machine that is called the same. We are one of those programs ourselves.
    """
    name = platform.machine()
    return NARROW.get(name, name) if sys.maxsize < 1 << 32 else name
