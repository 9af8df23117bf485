"""From commits to wanted runs to attempts: the ledger is the only queue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from tests.unit.ledgers import new_ledger

from pybots.config.farm import FarmConfig
from pybots.core.model import GitBranch, Project, Worker
from pybots.farm import dispatch, losses, phases, tokens, workers
from pybots.farm.dispatch import Slot
from pybots.farm.home import Farm, Folder
from pybots.farm.phases import Note
from pybots.farm.plan import Branch, plan
from pybots.ledger import schema
from pybots.store import Store, StoreFull
from pybots_worker import contract

SLOT = Slot(builder="linux-x86_64-1", worker="attic")
BRANCH = Branch(name="main", version=(3, 15))


def make_project(name: str = "anchor", **changes: Any) -> Project:
    plain = Project(
        name=name, title=name, sources={"trunk": GitBranch(url="/x")}, install=contract.Install(),
        test=contract.Test(runner="unittest"),
    )  # fmt: skip
    return replace(plain, **changes)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    folder = Folder(tmp_path)
    ledger = new_ledger(folder.ledger)
    tokens.make_key(folder.secrets)
    made = Farm(
        folder=folder, config=FarmConfig(), projects={"anchor": make_project()}, ledger=ledger,
        store=Store(folder.store, reserve=0), clock=Clock(),
    )  # fmt: skip
    add_source(made, "anchor")
    workers.enrol(made, Worker(name="attic", platform="linux-x86_64", abi="debian-12-x86_64"))
    yield made
    ledger.close()


def add_source(farm: Farm, project: str, label: str = "main@1") -> None:
    source = {"kind": "git", "url": "file:///x", "commit": "a" * 40}
    values = {"label": label, "revision": source, "checked": 0.0}
    with farm.ledger.write() as connection:
        connection.execute(schema.sources.delete().where(schema.sources.c.project == project))
        connection.execute(insert(schema.sources).values(project=project, source="trunk", **values))


def add_commit(farm: Farm, position: int, content: str = "") -> None:
    with farm.ledger.write() as connection:
        connection.execute(
            insert(schema.commits).values(
                branch="main", position=position, sha=f"{position:040x}", author="Ada", email="ada@example.org",
                committed=0.0, title=f"Commit {position}", message="", files=[], seen=0.0,
                content_key=content or f"{position:064x}",
            )
        )  # fmt: skip


def do_plan(farm: Farm) -> list[int]:
    with farm.ledger.write() as connection:
        return plan(farm, connection, BRANCH, farm.clock())


def rows(farm: Farm, table: Any, *where: Any) -> list[Any]:
    with farm.ledger.read() as connection:
        return list(connection.execute(select(table).where(*where)).all())


def runs(farm: Farm, kind: str = "project", state: str = "wanted") -> list[Any]:
    return rows(farm, schema.runs, schema.runs.c.kind == kind, schema.runs.c.state == state)


def change(farm: Farm, table: Any, **values: Any) -> None:
    with farm.ledger.write() as connection:
        connection.execute(update(table).values(**values))


def publish(farm: Farm) -> None:
    change(farm, schema.interpreters, state="published", blob="b" * 64, size=3)
    with farm.ledger.write() as connection:
        builds = schema.runs.c.kind == "interpreter"
        connection.execute(update(schema.runs).where(builds).values(state="done", verdict="passed"))


def finish(farm: Farm, run: int, verdict: str = "passed") -> None:
    """What `record` does, as far as planning can see it."""
    with farm.ledger.write() as connection:
        connection.execute(
            update(schema.runs).where(schema.runs.c.id == run).values(state="done", verdict=verdict)
        )
        connection.execute(update(schema.lanes).values(head_run=run))


def test_a_new_lane_wants_the_head_and_one_earlier_commit(farm: Farm) -> None:
    for position in (1, 2, 3):
        add_commit(farm, position)
    do_plan(farm)
    assert sorted(run.position for run in runs(farm)) == [2, 3]
    assert len(runs(farm, "interpreter")) == 2
    assert {cell.state for cell in rows(farm, schema.cells)} == {"queued"}


def test_planning_twice_plans_nothing_new(farm: Farm) -> None:
    add_commit(farm, 1)
    assert len(do_plan(farm)) == 1
    assert do_plan(farm) == []
    assert len(runs(farm)) == len(runs(farm, "interpreter")) == 1


def test_the_earlier_commit_is_one_with_another_interpreter(farm: Farm) -> None:
    add_commit(farm, 1, "a" * 64)
    add_commit(farm, 2, "b" * 64)
    add_commit(farm, 3, "b" * 64)
    do_plan(farm)
    assert sorted(run.position for run in runs(farm)) == [1, 3]


def test_a_documentation_only_commit_costs_no_run_and_shows_the_same_one(farm: Farm) -> None:
    add_commit(farm, 1, "a" * 64)
    (run,) = do_plan(farm)
    finish(farm, run)
    add_commit(farm, 2, "a" * 64)
    assert do_plan(farm) == []
    cells = rows(farm, schema.cells)
    assert [(cell.position, cell.run_id) for cell in cells] == [(1, run), (2, run)]
    assert cells[1].state == "passed"


def test_a_revert_is_run_although_its_interpreter_was_tested_before(farm: Farm) -> None:
    """Only a run on the new head shows that the trouble is gone."""
    for position, content in ((1, "a" * 64), (2, "b" * 64)):
        add_commit(farm, position, content)
        do_plan(farm)
        (run,) = runs(farm)
        finish(farm, run.id, "passed" if position == 1 else "new_failure")
    publish(farm)
    add_commit(farm, 3, "a" * 64)
    (again,) = do_plan(farm)
    assert (
        runs(farm)[0].interpreter_id
        == rows(farm, schema.runs, schema.runs.c.position == 1)[0].interpreter_id
    )
    assert rows(farm, schema.cells, schema.cells.c.position == 3)[0].run_id == again
    assert runs(farm, "interpreter") == [], "nothing is built again"


def test_content_that_did_not_build_is_built_again_when_it_lands_again(farm: Farm) -> None:
    """Broken, reverted, and broken the same way: the second time is news too."""
    add_commit(farm, 1, "a" * 64)
    (good,) = do_plan(farm)
    publish(farm)
    finish(farm, good)
    add_commit(farm, 2, "b" * 64)
    do_plan(farm)
    broken = runs(farm, "interpreter")[0].interpreter_id
    with farm.ledger.write() as connection:
        connection.execute(
            update(schema.runs)
            .where(schema.runs.c.position == 2)
            .values(state="done", verdict="new_failure", finished=1.0)
        )
        connection.execute(
            update(schema.interpreters)
            .where(schema.interpreters.c.id == broken)
            .values(state="failed")
        )
    assert do_plan(farm) == [], "not at every look at the heads"
    add_commit(farm, 3, "a" * 64)
    (again,) = do_plan(farm)
    finish(farm, again)
    add_commit(farm, 4, "b" * 64)
    assert len(do_plan(farm)) == 1
    assert [(run.interpreter_id, run.position) for run in runs(farm, "interpreter")] == [
        (broken, 4)
    ]


def test_a_new_lane_on_a_head_that_does_not_build_is_unknown_there(farm: Farm) -> None:
    """Its earlier commit's green run must not be the last word."""
    for position in (1, 2):
        add_commit(farm, position)
    do_plan(farm)
    with farm.ledger.write() as connection:
        head = schema.interpreters.c.commit_id == 2
        connection.execute(update(schema.interpreters).where(head).values(state="failed"))
    farm = replace(farm, projects={**farm.projects, "buoy": make_project("buoy")})
    add_source(farm, "buoy")
    for _ in range(2):
        do_plan(farm)
        change(farm, schema.runs, finished=farm.clock() - 4000)
    lane = rows(farm, schema.lanes, schema.lanes.c.project == "buoy")[0].id
    made = rows(farm, schema.runs, schema.runs.c.lane_id == lane)
    assert sorted((run.position, run.state, run.verdict) for run in made) == [
        (1, "wanted", None),
        (2, "done", "unknown"),
    ]
    cells = rows(farm, schema.cells, schema.cells.c.lane_id == lane)
    assert sorted((cell.position, cell.state) for cell in cells) == [(1, "queued"), (2, "unknown")]


def test_what_the_farm_spoiled_is_wanted_again_after_a_while_only(farm: Farm) -> None:
    add_commit(farm, 1)
    (run,) = do_plan(farm)
    finish(farm, run, "infra")
    change(farm, schema.runs, finished=farm.clock())
    assert do_plan(farm) == []
    change(farm, schema.runs, finished=farm.clock() - 4000)
    assert len(do_plan(farm)) == 1


def test_a_new_revision_of_a_project_is_a_new_run_on_the_head(farm: Farm) -> None:
    add_commit(farm, 1)
    (first,) = do_plan(farm)
    finish(farm, first)
    add_source(farm, "anchor", "main@2")
    (second,) = do_plan(farm)
    assert second != first
    assert rows(farm, schema.cells)[0].run_id == second


def test_commits_that_arrive_faster_than_runs_are_coalesced(farm: Farm) -> None:
    for position in (1, 2):
        add_commit(farm, position)
    do_plan(farm)
    for position in (3, 4):
        add_commit(farm, position)
        do_plan(farm)
    assert sorted(run.position for run in runs(farm)) == [1, 4]
    waiting = {run.interpreter_id for run in runs(farm, "interpreter")}
    assert waiting == {run.interpreter_id for run in runs(farm)}, "nobody waits for dropped builds"
    assert sorted(cell.position for cell in rows(farm, schema.cells)) == [1, 4]


def test_commits_that_arrive_faster_than_builds_let_every_build_begun_be_used(farm: Farm) -> None:
    add_commit(farm, 1)
    (first,) = do_plan(farm)
    publish(farm)
    finish(farm, first)
    add_commit(farm, 2)
    do_plan(farm)
    (build,) = dispatch.next_dispatches(farm, [SLOT])
    for position in (3, 4):
        add_commit(farm, position)
        do_plan(farm)
    assert sorted(run.position for run in runs(farm)) == [2, 4]
    with farm.ledger.write() as connection:
        connection.execute(
            update(schema.interpreters)
            .where(schema.interpreters.c.commit_id == 2)
            .values(state="published", blob="b" * 64, size=3)
        )
        connection.execute(
            update(schema.runs).where(schema.runs.c.id == build.run).values(state="done")
        )
    (run,) = dispatch.next_dispatches(farm, [SLOT])
    assert run.sha == f"{2:040x}"


def test_a_run_whose_abi_no_worker_has_any_more_does_not_hold_its_lane_up(farm: Farm) -> None:
    """The only worker's machine was upgraded before the lane's first run."""
    add_commit(farm, 1)
    do_plan(farm)
    change(farm, schema.workers, abi="debian-13-x86_64")
    add_commit(farm, 2)
    do_plan(farm)
    waiting = {run.interpreter_id for run in runs(farm)}
    found = rows(farm, schema.interpreters, schema.interpreters.c.id.in_(waiting))
    assert {row.abi for row in found} == {"debian-13-x86_64"}


def test_nothing_waits_for_an_interpreter_that_the_farm_has_given_up(farm: Farm) -> None:
    add_commit(farm, 1)
    do_plan(farm)
    for _ in range(losses.MAX_LOST):
        (build,) = dispatch.next_dispatches(farm, [SLOT])
        dispatch.attempt_lost(farm, build.attempt, "the disk is full")
    farm = replace(farm, projects={**farm.projects, "buoy": make_project("buoy")})
    add_source(farm, "buoy")
    assert do_plan(farm) == []
    change(farm, schema.runs, finished=farm.clock() - 4000)
    assert len(do_plan(farm)) == 2
    assert len(runs(farm, "interpreter")) == 1


def test_a_lane_whose_facts_no_worker_has_is_shown_with_the_reason(farm: Farm) -> None:
    farm = replace(
        farm,
        projects={"anchor": make_project(wants=("g++",), services=("mariadb",), system=("libpq",))},
    )
    add_commit(farm, 1)
    assert do_plan(farm) == []
    (lane,) = rows(farm, schema.lanes)
    assert (lane.state, lane.reason) == (
        "no_worker",
        "no approved worker for linux-x86_64 with g++, service:mariadb, system:libpq",
    )


def test_a_flavour_the_branch_cannot_build_is_refused_with_a_reason(farm: Farm) -> None:
    config = FarmConfig.model_validate({"flavours": ["freethreaded"]})
    farm = replace(farm, config=config)
    add_commit(farm, 1)
    with farm.ledger.write() as connection:
        plan(farm, connection, Branch(name="main", version=(3, 11)), 1.0)
    (lane,) = rows(farm, schema.lanes)
    assert lane.state == "refused"
    assert "3.13" in lane.reason


def test_the_interpreter_is_built_before_its_lanes_run(farm: Farm) -> None:
    add_commit(farm, 1)
    do_plan(farm)
    (build,) = dispatch.next_dispatches(farm, [SLOT])
    assert build.virtual_builder == "python.main.release.linux-x86_64"
    assert dispatch.next_dispatches(farm, [SLOT]) == []
    publish(farm)
    (run,) = dispatch.next_dispatches(farm, [SLOT])
    assert run.virtual_builder == "anchor.trunk.main.release.linux-x86_64"
    assert run.external_id == f"pybots:{run.run}:1:{run.attempt}"


def test_a_paused_worker_gets_nothing(farm: Farm) -> None:
    add_commit(farm, 1)
    do_plan(farm)
    change(farm, schema.workers, state="paused")
    assert dispatch.next_dispatches(farm, [SLOT]) == []


def started(farm: Farm) -> tuple[dispatch.Dispatch, contract.Job]:
    add_commit(farm, 1)
    do_plan(farm)
    publish(farm)
    (made,) = dispatch.next_dispatches(farm, [SLOT])
    job = dispatch.start_attempt(farm, made.attempt, "http://127.0.0.1/1")
    assert job is not None
    return made, job


def test_a_started_attempt_gives_a_valid_job_and_shows_as_running(farm: Farm) -> None:
    made, job = started(farm)
    assert contract.decode_job(contract.encode(job)) == job
    assert (job.run, job.attempt, job.purpose) == (made.run, 1, "routine")
    assert rows(farm, schema.cells)[0].state == "running"
    grant = tokens.verify(tokens.load_key(farm.folder.secrets), job.report.token, now=farm.clock())
    assert (grant.run, grant.attempt, grant.kind) == (made.run, made.attempt, "report")


def test_an_attempt_starts_once(farm: Farm) -> None:
    made, _ = started(farm)
    assert dispatch.start_attempt(farm, made.attempt, "") is None
    assert dispatch.start_attempt(farm, 999, "") is None


def test_phases_are_kept_with_their_beginning(farm: Farm) -> None:
    made, _ = started(farm)
    phases.note(farm, made.attempt, [Note(phase="install", at=7.0)])
    (attempt,) = rows(farm, schema.attempts)
    assert attempt.phases == [{"phase": "install", "started": 7.0, "state": "running"}]
    result = contract.PhaseResult(
        phase="install", ok=True, ended="exit", wall_seconds=2.0, exit_code=0
    )
    ended = Note(phase="install", at=9.0, over=True, result=result)
    phases.note(farm, made.attempt, [ended, Note(phase="test", at=9.5)])
    (attempt,) = rows(farm, schema.attempts)
    assert attempt.phases == [
        {"phase": "install", "ok": True, "ended": "exit", "wall_seconds": 2.0, "exit_code": 0,
         "state": "ok", "started": 7.0},
        {"phase": "test", "started": 9.5, "state": "running"},
    ]  # fmt: skip


def test_of_an_attempt_that_has_ended_only_logs_are_kept(farm: Farm) -> None:
    made, _ = started(farm)
    dispatch.attempt_lost(farm, made.attempt, "the worker has gone")
    live = farm.store.live(made.attempt, "install")
    live.parent.mkdir(parents=True)
    live.write_bytes(b"hello")
    assert phases.note(farm, made.attempt, [Note(phase="install", at=9.0, over=True)]) == []
    (attempt,) = rows(farm, schema.attempts)
    assert attempt.phases == []
    assert [row.size for row in rows(farm, schema.logs)] == [5]
    assert not live.parent.exists()


def test_a_lost_attempt_is_made_again_three_times_at_most(farm: Farm) -> None:
    made, _ = started(farm)
    for number in (1, 2, 3):
        (attempt,) = rows(farm, schema.attempts, schema.attempts.c.state != "lost")
        assert attempt.number == number
        dispatch.attempt_lost(farm, attempt.id, "the worker has gone")
        dispatch.attempt_lost(farm, attempt.id, "said twice")
        if number < losses.MAX_LOST:
            assert len(dispatch.next_dispatches(farm, [SLOT])) == 1
    (run,) = rows(farm, schema.runs, schema.runs.c.id == made.run)
    assert (run.state, run.verdict, run.lost, run.summary) == (
        "done",
        "infra",
        3,
        "the worker has gone",
    )
    assert rows(farm, schema.cells)[0].state == "infra"
    assert dispatch.next_dispatches(farm, [SLOT]) == []


def test_restarts_of_the_master_cost_a_run_none_of_its_tries(farm: Farm) -> None:
    made, _ = started(farm)
    attempt = made.attempt
    for _ in range(2 * losses.MAX_LOST):
        dispatch.attempt_lost(farm, attempt, "the master was restarted", counts=False)
        (again,) = dispatch.next_dispatches(farm, [SLOT])
        attempt = again.attempt
    (run,) = rows(farm, schema.runs, schema.runs.c.id == made.run)
    assert (run.state, run.lost, run.tries) == ("dispatched", 0, 2 * losses.MAX_LOST + 1)


def test_runs_waiting_for_a_build_that_was_lost_end_as_unknown(farm: Farm) -> None:
    add_commit(farm, 1)
    do_plan(farm)
    for _ in range(losses.MAX_LOST):
        (build,) = dispatch.next_dispatches(farm, [SLOT])
        dispatch.attempt_lost(farm, build.attempt, "the disk is full")
    (run,) = runs(farm, state="done")
    assert run.verdict == "unknown"
    assert run.summary == "the interpreter could not be built: the disk is full"
    assert rows(farm, schema.cells)[0].state == "unknown"


def test_open_attempts_are_those_that_may_still_report(farm: Farm) -> None:
    made, _ = started(farm)
    (found,) = dispatch.open_attempts(farm)
    assert (found.attempt_id, found.run, found.number, found.state) == (
        made.attempt,
        made.run,
        1,
        "running",
    )
    dispatch.attempt_lost(farm, made.attempt, "gone")
    assert dispatch.open_attempts(farm) == []


def test_a_commit_that_is_asked_for_is_run_although_newer_ones_are_known(farm: Farm) -> None:
    """`--commit OLD`: that one and an earlier one, not the ledger's newest."""
    for position in (1, 2, 3, 4):
        add_commit(farm, position)
    with farm.ledger.write() as connection:
        plan(farm, connection, replace(BRANCH, head=f"{2:040x}"), farm.clock())
    assert sorted(run.position for run in runs(farm)) == [1, 2]


def test_a_full_store_gets_nothing_dispatched(farm: Farm) -> None:
    """What the runs bring could not be kept: they wait, and no attempt is spent."""
    add_commit(farm, 1)
    do_plan(farm)
    full = replace(farm, store=Store(farm.folder.store, reserve=1 << 60))
    with pytest.raises(StoreFull):
        dispatch.next_dispatches(full, [SLOT])
    with farm.ledger.read() as connection:
        assert connection.execute(select(schema.attempts)).all() == []
    assert len(dispatch.next_dispatches(farm, [SLOT])) == 1
