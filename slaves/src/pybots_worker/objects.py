"""Compiled objects of CPython that builds share: each sees them read-only, and only the kit adds to them.

    cache/ccache/<day>/ab/cdef…   entries of ccache's own file storage, each with ccache's checksum inside

What a build compiles itself is kept in its job's folder. When its interpreter has been built and installed, the kit takes
that over: plain files with ccache's names and form, bounded, never in place of an object that is there. So a build that
fails, is cancelled or killed leaves nothing, and none can change or remove what others compiled. What a build that ends
well says about a source that nobody compiled before is believed on this machine until the day is over: no longer.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from pybots_worker import layout
from pybots_worker.cache import remove, tree_bytes
from pybots_worker.take import NotTakenError, take

FOLDER: Final = re.compile(r"[0-9a-v]{2}")
NAME: Final = re.compile(r"[0-9a-v]{30,64}")
MAGIC: Final = b"\xcc\xac"
MANIFEST: Final = 1
"""The byte of its kind: it says which objects belong to a source and its headers, and grows; an object (0) never changes."""
MAX_ENTRY: Final = 16 << 20
MAX_ENTRIES: Final = 5000
"""Of one build. A build from nothing makes some 550."""
STORAGE: Final = f"file:{layout.CCACHE}|read-only"
OWN: Final = f"file:{layout.OBJECTS}"


def environment(*, shared: bool) -> dict[str, str]:
    """What tells ccache (4.4 and later) where to look and where to put. Older ones compile everything."""
    places = f"{STORAGE} {OWN}" if shared else OWN
    return {
        "CCACHE_DIR": layout.CCACHE_DIR,
        "CCACHE_NOSTATS": "1",
        "CCACHE_REMOTE_STORAGE": places,
        "CCACHE_SECONDARY_STORAGE": places,  # its name before 4.7
    }


def today(root: Path) -> Path:
    """The objects of this day (UTC), made when there are none; those of other days are removed."""
    folder = root / time.strftime("%Y-%m-%d", time.gmtime())
    if not folder.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        for old in list(root.iterdir()):
            if old != folder:  # another slot may have made it meanwhile, and be about to mount it
                remove(old)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    return folder


def take_over(work: Path, added: Path, shared: Path, limit: int, *, replace: bool = False) -> int:
    """Add what a build put into its folder `added` below `work`. Returns how many entries were taken.

    With `replace` also in place of objects that are there: the build has looked at none of them. `limit`: bytes of all
    objects together; beyond it one begins anew."""
    taken = 0
    for path in _entries(added):
        with suppress(FileNotFoundError, NotTakenError):
            data = take(work, path, MAX_ENTRY)
            if len(data) > len(MAGIC) + 1 and data.startswith(MAGIC):
                may = replace or data[3] == MANIFEST
                taken += _put(shared / path.parent.name / path.name, data, replace=may)
    if taken and tree_bytes(shared) > limit:
        for folder in list(
            shared.iterdir()
        ):  # it stays itself: another build may be about to mount it
            remove(folder)
    return taken


def _entries(added: Path) -> Iterator[Path]:
    """What has the names of entries, in no order, and not too much of it. Folders are real ones."""
    found = 0
    with suppress(OSError), os.scandir(added) as folders:
        for folder in folders:
            if not FOLDER.fullmatch(folder.name) or not folder.is_dir(follow_symlinks=False):
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    found += 1
                    if found > MAX_ENTRIES:
                        return
                    if NAME.fullmatch(entry.name):
                        yield Path(entry.path)


def _put(path: Path, data: bytes, *, replace: bool) -> bool:
    """Whole or not at all; another slot may do the same at the same time."""
    if path.exists() and not replace:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o755)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    part.write_bytes(data)
    part.chmod(0o644)
    part.replace(path)
    return True
