"""Delivering into a Maildir: the transport of a farm that has no SMTP server yet."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def deliver(folder: Path, message: bytes, *, key: str, at: float) -> Path:
    """Put the message into the Maildir's `new`; the same key lands in the same file, however often it is tried.

    Returns the file. Raises OSError when the folder can't be written."""
    for name in ("tmp", "new", "cur"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    name = f"{int(at)}.{hashlib.sha256(key.encode()).hexdigest()[:24]}.pybots"
    target = folder / "new" / name
    if target.exists() or list((folder / "cur").glob(f"{name}:*")):
        return target
    temporary = folder / "tmp" / name
    # A Maildir holds messages as this system writes text: without carriage returns.
    data = message.replace(b"\r\n", b"\n")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)
    return target
