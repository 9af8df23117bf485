"""Sample runs in every state: red, green, waiting, live, crashed, lost, an interpreter that does not build."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from pybots_status import links, logs
from pybots_status.pages import (
    Attempt,
    Fact,
    InterpreterRow,
    Log,
    LogLine,
    Page,
    Phase,
    Run,
    RunRow,
    State,
    TestFailure,
)
from pybots_status.samples.common import ALL_WELL, COUNTS, NOW, commit, frame

SLUG: Final = "twisted.release.main.debug.linux-x86_64"

ROW: Final = RunRow(
    id=89_600,
    state="new_failure",
    project="twisted",
    source="release",
    lane=SLUG,
    branch="main",
    flavour="debug",
    platform="linux-x86_64",
    sha=commit(1).sha,
    commit_title=commit(1).title,
    revision="25.5.0",
    worker="debian-12-a",
    started=NOW - 900,
    seconds=312.4,
    counts=COUNTS,
    summary="3 new failures in twisted.web: AttributeError: module 'ast' has no attribute 'Num'",
)
INTERPRETER: Final = InterpreterRow(
    flavour="debug",
    platform="linux-x86_64",
    state="passed",
    abi="debian-12-x86_64",
    key="9f" * 32,
    run=89_590,
    worker="debian-12-a",
    seconds=94.8,
    size=31_400_000,
    python="3.16.0a0 (main, May 1 2026)",
)
ENVIRONMENT: Final = (
    Fact(name="worker", value="debian-12-a", href=links.worker("debian-12-a")),
    Fact(name="system", value="Debian GNU/Linux 12, Linux 6.1, 2 cores, 8.2 GB"),
    Fact(name="compiler", value="gcc 12.2.0"),
    Fact(name="sandbox", value="bubblewrap 0.8.0 with a seccomp filter"),
    Fact(
        name="caps", value="cgroup v2: memory 4.1 GB, 512 processes; network while installing only"
    ),
)
LOCK: Final = tuple(
    Fact(name=name, value=version)
    for name, version in (
        ("attrs", "25.3.0"),
        ("automat", "25.4.16"),
        ("constantly", "23.10.4"),
        ("incremental", "24.7.2"),
    )
)
TRACEBACK: Final = """Traceback (most recent call last):
  File "/pybots/source/twisted/web/test/test_template.py", line 88, in test_parse_empty_header
    tree = flatten(request, element)
  File "/pybots/source/twisted/web/_flatten.py", line 212, in flatten
    if isinstance(node, ast.Num):
                        ^^^^^^^
AttributeError: module 'ast' has no attribute 'Num'"""


def _failure(name: str, state: State = "new_failure", **changes: Any) -> TestFailure:
    base = TestFailure(
        id=f"twisted.web.test.test_template.FlattenTests.{name}",
        outcome="error",
        state=state,
        type="AttributeError",
        message="module 'ast' has no attribute 'Num'",
        detail=TRACEBACK,
        seconds=0.04,
        retried=("error",),
        breakage=17,
    )
    return replace(base, **changes)


def _log(phase: str, text: str) -> Log:
    return logs.tail(text, keep=60, raw=links.run_log(ROW.id, phase))


def _mixed() -> Log:
    """A log whose streams are told apart, with a worker's attempts to be clever."""
    said: tuple[tuple[logs.Stream, str], ...] = (
        ("header", "$ python -m twisted.trial twisted"),
        ("stdout", "twisted.web.test.test_template\n"),
        ("stdout", "  FlattenTests\n"),
        ("stdout", "    test_parse_empty_header ... \x1b[31m[ERROR]\x1b[0m"),
        ("stderr", "warning: \x1b]0;owned\x07a title was \x07set, a line was \rovertyped"),
        ("stdout", "    " + "very long line " * 30),
        ("header", "exit 1 after 301 s"),
    )
    lines = tuple(
        LogLine(number=n, text=logs.line(n, text.rstrip()).text, stream=stream)
        for n, (stream, text) in enumerate(said, 1180)
    )
    return Log(lines=lines, raw=links.run_log(ROW.id, "test"), left_out=1179)


PHASES: Final = (
    Phase(name="interpreter", state="passed", meaning="fetched, 31.4 MB", seconds=1.2, usual=1.1),
    Phase(name="source", state="passed", meaning="twisted 25.5.0 unpacked", seconds=0.6, usual=0.6),
    Phase(
        name="install",
        state="passed",
        meaning="4 distributions",
        seconds=8.9,
        usual=9.4,
        cpu_seconds=6.1,
        peak_memory=212_000_000,
        log=_log("install", "Resolved 4 packages in 12ms\nInstalled 4 packages in 8ms\n"),
    ),
    Phase(
        name="test",
        state="new_failure",
        meaning="exit 1: tests failed",
        seconds=301.7,
        usual=296,
        cpu_seconds=288,
        peak_memory=611_000_000,
        log=_mixed(),
    ),
    Phase(name="report", state="passed", meaning="sent", seconds=0.2),
)


def failed() -> Run:
    """New failures, one old one and a flaky one."""
    return Run(
        frame=frame(f"Run {ROW.id}", here=links.run(ROW.id)),
        row=ROW,
        failure_kind="test",
        phases=PHASES,
        failures=(
            _failure("test_parse_empty_header"),
            _failure("test_nested"),
            _failure(
                "test_crash",
                outcome="crashed",
                type="",
                message="killed by signal 11 (SIGSEGV)",
                detail="",
            ),
            _failure("test_old", "still_failing", breakage=11),
            _failure("test_sometimes", "flaky", retried=("passed",), breakage=0),
        ),
        failures_left_out=2,
        attempts=(
            Attempt(
                number=1,
                state="lost",
                worker="debian-12-b",
                seconds=41,
                reason="the worker's connection was lost",
            ),
            Attempt(number=2, state="recorded", worker="debian-12-a", seconds=312.4),
        ),
        interpreter=INTERPRETER,
        environment=ENVIRONMENT,
        lock=LOCK,
        modules=("twisted._threads._raiser",),
        reproduce="./pybots reproduce 17",
        report="/api/v1/run/89600/report",
        previous=89_560,
    )


def passed() -> Run:
    """Nothing to say."""
    phases = tuple(replace(phase, state="passed", meaning="done") for phase in PHASES)
    row = replace(ROW, state="passed", counts=ALL_WELL, summary="")
    return replace(
        failed(),
        row=row,
        phases=phases,
        failures=(),
        failures_left_out=0,
        failure_kind="",
        attempts=(),
    )


def queued() -> Run:
    """Waits for a slot."""
    row = replace(
        ROW, state="queued", started=None, seconds=None, counts=None, worker="", summary=""
    )
    return Run(frame=frame("Run 89600"), row=row, interpreter=INTERPRETER)


def live() -> Run:
    """The tests are running, and the log grows."""
    row = replace(ROW, state="running_failing", seconds=None, counts=None, summary="")
    text = "".join(f"test_number_{n} ... ok\n" for n in range(140)) + "test_number_140 ... FAIL\n"
    log = logs.tail(text, keep=30, live=True, raw=links.run_log(ROW.id, "test"))
    phases = (
        *PHASES[:3],
        Phase(
            name="test",
            state="running",
            meaning="running for 48 s of about 296 s",
            seconds=48,
            usual=296,
            log=log,
        ),
        Phase(name="report", state="none"),
    )
    return Run(
        frame=frame("Run 89600"),
        row=row,
        phases=phases,
        interpreter=INTERPRETER,
        environment=ENVIRONMENT,
    )


def interpreter_broken() -> Run:
    """A commit that does not compile."""
    error = "Objects/listobject.c:412:9: error: expected ';' before 'return'\nmake: *** [Makefile:2811] Error 1"
    row = replace(
        ROW,
        kind="interpreter",
        project="",
        lane="",
        counts=None,
        revision="",
        summary="main does not build",
    )
    phases = (
        Phase(name="source", state="passed", meaning="unpacked", seconds=1.1),
        Phase(name="configure", state="passed", meaning="done", seconds=4.0),
        Phase(
            name="compile",
            state="new_failure",
            meaning="exit 2: make failed",
            seconds=12.9,
            error=error,
            log=_log("compile", error),
        ),
        Phase(name="install", state="none"),
        Phase(name="publish", state="none"),
    )
    return Run(
        frame=frame("Run 89590"),
        row=row,
        failure_kind="interpreter",
        phases=phases,
        environment=ENVIRONMENT,
    )


def lost() -> Run:
    """The farm's fault: nobody is blamed."""
    row = replace(ROW, state="infra", counts=None, summary="the worker went away three times")
    attempts = tuple(
        Attempt(
            number=n, state="lost", worker="debian-12-b", seconds=30.0 * n, reason="connection lost"
        )
        for n in (1, 2, 3)
    )
    phases = (
        Phase(
            name="interpreter",
            state="infra",
            meaning="the worker's connection was lost",
            seconds=30,
            log=Log(),
        ),
    )
    return Run(frame=frame("Run 89600", alive=False), row=row, phases=phases, attempts=attempts)


SAMPLES: Final[dict[str, Page]] = {
    "run": failed(),
    "run-passed": passed(),
    "run-queued": queued(),
    "run-live": live(),
    "run-interpreter": interpreter_broken(),
    "run-lost": lost(),
}
