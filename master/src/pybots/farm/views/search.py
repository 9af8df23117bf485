"""What the investigator did about a breakage, for its page: the newest investigation with its probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, and_, func, select

from pybots.farm import findings
from pybots.farm.views.common import commits, runs
from pybots.ledger import schema
from pybots_status.pages import EvidenceRow, ProbeRow, Search, State

investigations, probes = schema.investigations, schema.probes

MAX_PROBES: Final = 100
MAX_EVIDENCE: Final = 40
STATUS: Final[Mapping[str, str]] = {
    "confirmed": "one change did it, and its parent did not",
    "range": "one of several changes did it",
    "axis": "what kind of change did it is known, no more",
    "flaky": "chance: a test that fails now and then",
    "environment": "the environment changed",
    "undecided": "it could not be told",
    "overtaken": "left alone",
}
STAGES: Final = {"cross": "which kind of change", "search": "which change", "confirm": "the proof"}
SAID: Final[Mapping[str, tuple[State, str]]] = {
    "good": ("passed", "passes"),
    "bad": ("new_failure", "fails"),
    "skip": ("unknown", "says nothing"),
    "lost": ("infra", "lost by the farm"),
}
UNDER_WAY: Final[tuple[State, str]] = ("running", "under way")
UNANSWERED: Final[Mapping[str, tuple[State, str]]] = {
    "wanted": ("queued", "waits for a worker"),
    "dropped": ("unknown", "given up before it ran"),
}
"""Of a probe without an outcome, by the state of its run; else it is under way."""


def search(connection: Connection, breakage: Any) -> Search | None:
    """The newest investigation of a row of `breakages`; None: nobody has looked into it."""
    row = findings.newest(connection, breakage.id)
    if row is None:
        return None
    announced = row.announced or {}
    found = _probes(connection, row.id)
    total = connection.scalar(
        select(func.count()).where(probes.c.investigation_id == row.id)
    ) or 0  # fmt: skip
    going = row.state == "going"
    return Search(
        status="being looked into" if going else STATUS.get(row.status, row.status or "ended"),
        going=going,
        reason=row.reason.rstrip("."),
        confidence=f"{100 * row.confidence:.1f} %" if row.confidence else "",
        began=row.begun,
        ended=row.ended,
        evidence=tuple(_evidence(line) for line in (row.evidence or ())[:MAX_EVIDENCE]),
        probes=_shrinking(found, _ends(connection, row)),
        probes_left_out=total - len(found),
        announced=str(announced.get("quote", "")),
        announced_at=f"{announced['file']}:{announced['line']}" if announced else "",
    )


def _probes(connection: Connection, number: int) -> Sequence[Any]:
    return connection.execute(
        select(
            probes.c.run_id, probes.c.stage, probes.c.mix, probes.c.place, probes.c.why,
            probes.c.outcome, probes.c.worker, probes.c.answered, runs.c.position, runs.c.state, commits.c.sha,
        )
        .join(runs, runs.c.id == probes.c.run_id)
        .join(
            commits,
            and_(commits.c.branch == runs.c.branch, commits.c.position == runs.c.position),
            isouter=True,
        )
        .where(probes.c.investigation_id == number)
        .order_by(probes.c.id)
        .limit(MAX_PROBES)
    ).all()  # fmt: skip


def _ends(connection: Connection, row: Any) -> tuple[int, int]:
    """The positions of the good and of the bad run, between which the first bad commit lies."""
    found = dict(
        connection.execute(
            select(runs.c.id, runs.c.position).where(runs.c.id.in_((row.good_run, row.bad_run)))
        ).all()
    )
    return found.get(row.good_run, 0), found.get(row.bad_run, 0)


def _shrinking(found: Sequence[Any], ends: tuple[int, int]) -> tuple[ProbeRow, ...]:
    """The probes as they were asked for, each with the commits still in question once it had answered."""
    order = sorted(
        range(len(found)), key=lambda at: (found[at].answered is None, found[at].answered, at)
    )
    low, high = ends
    left: dict[int, int] = {}
    for at in order:
        one = found[at]
        if one.place is not None and list(one.mix) == ["interpreter"]:
            low = max(low, one.position) if one.outcome == "good" and one.position < high else low
            high = min(high, one.position) if one.outcome == "bad" and one.position > low else high
            left[at] = max(1, high - low)
    return tuple(_probe(one, left.get(at, 0)) for at, one in enumerate(found))


def _probe(one: Any, left: int) -> ProbeRow:
    if one.outcome is None:
        state, said = UNANSWERED.get(one.state, UNDER_WAY)
    else:
        state, said = SAID.get(one.outcome, SAID["skip"])
    return ProbeRow(
        run=one.run_id,
        state=state,
        said=said,
        why=one.why,
        stage=STAGES.get(one.stage, one.stage),
        sha=(one.sha or "") if "interpreter" in one.mix else "",
        worker=one.worker,
        answered=one.answered,
        left=left,
    )


def _evidence(line: Mapping[str, Any]) -> EvidenceRow:
    return EvidenceRow(
        what=str(line.get("what", "")),
        passed=int(line.get("passed", 0)),
        failed=int(line.get("failed", 0)),
        skipped=int(line.get("skipped", 0)),
        owners=tuple(str(name) for name in line.get("owners", ())),
        says=str(line.get("says", "")),
    )


def outcomes(found: Search | None) -> dict[str, tuple[State, str]]:
    """What the probes said of each commit, by sha: one that failed speaks before one that passed."""
    said: dict[str, tuple[State, str]] = {}
    for probe in found.probes if found else ():
        if probe.left and (probe.sha not in said or probe.state == "new_failure"):
            said[probe.sha] = (probe.state, f"{probe.said} in run {probe.run}")
    return said
