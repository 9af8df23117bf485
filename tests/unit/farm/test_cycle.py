"""A farm's lanes as one summary and one exit status: known reds are accepted, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lane_world import World, make_failure, make_phase, make_report, make_test, make_world

from pybots.config.farm import FarmConfig
from pybots.farm import cycle
from pybots_worker import contract

GOOD, BAD = make_test("t.py::test_a"), make_test("t.py::test_b", "failed", "TypeError: no")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path, "anchor")
    yield made
    made.farm.ledger.close()


def no_install() -> contract.Report:
    failed = make_phase("install", ok=False, failure=make_failure("no wheel"))
    return make_report(phases=[make_phase("interpreter"), make_phase("source"), failed])


def status(world: World, baseline: Path | None = None) -> int:
    known = cycle.load_baseline(baseline) if baseline else {}
    return cycle.exit_status(cycle.summary(world.farm), known)


def kept(world: World, tmp_path: Path) -> Path:
    path = tmp_path / "baseline.json"
    cycle.write(path, cycle.summary(world.farm))
    return path


def test_passed_failed_and_nothing_at_all(world: World) -> None:
    assert status(world) == cycle.INCONCLUSIVE
    world.go(1, [GOOD])
    assert status(world) == cycle.PASSED
    world.go(2, [GOOD, BAD])
    assert status(world) == cycle.FAILED


def test_known_reds_are_accepted(world: World, tmp_path: Path) -> None:
    world.go(1, [GOOD, BAD])
    baseline = kept(world, tmp_path)
    assert status(world, baseline) == cycle.PASSED
    world.go(2, [GOOD, BAD, make_test("t.py::test_c", "failed", "ValueError: no")])
    assert status(world, baseline) == cycle.FAILED


def test_a_known_red_test_does_not_excuse_an_installation_that_fails(
    world: World, tmp_path: Path
) -> None:
    world.go(1, [GOOD, BAD])
    baseline = kept(world, tmp_path)
    world.go(2, report=no_install())
    assert status(world, baseline) == cycle.FAILED


def test_a_known_red_test_does_not_excuse_tests_that_vanished(world: World, tmp_path: Path) -> None:
    world.go(1, [GOOD, BAD])
    baseline = kept(world, tmp_path)
    world.go(2, [BAD])
    assert status(world, baseline) == cycle.FAILED


def test_lanes_of_earlier_settings_do_not_count(world: World) -> None:
    world.go(1, [GOOD])
    world.go(1, [GOOD, BAD], lane=world.lane(flavour="debug"))
    assert status(world) == cycle.PASSED
    config = FarmConfig.model_validate({"flavours": ["release", "debug"]})
    world.farm = replace(world.farm, config=config)
    assert status(world) == cycle.FAILED
