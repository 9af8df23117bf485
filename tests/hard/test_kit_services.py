"""Servers of a job's own, for real: there when the tests begin, fresh for a retry, gone with the job."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.hard.conftest import Mini
from tests.hard.kit_world import git_source

from pybots_worker import contract, services
from pybots_worker.contract import Job, Report
from pybots_worker.contract import Test as How

COUNTED = """\
import os, subprocess, unittest


class TestServer(unittest.TestCase):
    def test_answers(self):
        name = os.environ["SERVER"]
        ask(name, "CREATE TABLE mine (number integer)")
        ask(name, "INSERT INTO mine VALUES (41 + 1)")
        self.assertIn("42", ask(name, "SELECT number FROM mine"))
        self.fail("so that it is tried again, and meets no table")


def ask(name, sql):
    if name == "mariadb":
        argv = ["mariadb", "--defaults-file=" + os.environ["PYBOTS_MARIADB_OPTIONS"], "-e", sql]
    else:
        argv = ["psql", "-c", sql]
    return subprocess.check_output(argv, text=True)
"""


def needs(service: str) -> None:
    if f"service:{service}" not in services.provided(Path("/usr")):
        pytest.skip(f"{service}'s server is not installed here")


def served(mini: Mini, service: Any, folder: Path, test: How, **changes: Any) -> Job:
    """A job whose project is one file, with a server."""
    folder.mkdir()
    (folder / "test_server.py").write_text(COUNTED)
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "x"]):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", "-C", str(folder), *identity, *words], check=True)
    install = contract.Install(project=False)
    changes = {"memory_bytes": 2 << 30, **changes}
    job = mini.kit.project_job(
        mini.python, git_source(folder), test, install, env={"SERVER": service}, **changes
    )
    assert isinstance(job.work, contract.ProjectWork)
    work = msgspec.structs.replace(job.work, services=(service,))
    return msgspec.structs.replace(job, work=work)


def phase(report: Report) -> contract.PhaseResult:
    return next(result for result in report.phases if result.phase == "test")


@pytest.mark.parametrize("service", ["mariadb", "postgresql"])
def test_a_server_is_there_and_fresh_for_each_run(mini: Mini, tmp_path: Path, service: str) -> None:
    """The table is made anew in each retry, so all of them get as far as the first run did."""
    needs(service)
    client = {"mariadb": "mariadb", "postgresql": "psql"}[service]
    if not Path("/usr/bin", client).exists():
        pytest.skip(f"there is no {client} here")
    test = How(runner="unittest", args=("test_server",), retries=2)
    report = mini.kit.run(served(mini, service, tmp_path / "project", test))
    (found,) = report.tests
    assert found.outcome == "failed" and found.failure, mini.kit.log.text
    assert found.failure.message.startswith("so that it is tried again"), mini.kit.log.text
    assert len(found.retried) >= 2 and set(found.retried) == {"failed"}
    assert "already exists" not in mini.kit.log.text
    folder = str(mini.kit.workshop.root)
    assert not [line for line in commands() if folder in line or "/pybots/services" in line]


def commands() -> list[str]:
    """The command lines of every process."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue
    return found


def test_a_server_that_cannot_start_is_the_machines_trouble_and_shows_its_log(
    mini: Mini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that refuses its socket's place, which is too long for one."""
    needs("mariadb")
    monkeypatch.setattr(services, "FOLDER", f"{services.FOLDER}/{'x' * 100}")
    test = How(runner="unittest", args=("test_server",), retries=0)
    report = mini.kit.run(served(mini, "mariadb", tmp_path / "project", test))
    result = phase(report)
    assert (result.ok, result.ended) == (False, "farm_error")
    assert result.failure and "socket" in result.failure.message
    assert report.tests == ()


def test_a_servers_memory_counts(mini: Mini, tmp_path: Path) -> None:
    needs("mariadb")
    test = How(runner="unittest", args=("test_server",), retries=0)
    job = served(mini, "mariadb", tmp_path / "project", test, memory_bytes=48 << 20)
    result = phase(mini.kit.run(job))
    assert (result.ok, result.ended) == (False, "memory"), mini.kit.log.text


def test_the_exit_status_is_the_commands(tmp_path: Path) -> None:
    """Without any server: the script adds nothing of its own."""
    script = Path(services.__file__).parent / "inside/pybots_services.sh"
    for command, status in ((["true"], 0), (["sh", "-c", "exit 7"], 7)):
        done = subprocess.run(["sh", str(script), str(tmp_path), "run", "--", *command])
        assert done.returncode == status
    killed = ["sh", "-c", f"kill -{9} $$"]
    done = subprocess.run(["sh", str(script), str(tmp_path), "run", "--", *killed])
    assert done.returncode == 128 + 9 and os.listdir(tmp_path) == []
