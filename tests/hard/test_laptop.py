"""The laptop over the miniature: bisections from the command line, killed and taken up again, capsules, impact, interpreters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pybots.miniature.world import World
from pybots_worker.sandbox import probe

PATIENCE = 900.0
"""Seconds for a command; each takes some ten on a quiet machine."""


@dataclass(frozen=True)
class Laptop:
    """A miniature history and a session's folder. `shas` are by the kind of commit."""

    world: World
    folder: Path
    shas: dict[str, str]

    def file(self, name: str, network: str = "none") -> Path:
        """A project file for one of the miniature's projects."""
        made = self.world.project(name)
        args = ", ".join(json.dumps(word) for word in made.args)
        path = self.folder.parent / f"{name}.toml"
        path.write_text(
            f'title = "{name}"\nnetwork = "{network}"\n[source.trunk]\ngit = "{made.git}"\n'
            f'[test]\nrunner = "{made.runner}"\nargs = [{args}]\n'
        )
        return path

    def command(self, *words: str | Path, folder: Path | None = None) -> list[str]:
        where = ["--cpython", str(self.world.cpython), "--folder", str(folder or self.folder)]
        return [sys.executable, "-P", "-m", "pybots.cli", *map(str, words), *where]

    def run(self, *words: str | Path, status: int = 0, folder: Path | None = None) -> str:
        done = subprocess.run(
            self.command(*words, folder=folder),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == status, f"{done.returncode}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def bisect(
        self, name: str, *words: str, status: int = 0, folder: Path | None = None
    ) -> dict[str, Any]:
        given = ("--good", self.shas["start"], "--bad", self.world.head(), "--json", *words)
        found = json.loads(
            self.run("bisect", self.file(name), *given, status=status, folder=folder)
        )
        assert isinstance(found, dict)
        return found


HISTORY = (
    "good-lib-change", "docs-only", "does-not-compile", "fix-compile", "good-c-change", "remove-c-api", "docs-only",
    "good-lib-change", "break-anchor", "good-c-change", "metadata-only", "good-lib-change",
)  # fmt: skip


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    if not probe().usable:
        if os.environ.get("CI"):
            pytest.fail("needs bubblewrap")
        pytest.skip("needs bubblewrap")
    root = tmp_path_factory.mktemp("laptop")
    world = World.create(root / "world", projects=["anchor", "frond", "resin", "amber"])
    shas = {"start": world.head()}
    shas |= {kind: world.commit(kind) for kind in HISTORY}
    return Laptop(world, root / "folder", shas)


def test_a_culprit_is_found_and_proved(laptop: Laptop) -> None:
    found = laptop.bisect("anchor")
    assert found["status"] == "confirmed" and found["culprit"]["id"] == laptop.shas["break-anchor"]
    assert found["confidence"] >= 0.97 and "rgb_to_yiq" in found["failure"]
    assert "Lib/colorsys.py" in found["culprit"]["files"] and found["recipe"] == "probe"
    outcomes = {row["id"]: row["outcome"] for row in found["evidence"]}
    assert outcomes[found["culprit"]["id"]] == "bad" and outcomes[found["parent"]] == "good"


def test_a_session_that_was_killed_goes_on_without_repeating(
    laptop: Laptop, tmp_path: Path
) -> None:
    """kill -9 as soon as the first probe is in the journal; the same command ends with the same answer."""
    given = ("--good", laptop.shas["start"], "--bad", laptop.world.head(), "--json")
    command = laptop.command("bisect", laptop.file("anchor"), *given, folder=tmp_path)
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 120
        while not _seen(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    before = _seen(tmp_path)
    assert before
    found = laptop.bisect("anchor", folder=tmp_path)
    assert found["culprit"]["id"] == laptop.shas["break-anchor"]
    rows = _seen(tmp_path)
    assert rows[: len(before)] == before
    searched = [row["index"] for row in rows if row["purpose"] == "search"]
    assert len(searched) == len(set(searched)), "a probe was made twice"


def _seen(folder: Path) -> list[dict[str, Any]]:
    lines = [
        line
        for path in folder.glob("sessions/*/journal.jsonl")
        for line in path.read_bytes().split(b"\n")
    ]
    return [row for line in lines[:-1] if (row := json.loads(line))["row"] == "seen"]


def test_a_silently_lost_extension_has_a_culprit(laptop: Laptop) -> None:
    found = laptop.bisect("frond")
    assert found["status"] == "confirmed" and found["kind"] == "hollow"
    assert found["culprit"]["id"] == laptop.shas["remove-c-api"]


def test_ends_without_a_difference_are_undecided(laptop: Laptop) -> None:
    end = laptop.shas["good-c-change"]
    words = ("--good", laptop.shas["break-anchor"], "--bad", end, "--json")
    found = json.loads(laptop.run("bisect", laptop.file("anchor"), *words, status=2))
    assert found["culprit"] is None and "good end" in found["reason"] and found["standing"]


def test_wrong_ends_are_an_error(laptop: Laptop) -> None:
    words = ("--good", laptop.world.head(), "--bad", laptop.shas["start"], "--json")
    found = json.loads(laptop.run("bisect", laptop.file("anchor"), *words, status=1))
    assert found["status"] == "error" and "ancestor" in found["reason"]


def test_impact_prints_only_what_differs(laptop: Laptop) -> None:
    shas = laptop.shas
    words = ("--project", laptop.file("anchor"), "--quick", "--json")
    parent = f"{shas['break-anchor']}^"
    found = json.loads(laptop.run("impact", f"{parent}..{shas['break-anchor']}", *words, status=1))
    (anchor,) = found["projects"]
    assert [one["reliable"] for one in anchor["broken"]] == [True] and not anchor["fixed"]
    assert len(anchor["broken"][0]["tests"]) == 2
    found = json.loads(laptop.run("impact", f"{shas['start']}..{parent}", *words, status=0))
    assert not found["projects"][0]["broken"]


def test_an_interpreter_can_be_used_outside(laptop: Laptop) -> None:
    path = Path(laptop.run("python", laptop.shas["break-anchor"], "--quick").strip())
    code = "import sys, colorsys; print(sys.prefix, hasattr(colorsys, 'rgb_to_yiq'))"
    done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(path.parents[1]), "False"]


def test_a_capsule_shows_the_same_signature_again_and_nothing_where_it_is_mended(
    laptop: Laptop, tmp_path: Path
) -> None:
    """Made of a bisection's answer, as a farm makes it of a breakage; the culprit fails alike, its parent passes."""
    found = laptop.bisect("anchor")
    source = laptop.world.project("anchor").git
    sha = subprocess.run(
        ["git", "-C", source, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    args = ["discover", "-s", "tests", "-t", "."]
    capsule: dict[str, Any] = {
        "capsule": 1, "title": "anchor", "kind": found["kind"], "says": found["failure"],
        "signature": found["signature"], "project": "anchor", "revision": sha[:12], "ids": found["tests"],
        "source": {"kind": "git", "url": source.as_uri(), "commit": sha},
        "install": {}, "test": {"runner": "unittest", "args": args}, "network": "none",
        "python": {"commit": found["culprit"]["id"], "recipe": {"ensurepip": False, "bytecode": False}},
    }  # fmt: skip
    file = tmp_path / "capsule.json"
    file.write_text(json.dumps(capsule))
    assert json.loads(laptop.run("reproduce", file, "--json"))["answer"] == "reproduced"
    capsule["python"]["commit"] = found["parent"]
    file.write_text(json.dumps(capsule))
    assert json.loads(laptop.run("reproduce", file, "--json", status=2))["answer"] == "passed"
    file.write_text(
        json.dumps(capsule | {"signature": "0" * 64}).replace(
            found["parent"], found["culprit"]["id"]
        )
    )
    assert json.loads(laptop.run("reproduce", file, "--json", status=2))["answer"] == "other"
    file.write_text("{}")
    laptop.run("reproduce", file, status=1)


def test_the_projects_own_commit_is_found_on_its_axis(laptop: Laptop) -> None:
    """CPython stays what it is; of four commits of the project one breaks a test."""
    world = laptop.world
    source = world.project("frond").git
    shas = [_head(source)]
    for number, text in enumerate(("", "", "    assert False, 'the project did it'\n", "")):
        tests = f"import unittest\n\nclass T(unittest.TestCase):\n    def test_own(self):\n{text or '        pass'}\n"
        tests = tests.replace("    assert", "        assert")
        name = "tests/test_own.py" if number in (0, 2) else f"notes-{number}.txt"
        shas.append(world.commit_files({name: tests}, f"Change {number}", project="frond"))
    words = (
        "--axis",
        "project",
        "--good",
        shas[1],
        "--bad",
        shas[-1],
        "--on",
        laptop.shas["start"],
        "--json",
    )
    found = json.loads(laptop.run("bisect", laptop.file("frond"), *words))
    assert found["axis"] == "project" and found["culprit"]["id"] == shas[3]
    assert "the project did it" in found["failure"] and found["culprit"]["subject"] == "Change 2"


def _head(repository: Path) -> str:
    words = ["git", "-C", str(repository), "rev-parse", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def test_the_dependency_that_did_it_is_found_on_its_axis(
    laptop: Laptop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pinned packages differ between the ends; a release of one of them forgets what it was told."""
    world = laptop.world
    text = (world.projects_dir / "resin/src/resin/__init__.py").read_text()
    broken = {
        "src/resin/__init__.py": text + "\n\ndef recall(colour):\n    raise KeyError('forgotten')\n"
    }
    world.commit_files(broken, "Forget", project="resin")
    world.release("resin", "1.1")
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("resin==1.0\nanchor==1.0\n")
    bad.write_text("resin==1.1\nanchor==2.0\n")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(world.sdists_dir))
    words = (
        "--axis",
        "dependencies",
        "--good",
        good,
        "--bad",
        bad,
        "--on",
        laptop.shas["start"],
        "--json",
    )
    found = json.loads(laptop.run("bisect", laptop.file("amber", "install"), *words))
    assert found["axis"] == "dependencies" and found["culprit"]["id"] == "resin==1.1"
    assert "forgotten" in found["failure"]


def test_a_session_in_the_background_gives_its_jobs_every_signal(laptop: Laptop) -> None:
    """A shell's background ignores SIGINT, nohup SIGHUP; a suite that sends them to itself would fail only there."""
    path = laptop.file("anchor")
    ignored = '["sh", "-c", "! grep SigIgn:.*[1-9a-f] /proc/self/status"]'
    head = path.read_text().partition("[test]")[0]
    path.write_text(f'{head}[test]\nrunner = "command"\nargs = {ignored}\n')
    command = laptop.command("try", path, "--commit", laptop.shas["start"])
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT HUP QUIT; exec "$@"', "sh", *command],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_registrys_table_is_made_once_and_kept(laptop: Laptop) -> None:
    """Both sides are run; the second time nothing is, and a page gets the same table."""
    anchor, page = laptop.file("anchor"), laptop.folder.parent / "page.md"
    page.write_text("# Page\n<!-- table: pybots project table -->\n<!-- table end -->\nthe end\n")
    given = ("project", "table", anchor, "--commit", laptop.shas["start"])
    said = laptop.run(*given)
    (row,) = [line for line in said.splitlines() if line.startswith("| anchor")]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[0] == "anchor (trunk)" and int(cells[3]) > 0 and cells[3:7] == cells[7:11]
    assert float(cells[13]) > 0 and float(cells[14]) > 0
    kept = {path: path.stat().st_mtime_ns for path in (laptop.folder / "table").iterdir()}
    assert len(kept) == 2
    laptop.run(*given, "--write", page)
    assert {path: path.stat().st_mtime_ns for path in (laptop.folder / "table").iterdir()} == kept
    assert row in page.read_text() and page.read_text().endswith("<!-- table end -->\nthe end\n")
