"""The phases of an attempt, from what the ledger keeps while it runs: state, time, and how each one ended in words."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pybots_status.pages import Phase, State
from pybots_worker import contract

_LIMITS: Final[Mapping[str, str]] = {
    "wall_timeout": "stopped: it took longer than its limit",
    "cpu_timeout": "stopped: it used more processor time than its limit",
    "memory": "stopped: it used more memory than its limit",
    "processes": "stopped: it started more processes than its limit",
    "disk": "stopped: it wrote more to disk than its limit",
    "log": "stopped: it printed more than its limit",
    "cancelled": "cancelled",
    "cut_off": "the attempt ended here",
    "sandbox_error": "the sandbox failed: the farm's fault",
    "farm_error": "the farm failed (download, upload or disk)",
}
COMMAND_FAILED: Final = "CommandFailed"
"""The kit's name for a command that ended with another exit status than 0."""
MAX_ERROR: Final = 4000
FARM_FAULTS: Final = frozenset({"cancelled", "cut_off", "sandbox_error", "farm_error"})


def names(kind: str) -> tuple[str, ...]:
    """The phases of a kind of run, in order."""
    return contract.INTERPRETER_PHASES if kind == "interpreter" else contract.PROJECT_PHASES


def phases(
    kind: str,
    stored: Sequence[Mapping[str, Any]] | None,
    usual: Mapping[str, float] | None,
    *,
    attempt: str = "running",
) -> list[Phase]:
    """Every phase of the run, also those not reached. `stored`: attempts.phases; `usual`: seconds per phase last time.

    `attempt` is its state. Of a recorded one the report has come, so that phase was well: nobody writes that down, since
    the attempt ends with it. What still ran in one that is over was cut off."""
    known = {str(item.get("phase")): ended(item, attempt) for item in stored or ()}
    if attempt == "recorded":
        known.setdefault("report", {"state": "ok"})
    return [_phase(name, known.get(name, {}), (usual or {}).get(name)) for name in names(kind)]


def _phase(name: str, item: Mapping[str, Any], usual: float | None) -> Phase:
    failure = item.get("failure") or {}
    return Phase(
        name=name,
        state=state(item),
        meaning=meaning(item),
        seconds=item.get("wall_seconds"),
        usual=usual,
        cpu_seconds=item.get("cpu_seconds"),
        peak_memory=item.get("peak_memory_bytes"),
        error=_error(failure),
    )


def ended(item: Mapping[str, Any], attempt: str) -> Mapping[str, Any]:
    """The phase as it looks now that its attempt is in this state."""
    if item.get("state") == "running" and attempt not in ("dispatched", "running"):
        return {**item, "state": "failed", "ended": "cut_off"}
    return item


def state(item: Mapping[str, Any]) -> State:
    """How a phase looks."""
    word = item.get("state")
    if word == "running":
        return "running"
    if word == "ok":
        return "passed"
    if word == "failed":
        return "infra" if item.get("ended") in FARM_FAULTS else "new_failure"
    return "none"


def meaning(item: Mapping[str, Any]) -> str:
    """How a phase ended: `exit 1`, `killed by SIGSEGV`, the limit it ran into; "" before it did."""
    ended = str(item.get("ended") or "")
    if ended in _LIMITS:
        return _LIMITS[ended]
    if ended == "signal" or item.get("signal"):
        return f"killed by {_signal_name(item.get('signal'))}"
    code = item.get("exit_code")
    return "" if code is None else f"exit {code}"


def _signal_name(number: int | None) -> str:
    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return f"signal {number}"


def _error(failure: Mapping[str, Any]) -> str:
    """What went wrong. Of a command that failed its last words say more than its exit status, which stands beside it."""
    if failure.get("type") == COMMAND_FAILED and failure.get("detail"):
        return str(failure["detail"])[-MAX_ERROR:]
    parts = (failure.get("type"), failure.get("message"))
    return ": ".join(str(part) for part in parts if part)[:MAX_ERROR]
