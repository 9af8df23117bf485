"""Reports made to break the farm: refused with a reason, or recorded in normal form. Never a crash, never a lost run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lane_world import World, make_failure, make_report, make_test, make_world, replace_struct

from pybots.core.normal import MAX_ID
from pybots.farm.record import RecordError, record_report
from pybots.ledger import schema
from pybots_worker import contract

DAY = 86400.0
EVIL = "<script>alert(1)</script>\x1b[31m\r\nBcc: everybody\u202e\x00"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.farm.ledger.close()


def names(world: World) -> list[str]:
    return [row.name for row in world.rows(schema.tests) if not row.name.startswith("<")]


@pytest.mark.deep
def test_a_hundred_thousand_tests_are_recorded(world: World) -> None:
    tests = [make_test(f"tests/test_{n // 100}.py::test_{n}") for n in range(100_000)]
    assert world.go(1, tests).verdict == "passed"
    assert world.counts()["tests"] == 100_002, "and <install> and <tests>"
    assert world.counts()["spans"] == 100_002


@pytest.mark.deep
def test_a_hundred_thousand_failures_are_few_breakages(world: World) -> None:
    """All with another signature: the largest are told apart, the rest is counted with the first of them."""
    ids = [f"tests/test_it.py::test_{n}" for n in range(5_000)]
    world.go(1, [make_test(name) for name in ids])
    bad = [
        make_test(name, "failed", f"Error{n}Error: {'x' * (n % 50)}") for n, name in enumerate(ids)
    ]
    assert world.go(2, bad).verdict == "new_failure"
    parts = world.rows(schema.breakage_lanes)
    assert len(parts) == 20
    assert sum(part._mapping["count"] for part in parts) == 5_000
    assert all(len(part.tests) <= 500 for part in parts)


@pytest.mark.deep
@pytest.mark.parametrize("name", [EVIL, "n" * 10_000, EVIL * 300, "<install>", "\u00e9\u0000", " "])
def test_a_name_made_to_harm_is_kept_in_normal_form(world: World, name: str) -> None:
    """Also in the verdict's words, the breakage's title and the letters' subjects."""
    other = make_test("tests/test_it.py::test_a")
    world.go(1, [make_test(name), other])
    failed = make_test(name, "failed", failure=make_failure(EVIL, EVIL * 50, type=EVIL))
    recorded = world.go(2, [failed, other])
    assert recorded.verdict == "new_failure"
    shown = [
        *names(world), recorded.summary,
        *(row.title for row in world.rows(schema.breakages)), *world.subjects(),
    ]  # fmt: skip
    assert all(text.isprintable() for text in shown), shown
    assert all(len(text) <= MAX_ID for text in shown)
    assert world.go(3, [make_test(name), other]).verdict == "fixed"


@pytest.mark.deep
def test_of_duplicate_ids_the_worst_counts_once(world: World) -> None:
    name = "tests/test_it.py::test_a"
    world.go(1, [make_test(name), make_test(name)])
    recorded = world.go(
        2, [make_test(name), make_test(name, "failed", "TypeError: x"), make_test(name)]
    )
    assert recorded.verdict == "new_failure"
    assert names(world) == [name]
    assert world.rows(schema.runs)[-1].counts["failed"] == 1


@pytest.mark.deep
@pytest.mark.parametrize("skew", [-400 * DAY, -DAY, DAY, 400 * DAY])
def test_a_workers_clock_orders_nothing(world: World, skew: float) -> None:
    """Lanes are ordered by commit and by when the master began an attempt; phases by how long they took."""
    lane = world.lane()
    now = world.farm.clock()
    skewed = make_report([make_test("t::a")], started=now + skew, finished=now + skew + 9)
    first = world.record(world.run(1, lane=lane), skewed)
    second = world.go(2, [make_test("t::a")], lane=lane)
    assert (first.verdict, second.verdict) == ("passed", "passed")
    assert world.one(schema.lanes, lane).head_run == second.run
    attempt = world.last_attempt(first.run)
    assert all(abs(phase["started"] - now) < 60 for phase in attempt.phases)
    assert abs(world.one(schema.runs, first.run).finished - now) < 60


def test_a_report_that_ends_before_it_began_is_recorded(world: World) -> None:
    assert (
        world.go(1, report=make_report([make_test("t::a")], started=9.0, finished=1.0)).verdict
        == "passed"
    )


@pytest.mark.deep
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"wall_seconds":1.5', b'"wall_seconds":NaN', "not a Report"),
        (b'"wall_seconds":1.5', b'"wall_seconds":-1.5', "wall_seconds"),
        (b'"wall_seconds":1.5', b'"wall_seconds":1e999', "not a Report"),
        (b'"started":1.0', b'"started":1e300', "started"),
        (b'"outcome":"passed"', b'"outcome":"fine"', "outcome"),
        (b'"tests":', b'"trials":', "trials"),
        (b'"contract":1', b'"contract":99', "contract"),
        (b'"t::a"', b'"\xff\xfe"', "not a Report"),
        (b"}", b"", "not a Report"),
    ],
)
def test_nonsense_is_refused_with_its_place_and_the_run_goes_on(
    world: World, old: bytes, new: bytes, said: str
) -> None:
    run = world.run(1, lane=world.lane())
    report = make_report([make_test("t::a")])
    data = contract.encode(replace_struct(report, run=run, attempt=1))
    assert old in data
    sha256 = world.farm.store.put(data.replace(old, new, 1)).sha256
    with pytest.raises(RecordError, match=said):
        record_report(world.farm, world.last_attempt(run).id, sha256)
    assert world.one(schema.runs, run).state == "running"
    assert world.record(run, report).verdict == "passed"


def test_a_lock_and_modules_of_any_names_are_kept(world: World) -> None:
    lock = tuple(contract.Locked(name=EVIL + str(n), version=EVIL) for n in range(3000))
    report = replace_struct(make_report([make_test("t::a")], modules=[EVIL, "m._c"]), lock=lock)
    assert world.go(1, report=report).verdict == "passed"
    assert world.go(2, [make_test("t::a")]).verdict == "new_failure", "both extensions are lost"
