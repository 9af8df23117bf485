"""tox and nox: what they are asked for, and that no environment of another Python is taken."""

from __future__ import annotations

import doctest
import threading
from pathlib import Path

import pytest
from tests.unit.worker import kit_builders as make

from pybots_worker import layout
from pybots_worker.engine import Workshop
from pybots_worker.errors import PhaseFailed
from pybots_worker.phases.context import Context
from pybots_worker.phases.install import _of_tool
from pybots_worker.runners import plans, tools
from pybots_worker.settings import WorkshopSettings


def test_the_examples_hold() -> None:
    assert doctest.testmod(tools).failed == 0


@pytest.mark.parametrize(
    ("name", "forced"),
    [
        ("py312", "py"), ("py", "py"), ("3.13-lint", "py-lint"), ("pypy310-x", "py-x"),
        ("py313t-cov", "py-cov"), ("tests-pytest8", "tests-pytest8"), ("python3.9-a", "py-a"),
    ],
)  # fmt: skip
def test_a_tox_environment_is_forced_onto_our_python(name: str, forced: str) -> None:
    test = make.make_test(runner="tox", args=(name,))
    assert tools.environment(test) == forced
    made = tools.making(test)
    assert f"testenv:{forced}.base_python=/pybots/venv/bin/python" in made and "--notest" in made


def test_a_nox_session_loses_its_python_and_gets_ours() -> None:
    test = make.make_test(runner="nox", args=("tests-3.12", "-x", "tests/test_a.py"))
    made = tools.making(test)
    assert made[made.index("--force-python") + 1] == layout.PYTHON and made[-1] == "--install-only"
    assert made[made.index("--session") + 1] == "tests"
    assert tools.running(test)[-4:] == ("-R", "--", "-x", "tests/test_a.py")


@pytest.mark.parametrize("runner", ["tox", "nox"])
def test_pytest_inside_tells_through_its_plugin(runner: str) -> None:
    plan = plans.plan(make.make_test(runner=runner, args=("py", "-v")))
    assert plan.argv[-2:] == ("--", "-v") and plan.tells and plan.perhaps
    assert plan.env == {"PYTHONPATH": layout.KIT, "PYTEST_ADDOPTS": "-p pybots_pytest"}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A job for tox whose environment of the kit's is there."""
    shop = Workshop(tmp_path, WorkshopSettings(local=True), environ={})
    work = make.make_project_work(test=make.make_test(runner="tox", args=("py312-a",)))
    job = make.make_job(work)
    made = Context(
        job=job, phase="install", folder=shop.begin(job), machine=shop.machine,
        sink=lambda _stream, _data: None, cancel=threading.Event(),
    )  # fmt: skip
    environment(made, layout.VENV, "/opt/pybots/python/bin")
    return made


def environment(context: Context, inside: str, home: str) -> None:
    folder = context.folder.outside(inside)
    folder.mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"implementation = CPython\nhome = {home}\n")


def test_the_environment_that_was_made_is_looked_at(context: Context) -> None:
    environment(context, f"{tools.FOLDER}/.tox", "/usr/bin")
    environment(context, f"{tools.FOLDER}/py-a", "/opt/pybots/python/bin")
    assert _of_tool(context) == f"{tools.FOLDER}/py-a"


def test_an_environment_of_another_python_is_refused(context: Context) -> None:
    environment(context, f"{tools.FOLDER}/py-a", "/usr/bin")
    with pytest.raises(PhaseFailed, match="py-a was made with the Python in /usr/bin"):
        _of_tool(context)


def test_no_environment_is_a_failed_installation(context: Context) -> None:
    with pytest.raises(PhaseFailed, match="no environment py-a was made"):
        _of_tool(context)
