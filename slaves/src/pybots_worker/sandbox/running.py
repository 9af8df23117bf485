"""Run one command in the sandbox, to its end."""

from __future__ import annotations

import threading

from .launch import SandboxTrouble, launched
from .model import Outcome, SandboxFacts, SandboxSpec, Sink
from .watch import Watch


def run(
    spec: SandboxSpec, *, facts: SandboxFacts, sink: Sink, cancel: threading.Event | None = None
) -> Outcome:
    """Run it, blocking; when this returns (or raises), nothing of it is alive any more.

    Call it from a plain process and a thread that lives as long as the run: the kernel kills the tree when the
    thread that started it dies. `sink` is called from this thread, with at most 1 MiB at a time; while it works,
    the job's output waits. Never raises for what the job does; an error of the sink's passes through.
    """
    if not facts.usable:
        reasons = "; ".join(problem.what for problem in facts.problems)
        return _refused(f"refused: there is no sandbox here ({reasons})")
    try:
        with launched(spec, facts) as child:
            return Watch(child, spec, facts, sink, cancel).run()
    except SandboxTrouble as trouble:
        return _refused(str(trouble))


def _refused(why: str) -> Outcome:
    return Outcome(
        exit_code=None,
        signal=None,
        ended="sandbox_error",
        wall_seconds=0.0,
        cpu_seconds=0.0,
        peak_memory_bytes=None,
        detail=why,
    )
