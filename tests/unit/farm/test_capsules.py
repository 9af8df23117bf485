"""A breakage's capsule: everything that is needed to run it again, from the ledger; and what a reader refuses."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from lane_world import World, make_report, make_test, make_world

from pybots.farm import capsules
from pybots.farm.capsules import CapsuleError
from pybots.ledger import schema
from pybots_worker import contract

SAID = "ImportError: cannot import name 'Mapping'"
SOURCE = contract.GitSource(url="https://git.example/anchor", commit="ab" * 20, ref="main")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def broken(world: World) -> int:
    """A breakage of the lane `anchor` at commit 2, with a standing red beside it. Its number."""
    lock = (contract.Locked(name="six", version="1.15.0"),)
    red = make_test("t.standing", "failed", "ValueError: always")
    revision = {"revision": msgspec.to_builtins(SOURCE)}
    world.go(
        1, report=make_report([make_test("t.a"), make_test("t.b"), red], lock=lock), **revision
    )
    bad = [make_test("t.a", "failed", SAID), make_test("t.b"), red]
    world.go(2, report=make_report(bad, lock=lock), **revision)
    (row,) = world.rows(schema.breakages)
    return int(row.id)


def test_a_breakage_has_a_capsule_with_all_that_came_together(world: World) -> None:
    number = broken(world)
    capsule = capsules.of_breakage(world.farm, number)
    assert capsule.ids == ("t.a",) and "Mapping" in capsule.says and capsule.breakage == number
    assert capsule.python.commit == f"{2:040x}" and capsule.python.flavour == "release"
    assert capsule.source == SOURCE and capsule.revision == "1.0"
    assert [pin.name for pin in capsule.install.lock] == ["six"]
    (row,) = world.rows(schema.breakages)
    assert capsule.signature == row.signature


def test_a_capsule_comes_back_from_its_file_and_holds_nothing_of_the_farms_own(
    world: World,
) -> None:
    capsule = capsules.of_breakage(world.farm, broken(world))
    data = capsules.encode(capsule)
    assert capsules.decode(data) == capsule
    assert str(world.farm.folder.root).encode() not in data and b"token" not in data
    assert len(data) < 10_000


@pytest.mark.deep
@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"capsule": 1', '"capsule": 9', "capsule"),
        ('"title"', '"titel"', "titel"),
        ('"commit": "000', '"commit": "--upload-pack=', "commit"),
        ('"python": {', '"python": {"repository": "--upload-pack=x",', "repository"),
        ('"ids"', '"extra": 1, "ids"', "extra"),
    ],
)
def test_what_is_no_capsule_is_refused(world: World, old: str, new: str, place: str) -> None:
    text = capsules.encode(capsules.of_breakage(world.farm, broken(world))).decode()
    assert old in text
    with pytest.raises(CapsuleError, match=place):
        capsules.decode(text.replace(old, new).encode())
    with pytest.raises(CapsuleError, match="bytes"):
        capsules.decode(b" " * (capsules.MAX_BYTES + 1))


def test_what_is_not_there_has_no_capsule(world: World) -> None:
    number = broken(world)
    with pytest.raises(CapsuleError, match="no breakage"):
        capsules.of_breakage(world.farm, number + 1)
    (run,) = world.rows(schema.runs, schema.runs.c.position == 2)
    world.farm.store.path(run.report).unlink()
    with pytest.raises(CapsuleError, match="report"):
        capsules.of_breakage(world.farm, number)
