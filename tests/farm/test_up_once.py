"""`pybots up --once` as a person (or a CI job) runs it: one full cycle, a summary, an exit status that means something."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pybots import cli_up
from pybots.farm.setup import make_folder, write_settings
from pybots.miniature.registry import write_project_files
from pybots.miniature.world import World

PASSED, FAILED, INCONCLUSIVE, ERROR = 0, 1, 2, 3
SECONDS = 100


@dataclass(frozen=True)
class Place:
    """A miniature world and the folder of a farm over it."""

    world: World
    farm: Path

    def up(self, *arguments: str, cpython: str = "") -> subprocess.CompletedProcess[str]:
        where = ("--farm", str(self.farm), "--cpython", cpython or str(self.world.cpython))
        return subprocess.run(
            [sys.executable, "-m", "pybots.cli", "up", "--once", "--yes", *where, *arguments],
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip

    @property
    def summary(self) -> Path:
        return self.farm / "last-cycle.json"

    def lanes(self) -> dict[str, Any]:
        """The lanes of the last cycle, by project."""
        return {lane["project"]: lane for lane in json.loads(self.summary.read_text())["lanes"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One farm for all tests here, used one after the other: what ran once need not run again."""
    root = tmp_path_factory.mktemp("once")
    world = World.create(root / "world", projects=("sprout", "thorn"))
    folder = make_folder(root / "farm")
    write_project_files(world, folder.projects)
    write_settings(
        folder.config,
        {
            "cpython.earlier": False,
            "web.port": cli_up.free_port(0),
            "buildbot.pb_port": cli_up.free_port(0),
            "buildbot.www_port": cli_up.free_port(0),
            "store.reserve_bytes": 100 << 20,
        },
    )
    yield Place(world, folder.root)


def test_all_green_is_0_and_the_summary_says_what_ran(place: Place) -> None:
    """For people a table, for programs `last-cycle.json` and, with --json, the same on stdout."""
    done = place.up("--project", "sprout", "--json")
    assert done.returncode == PASSED, done.stdout + done.stderr
    assert json.loads(done.stdout) == json.loads(place.summary.read_text())
    assert "http://127.0.0.1:" in done.stderr
    (lane,) = json.loads(done.stdout)["lanes"]
    assert (lane["project"], lane["branch"], lane["flavour"]) == ("sprout", "main", "release")
    assert (lane["verdict"], lane["commit"]) == ("passed", place.world.head())
    assert lane["counts"]["passed"] == 11 and lane["counts"]["skipped"] == 1
    assert lane["revision"].startswith("head@") and lane["platform"].startswith("linux-")
    assert {"interpreter", "source", "install", "test"} <= lane["seconds"].keys()
    assert lane["url"].endswith("/run/2") and lane["failing"] == []


def test_a_red_lane_is_1_unless_its_reds_are_known(place: Place, tmp_path: Path) -> None:
    """With --baseline the reds of an earlier cycle are accepted, new ones are not."""
    red = place.up("--project", "sprout", "--project", "thorn")
    assert red.returncode == FAILED, red.stdout + red.stderr
    assert "thorn" in red.stdout and "still failing" in red.stdout
    assert [lane["verdict"] for lane in place.lanes().values()] == ["passed", "still_failing"]
    known = place.lanes()["thorn"]["failing"]
    assert len(known) == 1
    before = tmp_path / "before.json"
    before.write_text(place.summary.read_text())
    accepted = place.up("--project", "sprout", "--project", "thorn", "--baseline", str(before))
    assert accepted.returncode == PASSED, accepted.stdout + accepted.stderr
    place.world.commit("break-anchor")
    worse = place.up("--project", "thorn", "--baseline", str(before))
    assert worse.returncode == FAILED, worse.stdout + worse.stderr
    assert set(place.lanes()["thorn"]["failing"]) > set(known)


def test_what_could_not_be_tested_is_2(place: Place) -> None:
    """An interpreter that doesn't build says nothing about any project."""
    place.world.commit("does-not-compile")
    done = place.up("--project", "sprout")
    assert done.returncode == INCONCLUSIVE, done.stdout + done.stderr
    lane = place.lanes()["sprout"]
    assert lane["verdict"] == "unknown" and "does not build" in lane["summary"]
    assert lane["counts"] == {}


def test_a_commit_of_choice_is_built_instead_of_the_head(place: Place) -> None:
    """--commit names one that builds: its lane is green, although the head does not build."""
    good = place.world.commit("fix-compile")
    place.world.commit("does-not-configure")
    done = place.up("--project", "sprout", "--commit", good)
    assert done.returncode == PASSED, done.stdout + done.stderr
    assert place.lanes()["sprout"]["commit"] == good


@pytest.mark.parametrize(
    ("cpython", "word"),
    [("/nowhere/cpython", "/nowhere/cpython"), ("http://127.0.0.1:9/cpython", "cannot be reached")],
)
def test_an_unreachable_cpython_is_3_with_the_mend(
    tmp_path: Path, place: Place, cpython: str, word: str
) -> None:
    """Said at once, without a traceback, and nothing is left running."""
    other = Place(place.world, tmp_path / "farm")
    done = other.up("--project", "idna", cpython=cpython)
    assert done.returncode == ERROR
    said = " ".join(done.stdout.split()) + done.stderr
    assert word in said and "--cpython" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--baseline", "/nowhere/last-cycle.json"), "baseline"),
        (("--project", "no-such-project"), "no-such-project"),
        (("--flavour", "no-such-flavour"), "no-such-flavour"),
        (("--branch", "no-such-branch"), "no-such-branch"),
        (("--commit", "0" * 40), "0" * 40),
    ],
)
def test_what_cannot_be_done_is_3(
    place: Place, tmp_path: Path, arguments: tuple[str, ...], word: str
) -> None:
    """Each with a word on what is wrong, before anything is started."""
    other = Place(place.world, tmp_path / "farm")
    done = other.up(*arguments)
    assert done.returncode == ERROR, done.stdout + done.stderr
    said = "".join((done.stdout + done.stderr).split())
    assert word.replace(" ", "") in said and "Traceback" not in said
