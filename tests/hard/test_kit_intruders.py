"""Hostile projects, whole jobs of them: suites that go for their host, and what they came to. The host looks, too.

Each of INTRUDER's tests passes if the crime succeeds: contained is a suite in which all of them fail."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.hard.conftest import Mini
from tests.hard.kit_world import git_source
from tests.hard.test_sandbox_driver import alive

from pybots_worker.contract import Install, Job, ProjectWork, Report
from pybots_worker.contract import Test as How

DISCOVER = How(runner="unittest", args=("discover", "-s", "tests", "-t", "."), retries=0)
SLEEP = "81729.5"
"""Seconds that nobody else sleeps."""

INTRUDER = '''
import glob, os, signal, socket, subprocess, unittest

SECRET, HOME, JOBS = os.environ["SECRET"], os.environ["THEIR_HOME"], os.environ["JOBS"]
PORT, PID, SOCKET = int(os.environ["PORT"]), int(os.environ["THEIR_PID"]), os.environ["SOCKET"]

def tries(*acts):
    """How many of these succeed."""
    done = 0
    for act in acts:
        try:
            done += act() is not False
        except OSError:
            pass
    return done

class Crimes(unittest.TestCase):
    def test_reads_the_secret_by_its_path(self):
        self.assertTrue(tries(lambda: open(SECRET).read(), lambda: open("/proc/1/root" + SECRET).read()))

    def test_reads_the_home_and_its_keys(self):
        found = [p for d in (HOME, "/root", "/home/*", os.path.expanduser("~")) for p in glob.glob(d + "/.ssh/*")]
        self.assertTrue(found or os.path.exists(HOME))

    def test_writes_outside(self):
        places = ["/usr/lib/x", "/etc/cron.d/x", "/opt/x", "/x", "/run/x", "/var/x", "/dev/x", SECRET, HOME + "/x"]
        self.assertTrue(tries(*(lambda p=p: open(p, "a").write("x") for p in places)))

    def test_writes_to_the_interpreter_and_the_kit(self):
        mine = [os.__file__, os.path.realpath("/proc/self/exe"), *glob.glob("/opt/pybots/**/*.py", recursive=True)]
        self.assertTrue(tries(*(lambda p=p: open(p, "ab").write(b"x") for p in mine)))

    def test_goes_through_a_link(self):
        os.symlink(SECRET, "link")
        self.assertTrue(tries(lambda: open("link").read(), lambda: os.link(SECRET, "hard")))

    def test_talks_to_the_host_on_loopback(self):
        self.assertTrue(tries(lambda: socket.create_connection(("127.0.0.1", PORT), 2)))

    def test_talks_to_the_network(self):
        def knock(family, address):
            with socket.socket(family, socket.SOCK_STREAM) as s:
                s.settimeout(2)
                s.connect(address)
        outside = [(socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET, ("10.0.0.1", 22)), (socket.AF_INET6, ("2001:db8::1", 80))]
        self.assertTrue(tries(*(lambda a=a: knock(*a) for a in outside)))

    def test_talks_to_sockets_of_the_host(self):
        def knock(where):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(where)
        self.assertTrue(tries(lambda: knock(SOCKET), lambda: knock("\\0pybots-intruder"), lambda: knock("/run/docker.sock")))

    def test_signals_processes_of_the_host(self):
        self.assertTrue(tries(lambda: os.kill(PID, 0), lambda: os.kill(os.getppid() + 100000, 0)))

    def test_sees_other_processes(self):
        def theirs(path):
            line = open(path, "rb").read()
            return b"91827.25" in line
        self.assertTrue(tries(*(lambda p=p: theirs(p) for p in glob.glob("/proc/[0-9]*/cmdline"))))

    def test_sees_other_jobs(self):
        self.assertTrue(os.path.exists(JOBS))

    def test_finds_caches_to_write_into(self):
        named = [v for k, v in os.environ.items() if k.endswith(("CACHE_DIR", "CCACHE_DIR"))]
        places = [*named, "/pybots/uv", "/pybots/ccache", "/opt/pybots/uv-cache", "/opt/pybots/ccache", os.path.dirname(os.__file__)]
        self.assertTrue(tries(*(lambda p=p: open(p + "/planted", "w").write("x") for p in places)))

    def test_becomes_somebody(self):
        def set_id_program():
            os.chmod(os.path.realpath("tests"), 0o4755)
            return subprocess.run(["sudo", "-n", "id"], capture_output=True).returncode == 0
        self.assertTrue(tries(lambda: os.setuid(0), lambda: os.chroot("."), set_id_program))

    def test_zz_leaves_a_daemon(self):
        subprocess.Popen(["setsid", "sh", "-c", "trap '' TERM HUP INT; sleep 81729.5"], stdout=subprocess.DEVNULL)
        self.fail("whether it is gone, the host must look")
'''

KILLER = """
import os, signal, unittest

class Killer(unittest.TestCase):
    def test_a_first(self):
        pass

    def test_b_kills_all_it_can(self):
        for who in (1, os.getppid(), -1, os.getpid()):
            try:
                os.kill(who, signal.SIGKILL)
            except OSError:
                pass
"""

FILLER = """
import unittest

class Filler(unittest.TestCase):
    def test_fills_the_disk(self):
        n = 0
        while True:
            with open(f"rubbish-{n}", "wb") as file:
                file.write(bytes(1 << 20) * 8)
            n += 1
"""


def project(folder: Path, suite: str) -> Path:
    """A git repository with this suite."""
    (folder / "tests").mkdir(parents=True)
    (folder / "tests" / "__init__.py").touch()
    (folder / "tests" / "test_it.py").write_text(suite)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "intruder"\nversion = "1"\n[build-system]\nrequires = []\nbuild-backend = "x"\n'
    )
    for words in (
        ["init", "-q", "-b", "main"],
        ["add", "."],
        ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def job(mini: Mini, folder: Path, install: Install | None = None, **more: Any) -> Job:
    """Its tests alone; nothing is installed."""
    plain = install or Install(project=False)
    return mini.kit.project_job(mini.python, git_source(folder), DISCOVER, plain, **more)


@pytest.fixture
def listening() -> Iterator[tuple[int, str]]:
    """What a host has open: a port on loopback, a socket in its files, and one without a file."""
    folder = Path("/tmp") / f"pybots-intruder-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for name in (str(folder), "\0pybots-intruder"):
            one = stack.enter_context(socket.socket(socket.AF_UNIX))
            one.bind(name)
            one.listen()
        yield port.getsockname()[1], str(folder)
    folder.unlink()


def contents(folder: Path) -> dict[str, str]:
    """Every file's digest below a folder, and where links lead."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_a_suite_that_goes_for_its_host_gets_nothing(
    mini: Mini, tmp_path: Path, listening: tuple[int, str]
) -> None:
    tmp_path.chmod(0o755)
    secret = tmp_path / "secret"
    secret.write_text("nobody's business")
    secret.chmod(0o666)
    port, path = listening
    shared = mini.kit.workshop.root / "cache"
    mini.kit.run(job(mini, project(tmp_path / "first", "import unittest")))  # caches are warm
    before = {name: contents(shared / name) for name in ("interpreters", "ccache", "configure")}
    folder = project(tmp_path / "intruder", INTRUDER)
    env = {
        "SECRET": str(secret), "THEIR_HOME": str(Path.home()), "JOBS": str(mini.kit.workshop.root / "jobs"),
        "PORT": str(port), "THEIR_PID": str(os.getpid()), "SOCKET": path,
    }  # fmt: skip
    neighbour = subprocess.Popen(["sleep", "91827.25"])
    try:
        report = mini.kit.run(job(mini, folder, env=env))
    finally:
        neighbour.kill()
        assert neighbour.wait() == -signal.SIGKILL, "nobody else has ended it"
    outcomes = {test.id.rpartition(".")[2]: test.outcome for test in report.tests}
    assert len(outcomes) == 14, mini.kit.log.text
    assert {name for name, outcome in outcomes.items() if outcome != "failed"} == set(), [
        test.failure for test in report.tests if test.outcome != "failed"
    ]
    assert secret.read_text() == "nobody's business"
    assert not alive(SLEEP), "its daemon died with it"
    after = {name: contents(shared / name) for name in before}
    assert after == before, "what jobs share is as it was"


def test_a_suite_that_kills_all_it_can_kills_itself(mini: Mini, tmp_path: Path) -> None:
    report = mini.kit.run(job(mini, project(tmp_path / "killer", KILLER)))
    assert not report.phases[-1].ok
    outcomes = {test.id.rpartition(".")[2]: test.outcome for test in report.tests}
    assert outcomes == {"test_a_first": "passed", "test_b_kills_all_it_can": "crashed"}


def test_a_suite_that_fills_the_disk_is_stopped_and_leaves_nothing(
    mini: Mini, tmp_path: Path
) -> None:
    cap = 200 << 20
    report = mini.kit.run(job(mini, project(tmp_path / "filler", FILLER), disk_bytes=cap))
    assert report.phases[-1].ended == "disk"
    assert not list((mini.kit.workshop.root / "jobs").iterdir())


def test_what_a_project_plants_in_its_cache_no_other_project_sees(
    mini: Mini, tmp_path: Path
) -> None:
    """The cache of packages is writable while a project installs, and each project has its own."""
    folder = project(tmp_path / "planter", "import unittest")
    plant = "import os; open(os.environ['UV_CACHE_DIR'] + '/planted', 'w').write('x')"
    look = "import os, sys; sys.exit(os.path.exists(os.environ['UV_CACHE_DIR'] + '/planted'))"

    def said(name: str, code: str) -> Report:
        install = Install(project=False, commands=(("python", "-c", code),))
        made = job(mini, folder, install)
        assert isinstance(made.work, ProjectWork)
        return mini.kit.run(
            msgspec.structs.replace(made, work=msgspec.structs.replace(made.work, project=name))
        )

    def installed(report: Report) -> bool:
        return next(result.ok for result in report.phases if result.phase == "install")

    assert installed(said("planter", plant)), mini.kit.log.text
    assert not installed(said("planter", look)), "it is its own cache, and kept"
    assert installed(said("neighbour", look)), mini.kit.log.text
