"""How a phase can fail, in the contract's words."""

from __future__ import annotations

from pybots_worker.contract import Ended, Failure


class PhaseFailed(Exception):
    """The job's own doing: a command that failed, an archive that is broken. `ended` says how."""

    def __init__(self, failure: Failure, ended: Ended = "exit") -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.ended = ended


class FarmTrouble(PhaseFailed):
    """The farm's or this machine's doing (download, upload, disk); never a project's fault."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(Failure(type=kind, message=message[-20_000:]), "farm_error")


class Cancelled(PhaseFailed):
    """The master or the owner does not want the result any more."""

    def __init__(self) -> None:
        super().__init__(Failure(type="Cancelled", message="cancelled"), "cancelled")


def failed(kind: str, message: str, detail: str = "") -> PhaseFailed:
    """A PhaseFailed from plain text, cut to the contract's sizes with the tail kept."""
    return PhaseFailed(
        Failure(type=kind[:4000], message=message[-20_000:], detail=detail[-20_000:])
    )
