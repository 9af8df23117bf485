"""The JSON of `/api/v1/…`: the same facts as the pages, for programs. Keys are only ever added within v1.

Times are seconds since the epoch in UTC. Verdicts and states are the words of DESIGN §2.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, select, tuple_

from pybots.farm import capsules
from pybots.farm.home import Farm
from pybots.farm.views import history
from pybots.farm.views.banner import tally
from pybots.farm.views.builds import last_builds
from pybots.farm.views.common import Missing, lanes, runs, select_runs
from pybots.farm.views.console import now_state
from pybots.farm.views.frame import branches, default_branch, master_seen
from pybots.ledger import spans

VERSION = 1
MAX_CHANGES = 1000


def lanes_summary(farm: Farm, branch: str) -> dict[str, Any]:
    """`/api/v1/lanes?branch=`: the console's `now` row.

    {"version", "branch", "commit": newest sha or null, "master_seen": time or null,
     "interpreters": [{"platform", "flavour", "state", "run"}],
     "tally": {"passing", "new", "failing", "unknown"},
     "lanes": [{"id", "lane": slug, "project", "source", "flavour", "platform", "state", "reason", "verdict" or null,
                "run": id of the head or null, "position": its commit's position or null}]}"""
    shown = branch or default_branch(farm)
    with farm.ledger.read() as connection:
        newest = history.page_of_commits(connection, shown, limit=1)
        if not newest and shown not in branches(farm):
            raise Missing(f"no branch “{shown}” here")
        rows = history.branch_lanes(connection, shown)
        pending = history.pending(connection, shown)
        built = last_builds(connection, shown)
        counted = tally(connection, shown)
        seen = master_seen(connection)
    return {
        "version": VERSION,
        "branch": shown,
        "commit": newest[0].sha if newest else None,
        "master_seen": seen,
        "interpreters": [
            {
                "platform": column.platform,
                "flavour": column.flavour,
                "state": build.state,
                "run": build.run or None,
            }
            for column, build in sorted(built.items())
        ],
        "tally": {
            "passing": counted.passing,
            "new": counted.new,
            "failing": counted.failing,
            "unknown": counted.unknown,
        },
        "lanes": [_lane(row, pending) for row in rows],
    }


def _lane(row: Any, pending: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "lane": row.slug,
        "project": row.project,
        "source": row.source,
        "flavour": row.flavour,
        "platform": row.platform,
        "state": now_state(row.verdict, pending.get(row.id), row.state),
        "reason": row.reason,
        "verdict": row.verdict,
        "run": row.head_run,
        "position": row.head_position,
    }


def run(farm: Farm, number: int) -> dict[str, Any]:
    """`/api/v1/run/<id>`.

    {"version", "id", "kind", "state", "verdict" or null, "failure_kind" or null, "summary", "purpose", "lane": slug or
     null, "project" or null, "source" or null, "branch", "flavour", "platform", "commit", "position",
     "revision" or null, "counts" or null, "seconds": {phase: seconds} or null, "worker" or null, "tries",
     "created", "started" or null, "finished" or null, "report": path or null, "subject": the run that a control
     (purpose "control"), or its own combination once more ("retry"), answers for or null, "good_run": the run it does once
     more or null}"""
    with farm.ledger.read() as connection:
        row = connection.execute(
            select_runs(runs.c.subject, runs.c.good_run).where(runs.c.id == number)
        ).first()
    if row is None:
        raise Missing(f"there is no run {number}")
    return {"version": VERSION, **_run(row), "subject": row.subject, "good_run": row.good_run}


def _run(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "state": row.state,
        "verdict": row.verdict,
        "failure_kind": row.failure_kind,
        "summary": row.summary,
        "purpose": row.purpose,
        "lane": row.slug,
        "project": row.project,
        "source": row.source,
        "branch": row.branch,
        "flavour": row.flavour,
        "platform": row.platform,
        "commit": row.sha,
        "position": row.position,
        "revision": row.revision_label,
        "counts": row.counts,
        "seconds": row.phase_seconds,
        "worker": row.worker,
        "tries": row.tries,
        "created": row.created,
        "started": row.started,
        "finished": row.finished,
        "report": f"/run/{row.id}/report" if row.report else None,
    }


def changes(farm: Farm, number: int, since: int = 0) -> dict[str, Any]:
    """`/api/v1/run/<id>/changes?from=<run>`: what changed in the lane between two runs.

    {"version", "lane": slug, "run", "since": the earlier run, by default the lane's routine run before; null: there is
     none, "total", "changes": [{"test", "before": outcome or null, "after": outcome or null, "differs": whether both
     are bad, with another failure}]}; at most 1,000, by name. null: not known there."""
    with farm.ledger.read() as connection:
        row = _routine(connection, number)
        before = _routine(connection, since) if since else _before(connection, row)
        if before is not None and before.lane_id != row.lane_id:
            raise Missing(f"run {since} belongs to another lane", "both must be runs of one lane")
        places = sorted(
            (item for item in (before, row) if item), key=lambda item: (item.position, item.id)
        )
        found = (
            spans.changed_between(connection, _place(places[0]), _place(places[1]))
            if before
            else []
        )
    return {
        "version": VERSION,
        "lane": row.slug,
        "run": places[-1].id,
        "since": places[0].id if before else None,
        "total": len(found),
        "changes": [
            {
                "test": one.test,
                "before": one.before and one.before[0],
                "after": one.after and one.after[0],
                "differs": bool(
                    one.before and one.after and one.before[1] and one.after[1]
                    and one.before[1] != one.after[1]
                ),
            }
            for one in found[:MAX_CHANGES]
        ],
    }  # fmt: skip


def _routine(connection: Connection, number: int) -> Any:
    """A routine run of a lane, which is what spans are made of. Raises Missing."""
    row = connection.execute(
        select_runs().where(
            runs.c.id == number, runs.c.lane_id.is_not(None), runs.c.purpose == "routine"
        )
    ).first()
    if row is None:
        raise Missing(f"there is no routine run {number} of a project")
    return row


def _before(connection: Connection, row: Any) -> Any:
    """The lane's run before this one, in the order of commits."""
    order = (runs.c.position.desc(), runs.c.id.desc())
    return connection.execute(
        select_runs()
        .where(
            runs.c.lane_id == row.lane_id,
            runs.c.purpose == "routine",
            runs.c.state == "done",
            tuple_(runs.c.position, runs.c.id) < tuple_(row.position, row.id),
        )
        .order_by(*order)
        .limit(1)
    ).first()


def _place(row: Any) -> spans.Place:
    return spans.Place(lane=row.lane_id, run=row.id, position=row.position)


def lane(farm: Farm, name: str) -> dict[str, Any]:
    """`/api/v1/lane/<slug or id>`: what fails in the lane now and since when, and how flaky its tests are.

    {"version", "id", "lane": slug, "verdict" or null, "run": id of the head or null, "runs": conclusive ones so far,
     "failing": number of ids, "tests": [{"test", "since_run", "since_position"}] (the first 1,000 by name),
     "flaky": [{"test", "rate", "events", "runs", "quiet"}]}"""
    key = (
        lanes.c.id == int(name)
        if name.isascii() and name.isdigit() and len(name) < 16
        else lanes.c.slug == name
    )
    with farm.ledger.read() as connection:
        row = connection.execute(select(lanes).where(key)).first()
        if row is None:
            raise Missing(f"there is no lane “{name[:200]}”", "/api/v1/lanes lists them")
        total = spans.count_bad(connection, row.id)
        failing = spans.failing_now(connection, row.id, limit=MAX_CHANGES)
        flaky = spans.flakiness(connection, row.id)
    return {
        "version": VERSION,
        "id": row.id,
        "lane": row.slug,
        "verdict": row.verdict,
        "run": row.head_run,
        "runs": row.counted,
        "failing": total,
        "tests": [
            {"test": one.test, "since_run": one.since.run, "since_position": one.since.position}
            for one in failing
        ],
        "flaky": [
            {
                "test": one.test,
                "rate": round(one.rate, 4),
                "events": one.events,
                "runs": one.runs,
                "quiet": one.quiet,
            }
            for one in flaky
        ],
    }


def commit(farm: Farm, sha: str) -> dict[str, Any]:
    """`/api/v1/commit/<sha or unique prefix>`.

    {"version", "sha", "branch", "position", "author", "title", "committed", "seen", "runs": [as in run()]}: the runs made
    for this very commit."""
    with farm.ledger.read() as connection:
        row = history.find(connection, sha.lower(), branches(farm))
        found = connection.execute(
            select_runs()
            .where(runs.c.commit_id == row.id, runs.c.state != "dropped")
            .order_by(runs.c.id)
            .limit(1000)
        ).all()
    return {
        "version": VERSION,
        "sha": row.sha,
        "branch": row.branch,
        "position": row.position,
        "author": row.author,
        "title": row.title,
        "committed": row.committed,
        "seen": row.seen,
        "runs": [_run(item) for item in found],
    }


def report_blob(farm: Farm, number: int) -> str:
    """The digest of a run's recorded report. Raises Missing."""
    with farm.ledger.read() as connection:
        blob = connection.scalar(select(runs.c.report).where(runs.c.id == number))
    if not blob:
        raise Missing(f"run {number} has no report")
    return str(blob)


def capsule(farm: Farm, number: int) -> dict[str, Any]:
    """`/breakage/<id>/capsule.json`: the file that `pybots reproduce` runs again (farm.capsules). Raises Missing."""
    try:
        made = msgspec.to_builtins(capsules.of_breakage(farm, number))
    except capsules.CapsuleError as error:
        raise Missing(str(error)) from error
    assert isinstance(made, dict)
    return made
