"""What a lane knew before a run: its states, the past of its flaky tests, and what else explains its failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from pybots.core.flaky import Past
from pybots.core.model import CONCLUSIVE, RED, IndexSource
from pybots.core.normal import plain
from pybots.core.outcomes import COMPLETE, TESTS, Bad, Observed, State, is_test
from pybots.core.verdict import LaneHistory
from pybots.farm.home import Farm
from pybots.ledger import breakages, schema, spans

runs, lanes = schema.runs, schema.lanes

WHOLE: Final = ("test", "hollow")
"""Kinds of failures that a run has to come through its suite to find; the others end it early."""
MAX_ASKED: Final = 500
"""More failing tests than these are no chance; their pasts are not looked up."""


def history(
    farm: Farm,
    connection: Connection,
    lane: Row[Any],
    run: Row[Any],
    observed: Observed,
    *,
    newest: bool,
) -> LaneHistory:
    """What the lane knew at the run's place: the open states, or for an older run the states as they were there."""
    if newest:
        states = spans.open_states(connection, lane.id)
        revision = _revision(connection, lane)
    else:
        states = spans.states_at(connection, lane.id, run.position)
        revision = run.revision_label
    changed = [n for n, bad in observed.bad.items() if _differs(states.get(n), bad)]
    return LaneHistory(
        states=states,
        compared=bool(states),
        complete=spans.ever(connection, lane.id, TESTS, COMPLETE) and TESTS in states,
        revision=revision,
        seen=spans.signatures_since_good(connection, lane.id, changed) if newest else {},
        blocked=breakages.blocked(connection, lane.id),
        red_dependencies=_red_dependencies(farm, connection, lane, run, observed),
        flaky=_pasts(connection, lane, observed),
        fleeting=spans.never_good(connection, lane.id, _gone(states, observed)),
    )


def _revision(connection: Connection, lane: Row[Any]) -> str | None:
    """The project's revision that the lane's states are of: of its last run that came through the whole suite. A revision
    that only failed to install has not shown yet which tests it has."""
    if lane.head_run is None:
        return None
    found: str | None = connection.scalar(
        select(runs.c.revision_label)
        .where(
            runs.c.lane_id == lane.id, runs.c.position <= lane.head_position,
            runs.c.purpose == "routine", runs.c.verdict.in_((*CONCLUSIVE, "blocked")),
            runs.c.failure_kind.is_(None) | runs.c.failure_kind.in_(WHOLE),
        )
        .order_by(runs.c.position.desc(), runs.c.started.desc())
        .limit(1)
    )  # fmt: skip
    return found


def _gone(states: Mapping[str, State], observed: Observed) -> list[str]:
    """What was bad and is not there any more, although the suite ran to its end."""
    if not observed.complete:
        return []
    return [n for n, was in states.items() if was[1] and is_test(n) and n not in observed.states]


def _pasts(connection: Connection, lane: Row[Any], observed: Observed) -> dict[str, Past]:
    """Of the tests that may be flaky in this run. More failures than MAX_ASKED are no chance."""
    asked = [bad.id for bad in observed.bad.values() if bad.kind == "test"]
    asked = asked if len(asked) <= MAX_ASKED else []
    pasts = spans.pasts(connection, lane.id, [*asked, *observed.flaky], lane.counted + 1)
    unknown = [name for name in asked if not pasts[name].known]
    elsewhere = spans.flaky_elsewhere(connection, lane.id, unknown) if unknown else {}
    return pasts | {
        name: replace(pasts[name], elsewhere=counts) for name, counts in elsewhere.items()
    }


def _red_dependencies(
    farm: Farm, connection: Connection, lane: Row[Any], run: Row[Any], observed: Observed
) -> frozenset[str]:
    """The distributions blamed by this run that are registered projects and red themselves, on this very interpreter."""
    asked = {bad.dependency for bad in observed.bad.values() if bad.dependency}
    if not asked:
        return frozenset()
    names: dict[str, set[str]] = {}
    for project in farm.projects.values():
        known = {plain(project.name)} | {
            plain(source.name)
            for source in project.sources.values()
            if isinstance(source, IndexSource)
        }
        for name in known & asked:
            names.setdefault(project.name, set()).add(name)
    names.pop(lane.project, None)
    red = connection.scalars(
        select(lanes.c.project)
        .join(runs, runs.c.lane_id == lanes.c.id)
        .where(
            lanes.c.project.in_(names),
            runs.c.interpreter_id == run.interpreter_id,
            runs.c.purpose == "routine",
            runs.c.verdict.in_(RED),
        )
    )
    return frozenset(name for project in red for name in names[project])


def _differs(before: State | None, bad: Bad) -> bool:
    return before is not None and before[1] is not None and before[1] != bad.signature
