"""The scripts that run on the interpreter under test, run here on the interpreter of the tests (and on older ones)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.hard.kit_world import make_ending

from pybots_worker.contract import TestOutcome as Outcome
from pybots_worker.layout import INSIDE
from pybots_worker.runners.results import read_events

PYTEST_SUITE = """
import os, pytest
class Thing: pass
@pytest.fixture
def bad(): raise OSError("no setup")
@pytest.fixture
def worse():
    yield
    raise OSError("no teardown")
def test_pass(): pass
def test_fail(): assert [1] == [2], "not equal"
@pytest.mark.xfail(reason="known")
def test_xfail(): assert 0
@pytest.mark.xfail(reason="known")
def test_xpass(): pass
@pytest.mark.xfail(strict=True, reason="known")
def test_strict(): pass
@pytest.mark.skip(reason="not today")
def test_skip(): pass
def test_setup(bad): pass
def test_teardown(worse): pass
@pytest.mark.parametrize("x", ["0x7f3a5c0d1e50", "0x7f3a5c0d1e51"])
def test_address(x): pass
def test_surrogate(): assert "\\ud800" == ""
def test_last():
    if os.environ.get("CRASH"): os.abort()
def test_never(): pass
"""
UNITTEST_SUITE = """
import os, unittest
class A(unittest.TestCase):
    def test_1_pass(self): pass
    def test_2_fail(self): self.fail("no")
    def test_3_error(self): raise OSError("no")
    @unittest.expectedFailure
    def test_4_xfail(self): self.fail()
    @unittest.expectedFailure
    def test_5_xpass(self): pass
    @unittest.skip("not today")
    def test_6_skip(self): pass
    def test_7_sub(self):
        for i in range(3):
            with self.subTest(i=i): self.assertNotEqual(i, 1)
    def test_8_subskip(self):
        with self.subTest(i=1): self.skipTest("part")
class B(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise OSError("no class")
    def test_b(self): pass
class C(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise unittest.SkipTest("no class today")
    def test_c(self): pass
"""


def others() -> list[str]:
    """Other Pythons that are here and work, the oldest first; pyenv's are found where it keeps them."""
    names = ("3.6", "3.8", "3.9", "3.13", "3.14")
    found = [shutil.which(f"python{name}") or "" for name in names]
    found += map(str, sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3")))
    return [path for path in found if path and works(path)]


def works(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def told(folder: Path, *argv: str, only: tuple[str, ...] = (), **env: str) -> dict[str, Outcome]:
    """What the script told when it ran in `folder`."""
    events = folder / "events.jsonl"
    events.unlink(missing_ok=True)
    if only:
        (folder / "only.json").write_text(json.dumps(only))
        env["PYBOTS_ONLY"] = str(folder / "only.json")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    subprocess.run(
        argv,
        cwd=folder,
        env={**clean, "PYTHONPATH": str(INSIDE), "PYBOTS_EVENTS": str(events), **env},
        capture_output=True,
        check=False,
    )
    data = events.read_bytes() if events.exists() else b""
    return read_events(data, make_ending(exit_code=1), only).tests


def pytest_told(folder: Path, *args: str, **more: object) -> dict[str, Outcome]:
    command = (sys.executable, "-m", "pytest", "-p", "pybots_pytest", "-p", "no:cacheprovider")
    return told(folder, *command, *args, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pytest suite in it."""
    folder = tmp_path_factory.mktemp("pytest-suite")
    (folder / "test_all.py").write_text(PYTEST_SUITE)
    (folder / "test_import.py").write_text("import no_such_module")
    (folder / "test_module.py").write_text(
        "import pytest; pytest.skip('whole', allow_module_level=True)"
    )
    return folder


def test_pytest_tells_every_outcome(suite: Path) -> None:
    found = pytest_told(suite)
    assert {name.rpartition("::")[2]: test.outcome for name, test in found.items()} == {
        "test_import.py": "error",
        "test_module.py": "skipped",
        "test_pass": "passed",
        "test_fail": "failed",
        "test_xfail": "xfailed",
        "test_xpass": "passed",
        "test_strict": "xpassed",
        "test_skip": "skipped",
        "test_setup": "error",
        "test_teardown": "error",
        "test_address[0x…]": "passed",
        "test_address[0x…]#2": "passed",
        "test_surrogate": "failed",
        "test_last": "passed",
        "test_never": "passed",
    }
    failure = found["test_all.py::test_fail"].failure
    assert failure and failure.type == "AssertionError" and "not equal" in failure.message
    failure = found["test_import.py"].failure
    assert failure and failure.type == "ModuleNotFoundError"
    assert found["test_all.py::test_skip"].reason == "not today"


def test_pytest_that_crashes_leaves_what_it_told(suite: Path) -> None:
    found = pytest_told(suite, CRASH="1")
    assert found["test_all.py::test_last"].outcome == "crashed"
    assert found["test_all.py::test_never"].outcome == "not_run"
    assert found["test_all.py::test_pass"].outcome == "passed"


def test_pytest_with_xdist_tells_the_same(suite: Path) -> None:
    pytest.importorskip("xdist")
    alone = pytest_told(suite, "--deselect", "test_all.py::test_surrogate")
    shared = pytest_told(suite, "--deselect", "test_all.py::test_surrogate", "-n", "2")
    assert {k: v.outcome for k, v in alone.items()} == {k: v.outcome for k, v in shared.items()}


@pytest.mark.parametrize("args", [(), ("-n", "2")])
def test_pytest_shows_its_tests_no_path_of_ours(tmp_path: Path, args: tuple[str, ...]) -> None:
    (tmp_path / "test_it.py").write_text(f"""
import os, subprocess, sys
def test_it():
    assert {str(INSIDE)!r} not in os.environ.get("PYTHONPATH", "").split(os.pathsep)
    assert subprocess.call([sys.executable, "-c", "import pybots_pytest"]) == 1
""")
    assert [test.outcome for test in pytest_told(tmp_path, *args).values()] == ["passed"]


def test_pytest_retries_only_what_is_asked_for(suite: Path) -> None:
    only = ("test_import.py", "test_all.py::test_fail", "test_all.py::test_address[0x…]#2")
    found = pytest_told(suite, only=only)
    assert {name: test.outcome for name, test in found.items()} == {
        "test_import.py": "error",
        "test_all.py::test_fail": "failed",
        "test_all.py::test_address[0x…]#2": "passed",
    }


def test_pytest_tells_that_a_module_can_be_imported_now(tmp_path: Path) -> None:
    (tmp_path / "test_import.py").write_text("def test_it(): pass")
    found = pytest_told(tmp_path, only=("test_import.py",))
    assert {name: test.outcome for name, test in found.items()} == {
        "test_import.py": "passed",
        "test_import.py::test_it": "passed",
    }


def test_pytest_that_breaks_itself_says_so(tmp_path: Path) -> None:
    """A hook that raises ends the run with tests lost; beside a known failure they would not be missed."""
    (tmp_path / "conftest.py").write_text(
        "def pytest_runtest_setup(item):\n  pass\n"
        "def pytest_runtest_logfinish(nodeid):\n  if 'two' in nodeid: raise OSError('no more')\n"
    )
    (tmp_path / "test_it.py").write_text(
        "def test_one(): assert 0\ndef test_two(): pass\ndef test_three(): pass"
    )
    found = pytest_told(tmp_path)
    broken = found["(internal error)"]
    assert broken.outcome == "error"
    assert broken.failure and (broken.failure.type, broken.failure.message) == (
        "OSError",
        "no more",
    )
    assert found["test_it.py::test_three"].outcome == "not_run"


def test_a_skipped_subtest_does_not_skip_its_test_in_pytest(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("""
import unittest
class A(unittest.TestCase):
    def test_part(self):
        for i in range(3):
            with self.subTest(i=i):
                if i == 1: self.skipTest("part")
    def test_bad(self):
        for i in range(3):
            with self.subTest(i=i): self.assertNotEqual(i, 1)
""")
    found = pytest_told(tmp_path)
    assert {name.rpartition("::")[2]: test.outcome for name, test in found.items()} == {
        "test_part": "passed",
        "test_bad": "failed",
    }


@pytest.fixture(scope="module")
def unit_suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unittest-suite")
    (folder / "test_all.py").write_text(UNITTEST_SUITE)
    (folder / "test_import.py").write_text("import no_such_module")
    return folder


UNITTEST = str(INSIDE / "pybots_unittest.py")


@pytest.mark.parametrize("python", [sys.executable, *others()])
def test_unittest_tells_every_outcome(unit_suite: Path, python: str) -> None:
    found = told(unit_suite, python, "-B", UNITTEST, "discover")
    assert {name.rpartition(".")[2]: test.outcome for name, test in found.items()} == {
        "test_1_pass": "passed",
        "test_2_fail": "failed",
        "test_3_error": "error",
        "test_4_xfail": "xfailed",
        "test_5_xpass": "xpassed",
        "test_6_skip": "skipped",
        "test_7_sub": "failed",
        "test_8_subskip": "passed",
        "B)": "error",
        "test_b": "not_run",
        "test_c": "skipped",
        "test_import": "error",
    }
    failure = found["test_all.A.test_7_sub"].failure
    assert failure and failure.message.startswith("(i=1)")


def test_unittest_retries_only_what_is_asked_for(unit_suite: Path) -> None:
    only = ("test_all.A.test_2_fail", "test_import", "setUpClass (test_all.B)")
    found = told(unit_suite, sys.executable, "-B", UNITTEST, "discover", only=only)
    assert {name: found[name].outcome for name in only} == {
        "test_all.A.test_2_fail": "failed",
        "test_import": "error",
        "setUpClass (test_all.B)": "error",
    }
    assert "test_all.A.test_1_pass" not in found


def test_a_test_that_interrupts_unittest_did_not_pass(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("""
import unittest
class A(unittest.TestCase):
    def test_1(self): raise KeyboardInterrupt
    def test_2(self): pass
""")
    found = told(tmp_path, sys.executable, "-B", UNITTEST, "discover")
    assert [test.outcome for test in found.values()] == ["error", "not_run"]


def test_a_test_judged_but_never_stopped_has_not_crashed(tmp_path: Path) -> None:
    """Some projects' base classes skip in a run() of their own, and leave stopTest out."""
    (tmp_path / "test_it.py").write_text("""
import os, unittest
class A(unittest.TestCase):
    def run(self, result=None):
        if "skip" not in self.id():
            return super().run(result)
        result.startTest(self)
        result.addSkip(self, "not supported")
    def test_1_skip(self): pass
    def test_2(self): pass
    def test_3_skip(self): pass
""")
    found = told(tmp_path, sys.executable, "-B", UNITTEST, "discover")
    assert [test.outcome for test in found.values()] == ["skipped", "passed", "skipped"]
    assert found["test_it.A.test_3_skip"].reason == "not supported"


def test_a_test_may_have_an_id_of_its_own(tmp_path: Path) -> None:
    """Trac's tests keep a ticket's number in `self.id`."""
    (tmp_path / "test_it.py").write_text("""
import unittest
class A(unittest.TestCase):
    def test_1(self): self.id = 5
    def test_2(self): self.id = 5; self.fail()
""")
    found = told(tmp_path, sys.executable, "-B", UNITTEST, "discover")
    assert {name: test.outcome for name, test in found.items()} == {
        "test_it.A.test_1": "passed",
        "test_it.A.test_2": "failed",
    }


def test_a_class_skipped_in_another_process_is_told_of_one_test_and_means_all(
    tmp_path: Path,
) -> None:
    """Django's parallel runner replays a class's skip with the last of its tests, which never started."""
    (tmp_path / "test_it.py").write_text("""
import unittest
class A(unittest.TestCase):
    def test_1(self): pass
    def test_2(self): pass
class Replayed(unittest.TestSuite):
    def run(self, result, debug=False):
        result.addSkip(list(self)[-1], "no class today")
        return result
def load_tests(loader, tests, pattern):
    return Replayed([A("test_1"), A("test_2")])
""")
    found = told(tmp_path, sys.executable, "-B", UNITTEST, "test_it")
    assert {name: (test.outcome, test.reason) for name, test in found.items()} == {
        "test_it.A.test_1": ("skipped", "no class today"),
        "test_it.A.test_2": ("skipped", "no class today"),
    }


def test_trial_tells_every_outcome(tmp_path: Path) -> None:
    (tmp_path / "test_trial.py").write_text("""
from twisted.trial import unittest
from twisted.internet import reactor, task
class A(unittest.TestCase):
    def test_pass(self): return task.deferLater(reactor, 0.01, lambda: None)
    def test_fail(self): self.assertEqual(1, 2)
    def test_todo(self): self.fail()
    test_todo.todo = "later"
    def test_done(self): pass
    test_done.todo = "later"
    def test_skip(self): raise unittest.SkipTest("not today")
    def test_dirty(self): reactor.callLater(100, lambda: None)
""")
    script = str(INSIDE / "pybots_trial.py")
    found = told(tmp_path, sys.executable, "-B", script, "test_trial", "no_such_module")
    assert {name.rpartition(".")[2]: test.outcome for name, test in found.items()} == {
        "test_pass": "passed",
        "test_fail": "failed",
        "test_todo": "xfailed",
        "test_done": "passed",
        "test_skip": "skipped",
        "test_dirty": "error",
        "no_such_module": "error",
    }
    only = ("test_trial.A.test_fail",)
    assert list(told(tmp_path, sys.executable, "-B", script, "test_trial", only=only)) == list(only)


def test_an_interpreter_names_its_modules(tmp_path: Path) -> None:
    script, target = str(INSIDE / "pybots_interpreter.py"), tmp_path / "x.json"
    subprocess.run([sys.executable, "-I", script, str(target), "modules"], check=True)
    said = json.loads(target.read_text())
    assert said["version"] == sys.version and "_json" in said["modules"]


def test_an_environment_names_its_distributions(tmp_path: Path) -> None:
    script, target = str(INSIDE / "pybots_installed.py"), tmp_path / "x.json"
    subprocess.run(
        [sys.executable, "-I", script, str(target), "/pybots/source", "msgspec"], check=True
    )
    said = json.loads(target.read_text())
    assert "msgspec" in [name for name, _version in said["lock"]]
    assert said["modules"] == ["msgspec._core"]
