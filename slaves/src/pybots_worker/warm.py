"""The process of a job's phases, started before it is needed: `python -m pybots_worker.warm <workshop root>`.

Starting Python, importing the kit and probing the sandbox take about 0.4 s, which a build would pay for each of its
phases. The bot starts the process when a build comes, or while the one before it reports. Each line on stdin,
`<run>-<attempt> <phase>`, is done as `pybots_worker.phase` does it; then its exit status is written to TOLD, as a line.
The end of stdin ends it, and so does a phase that was cancelled.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pybots_worker import phase

_PR_SET_PDEATHSIG: Final = 1
TOLD: Final = 3
"""The file descriptor on which the bot hears that a phase is over, whose output is all written by then."""


def main(arguments: Sequence[str]) -> int:
    """Get ready, wait for orders, carry them out. The exit status is that of a phase that was cancelled, else 0."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m pybots_worker.warm ROOT\n")
        return phase.KIT_ERROR
    leave_with_parent()
    root = Path(arguments[0])
    workshop = phase.open_workshop(root)
    _ = workshop.machine  # measured and probed now, not when the order comes
    os.set_inheritable(TOLD, False)
    cancel = threading.Event()
    while (order := sys.stdin.readline().split()) and not cancel.is_set():
        if len(order) != 2 or order[1] not in phase.PHASES:
            sys.stderr.write("an order is a job's name and a phase\n")
            return phase.KIT_ERROR
        status = phase.perform(lambda: workshop, order[0], order[1], cancel)
        if cancel.is_set():
            return status
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.write(TOLD, f"{status}\n".encode())
    return phase.OK


def leave_with_parent() -> None:
    """Lead a process group of our own, and be told to end when the bot dies, however it dies (Linux)."""
    with contextlib.suppress(PermissionError):  # we lead one already
        os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
