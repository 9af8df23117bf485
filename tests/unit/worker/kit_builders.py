"""Small builders of the kit's messages; each takes the changes that a test is about."""

from __future__ import annotations

from typing import Any

import msgspec

from pybots_worker import contract
from pybots_worker.contract import (
    Artifact,
    Blob,
    Environment,
    Failure,
    Install,
    InterpreterRef,
    InterpreterWork,
    Job,
    Limits,
    Locked,
    PhaseResult,
    ProjectWork,
    Recipe,
    Report,
    SdistSource,
    Test,
    TestOutcome,
    Upload,
)
from pybots_worker.sandbox import Outcome

KEY = "ab" * 32
SHA = "c0ffee" + "0" * 34
LIMITS = Limits(
    wall_seconds=600.0,
    cpu_seconds=1200.0,
    memory_bytes=4 << 30,
    processes=1000,
    disk_bytes=8 << 30,
    log_bytes=16 << 20,
)


def make_blob(**changes: Any) -> Blob:
    given = {"url": "https://farm.example/api/v1/blob/x?token=t", "sha256": KEY, "size": 1000}
    return Blob(**{**given, **changes})


def make_upload(kind: str = "report") -> Upload:
    url = f"https://farm.example/api/v1/upload/7/3/{kind}"
    return Upload(url=url, token="1.7.3.token", max_bytes=64 << 20)


def make_test(**changes: Any) -> Test:
    return Test(**{"runner": "pytest", "args": ("tests",), **changes})


def make_project_work(**changes: Any) -> ProjectWork:
    given: dict[str, Any] = {
        "project": "genshi",
        "revision": "0.7.9",
        "interpreter": InterpreterRef(
            key=KEY, commit=SHA, branch="main", flavour="release", blob=make_blob()
        ),
        "source": SdistSource(name="genshi-0.7.9.tar.gz", version="0.7.9", blob=make_blob()),
        "install": Install(
            extras=("i18n",), requirements=("pytest",), lock=(Locked(name="pytest", version="9.2"),)
        ),
        "test": make_test(),
        "env": {"GENSHI_SPEEDUPS": "1"},
        "modules": ("genshi._speedups",),
    }
    return ProjectWork(**{**given, **changes})


def make_interpreter_work(**changes: Any) -> InterpreterWork:
    given: dict[str, Any] = {
        "key": KEY,
        "commit": SHA,
        "branch": "main",
        "flavour": "debug",
        "source": make_blob(),
        "recipe": Recipe(configure=("--with-pydebug",), cflags="-O0", ensurepip=False),
        "artifact": make_upload("artifact"),
    }
    return InterpreterWork(**{**given, **changes})


def make_job(work: Any = None, **changes: Any) -> Job:
    work = work or make_project_work()
    phases = (
        contract.INTERPRETER_PHASES
        if isinstance(work, InterpreterWork)
        else contract.PROJECT_PHASES
    )
    given: dict[str, Any] = {
        "contract": 1,
        "run": 7,
        "attempt": 3,
        "purpose": "routine",
        "work": work,
        "limits": dict.fromkeys(phases, LIMITS),
        "report": make_upload(),
    }
    return Job(**{**given, **changes})


def make_environment() -> Environment:
    return Environment(
        worker="attic",
        platform="linux-x86_64",
        abi="debian-12-x86_64",
        system="Debian GNU/Linux 12 (bookworm)",
        cores=2,
        memory_bytes=8 << 30,
        compiler="gcc 12.2.0",
        kit="pybots-worker 0.1.0",
        sandbox="bubblewrap 0.8.0",
        rung="cgroup2",
        caps={"memory": "cgroup2", "wall": "clock"},
    )


def make_phase(name: Any, **changes: Any) -> PhaseResult:
    given: dict[str, Any] = {
        "phase": name,
        "ok": True,
        "ended": "exit",
        "wall_seconds": 12.5,
        "cpu_seconds": 20.25,
        "exit_code": 0,
        "peak_memory_bytes": 1 << 20,
        "log_bytes": 1000,
    }
    return PhaseResult(**{**given, **changes})


def make_report(kind: Any = "project", **changes: Any) -> Report:
    given: dict[str, Any] = {
        "contract": 1,
        "run": 7,
        "attempt": 3,
        "kind": kind,
        "started": 1_700_000_000.0,
        "finished": 1_700_000_100.5,
        "environment": make_environment(),
        "python": "3.16.0a0 (heads/main:c0ffee) [GCC 12.2.0]",
    }
    return Report(**{**given, "phases": (make_phase("source"),), **changes})


def make_project_report() -> Report:
    """One outcome of every kind, a retry, a phase that did not end well."""
    failure = Failure(type="AssertionError", message="1 != 2", detail="Traceback …")
    signalled = make_phase("test", ok=False, ended="signal", exit_code=None, signal=11)
    return make_report(
        phases=(make_phase("interpreter"), make_phase("source"), make_phase("install"), signalled),
        tests=(
            TestOutcome(id="tests/test_a.py::test_one", outcome="passed", seconds=0.25),
            TestOutcome(
                id="tests/test_a.py::test_two[1-é]",
                outcome="failed",
                failure=failure,
                retried=("passed",),
            ),
            TestOutcome(id="tests/test_a.py::test_three", outcome="skipped", reason="no network"),
            TestOutcome(id="tests/test_b.py", outcome="error", failure=failure),
            TestOutcome(id="tests/test_c.py::test_x", outcome="xfailed", reason="known"),
            TestOutcome(id="tests/test_c.py::test_y", outcome="xpassed"),
            TestOutcome(id="tests/test_d.py::test_segfault", outcome="crashed"),
            TestOutcome(id="tests/test_d.py::test_hang", outcome="timed_out"),
            TestOutcome(id="tests/test_d.py::test_after", outcome="not_run"),
        ),
        modules=("genshi._speedups",),
        lock=(Locked(name="pytest", version="9.2"), Locked(name="six", version="1.17.0")),
    )


def make_interpreter_report() -> Report:
    return make_report(
        "interpreter",
        phases=tuple(make_phase(name) for name in contract.INTERPRETER_PHASES[:-1]),
        modules=("_ssl", "zlib"),
        artifact=Artifact(sha256=KEY, size=60_000_000),
    )


def make_ending(**changes: Any) -> Outcome:
    """How a run in the sandbox ended: exit status 0 unless said otherwise."""
    given: dict[str, Any] = {
        "exit_code": 0,
        "signal": None,
        "ended": "exit",
        "wall_seconds": 1.0,
        "cpu_seconds": 1.0,
        "peak_memory_bytes": 1 << 20,
        "detail": "exit status 0",
    }
    return Outcome(**{**given, **changes})


def events(*lines: dict[str, Any]) -> bytes:
    """The file a plugin would have written."""
    return b"".join(msgspec.json.encode({"pid": 1, **line}) + b"\n" for line in lines)
