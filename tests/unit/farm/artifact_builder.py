"""Artifacts as workers upload them: small tar.zst archives, good and hostile."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import zstandard

Entry = tuple[str, bytes | str | dict[str, Any]]
"""(name, content), (name, target of a symbolic link), or (name, attributes of the TarInfo)."""

GOOD: tuple[Entry, ...] = (
    ("bin", {"type": tarfile.DIRTYPE}),
    ("bin/python3.15", b"\x7fELF"),
    ("bin/python3", "python3.15"),
    ("lib/python3.15/os.py", b"# os\n"),
    ("share/man/man1/python3.1", "../../../bin/python3.15"),
)


def make_artifact(*more: Entry, base: tuple[Entry, ...] = GOOD) -> bytes:
    """An interpreter's archive, with further members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, what in (*base, *more):
            _add(tar, name, what)
    return zstandard.ZstdCompressor().compress(buffer.getvalue())


def _add(tar: tarfile.TarFile, name: str, what: bytes | str | dict[str, Any]) -> None:
    info = tarfile.TarInfo(name)
    if isinstance(what, bytes):
        info.size = len(what)
        tar.addfile(info, io.BytesIO(what))
        return
    changes = {"type": tarfile.SYMTYPE, "linkname": what} if isinstance(what, str) else what
    for key, value in changes.items():
        setattr(info, key, value)
    tar.addfile(info)
