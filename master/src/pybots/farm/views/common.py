"""What several views share: who asks, what is missing, and rows of the ledger as rows of the theme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Select, and_, select

from pybots.ledger import schema
from pybots_status.pages import RunRow, State, TestCounts, Theme
from pybots_status.states import STATES

runs, attempts, lanes = schema.runs, schema.attempts, schema.lanes
commits, interpreters = schema.commits, schema.interpreters

INTERPRETER: Final = "python"
UNDER_WAY: Final = ("wanted", "dispatched", "running")
_ON_THE_WAY: Final[Mapping[str, State]] = {
    "running": "running",
    "done": "unknown",
    "dropped": "none",
}
_COUNTS: Final = frozenset(field.name for field in fields(TestCounts))


class Missing(Exception):
    """What was asked for is not in the ledger. `hint` says where to look instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A reader's request, already made canonical. `reload`: seconds asked for, None: the page decides."""

    here: str = "/"
    branch: str = ""
    theme: Theme = ""
    reload: int | None = None


def state(word: str | None) -> State:
    """A word of the ledger as a state of the theme; one it doesn't know is `unknown`, never green."""
    return word if word in STATES else "unknown"


def run_state(run_state: str, verdict: str | None) -> State:
    """How a run looks: its verdict when it has one, else where it is on its way."""
    if verdict:
        return state(verdict)
    return _ON_THE_WAY.get(run_state, "queued")


def counts(stored: Mapping[str, int] | None) -> TestCounts | None:
    """The run's counts; keys the theme doesn't know are left out."""
    if not stored:
        return None
    return TestCounts(**{name: int(value) for name, value in stored.items() if name in _COUNTS})


def select_runs(*more: Any) -> Select[Any]:
    """Runs with all that `run_row` shows, and further columns; the last attempt names the worker."""
    return (
        select(
            runs.c.id, runs.c.kind, runs.c.lane_id, runs.c.interpreter_id, runs.c.commit_id,
            runs.c.branch, runs.c.position, runs.c.purpose, runs.c.revision_label, runs.c.state,
            runs.c.verdict, runs.c.failure_kind, runs.c.summary, runs.c.counts, runs.c.created,
            runs.c.started, runs.c.finished, runs.c.tries, runs.c.report, runs.c.phase_seconds,
            lanes.c.slug, lanes.c.project, lanes.c.source,
            commits.c.sha, commits.c.title,
            interpreters.c.flavour, interpreters.c.platform,
            attempts.c.worker, *more,
        )
        .join(commits, commits.c.id == runs.c.commit_id)
        .join(interpreters, interpreters.c.id == runs.c.interpreter_id)
        .join(lanes, lanes.c.id == runs.c.lane_id, isouter=True)
        .join(
            attempts,
            and_(attempts.c.run_id == runs.c.id, attempts.c.number == runs.c.tries),
            isouter=True,
        )
    )  # fmt: skip


def build_slug(branch: str, flavour: str, platform: str) -> str:
    """The builds of an interpreter have a slug like a lane: `python.<branch>.<flavour>.<platform>`."""
    return ".".join((INTERPRETER, branch, flavour, platform))


def run_row(row: Any) -> RunRow:
    """A row of `select_runs` as the theme shows it."""
    return RunRow(
        id=row.id,
        state=run_state(row.state, row.verdict),
        kind="interpreter" if row.kind == "interpreter" else "project",
        project=row.project or "",
        source=row.source or "",
        lane=row.slug or build_slug(row.branch, row.flavour, row.platform),
        branch=row.branch,
        flavour=row.flavour,
        platform=row.platform,
        sha=row.sha,
        commit_title=row.title,
        revision=row.revision_label or "",
        purpose=row.purpose,
        worker=row.worker or "",
        started=row.started,
        seconds=seconds(row.started, row.finished),
        counts=counts(row.counts),
        summary=row.summary,
    )


def seconds(started: float | None, finished: float | None) -> float | None:
    """How long something took; None while it runs. A clock that went back makes it 0."""
    return None if started is None or finished is None else max(0.0, finished - started)


def path_prefix(url: str) -> str:
    """What stands before every local link: the path of the farm's public address (`/pybots`), usually nothing."""
    return urlsplit(url).path.rstrip("/")
