"""The engine's bookkeeping, with the work of the phases left out."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.worker import kit_builders as make

from pybots_worker import contract, reporting
from pybots_worker.contract import (
    BAD_OUTCOMES,
    MAX_REPORT_BYTES,
    Failure,
    Install,
    Locked,
    decode_report,
)
from pybots_worker.contract import TestOutcome as Outcome
from pybots_worker.engine import OutOfOrderError, Workshop
from pybots_worker.errors import FarmTrouble, PhaseFailed, failed
from pybots_worker.phases import INTERPRETER, PROJECT, install
from pybots_worker.phases.context import Context
from pybots_worker.runners import plans
from pybots_worker.settings import WorkshopSettings

Work = dict[str, Any]


def silent(_stream: str, _data: bytes) -> None:
    pass


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path, WorkshopSettings(name="attic", local=True), environ={})


def doing(monkeypatch: pytest.MonkeyPatch, action: object) -> None:
    monkeypatch.setattr("pybots_worker.phases.work_of", lambda _job, _phase: action)


def test_every_phase_of_a_job_has_its_work() -> None:
    assert (*INTERPRETER, "report") == contract.INTERPRETER_PHASES
    assert (*PROJECT, "report") == contract.PROJECT_PHASES


def test_a_job_is_begun_kept_and_ended(workshop: Workshop) -> None:
    folder = workshop.begin(make.make_job())
    assert folder.name == "7-3"
    assert contract.decode_job(folder.job.read_bytes()) == make.make_job()
    (folder.work / "leftover").touch()
    assert not (workshop.begin(make.make_job()).work / "leftover").exists(), "a fresh folder always"
    workshop.end(folder)
    assert not folder.root.exists()


def test_a_phase_that_is_ok_says_so(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    doing(monkeypatch, lambda context: None)
    folder = workshop.begin(make.make_job())
    result = workshop.run_phase(folder, "interpreter", silent)
    assert (result.ok, result.ended, result.failure) == (True, "exit", None)
    assert workshop.report(folder).phases == (result,)


@pytest.mark.parametrize(
    ("error", "ended", "kind"),
    [
        (failed("NoConfigure", "no"), "exit", "NoConfigure"),
        (FarmTrouble("Download", "no"), "farm_error", "Download"),
        (OSError(28, "No space left on device", "/x"), "farm_error", "WorkerDisk"),
        (PhaseFailed(Failure(type="T"), "sandbox_error"), "sandbox_error", "T"),
    ],
)
def test_whose_fault_it_was_is_told(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, error: Exception, ended: str, kind: str
) -> None:
    def work(_context: Context) -> None:
        raise error

    doing(monkeypatch, work)
    folder = workshop.begin(make.make_job())
    result = workshop.run_phase(folder, "interpreter", silent)
    assert (result.ok, result.ended) == (False, ended)
    assert result.failure and result.failure.type == kind


def test_a_phase_does_not_follow_a_failed_one(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_context: Context) -> None:
        raise failed("No", "no")

    doing(monkeypatch, work)
    folder = workshop.begin(make.make_job())
    workshop.run_phase(folder, "interpreter", silent)
    with pytest.raises(OutOfOrderError):
        workshop.run_phase(folder, "source", silent)
    with pytest.raises(OutOfOrderError):
        workshop.run_phase(folder, "compile", silent)


def test_a_kit_that_was_killed_in_a_phase_is_seen_in_the_report(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def work(_context: Context) -> None:
        raise Killed

    doing(monkeypatch, work)
    folder = workshop.begin(make.make_job())
    with pytest.raises(Killed):
        workshop.run_phase(folder, "interpreter", silent)
    phase = workshop.report(folder).phases[0]
    assert (phase.ok, phase.ended) == (False, "farm_error")


def test_what_a_phase_found_is_reported(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(context: Context) -> None:
        context.found.tests = (Outcome(id="a", outcome="passed"),)
        context.found.lock = (Locked(name="x", version="1"),)

    doing(monkeypatch, work)
    folder = workshop.begin(make.make_job())
    workshop.run_phase(folder, "interpreter", silent)
    report = workshop.report(folder)
    assert [test.id for test in report.tests] == ["a"] and report.lock[0].name == "x"
    assert (report.run, report.attempt, report.kind) == (7, 3, "project")
    assert report.environment.worker == "attic"


def test_a_report_is_made_to_fit(workshop: Workshop) -> None:
    bad = Failure(type="E", message="m" * 2000, detail="d" * 20_000)
    tests = tuple(Outcome(id=str(n), outcome="failed", failure=bad) for n in range(100))
    report = make.make_report(tests=tests)
    data = reporting.shrunk(report, 300_000)
    assert len(data) <= 300_000
    again = decode_report(data)
    assert len(again.tests) == 100
    assert all(test.outcome in BAD_OUTCOMES and test.failure for test in again.tests)
    assert reporting.shrunk(report, MAX_REPORT_BYTES) == contract.encode(report)
    with pytest.raises(PhaseFailed, match="the farm takes"):
        reporting.shrunk(report, 1000)


def test_leftovers_of_a_killed_kit_are_swept(workshop: Workshop) -> None:
    folder = workshop.begin(make.make_job())
    half = workshop.root / "cache/interpreters/.new-123"
    half.mkdir()
    workshop.sweep()
    assert not folder.root.exists() and not half.exists()


def arguments(workshop: Workshop, network: str = "install", **changes: Any) -> list[list[str]]:
    """What uv pip install is given, and the requirements file among it."""
    given = msgspec.structs.replace(Install(requirements=("pytest",)), **changes)
    work = make.make_project_work(install=given, network=network)
    folder = workshop.begin(make.make_job(work))
    context = Context(
        job=make.make_job(work),
        phase="install",
        folder=folder,
        machine=workshop.machine,
        sink=silent,
        cancel=threading.Event(),
    )
    return list(install.steps(context, given))


FILE = ["--requirement", "/opt/pybots/job/requirements.txt"]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, [[*FILE, "/pybots/source"]]),
        ({"extras": ("a", "b")}, [[*FILE, "/pybots/source[a,b]"]]),
        ({"path": "sub"}, [[*FILE, "/pybots/source/sub"]]),
        ({"editable": True}, [[*FILE, "--editable", "/pybots/source"]]),
        ({"project": False}, [FILE]),
        (
            {"groups": ("test",), "path": "sub"},
            [[*FILE, "--group", "/pybots/source/sub/pyproject.toml:test", "/pybots/source/sub"]],
        ),
        (
            {"requirement_files": ("r.txt",)},
            [["--requirement", "/pybots/source/r.txt", *FILE, "/pybots/source"]],
        ),
        ({"build_isolation": False}, [FILE, ["--no-build-isolation", *FILE, "/pybots/source"]]),
    ],
)
def test_how_a_project_is_installed(
    workshop: Workshop, changes: Work, wanted: list[list[str]]
) -> None:
    assert arguments(workshop, **changes) == wanted


def test_a_runner_brings_itself_where_the_network_can(workshop: Workshop) -> None:
    given = workshop.root / "jobs/7-3/given/requirements.txt"
    arguments(workshop, requirements=("coverage",))
    assert given.read_text().splitlines() == ["coverage", "pytest"]
    arguments(workshop, requirements=("PyTest>=8",))
    assert given.read_text().splitlines() == ["PyTest>=8"]
    assert arguments(workshop, "none", requirements=()) == [["/pybots/source"]]


@pytest.mark.parametrize("runner", ["pytest", "unittest", "trial", "django", "command"])
def test_every_runner_has_a_plan(runner: str) -> None:
    plan = plans.plan(make.make_test(runner=runner, args=("x", "y")))
    assert plan.argv[-2:] == ("x", "y")
    assert plan.tells == (runner != "command")
