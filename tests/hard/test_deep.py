"""The unit tests' properties with many examples, and the unit tests that take their time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def test_what_holds_for_few_examples_holds_for_many(tmp_path: Path) -> None:
    command = (
        *(sys.executable, "-m", "pytest", "tests/unit", "-q", "-n", "2", f"--basetemp={tmp_path / 'unit'}"),
        *("-m", "hypothesis or deep", "--hypothesis-profile=deep"),
    )  # fmt: skip
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
