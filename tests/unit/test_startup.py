"""The start-up script and the tiers' counting, without setting anything up: the environment's Python is a stub."""

from __future__ import annotations

import os
import subprocess
import sys
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


@pytest.mark.parametrize(
    ("tests", "skipped", "status", "ci", "failed"),
    [
        (3, 1, 0, "1", 0),
        (3, 3, 0, "1", 1),
        (3, 3, 0, "", 0),
        (3, 0, -11, "", 1),
        (0, 0, 0, "", 1),
    ],
)
def test_a_tier_that_died_or_tested_nothing_is_not_green(
    monkeypatch: pytest.MonkeyPatch, tests: int, skipped: int, status: int, ci: str, failed: int
) -> None:
    def pytest_run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        results = next(word for word in command if word.startswith("--junitxml="))
        Path(results.partition("=")[2]).write_text(JUNIT.format(tests, skipped))
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr(run.subprocess, "run", pytest_run)
    monkeypatch.setenv("CI", ci)
    assert run.run_pytest("unit", [])["failed"] == failed
