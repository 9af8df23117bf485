"""Running other people's code on a volunteer's machine: shut in, capped, and gone when it ends.

    facts = probe()
    outcome = run(SandboxSpec(...), facts=facts, sink=print_it)

`model` has the words, `argv` the walls, `cgroups`, `meters` and `disk` the caps, `launch` and `watch` one run.
"""

from .inside import HOME, TMP, base_env, job_ids, own
from .model import (
    Ended,
    Limits,
    Mount,
    Outcome,
    Problem,
    Rung,
    SandboxFacts,
    SandboxSpec,
    Sink,
    Stream,
)
from .probing import probe
from .running import run

__all__ = [
    "HOME",
    "TMP",
    "Ended",
    "Limits",
    "Mount",
    "Outcome",
    "Problem",
    "Rung",
    "SandboxFacts",
    "SandboxSpec",
    "Sink",
    "Stream",
    "base_env",
    "job_ids",
    "own",
    "probe",
    "run",
]
