"""The farm's processes with less patience: a silent worker is given up after seconds instead of a minute and a half.

Patience is counted in signs of life that stay out, not in seconds alone: workers give one each second here instead of
every twenty, so eight seconds are eight of them. Shortening the master's patience by itself makes every quiet phase on a
loaded machine look frozen: a phase that says nothing is heard only by these signs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pybots.supervisor import Program

SILENT_SECONDS: Final = 8.0
_MASTER: Final = f"""\
import sys
from pybots.glue import launch, steps
steps.SILENT_SECONDS, steps.CHECK_SECONDS = {SILENT_SECONDS}, 0.5
sys.exit(launch.main(sys.argv[1:]))
"""
_WORKER: Final = """\
import sys
from pybots_worker import cli, running
running.HEARTBEAT_SECONDS = 1.0
sys.exit(cli.main(sys.argv[1:]))
"""
_CODE: Final = {"pybots.glue.launch": _MASTER, "pybots_worker.cli": _WORKER}


def brisk(program: Program) -> Program:
    """The same program; master and workers with our lengths of time."""
    match program.arguments:
        case ("-m", module, *rest) if module in _CODE:
            return replace(program, arguments=("-c", _CODE[module], *rest))
    return program
