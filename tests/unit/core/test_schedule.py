"""What runs next, where: every rule of core/schedule.py."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pybots.core.model import GitBranch, Project, Worker
from pybots.core.schedule import Slot, Wanted, able, assign, coalesced, order
from pybots_worker import contract


def make_wanted(**changes: Any) -> Wanted:
    plain = {
        "run": 1, "lane": 10, "project": "twisted", "interpreter": 5, "position": 100,
        "platform": "linux-x86_64", "abi": "debian-12-x86_64", "trust": "farm", "created": 1.0, "ready": True,
    }  # fmt: skip
    return Wanted(**{**plain, **changes})


def make_worker(**changes: Any) -> Worker:
    plain = {"name": "attic", "platform": "linux-x86_64", "abi": "debian-12-x86_64"}
    return Worker(**{**plain, **changes})


def make_slot(**changes: Any) -> Slot:
    return Slot(builder=changes.pop("builder", "linux-x86_64-1"), worker=make_worker(**changes))


def ran(wanted: list[Wanted], slots: list[Slot]) -> list[int]:
    return [made.run for made in assign(wanted, slots)]


def test_an_interpreter_that_lanes_wait_for_comes_before_runs_that_are_ready() -> None:
    build = make_wanted(run=1, lane=None, project="", interpreter=7, ready=False)
    waits = make_wanted(run=2, lane=20, interpreter=7, ready=False)
    ready = make_wanted(run=3, lane=30)
    assert [run.run for run in order([ready, waits, build])] == [1, 3]


def test_an_interpreter_nobody_waits_for_yet_comes_last() -> None:
    baseline = make_wanted(run=2, lane=20, position=1)
    later = make_wanted(run=4, lane=20, position=2, interpreter=8, ready=False)
    build = make_wanted(run=1, lane=None, interpreter=8, position=2, ready=False)
    assert [run.run for run in order([build, later, baseline])] == [2, 1]


def test_of_two_builds_the_one_more_lanes_wait_for_comes_first() -> None:
    builds = [make_wanted(run=n, lane=None, interpreter=n, ready=False) for n in (1, 2)]
    waiting = [
        make_wanted(run=10, lane=10, interpreter=1, ready=False),
        make_wanted(run=11, lane=11, interpreter=2, ready=False),
        make_wanted(run=12, lane=12, interpreter=2, ready=False),
    ]
    assert [run.run for run in order([*builds, *waiting])] == [2, 1]


def test_a_lane_without_history_runs_its_oldest_commit_first() -> None:
    runs = [make_wanted(run=1, position=9), make_wanted(run=2, position=4)]
    assert ran(runs, [make_slot()]) == [2]


def test_a_lane_with_history_runs_its_newest_commit() -> None:
    runs = [
        make_wanted(run=1, position=9, lane_has_head=True),
        make_wanted(run=2, position=4, lane_has_head=True),
    ]
    assert ran(runs, [make_slot()]) == [1]


def test_what_is_ready_runs_before_a_newer_commit_is_built() -> None:
    """Else a lane would never run while commits come faster than interpreters are built."""
    ready = make_wanted(run=1, position=4, interpreter=4, lane_has_head=True)
    newer = make_wanted(run=2, position=9, interpreter=9, ready=False, lane_has_head=True)
    build = make_wanted(run=3, position=9, lane=None, interpreter=9, ready=False)
    assert [run.run for run in order([build, newer, ready])] == [1, 3]


def test_a_lane_runs_one_thing_at_a_time() -> None:
    runs = [make_wanted(run=1, position=9), make_wanted(run=2, position=4)]
    slots = [make_slot(), make_slot(builder="linux-x86_64-2")]
    assert ran(runs, slots) == [2]
    assert ran([make_wanted(lane_busy=True)], slots) == []


def test_the_lane_that_waited_longest_comes_first() -> None:
    runs = [
        make_wanted(run=1, lane=1, lane_started=50.0),
        make_wanted(run=2, lane=2, lane_started=20.0),
        make_wanted(run=3, lane=3, lane_started=None),
    ]
    assert [run.run for run in order(runs)] == [3, 2, 1]


def test_nothing_runs_on_a_worker_that_does_not_fit() -> None:
    for wrong in (
        {"platform": "linux-aarch64"},
        {"abi": "debian-13-x86_64"},
        {"trust": "strangers"},
        {"projects": ("django",)},
    ):
        assert ran([make_wanted()], [make_slot(**wrong)]) == []
    assert ran([make_wanted(wants=frozenset({"mariadb"}))], [make_slot()]) == []
    assert ran(
        [make_wanted(wants=frozenset({"mariadb"}))], [make_slot(facts=frozenset({"mariadb", "x"}))]
    ) == [1]


def test_a_worker_that_lost_a_run_gets_it_again_only_when_there_is_no_other() -> None:
    run = make_wanted(avoid=frozenset({"attic"}))
    made = assign([run], [make_slot(), make_slot(name="cellar")])
    assert [m.slot.worker.name for m in made] == ["cellar"]
    assert ran([run], [make_slot()]) == [1]


def test_waiting_runs_between_the_oldest_and_the_newest_are_coalesced() -> None:
    waiting = [(3, 30), (1, 10), (2, 20)]
    assert coalesced(waiting, has_head=False) == [20]
    assert coalesced(waiting, has_head=True) == [10, 20]
    assert coalesced([(1, 10)], has_head=True) == []
    assert coalesced(waiting, has_head=True, begun={10, 20}) == [10]
    assert coalesced([], has_head=False) == []


def test_a_lane_whose_facts_no_worker_has_has_no_able_worker() -> None:
    project = Project(
        name="x", title="X", sources={"trunk": GitBranch(url="/x")}, install=contract.Install(),
        test=contract.Test(runner="unittest"), wants=("postgresql",),
    )  # fmt: skip
    assert able(project, "linux-x86_64", [make_worker()]) == []
    fitting = make_worker(facts=frozenset({"postgresql"}))
    assert able(project, "linux-x86_64", [make_worker(), fitting]) == [fitting]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 5), st.integers(1, 9), st.booleans(), st.booleans(), st.booleans()
        ),
        max_size=30,
    ),
    st.integers(0, 5),
)
def test_no_run_slot_or_lane_is_used_twice(
    rows: list[tuple[int, int, bool, bool, bool]], count: int
) -> None:
    wanted = [
        make_wanted(
            run=n, lane=lane, position=place, ready=ready, lane_has_head=head, lane_busy=busy
        )
        for n, (lane, place, ready, head, busy) in enumerate(rows)
    ]
    made = assign(wanted, [make_slot(builder=f"linux-x86_64-{n}") for n in range(count)])
    by_run = {run.run: run for run in wanted}
    lanes = [by_run[m.run].lane for m in made]
    assert len(set(lanes)) == len(lanes)
    assert len({m.slot.builder for m in made}) == len(made)
    assert all(by_run[m.run].ready and not by_run[m.run].lane_busy for m in made)


def test_a_control_comes_first_and_beside_its_lanes_routine_runs() -> None:
    """Somebody waits for the answer; and it is of an older commit than whatever else the lane wants."""
    control = make_wanted(run=9, position=1, routine=False, created=9.0)
    routine = make_wanted(run=2, lane_has_head=True, lane_busy=False)
    busy = make_wanted(run=3, lane=11, lane_busy=True)
    other = make_wanted(run=8, lane=11, position=1, routine=False, created=8.0)
    build = make_wanted(run=4, lane=None, interpreter=7, ready=False)
    waits = make_wanted(run=5, lane=12, interpreter=7, ready=False)
    assert [run.run for run in order([routine, busy, control, other, build, waits])] == [8, 9, 4, 2]


def test_a_control_whose_interpreter_is_gone_does_not_start() -> None:
    assert order([make_wanted(routine=False, ready=False)]) == []


def test_a_control_goes_to_the_worker_that_saw_the_failure_if_it_is_free() -> None:
    control = make_wanted(routine=False, prefer=frozenset({"barn"}))
    attic, barn = make_slot(name="attic"), make_slot(name="barn", builder="linux-x86_64-2")
    assert [made.slot for made in assign([control], [attic, barn])] == [barn]
    assert [made.slot for made in assign([control], [attic])] == [attic]
    lost = make_wanted(routine=False, prefer=frozenset({"barn"}), avoid=frozenset({"barn"}))
    assert [made.slot for made in assign([lost], [barn, attic])] == [attic]
