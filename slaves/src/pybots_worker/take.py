"""Reading what a job left behind. It may have put links, pipes or gigabytes there."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class NotTakenError(Exception):
    """The file is not a plain file of reasonable size inside the job's folder; the text says which it is."""


def take(root: Path, path: Path, limit: int) -> bytes:
    """The bytes of the plain file `path`, which must lie below `root` when all links are followed.

    Raises FileNotFoundError when there is nothing, NotTakenError when it is not to be read. Call it when the job's
    processes are gone: nobody can exchange the file meanwhile.
    """
    try:
        real = path.resolve()
    except (OSError, RuntimeError) as error:  # a circle of links
        raise NotTakenError(f"{path.name} is a link that leads nowhere") from error
    if not real.is_relative_to(root.resolve()):
        raise NotTakenError(f"{path.name} is a link out of the job's folder")
    # A pipe would block for ever without O_NONBLOCK.
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NotTakenError(f"{path.name}: {error.strerror}") from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise NotTakenError(f"{path.name} is not a file")
    with os.fdopen(descriptor, "rb") as file:
        if found.st_size > limit:
            raise NotTakenError(f"{path.name} has {found.st_size} bytes, {limit} are read")
        return file.read(limit)
