"""The start-up script and the tiers' counting, without setting anything up: the environment's Python is a stub."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests import run

TOP = Path(__file__).resolve().parents[2]
STUB = '#!/bin/sh\necho "$@" >>"$0.log"\n'


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment whose Python only writes down what it was asked."""
    folder = tmp_path / "the venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").write_text(STUB)
    (folder / "bin/python").chmod(0o755)
    return folder


def started(venv: Path, script: Path, *words: str, cwd: Path = TOP) -> list[str]:
    """What the stub was asked, call by call, since the last time."""
    log = venv / "bin/python.log"
    log.unlink(missing_ok=True)
    env = {
        "PATH": os.environ["PATH"],
        "PYBOTS_VENV": str(venv),
        "PYBOTS_PYTHON": sys.executable,
        "PYBOTS_SKIP_PACKAGES": "1",
    }
    subprocess.run(["sh", str(script), *words], cwd=cwd, env=env, capture_output=True, check=True)
    return log.read_text().splitlines()


def test_the_script_finds_its_house_through_links_and_from_anywhere(
    venv: Path, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pybots").symlink_to(TOP / "pybots")
    (tmp_path / "bin/pb").symlink_to("pybots")
    asked = started(venv, tmp_path / "bin/pb", "check", "--farm", "a", cwd=tmp_path)
    assert f"-e {TOP}/status-theme" in "\n".join(asked)
    assert asked[-1] == "-P -m pybots.cli check --farm a"


def test_a_set_up_environment_is_left_alone_until_a_lock_file_changes(
    venv: Path, tmp_path: Path
) -> None:
    house = tmp_path / "house"
    for name in ("master", "slaves", "status-theme", "tests"):
        (house / name).mkdir(parents=True)
        (house / name / "pyproject.toml").write_text("")
    script = house / "pybots"
    script.write_bytes((TOP / "pybots").read_bytes())
    (house / "requirements.lock").write_text("a==1")
    (house / "tests/requirements.lock").write_text("a==1")
    assert len(started(venv, script, "check")) > 1
    assert len(started(venv, script, "test")) > 1, "the tests need more"
    for words in ("check", "test", "check"):
        assert len(started(venv, script, words)) == 1
    (house / "requirements.lock").write_text("a==2")
    assert len(started(venv, script, "check")) > 1
    (house / "requirements.lock").write_text("a==1")
    assert len(started(venv, script, "check")) > 1, "a==2 is installed now"


JUNIT = '<testsuites><testsuite tests="{}" failures="0" errors="0" skipped="{}"/></testsuites>'


@dataclass(frozen=True)
class Ended:
    """A pytest that has run."""

    status: int

    def wait(self) -> int:
        return self.status


def pretend(monkeypatch: pytest.MonkeyPatch, *endings: tuple[int, int, int]) -> None:
    """Let pytest's processes have ended one after the other: (tests, skipped, exit status)."""
    left = list(endings)

    def start(where: Path, _arguments: list[str], *, shown: bool) -> Ended:
        tests, skipped, status = left.pop(0)
        where.mkdir()
        (where / "said").write_text("" if shown else "it said this")
        (where / "results.xml").write_text(JUNIT.format(tests, skipped))
        return Ended(status)

    monkeypatch.setattr(run, "start", start)


@pytest.mark.parametrize(
    ("tests", "skipped", "status", "ci", "failed"),
    [
        (3, 1, 0, "1", 0),
        (3, 3, 0, "1", 1),
        (3, 3, 0, "", 0),
        (3, 0, -11, "", 1),
        (0, 0, 0, "", 1),
        (0, 0, 5, "", 1),
    ],
)
def test_a_tier_that_died_or_tested_nothing_is_not_green(
    monkeypatch: pytest.MonkeyPatch, tests: int, skipped: int, status: int, ci: str, failed: int
) -> None:
    pretend(monkeypatch, (tests, skipped, status))
    monkeypatch.setenv("CI", ci)
    assert run.run_pytest("farm", [])["failed"] == failed


def test_the_unit_tier_is_two_processes_and_neither_may_die(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, (3, 0, 0), (4, 1, 0))
    assert run.run_pytest("unit", []) == {"passed": 6, "failed": 0, "skipped": 1}
    assert capsys.readouterr().out == "it said this"
    pretend(monkeypatch, (3, 0, 0), (0, 0, 5))
    assert run.run_pytest("unit", ["-k", "of one half"])["failed"] == 0
    pretend(monkeypatch, (3, 0, 0), (4, 0, 139))
    assert run.run_pytest("unit", [])["failed"] == 1


def test_the_two_processes_leave_no_unit_test_out() -> None:
    first, second = run.parts("unit")
    folders = [word for word in first if word.startswith("/")]
    assert all(Path(folder).is_dir() for folder in folders)
    assert {f"--ignore={folder}" for folder in folders} == {
        word for word in second if word.startswith("--ignore=")
    }
