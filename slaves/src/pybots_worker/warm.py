"""A phase's process, started before it is needed: `python -m pybots_worker.warm <workshop root>`.

Starting Python, importing the kit and probing the sandbox take about 0.4 s, which a build would pay for each of its
phases. The bot starts the next phase's process while the phase before it runs; it waits for one line on stdin,
`<run>-<attempt> <phase>`, and is `pybots_worker.phase` from then on. The end of stdin without a line ends it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pybots_worker import phase, settings
from pybots_worker.engine import Workshop

_PR_SET_PDEATHSIG: Final = 1


def main(arguments: Sequence[str]) -> int:
    """Get ready, wait for the order, carry it out; the exit status of `phase`."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m pybots_worker.warm ROOT\n")
        return phase.KIT_ERROR
    leave_with_parent()
    root = Path(arguments[0])
    workshop = Workshop(root, settings.load(root))
    _ = workshop.machine  # measured and probed now, not when the order comes
    order = sys.stdin.readline().split()
    if not order:
        return phase.OK
    if len(order) != 2 or order[1] not in phase.PHASES:
        sys.stderr.write("an order is a job's name and a phase\n")
        return phase.KIT_ERROR
    return phase.perform(lambda: workshop, *order)


def leave_with_parent() -> None:
    """Lead a process group of our own, and be told to end when the bot dies, however it dies (Linux)."""
    with contextlib.suppress(PermissionError):  # we lead one already
        os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
