"""Projects and archives that behave badly: each ends with a clear word, and the next job is none the worse."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.hard.conftest import Mini
from tests.hard.kit_world import Kit, blob, git_source

from pybots_worker.contract import Blob, Install, Report, SdistSource
from pybots_worker.contract import Test as How

DISCOVER = How(runner="unittest", args=("discover", "-s", "tests", "-t", "."), retries=0)
MIB = 1 << 20


def attempt_of(mini: Mini, name: str, test: How = DISCOVER, **limits: Any) -> Report:
    source = git_source(mini.world.projects_dir / name)
    return mini.kit.run(mini.kit.project_job(mini.python, source, test, **limits))


def outcomes(report: Report) -> list[str]:
    """Of the three tests of a bad suite, in the order of their names."""
    return [test.outcome for test in sorted(report.tests, key=lambda test: test.id)]


def test_a_suite_that_hangs_is_timed_out_in_the_test_that_hung(mini: Mini) -> None:
    report = attempt_of(mini, "bad-hang", wall_seconds=3)
    assert report.phases[-1].ended == "wall_timeout"
    assert outcomes(report) == ["passed", "timed_out", "not_run"]
    failure = sorted(report.tests, key=lambda test: test.id)[1].failure
    assert failure and failure.type == "Timeout"


def test_a_suite_that_prints_a_gigabyte_is_stopped_and_its_log_is_bounded(mini: Mini) -> None:
    report = attempt_of(mini, "bad-noise", log_bytes=MIB)
    last = report.phases[-1]
    assert (last.ended, last.log_cut, last.log_bytes) == ("log", True, MIB)
    assert len(mini.kit.log.text) < 3 * MIB
    assert outcomes(report) == ["passed", "crashed", "not_run"]


def test_a_fork_bomb_is_stopped(mini: Mini) -> None:
    """Either the cap refuses a fork, which the test then reports, or the tree is killed: nothing is left."""
    report = attempt_of(mini, "bad-forks", processes=64, wall_seconds=20)
    assert not report.phases[-1].ok
    assert outcomes(report)[0] == "passed"
    assert outcomes(report)[1] in ("crashed", "error", "timed_out")


def test_a_suite_that_eats_memory_is_stopped(mini: Mini) -> None:
    report = attempt_of(mini, "bad-memory", memory_bytes=256 * MIB)
    assert not report.phases[-1].ok
    assert outcomes(report)[1] in ("crashed", "error")
    assert outcomes(report)[0] == "passed"


@pytest.mark.parametrize(("name", "number"), [("bad-segfault", 11), ("bad-kill", 9)])
def test_a_crash_names_its_test_and_counts_the_rest(mini: Mini, name: str, number: int) -> None:
    report = attempt_of(mini, name)
    last = report.phases[-1]
    assert (last.ended, last.signal) == ("signal", number)
    assert outcomes(report) == ["passed", "crashed", "not_run"]


def test_a_crash_is_tried_again_and_crashes_again(mini: Mini) -> None:
    report = attempt_of(mini, "bad-segfault", How(runner="unittest", args=DISCOVER.args))
    crashed = next(test for test in report.tests if test.outcome == "crashed")
    alone = How(runner="unittest").retries
    assert crashed.retried == ("crashed",) * alone, "alone only: it would take the others along"


def test_exit_status_0_in_the_middle_of_a_suite_is_seen(mini: Mini) -> None:
    report = attempt_of(mini, "bad-exit")
    assert outcomes(report) == ["passed", "crashed", "not_run"]


def test_no_tests_at_all_is_visible(mini: Mini) -> None:
    """What it means is the master's to say: the phase ended as it ended, and there are no tests."""
    report = attempt_of(mini, "bad-empty")
    assert report.tests == ()
    assert report.phases[-1].ended == "exit"


def test_a_suite_skipped_as_a_whole_is_visible(mini: Mini) -> None:
    report = attempt_of(mini, "bad-skipped")
    assert {test.outcome for test in report.tests} == {"skipped"}
    assert report.tests[0].reason == "not today"


def test_hostile_names_and_messages_are_tamed(mini: Mini) -> None:
    report = attempt_of(mini, "bad-names")
    for test in report.tests:
        assert test.id.isprintable() and len(test.id) <= 520


def test_an_sdist_that_does_not_build_fails_in_install(mini: Mini) -> None:
    project = mini.world.project("bad-sdist")
    source = SdistSource(name=project.sdist.name, version="1.0", blob=blob(project.sdist))
    report = mini.kit.run(mini.kit.project_job(mini.python, source, DISCOVER))
    last = report.phases[-1]
    assert (last.phase, last.ok, last.ended) == ("install", False, "exit")
    assert last.failure and "moon.h" in last.failure.detail


def archived(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            data = b"x" * member.size
            tar.addfile(member, io.BytesIO(data) if member.isreg() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = 3 if kind == tarfile.REGTYPE else 0
    return info


ESCAPES = {
    "absolute": [member("/tmp/pybots-escaped")],
    "climbing": [member("p/../../../pybots-escaped")],
    "link": [member("p/l", tarfile.SYMTYPE, "/etc"), member("p/l/pybots-escaped")],
    "link-up": [member("p/l", tarfile.SYMTYPE, "../../..")],
    "links": [
        member("p/here", tarfile.SYMTYPE, "."),
        member("p/up", tarfile.SYMTYPE, "here/../.."),
    ],
    "hard-link": [member("p/l", tarfile.LNKTYPE, "../../../../etc/passwd")],
    "device": [member("p/null", tarfile.CHRTYPE)],
    "pipe": [member("p/fifo", tarfile.FIFOTYPE)],
}


@pytest.mark.parametrize("name", sorted(ESCAPES))
def test_an_archive_that_escapes_is_refused(mini: Mini, tmp_path: Path, name: str) -> None:
    path = archived(tmp_path / "p-1.0.tar.gz", *ESCAPES[name])
    source = SdistSource(name=path.name, version="1.0", blob=blob(path))
    report = mini.kit.run(mini.kit.project_job(mini.python, source, DISCOVER))
    last = report.phases[-1]
    assert (last.phase, last.ok) == ("source", False)
    assert last.failure and last.failure.type == "BadArchive"
    assert not list(Path("/tmp").glob("pybots-escaped*"))


def test_a_zip_that_escapes_is_refused(mini: Mini, tmp_path: Path) -> None:
    path = tmp_path / "p-1.0.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../escaped", "x")
    source = SdistSource(name=path.name, version="1.0", blob=blob(path))
    report = mini.kit.run(mini.kit.project_job(mini.python, source, DISCOVER))
    failure = report.phases[-1].failure
    assert failure and failure.type == "BadArchive"


def test_an_archive_that_is_cut_off_is_refused(mini: Mini) -> None:
    project = mini.world.project("bad-archive")
    source = SdistSource(name=project.sdist.name, version="1.0", blob=blob(project.sdist))
    report = mini.kit.run(mini.kit.project_job(mini.python, source, DISCOVER))
    last = report.phases[-1]
    assert (last.phase, last.ok) == ("source", False)
    assert last.failure and last.failure.type == "BadArchive"


@pytest.mark.parametrize("change", [{"sha256": "b" * 64}, {"size": 5}, {"size": 10**9}])
def test_a_blob_that_is_not_what_was_announced_is_the_farms_trouble(
    mini: Mini, tmp_path: Path, change: dict[str, Any]
) -> None:
    good = blob(mini.world.project("sprout").sdist)
    bad = Blob(
        **{
            "url": good.url,
            "sha256": "c" * 63 + str(len(str(change)) % 10),
            "size": good.size,
            **change,
        }
    )
    source = SdistSource(name="p.tar.gz", version="1.0", blob=bad)
    report = mini.kit.run(mini.kit.project_job(mini.python, source, DISCOVER))
    assert report.phases[-1].ended == "farm_error"


def test_a_results_file_that_leads_out_of_the_folder_is_not_read(mini: Mini) -> None:
    """The suite runs as somebody else, the kit may be root: a link in the suite's folder must not be followed."""
    test = How(runner="command", args=("ln", "-s", "/etc/passwd", "r.xml"), results="r.xml")
    report = attempt_of(mini, "sprout", test)
    last = report.phases[-1]
    assert (last.ok, report.tests) == (False, ())
    assert last.failure and "out of the job's folder" in last.failure.message


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("mkfifo r.xml", "not a file"),
        ("mkdir r.xml", "not a file"),
        ("truncate -s 900M r.xml", "are read"),
        ("true", "not written"),
        ("ln -s r.xml r.xml", "leads nowhere"),
        ("echo '<testsuite><testcase' > r.xml", "well-formed"),
    ],
)
def test_a_results_file_that_cannot_be_used_is_named(mini: Mini, command: str, said: str) -> None:
    test = How(runner="command", args=("sh", "-c", command), results="r.xml")
    last = attempt_of(mini, "sprout", test, disk_bytes=2 << 30).phases[-1]
    assert not last.ok
    assert last.failure and said in last.failure.message


def test_an_events_file_full_of_rubbish_hurts_nobody(mini: Mini) -> None:
    """A suite can write what it likes into the file: lines that are no events are counted and left out."""
    noise = "import os; open(os.environ['PYBOTS_EVENTS'], 'ab').write(b'noise\\n{}\\n\\xff\\n[]\\n' * 500)\n"
    source = git_source(mini.world.projects_dir / "sprout")
    write = ("python", "-c", f"open('tests/__init__.py', 'a').write({noise!r})")
    job = mini.kit.project_job(mini.python, source, DISCOVER, Install(commands=(write,)))
    report = mini.kit.run(job)
    assert report.phases[-1].ok and len(report.tests) > 3
    assert "2000 lines of the results file were not understood" in mini.kit.log.text


def test_files_of_this_machine_are_for_local_workers_only(mini: Mini, tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    kit.workshop.settings = type(kit.workshop.settings)(local=False)
    job = kit.project_job(mini.python, git_source(mini.world.projects_dir / "sprout"), DISCOVER)
    folder = kit.workshop.begin(job)
    result = kit.workshop.run_phase(folder, "interpreter", kit.log)
    assert result.ended == "farm_error"
    assert result.failure and "local" in result.failure.message


def test_a_git_source_that_vanished_is_named(mini: Mini, tmp_path: Path) -> None:
    source = git_source(mini.world.projects_dir / "sprout")
    gone = type(source)(url=(tmp_path / "nowhere").as_uri(), commit=source.commit)
    last = mini.kit.run(mini.kit.project_job(mini.python, gone, DISCOVER)).phases[-1]
    assert (last.phase, last.ok) == ("source", False)
    assert last.failure and "no such repository" in last.failure.message


def test_the_next_job_is_none_the_worse(mini: Mini) -> None:
    assert all(result.ok for result in attempt_of(mini, "sprout").phases)
    assert not list((mini.kit.workshop.root / "jobs").iterdir())
