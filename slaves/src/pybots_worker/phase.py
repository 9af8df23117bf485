"""One phase of a job as a process: `python -m pybots_worker.phase <workshop root> <run>-<attempt> <phase>`.

The log goes to stdout and stderr, the result to phases/<phase>.json. SIGTERM cancels: the sandbox's tree is killed
and the result says so. Exit status: 0 the phase is ok, 1 it is not, 2 the kit itself failed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast, get_args

from pybots_worker import contract, settings
from pybots_worker.engine import Workshop

OK, NOT_OK, KIT_ERROR = 0, 1, 2
PHASES: Final = get_args(contract.Phase)
CANCEL_SECONDS: Final = 4.0
"""What the sandbox's tree has time for to end, before this process does (and the tree with it)."""


def main(arguments: Sequence[str]) -> int:
    """Run the phase; the exit status."""
    if len(arguments) != 3 or arguments[2] not in PHASES:
        sys.stderr.write("usage: python -m pybots_worker.phase ROOT RUN-ATTEMPT PHASE\n")
        return KIT_ERROR
    root, name, phase = arguments
    return perform(lambda: open_workshop(Path(root)), name, phase)


def open_workshop(root: Path) -> Workshop:
    """The workshop of a process for jobs, which keeps to the processors that its owner gives. Raises SettingsError."""
    known = settings.load(root)
    allowed = sorted(os.sched_getaffinity(0))
    if 0 < known.cores < len(allowed):
        os.sched_setaffinity(0, allowed[-known.cores :])  # jobs inherit it
    return Workshop(root, known)


def perform(
    workshop: Callable[[], Workshop], name: str, phase: str, cancel: threading.Event | None = None
) -> int:
    """Run a phase of the job `name` in this process; the exit status. `cancel` is set when a signal ends it."""
    cancel = cancel or threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _end(cancel))
    try:
        shop = workshop()
        result = shop.run_phase(
            shop.folder(name), cast(contract.Phase, phase), to_standard_streams, cancel
        )
    except Exception:  # noqa: BLE001 - the process's edge: whoever started us must learn that the kit failed
        traceback.print_exc()
        return KIT_ERROR
    return OK if result.ok else NOT_OK


def _end(cancel: threading.Event) -> None:
    """Ask the phase to end; one that waits for the network doesn't hear it and is left behind."""
    cancel.set()
    last = threading.Timer(CANCEL_SECONDS, os._exit, (KIT_ERROR,))
    last.daemon = True
    last.start()


def to_standard_streams(stream: str, data: bytes) -> None:
    """The log as it comes; the kit's own remarks (`header`) among stdout.

    When nobody reads any more, a remark is dropped, and a job that still prints is ended by the error. Nothing is
    buffered: what is left in a buffer would change the exit status.
    """
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(2 if stream == "stderr" else 1, left) :]
    except BrokenPipeError:
        if stream != "header":
            raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
