"""`/breakage/<id>`: one confirmed change for the worse, from first seen to fixed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, select

from pybots.core.dispositions import WORDS
from pybots.core.outcomes import is_test
from pybots.farm import again, answers, findings, stories
from pybots.farm.home import Farm
from pybots.farm.views import history
from pybots.farm.views.common import Missing, Visit, interpreters, lanes, runs, select_runs
from pybots.farm.views.frame import frame
from pybots.farm.views.lists import (
    breakage_rows,
    breakages,
    lane_row,
    mails_of_breakages,
    parts,
    reproduce,
    select_lanes,
)
from pybots.farm.views.reports import Digests
from pybots.farm.views.search import outcomes, search
from pybots.mail import issues
from pybots.mail.findings import percent, short
from pybots_status.pages import Breakage, CommitLine, Fact, IssueText, LaneRow, State

COMMIT: Final = "CPython commit"
AXES: Final = {
    "project": "the project itself:",
    "dependency": "a dependency:",
    "environment": "the environment",
    "flaky": "how flaky a test is",
}
CONTROLS: Final = {
    "wanted": "awaited",
    "green": "the last good combination still passes",
    "red": "the last good combination fails as well now",
    "none": "there was none, or it said nothing",
}
MAX_COMMITS: Final = 60
MAX_TESTS: Final = 300
MAX_TRACKERS: Final = 5
MAX_ERROR: Final = 4000


def breakage(farm: Farm, visit: Visit, number: int, digests: Digests) -> Breakage:
    """The page. Raises Missing."""
    with farm.ledger.read() as connection:
        row = connection.execute(select(breakages).where(breakages.c.id == number)).first()
        if row is None:
            raise Missing(f"there is no breakage {number}", "a project's page lists its breakages")
        members = connection.execute(
            select(parts).where(parts.c.breakage_id == number).order_by(parts.c.lane_id)
        ).all()
        first = connection.execute(
            select_runs(interpreters.c.recipe, interpreters.c.failure).where(
                runs.c.id == row.opened_run
            )
        ).first()
        suspects, left_out, good = _range(connection, row)
        found = search(connection, row)
        return Breakage(
            frame=frame(farm, connection, visit, title=f"Breakage {number}", branch=row.branch),
            row=breakage_rows(connection, [row], farm.clock())[0],
            signature=row.signature[:16],
            error=_evidence(first, members, digests),
            axis=_axis(row),
            culprit=_line(suspects[0], "new_failure") if _certain(row, suspects) else None,
            good=_line(good, "passed") if good is not None else None,
            commits=_probed(row, suspects, outcomes(found)),
            commits_left_out=left_out,
            lanes=_lanes(connection, members),
            tests=() if row.kind == "interpreter" else _tests(members),
            mails=mails_of_breakages(connection, [number], (farm.config.mail.list,)),
            facts=(
                *_facts(row, first, again.repeated(connection, row.opened_run), farm.clock()),
                *_mended(connection, row),
                *_skipped(connection, row, members),
            ),
            reproduce=reproduce(farm, first),
            issues=_issues(farm, connection, number),
            search=found,
            capsule=_capsule(row),
        )


def _range(connection: Connection, row: Any) -> tuple[list[Any], int, Any]:
    """The suspects, newest first, how many are not shown, and the last commit known to be good."""
    low = row.good_position if row.good_position is not None else row.bad_position - 1
    found = history.page_of_commits(
        connection, row.branch, top=row.bad_position, limit=MAX_COMMITS + 1
    )
    suspects = [item for item in found if item.position > low]
    good = next(
        iter(history.page_of_commits(connection, row.branch, top=low, limit=1)), None
    ) if row.good_position is not None else None  # fmt: skip
    total = row.bad_position - low
    return suspects[:MAX_COMMITS], max(0, total - MAX_COMMITS), good


def _axis(row: Any) -> str:
    """What changed, as far as it is known: no commit when the last good combination fails as well now."""
    if row.state == "dismissed" and row.axis == "flaky":
        return "nothing: it was chance"
    if row.axis and row.axis != "cpython":
        return f"{AXES.get(row.axis, row.axis)} {row.blamed}".strip()
    known = row.good_position is not None or row.axis == "cpython"
    return COMMIT if known and row.state != "dismissed" else ""


def _certain(row: Any, suspects: Sequence[Any]) -> bool:
    """One suspect alone is the culprit as far as commits go; more are a range."""
    return row.state in ("open", "fixed") and _axis(row) == COMMIT and len(suspects) == 1


def _capsule(row: Any) -> str:
    """Interpreters have none: their page names the commands that build them."""
    return "" if row.kind == "interpreter" else f"/breakage/{row.id}/capsule.json"


def _probed(
    row: Any, suspects: Sequence[Any], said: Mapping[str, tuple[State, str]]
) -> tuple[CommitLine, ...]:
    """The suspects with what probes said of them; the last one is where it was seen first."""
    lines = []
    for item in suspects:
        usual: tuple[State, str] = (
            ("new_failure", "") if item.position == row.bad_position else ("none", "")
        )
        state, note = said.get(item.sha, usual)
        lines.append(replace(_line(item, state), note=note))
    return tuple(lines)


def _line(row: Any, state: State) -> CommitLine:
    return CommitLine(
        sha=row.sha, title=row.title, author=row.author, when=row.committed, state=state
    )


def _lanes(connection: Connection, members: Sequence[Any]) -> tuple[LaneRow, ...]:
    opened = {item.lane_id: item.opened for item in members}
    rows = connection.execute(
        select_lanes().where(lanes.c.id.in_(list(opened))).order_by(lanes.c.slug)
    ).all()
    return tuple(lane_row(row, {}, opened[row.id]) for row in rows)


def _tests(members: Sequence[Any]) -> tuple[str, ...]:
    """The project's own tests; what the farm says of a suite as a whole has no name that anybody could run."""
    names = dict.fromkeys(str(name) for item in members for name in item.tests or ())
    return tuple(name for name in names if is_test(name))[:MAX_TESTS]


def _evidence(first: Any, members: Sequence[Any], digests: Digests) -> str:
    """What the first run that showed it said: a failing test's traceback, a build's last words."""
    if first is None:
        return ""
    if first.kind == "interpreter":
        return str((first.failure or {}).get("detail") or first.summary)[-MAX_ERROR:]
    digest = digests.get(first.report)
    mine = set(_tests(members))
    for test in digest.failures if digest else ():
        if test.id in mine and test.failure is not None:
            said = test.failure.detail or f"{test.failure.type}: {test.failure.message}"
            return f"{test.id}\n\n{said}"[:MAX_ERROR]
    return str(first.summary).removeprefix("new: ")


def _issues(farm: Farm, connection: Connection, number: int) -> tuple[IssueText, ...]:
    """Texts for CPython's tracker and for each project's own."""
    told = stories.of_breakage(farm, connection, number)
    if told is None:
        return ()
    title, body = issues.issue(told, about="python")
    found = [IssueText(tracker="CPython's tracker", href=issues.CPYTHON, title=title, body=body)]
    for project in told.projects()[:MAX_TRACKERS]:
        mine = tuple(row for row in told.rows if row.project == project)
        title, body = issues.issue(replace(told, rows=mine), about="project")
        tracker = f"{mine[0].title or project}'s tracker"
        found.append(IssueText(tracker=tracker, href=mine[0].tracker, title=title, body=body))
    return tuple(found)


def _answer(row: Any, now: float) -> list[Fact]:
    """What people said, as long as it holds; the address it came from is nobody's business."""
    said = answers.answered(row, now)
    words = WORDS.get(said.disposition, said.disposition)
    facts = [Fact(name="Disposition", value=words)]
    if said.person:
        facts.append(Fact(name="Looked after by", value=said.person))
    if said.issue:
        facts.append(Fact(name="Reported at", value=said.issue, href=said.issue))
    if said.note:
        facts.append(Fact(name="Note", value=said.note))
    if said.expires is not None:
        day = time.strftime("%Y-%m-%d", time.gmtime(said.expires))
        facts.append(Fact(name="Holds until", value=day))
    return facts


def _mended(connection: Connection, row: Any) -> list[Fact]:
    """By which change it was mended, where that is proved."""
    found = findings.mender(connection, row) if row.state == "fixed" else None
    if found is None:
        return []
    said = f"{short(found.id)} {found.title} ({percent(found.confidence)})"
    href = f"/commit/{found.id}" if found.axis == "cpython" else ""
    return [Fact(name="Fixed by", value=said, href=href)]


def _skipped(connection: Connection, row: Any, members: Sequence[Any]) -> list[Fact]:
    """What looks mended because it is not run."""
    number = (
        max(stories.skipped(connection, part.lane_id, part.tests or ()) for part in members)
        if row.state == "fixed" and members
        else 0
    )
    said = f"{number:,} of its tests, whether they would pass is not known"
    return [Fact(name="Skipped now", value=said)] if number else []


def _facts(row: Any, first: Any, more: Any, now: float) -> tuple[Fact, ...]:
    facts = _answer(row, now)
    if row.control in CONTROLS:
        href = f"/run/{row.control_run}" if row.control_run else ""
        facts.append(Fact(name="Control run", value=CONTROLS[row.control], href=href))
    if more is not None:
        said = "it passed" if more.verdict == "passed" else "it failed again"
        facts.append(Fact(name="The same once more", value=said, href=f"/run/{more.id}"))
    if row.reopened:
        facts.append(Fact(name="Came back", value=f"{row.reopened} times"))
    if row.trip:
        facts.append(Fact(name="Mail", value="a breaker saw it: most lanes turned red at once"))
    if first is not None:
        facts.append(Fact(name="First seen in", value=f"run {first.id}", href=f"/run/{first.id}"))
    if row.fixed_run:
        facts.append(
            Fact(name="Fixed in", value=f"run {row.fixed_run}", href=f"/run/{row.fixed_run}")
        )
    return tuple(facts)
