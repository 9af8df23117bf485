"""The work phases: each is one function that takes a Context, and one Buildbot step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from pybots_worker.contract import InterpreterWork, Job, Phase
from pybots_worker.phases import build, configure, install, interpreter, source, test
from pybots_worker.phases.context import Context

Work = Callable[[Context], None]

INTERPRETER: Final[Mapping[Phase, Work]] = {
    "source": source.fetch_cpython,
    "configure": configure.configure,
    "compile": build.compile_,
    "install": build.install,
    "publish": build.publish,
}
PROJECT: Final[Mapping[Phase, Work]] = {
    "interpreter": interpreter.get,
    "source": source.fetch_project,
    "install": install.install,
    "test": test.test,
}


def work_of(job: Job, phase: Phase) -> Work:
    """What a phase does; `report` is the engine's own."""
    table = INTERPRETER if isinstance(job.work, InterpreterWork) else PROJECT
    return table[phase]
