"""The unattended farm on the other axes: a project's own commit, and a dependency's release, found and told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.hard import farm_yard
from tests.hard.farm_yard import Yard

from pybots.farm import local
from pybots.ledger import schema

PATIENCE = 600.0
OWN = """\
import unittest


class Own(unittest.TestCase):
    def test_own(self):
        self.assertEqual({said!r}, "well")
"""


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """Two projects, one of which depends on a third; a package index beside the farm."""
    root = tmp_path_factory.mktemp("axes")
    made = farm_yard.make(
        root, ("frond", "amber", "resin"), cpython__poll_seconds=3600,
        investigator__probes_per_day=500,
    )  # fmt: skip
    farm_yard.set_keys(made, "amber", network="install")
    made.world.commit_files({"tests/test_own.py": OWN.format(said="well")}, "Own", project="frond")
    packages = made.world.simple_index(root / "index")
    with farm_yard.index(packages) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_DEFAULT_INDEX", url)  # the workers', for dependencies
        made.settle(index__url=url, projects=["frond", "amber"])
        local.enrol_local(made.farm, slots=2)
        with farm_yard.running(made, patience=PATIENCE):
            yield made


def frond_changes(yard: Yard) -> str:
    """Four commits to the project; the third breaks its test. Returns that one's sha."""
    shas = [
        yard.world.commit_files(
            {
                "tests/test_own.py": OWN.format(said="ill" if number >= 2 else "well")
                + "#" * (number + 1)
            },
            f"Change {number}",
            project="frond",
        )
        for number in range(4)
    ]
    return shas[2]


def resin_is_released(yard: Yard) -> None:
    """Three releases of the dependency: since 1.2 it remembers another colour than it was told."""
    world = yard.world
    text = (world.projects_dir / "resin/src/resin/__init__.py").read_text()
    world.release("resin", "1.1")
    other = f"{text}\n\n_recall = recall\n\n\ndef recall(colour):\n    return None\n"
    world.commit_files({"src/resin/__init__.py": other}, "Forget", project="resin")
    for version in ("1.2", "1.3"):
        world.release("resin", version)
    world.simple_index(yard.farm.folder.root.parent / "index")


def answers(yard: Yard) -> dict[str, Any]:
    """The investigations that have ended, by their axes."""
    rows = yard.rows(schema.investigations, schema.investigations.c.state == "done")
    return {row.axis: row for row in rows} if len(rows) == 2 else {}


def test_a_projects_commit_and_a_dependencys_release_are_found_and_told(yard: Yard) -> None:
    """CPython changed as well: the crossover tells that it is innocent."""
    culprit = frond_changes(yard)
    resin_is_released(yard)
    head = yard.commit("good-lib-change")
    for project in ("frond", "amber"):
        assert yard.verdict(head, project, PATIENCE).verdict == "new_failure"
    found = yard.wait(lambda: answers(yard), "both answers", PATIENCE)
    assert found.keys() == {"project", "dependencies"}, found
    own, dependency = found["project"], found["dependencies"]
    assert (own.status, own.last, own.title) == ("confirmed", culprit, "Change 2"), own
    assert (dependency.status, dependency.last) == ("confirmed", "resin==1.2"), dependency
    assert dependency.title == "resin 1.1 → 1.2"
    blamed = {(row.axis, row.blamed) for row in yard.rows(schema.breakages)}
    assert blamed == {("project", culprit), ("dependency", "resin==1.2")}
    yard.calm(PATIENCE)
    said = " ".join(str(one.get_body(("plain",)).get_content()) for one in yard.letters())  # type: ignore[union-attr] # ours have a plain part
    assert culprit[:12] in said and "resin==1.2" in said
