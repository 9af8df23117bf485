"""CPython's own suite: what regrtest's results, old and new, come to. The objects are made like regrtest's own."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tests.unit.worker.kit_builders import make_ending

import pybots_worker
from pybots_worker.contract import TestOutcome as Found
from pybots_worker.runners.results import read_events

CASES = """<testsuite>
<testcase name="test.test_a.C.test_good" time="0.25"/>
<testcase name="test.test_a.C.test_bad"><failure type="AssertionError" message="AssertionError: 1 != 2&#10;">Traceback …
AssertionError: 1 != 2</failure></testcase>
<testcase name="test.test_a.C.test_error"><error type="x.Oops" message="x.Oops: no">Traceback …</error></testcase>
<testcase name="test.test_a.C.test_skipped"><skipped>no window</skipped></testcase>
<testcase name="test.test_a.C.test_expected"><output type="ValueError">…</output></testcase>
<testcase name="test.test_a.C.test_surprise"><outcome>UNEXPECTED_SUCCESS</outcome></testcase>
<testcase/>
</testsuite>"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module of its own, telling into a file."""
    inside = Path(pybots_worker.__file__).parent / "inside"
    monkeypatch.syspath_prepend(str(inside))
    monkeypatch.setenv("PYBOTS_EVENTS", str(tmp_path / "events"))
    for name in ("pybots_events", "pybots_regrtest"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("pybots_regrtest")


def told(script: ModuleType, tmp_path: Path, *results: Any) -> dict[str, Found]:
    for result in results:
        script.tell(result)
    return read_events((tmp_path / "events").read_bytes(), make_ending()).tests


def test_every_test_is_told_with_its_outcome(script: ModuleType, tmp_path: Path) -> None:
    found = told(
        script, tmp_path, SimpleNamespace(test_name="test_a", state="FAILED", xml_data=[CASES])
    )
    assert {name.rpartition(".")[2]: test.outcome for name, test in found.items()} == {
        "test_good": "passed", "test_bad": "failed", "test_error": "error", "test_skipped": "skipped",
        "test_expected": "xfailed", "test_surprise": "xpassed",
    }  # fmt: skip
    bad = found["test.test_a.C.test_bad"]
    assert bad.failure and (bad.failure.type, bad.failure.message) == ("AssertionError", "1 != 2")
    assert found["test.test_a.C.test_skipped"].reason == "no window"
    assert found["test.test_a.C.test_good"].seconds == 0.25


@pytest.mark.parametrize(
    ("state", "outcome"),
    [("WORKER_FAILED", "crashed"), ("TIMEOUT", "timed_out"), ("UNCAUGHT_EXC", "error"), ("SKIPPED", "skipped")],
)  # fmt: skip
def test_what_happened_to_a_whole_module_is_told_of_it(
    script: ModuleType, tmp_path: Path, state: str, outcome: str
) -> None:
    found = told(script, tmp_path, SimpleNamespace(test_name="test_a", state=state))
    assert {name: test.outcome for name, test in found.items()} == {"test.test_a": outcome}


def test_older_results_are_classes(script: ModuleType, tmp_path: Path) -> None:
    """Until 3.11 the state is the class's name, and the parentheses of a failure hold the class only."""
    child_error = type("ChildError", (), {})()
    child_error.name = "test_b"
    failed = type("Failed", (), {})()
    failed.name = "test_a"
    failed.failures = [("test_x (test.test_a.C) [part 2]", "Traceback …\nAssertionError: 3 != 4")]
    found = told(script, tmp_path, child_error, failed)
    assert {name: test.outcome for name, test in found.items()} == {
        "test.test_b": "crashed", "test.test_a.C.test_x": "failed",
    }  # fmt: skip
    failure = found["test.test_a.C.test_x"].failure
    assert failure and (failure.type, failure.message) == ("AssertionError", "3 != 4")


def test_a_module_that_failed_without_a_test_is_not_silent(
    script: ModuleType, tmp_path: Path
) -> None:
    found = told(script, tmp_path, SimpleNamespace(test_name="test_a", state="FAILED"))
    assert found["test.test_a"].outcome == "failed"


def test_a_retry_names_modules_and_patterns(script: ModuleType, tmp_path: Path) -> None:
    words = script.restricted(["test.test_a.C.test_x", "test.test_b"], str(tmp_path))
    assert words == ["--matchfile", str(tmp_path / "wanted"), "test_a", "test_b"]
    patterns = (tmp_path / "wanted").read_text().split()
    assert patterns == ["test.test_a.C.test_x", "test.test_b", "test.test_b.*"]


def test_a_module_that_passes_when_tried_again_says_so(
    monkeypatch: pytest.MonkeyPatch, script: ModuleType, tmp_path: Path
) -> None:
    monkeypatch.setattr(script, "WANTED", frozenset({"test.test_b"}))
    found = told(script, tmp_path, SimpleNamespace(test_name="test_b", state="PASSED"))
    assert found["test.test_b"].outcome == "passed"
