"""The JSON of `/api/v1/…`: the same facts as the pages, for programs. Keys are only ever added within v1.

Times are seconds since the epoch in UTC. Verdicts and states are the words of DESIGN §2.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from pybots.farm.home import Farm
from pybots.farm.views import history
from pybots.farm.views.builds import last_builds
from pybots.farm.views.common import Missing, runs, select_runs
from pybots.farm.views.console import now_state
from pybots.farm.views.frame import branches, default_branch, master_seen, tally

VERSION = 1


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
     "created", "started" or null, "finished" or null, "report": path or null}"""
    with farm.ledger.read() as connection:
        row = connection.execute(select_runs().where(runs.c.id == number)).first()
    if row is None:
        raise Missing(f"there is no run {number}")
    return {"version": VERSION, **_run(row)}


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
