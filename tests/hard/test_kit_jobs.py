"""The kit's main job over the miniature: what is built, installed, tested, retried, cancelled, remembered."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
from tests.hard.conftest import Mini
from tests.hard.kit_world import Kit, Log, blob, git_source

from pybots.core.outcomes import observe
from pybots_worker import settings
from pybots_worker.contract import (
    BAD_OUTCOMES,
    Install,
    OwnSource,
    Recipe,
    Report,
    SdistSource,
    decode_report,
    digest,
)
from pybots_worker.contract import (
    Test as How,
)
from pybots_worker.engine import ROOM, OutOfOrderError, Workshop
from pybots_worker.phases import test as phases_test
from pybots_worker.settings import WorkshopSettings

DISCOVER = How(runner="unittest", args=("discover", "-s", "tests", "-t", "."))


def outcomes(report: Report) -> dict[str, str]:
    return {test.id.rpartition(".")[2]: test.outcome for test in report.tests}


def phases(report: Report) -> dict[str, bool]:
    return {result.phase: result.ok for result in report.phases}


def test_an_interpreter_is_built_published_and_kept(mini: Mini) -> None:
    report = mini.kit.run(mini.kit.interpreter_job(mini.world.cpython, mini.world.head()))
    assert phases(report) == dict.fromkeys(
        ("source", "configure", "compile", "install", "publish"), True
    )
    assert report.artifact and report.artifact.size > 100_000
    assert report.python.startswith("3.")
    assert "_json" in report.modules or "_struct" in report.modules
    cached = mini.kit.workshop.root / "cache/interpreters" / report.artifact.sha256 / "data"
    assert (cached / "bin/python3").is_symlink()


def test_a_published_interpreter_has_no_stale_byte_code(mini: Mini, tmp_path: Path) -> None:
    """Times are fixed in the archive, and byte-code is valid only beside a source of its time."""
    kit = Kit(tmp_path)
    source = git_source(mini.world.projects_dir / "sprout")
    code = (
        "import importlib.util, json, os, struct, sys; "
        "pyc = open(importlib.util.cache_from_source(json.__file__), 'rb').read(12); "
        "sys.exit(int(os.stat(json.__file__).st_mtime) != struct.unpack('<I', pyc[8:])[0])"
    )
    test = How(runner="command", args=("python", "-c", code))
    report = kit.run(kit.project_job(mini.python, source, test))
    assert outcomes(report) and report.phases[-1].ok, kit.log.text


def test_a_commit_that_does_not_compile_fails_its_phase_and_still_reports(mini: Mini) -> None:
    world = mini.world
    before = world.head()
    sha = world.commit_files(
        {"Python/getversion.c": "int main(void { return 0; }\n"}, "Break the build"
    )
    report = mini.kit.run(mini.kit.interpreter_job(world.cpython, sha))
    assert phases(report) == {"source": True, "configure": True, "compile": False}
    last = report.phases[-1]
    assert (last.ended, last.exit_code) == ("exit", 2)
    assert last.failure and "getversion.c" in last.failure.detail
    assert report.artifact is None
    subprocess.run(["git", "-C", str(world.cpython), "reset", "-q", "--hard", before], check=True)


def test_a_project_is_installed_and_its_tests_are_named(mini: Mini) -> None:
    report = mini.kit.run(
        mini.kit.project_job(mini.python, git_source(mini.world.projects_dir / "anchor"), DISCOVER)
    )
    assert set(outcomes(report).values()) == {"passed"}
    assert all(test.id.startswith("tests.test_anchor.") for test in report.tests)
    assert all(phases(report).values())
    assert report.environment.platform.startswith("linux-")
    assert report.environment.caps["memory"]


def test_a_release_is_unpacked_and_tested(mini: Mini) -> None:
    project = mini.world.project("sprout")
    source = SdistSource(name=project.sdist.name, version="1.0", blob=blob(project.sdist))
    report = mini.kit.run(mini.kit.project_job(mini.python, source, DISCOVER))
    assert set(outcomes(report).values()) == {"passed", "skipped", "xfailed"}, mini.kit.log.text


WRITES = """
import errno, os, sys
try:
    os.unlink(os.__file__ + "-absent")
except OSError as error:
    absent = error.errno
try:
    open(os.__file__ + "-planted", "x").close()
    planted = 0
except OSError as error:
    planted = error.errno
print("said", errno.errorcode.get(absent), errno.errorcode.get(planted))
sys.exit(planted)
"""
"""Removes a file that is not there, as CPython's own tests do, and makes one, both beside the standard library's."""


def test_cpythons_own_suite_writes_to_a_copy_and_everybody_else_to_nothing(mini: Mini) -> None:
    kit = mini.kit
    shelf = kit.workshop.root / "cache/interpreters"
    how = How(runner="command", args=("python", "-c", WRITES), retries=0)
    alone = Install(project=False)
    before = sorted(shelf.rglob("*"))
    report = kit.run(kit.project_job(mini.python, OwnSource(), how, alone))
    assert report.phases[-1].ok and "said ENOENT None" in kit.log.text, kit.log.text
    other = git_source(mini.world.projects_dir / "sprout")
    report = kit.run(kit.project_job(mini.python, other, how, alone))
    assert not report.phases[-1].ok and "said EROFS EROFS" in kit.log.text, kit.log.text
    assert sorted(shelf.rglob("*")) == before, "what one job wrote no other sees"


def test_extension_modules_are_listed_and_a_lost_one_is_not(mini: Mini) -> None:
    """Green but hollow: the optional extension cannot be compiled, and everything passes without it."""
    source = git_source(mini.world.projects_dir / "frond")
    good = mini.kit.run(mini.kit.project_job(mini.python, source, DISCOVER))
    assert good.modules == ("frond._fern",)
    sha = mini.world.commit("remove-c-api")
    python = mini.kit.built(mini.world.cpython, sha)
    without = mini.kit.run(mini.kit.project_job(python, source, DISCOVER))
    mini.world.commit("restore-c-api")
    assert without.phases[-1].ok and set(outcomes(without).values()) == {"passed"}
    assert without.modules == ()


def test_the_very_same_installation_takes_its_own_build_again(mini: Mini) -> None:
    """Wheel and tree, editable or not; a control builds anew."""
    source = git_source(mini.world.projects_dir / "frond")

    def again(install: Install, purpose: str = "routine") -> tuple[Report, bool]:
        job = mini.kit.project_job(
            mini.python, source, DISCOVER, install, purpose=purpose, env={"OF": "this test"}
        )
        return mini.kit.run(job), "minutes ago is used" in mini.kit.log.text

    for install in (Install(), Install(editable=True)):
        first, reused = again(install)
        assert not reused and first.modules == ("frond._fern",), mini.kit.log.text
        second, reused = again(install)
        assert reused and second.modules == first.modules, mini.kit.log.text
        assert outcomes(second) == outcomes(first) and second.lock == first.lock
        assert set(outcomes(second).values()) == {"passed"}
        assert not again(install, "control")[1]


def test_what_fails_once_is_tried_again_and_both_are_told(mini: Mini) -> None:
    source = git_source(mini.world.projects_dir / "bad-first-try")
    report = mini.kit.run(mini.kit.project_job(mini.python, source, DISCOVER))
    tests = {test.id.rpartition(".")[2]: test for test in report.tests}
    bad = tests["test_2_bad"]
    assert (bad.outcome, bad.retried) == ("failed", ("passed", "passed")), "alone, and in order"
    assert tests["test_1_before"].retried == ()
    assert not report.phases[-1].ok, "the first run is what counts"


def test_what_fails_only_after_another_test_fails_again_in_order(mini: Mini) -> None:
    """Alone it passes, so it would look flaky; among the tests before it, it fails every time."""
    source = git_source(mini.world.projects_dir / "bad-order")
    report = mini.kit.run(mini.kit.project_job(mini.python, source, DISCOVER))
    tests = {test.id.rpartition(".")[2]: test for test in report.tests}
    bad = tests["test_2_bad"]
    assert (bad.outcome, bad.retried) == ("failed", ("passed", "failed", "failed"))
    observed = observe(report, "bad-order")
    assert observed.flaky == {} and [one.retries for one in observed.bad.values()] == [2]


def test_what_hangs_when_it_is_tried_again_does_not_hang_for_the_whole_time(
    mini: Mini, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not tried a third time; what failed after it is, and its own time limit is the retry's, not the phase's."""
    monkeypatch.setattr(phases_test, "LEAST_RETRY_SECONDS", 6.0)
    source = git_source(mini.world.projects_dir / "bad-second-try")
    report = mini.kit.run(mini.kit.project_job(mini.python, source, DISCOVER))
    tests = {test.id.rpartition(".")[2]: (test.outcome, test.retried) for test in report.tests}
    assert tests["test_2_bad"] == ("failed", ("timed_out",))
    assert tests["test_3_after"] == ("failed", ("not_run", "failed", "failed", "failed"))
    last = report.phases[-1]
    assert (last.ended, last.exit_code) == ("exit", 1), "the first run is what counts"


def test_a_probe_runs_only_the_tests_it_names(mini: Mini) -> None:
    source = git_source(mini.world.projects_dir / "anchor")
    everything = mini.kit.run(mini.kit.project_job(mini.python, source, DISCOVER))
    name = everything.tests[1].id
    probe = msgspec.structs.replace(DISCOVER, only=(name,))
    report = mini.kit.run(mini.kit.project_job(mini.python, source, probe, purpose="probe"))
    assert [test.id for test in report.tests] == [name]


def test_a_project_without_network_can_be_editable_and_not_installed(mini: Mini) -> None:
    source = git_source(mini.world.projects_dir / "sprout")
    for install in (Install(editable=True), Install(project=False)):
        report = mini.kit.run(mini.kit.project_job(mini.python, source, DISCOVER, install))
        assert phases(report)["install"], mini.kit.log.text


def test_a_command_is_judged_by_its_results_file(mini: Mini) -> None:
    source = git_source(mini.world.projects_dir / "sprout")
    junit = "<testsuite><testcase name='a'/><testcase name='b'><failure message='no'/></testcase></testsuite>"
    test = How(
        runner="command", args=("sh", "-c", f'echo "{junit}" > r.xml; exit 1'), results="r.xml"
    )
    report = mini.kit.run(mini.kit.project_job(mini.python, source, test))
    assert outcomes(report) == {"a": "passed", "b": "failed"}
    assert [t.retried for t in report.tests] == [(), ("failed",)]


def test_a_results_file_that_was_there_before_answers_for_nothing(mini: Mini) -> None:
    source = git_source(mini.world.projects_dir / "sprout")
    stale = ("sh", "-c", "echo '<testsuite><testcase name=\"a\"/></testsuite>' > r.xml")
    report = mini.kit.run(
        mini.kit.project_job(
            mini.python,
            source,
            How(runner="command", args=("true",), results="r.xml"),
            Install(commands=(stale,)),
        )
    )
    last = report.phases[-1]
    assert (last.ok, report.tests) == (False, ())
    assert last.failure and "not written" in last.failure.message


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (How(runner="command", args=("true",), directory="no/where"), "no folder"),
        (How(runner="command", args=("A=1", "true")), "'='"),
    ],
)
def test_a_command_that_cannot_be_run_is_the_projects_doing(
    mini: Mini, test: How, said: str
) -> None:
    source = git_source(mini.world.projects_dir / "sprout")
    last = mini.kit.run(mini.kit.project_job(mini.python, source, test)).phases[-1]
    assert (last.phase, last.ok, last.ended) == ("test", False, "exit")
    assert last.failure and said in last.failure.message


def test_a_phase_is_a_process_of_its_own(mini: Mini) -> None:
    """The bot's way: one process a phase, its log on its pipes, its result in the folder."""
    kit = mini.kit
    settings.write(kit.workshop.root, msgspec.structs.replace(kit.workshop.settings, cores=1))
    job = kit.project_job(mini.python, git_source(mini.world.projects_dir / "sprout"), DISCOVER)
    folder = kit.workshop.begin(job)
    try:
        for phase in job.phases:
            command = [sys.executable, "-m", "pybots_worker.phase"]
            done = subprocess.run(
                [*command, str(kit.workshop.root), folder.name, phase],
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert json.loads(folder.phase(phase).read_bytes())["ok"]
        told = json.loads(folder.digest.read_bytes())
        uploaded = Path(job.report.url.removeprefix("file://")).read_bytes()
        assert (len(uploaded), digest(uploaded)) == (told["size"], told["sha256"])
        report = decode_report(uploaded)
        assert (report.run, report.environment.cores) == (job.run, 1), "its owner gives one"
    finally:
        kit.workshop.end(folder)


def test_a_phase_waits_for_its_forerunner(mini: Mini) -> None:
    job = mini.kit.project_job(
        mini.python, git_source(mini.world.projects_dir / "sprout"), DISCOVER
    )
    folder = mini.kit.workshop.begin(job)
    with pytest.raises(OutOfOrderError):
        mini.kit.workshop.run_phase(folder, "test", Log())
    mini.kit.workshop.end(folder)
    assert not folder.root.exists()


def test_a_cancelled_job_ends_at_once_and_says_so(mini: Mini) -> None:
    cancel = threading.Event()
    job = mini.kit.project_job(
        mini.python,
        git_source(mini.world.projects_dir / "sprout"),
        How(runner="command", args=("sleep", "500")),
    )
    folder = mini.kit.workshop.begin(job)
    for phase in ("interpreter", "source", "install"):
        assert mini.kit.workshop.run_phase(folder, phase, Log()).ok
    threading.Timer(0.5, cancel.set).start()
    result = mini.kit.workshop.run_phase(folder, "test", Log(), cancel)
    assert (result.ok, result.ended) == (False, "cancelled")
    report = mini.kit.workshop.report(folder)
    assert report.phases[-1].ended == "cancelled" and report.tests == ()
    mini.kit.workshop.end(folder)


def test_sigterm_cancels_a_phase_and_ends_its_tree(mini: Mini) -> None:
    kit = mini.kit
    settings.write(kit.workshop.root, kit.workshop.settings)
    source = git_source(mini.world.projects_dir / "sprout")
    job = kit.project_job(mini.python, source, How(runner="command", args=("sleep", "4321")))
    folder = kit.workshop.begin(job)
    for phase in ("interpreter", "source", "install"):
        assert kit.workshop.run_phase(folder, phase, Log()).ok
    command = [sys.executable, "-m", "pybots_worker.phase", str(kit.workshop.root), folder.name]
    process = subprocess.Popen([*command, "test"], stdout=subprocess.PIPE)
    assert process.stdout
    while b"sleep" not in process.stdout.readline():
        pass
    time.sleep(0.3)
    process.terminate()
    process.stdout.close()
    assert process.wait(10) == 1
    assert json.loads(folder.phase("test").read_bytes())["ended"] == "cancelled"
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"4321" in read(path)]
    assert not left
    kit.workshop.end(folder)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_kit_killed_in_a_phase_leaves_word_and_no_half_cache(mini: Mini, tmp_path: Path) -> None:
    """SIGKILL at any moment: the phase counts as the farm's trouble, and the caches hold nothing half-made."""
    kit = Kit(tmp_path)
    settings.write(kit.workshop.root, kit.workshop.settings)
    job = kit.project_job(mini.python, git_source(mini.world.projects_dir / "sprout"), DISCOVER)
    folder = kit.workshop.begin(job)
    command = [sys.executable, "-m", "pybots_worker.phase", str(kit.workshop.root), folder.name]
    for delay in (0.15, 0.25, 0.35):
        process = subprocess.Popen(
            [*command, "interpreter"], stdout=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for entry in (kit.workshop.root / "cache/interpreters").glob("[!.]*"):
            assert (entry / "size").read_text().isdigit()
    fresh = Workshop(kit.workshop.root, WorkshopSettings(local=True))
    fresh.sweep()
    assert not list((fresh.root / "cache/interpreters").glob(".*"))
    assert not list((fresh.root / "jobs").iterdir())
    assert all(phases(kit.run(job)).values())


def test_configure_answers_are_shared_and_leave_no_trace(mini: Mini) -> None:
    recipe = Recipe(ensurepip=False)
    job = mini.kit.interpreter_job(mini.world.cpython, mini.world.head(), recipe)
    assert all(phases(mini.kit.run(job)).values())
    assert "ensurepip=no" in mini.kit.log.text


def test_bad_outcomes_are_the_contracts(mini: Mini) -> None:
    report = mini.kit.run(
        mini.kit.project_job(mini.python, git_source(mini.world.projects_dir / "thorn"), DISCOVER)
    )
    bad = [test for test in report.tests if test.outcome in BAD_OUTCOMES]
    assert bad and all(test.failure and test.failure.type and test.retried for test in bad)


def test_what_is_put_away_is_gone_for_jobs_and_removed_when_asked(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, WorkshopSettings(local=True))
    folder = shop.folder("7-3")
    (folder.work / "deep/er").mkdir(parents=True)
    shop.put_away(folder)
    shop.put_away(folder)  # twice does no harm
    assert not list((tmp_path / "jobs").iterdir())
    shop.empty(lambda: True)
    left = list((tmp_path / "gone").iterdir())
    assert len(left) == (shutil.disk_usage(tmp_path).free >= ROOM)
    shop.empty(lambda: False)
    assert not list((tmp_path / "gone").iterdir())
    (tmp_path / "gone/8-1.x").mkdir()
    shop.sweep()
    assert not list((tmp_path / "gone").iterdir())
