"""Whose fault a phase's end is: the farm's own, the source's, or the job's, and in what words. Pure."""

from __future__ import annotations

import re
from typing import Final

from pybots.core.normal import one_line
from pybots_worker.contract import Failure, PhaseResult, Report

FARM_FAULTS: Final = frozenset({"sandbox_error", "farm_error", "cancelled"})
_NETWORK = re.compile(
    r"^\s*(?:error: |warning: |cause: |× |[├╰]─▶ |Caused by: ).*(?:error sending request|dns error|name resolution"
    r"|[Cc]onnection (?:refused|reset|closed|timed out)|operation timed out|tcp connect error|server error \(5\d\d)"
)
_FULL = re.compile(
    r"No space left on device|Disk quota exceeded|\b[Ee]rrno (?:28|122)\b|\bos error (?:28|122)\b"
)
_UNREACHABLE = re.compile(
    r"Temporary failure in name resolution|Name or service not known|\bErrno -[23]\]"
    r"|Network is unreachable|No route to host|\bErrno (?:101|113)\]"
)
_ENDED_WORDS: Final = {
    "signal": "Crash", "wall_timeout": "Timeout", "cpu_timeout": "Timeout", "memory": "OutOfMemory",
    "processes": "TooManyProcesses", "disk": "TooMuchDisk", "log": "TooMuchOutput",
}  # fmt: skip


def farm_fault(report: Report) -> str:
    """Why a project's report says nothing about the project: the worker's, network's or farm's fault. Else ''."""
    phases = {result.phase: result for result in report.phases}
    for result in report.phases:
        if result.ended in FARM_FAULTS or (result.phase == "interpreter" and not result.ok):
            return f"{result.phase}: {result.ended.replace('_', ' ')}{_said(result)}"
        if result.phase == "install" and not result.ok and (trouble := _trouble(result)):
            return f"install: {trouble}"
        if not result.ok:
            return ""
    missing = [name for name in ("install", "test") if name not in phases]
    return f"{missing[0]}: the report has no such phase" if missing else ""


def no_source(report: Report) -> str:
    """Why there was nothing to test: the project's source has gone or can't be used. Else ''."""
    for result in report.phases:
        if result.phase == "source" and not result.ok:
            return f"source: could not be had{_said(result)}"
    return ""


def _trouble(result: PhaseResult) -> str:
    """The installer's own complaint about network or disk, if that is why it failed.

    A job that fills more than its share is stopped before its machine's disk is full (`ended` is "disk" then)."""
    lines = (result.failure.detail if result.failure else "").splitlines()[-40:]
    for what, pattern in (("the network failed", _NETWORK), ("the disk is full", _FULL)):
        if said := next((one_line(line) for line in lines if pattern.search(line)), ""):
            return f"{what}: {said}"
    return ""


def of_machine(failure: Failure, *, network: bool) -> str:
    """Why a test's failure speaks of the machine and not of the code: its disk is full or, where tests may use the
    network at all (`network`), that is gone. Else ''."""
    said = f"{failure.type}: {failure.message}".split("\n", 1)[0][:1000]
    if _FULL.search(said):
        return "the disk is full"
    return "the network failed" if network and _UNREACHABLE.search(said) else ""


def _said(result: PhaseResult) -> str:
    said = result.failure.message.strip().splitlines() if result.failure else []
    return f": {said[0][:300]}" if said else ""


def phase_failure(phase: PhaseResult) -> Failure:
    """Why a phase failed, in its own words or, when it said nothing, in ours."""
    said = phase.failure or Failure()
    return Failure(
        type=said.type or _ENDED_WORDS.get(phase.ended, ""),
        message=said.message or _ended(phase),
        detail=said.detail,
    )


def _ended(phase: PhaseResult) -> str:
    if phase.ended == "exit":
        return f"{phase.phase} ended with exit status {phase.exit_code}"
    if phase.ended == "signal":
        return f"{phase.phase} was killed by signal {phase.signal}"
    return f"{phase.phase} was ended: {phase.ended.replace('_', ' ')}"
