"""Samples of every other page, full and empty."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pybots_status import links
from pybots_status.pages import (
    Commit,
    ErrorPage,
    Fact,
    FailingRow,
    FlakyRow,
    InterpreterRow,
    Lane,
    Legend,
    Link,
    Mail,
    MailArchive,
    Page,
    TextBlock,
    TextPage,
    Worker,
    WorkerRow,
    Workers,
)
from pybots_status.samples.common import GREEN, NOW, commit, frame, sha
from pybots_status.samples.rows import BREAKAGE, LANES, MAIL, RUNS
from pybots_status.samples.runs import ENVIRONMENT, INTERPRETER


def _commit() -> Commit:
    about = commit(1)
    return Commit(
        frame=frame("gh-139880", here=links.commit(about.sha)),
        sha=about.sha,
        title=about.title,
        author=about.author,
        message="ast.Num, ast.Str and their kin were deprecated in 3.8.\n\nThey are gone now; use ast.Constant.",
        branch="main",
        position=131_224,
        when=about.when,
        upstream=f"https://github.com/python/cpython/commit/{about.sha}",
        files=("Lib/ast.py", "Lib/test/test_ast.py", "Misc/NEWS.d/next/Library/gh-139880.rst"),
        interpreters=(
            INTERPRETER,
            replace(INTERPRETER, flavour="release", shared_with=sha(2)),
            InterpreterRow(
                flavour="freethreaded", platform="linux-x86_64", state="running", run=89_591
            ),
            InterpreterRow(
                flavour="jit",
                platform="linux-x86_64",
                state="new_failure",
                run=89_592,
                error="error: clang 19 was not found",
            ),
            InterpreterRow(flavour="asan", platform="linux-x86_64", state="queued"),
        ),
        runs=RUNS[1:],
        breakages=(BREAKAGE,),
        mails=(MAIL,),
        newer=commit(0),
        older=commit(2),
    )


def worker_rows() -> tuple[WorkerRow, ...]:
    """A worker in each of its states."""
    first = WorkerRow(
        name="debian-12-a", state="busy", platform="linux-x86_64", abi="debian-12-x86_64", owner="Volunteer One", slots=2,
        running=(Link(text="run 89700", href=links.run(89_700)),), wanted=14, last_seen=NOW - 3, runs_today=61,
    )  # fmt: skip
    return (
        first,
        replace(first, name="fedora-42", state="online", running=(), wanted=0, runs_today=9),
        replace(
            first,
            name="mac-mini",
            state="offline",
            platform="macos-arm64",
            running=(),
            last_seen=NOW - 90_000,
            infra_today=2,
        ),
        replace(
            first, name="rpi-5", state="resting", platform="linux-aarch64", running=(), slots=1,
            reason="outside its hours, until Mon 18:00 UTC",
        ),
        replace(first, name="rpi-4", state="paused", platform="linux-aarch64", running=(), slots=1),
        replace(
            first,
            name="new-one",
            state="waiting",
            running=(),
            last_seen=None,
            runs_today=0,
            wanted=0,
        ),
        replace(
            first, name="attic", state="quarantined", running=(), infra_today=9,
            reason="less than 2 GiB are free on its disk",
        ),
        replace(first, name="gone", state="retired", running=(), reason="its owner took it back"),
        replace(first, name="old-one", state="revoked", running=(), runs_today=0, wanted=0),
    )  # fmt: skip


_JOIN: Final = TextPage(
    frame=frame("Join", view="join", banner=GREEN),
    heading="Join the farm",
    blocks=(
        TextBlock(kind="heading", text="With a machine"),
        TextBlock(
            kind="text",
            text="Everything runs in a sandbox, inside caps that you set. One command joins, one leaves.",
        ),
        TextBlock(kind="code", text="pybots-worker join https://farm.example/ pybots1-…"),
        TextBlock(kind="heading", text="With a project"),
        TextBlock(kind="text", text="One small file. Try it on your own machine first:"),
        TextBlock(kind="code", text="./pybots try twisted"),
    ),
)

_BODY: Final = """main: gh-139880 breaks twisted on 3 lanes

    AttributeError: module 'ast' has no attribute 'Num'

14 tests, for example twisted.web.test.test_template.FlattenTests.test_nested

Run it yourself:  ./pybots reproduce 17
"""

SAMPLES: Final[dict[str, Page]] = {
    "lane": Lane(frame=frame("Lane"), lane=LANES[0], runs=RUNS, breakages=(BREAKAGE,), failing=(FailingRow(test="tests/test_a.py::test_b[1-<x>]", run=812),), failing_left_out=2,
                 flaky=(FlakyRow(test="tests/test_net.py::test_slow", events=6, runs=120, quiet=3), FlakyRow(test="tests/test_t.py::test_clock", events=1, runs=300)), older="/lane/x?before=1"),
    "lane-refused": Lane(frame=frame("Lane"), lane=LANES[3]),
    "commit": _commit(),
    "commit-docs": Commit(frame=frame("Docs"), sha=sha(3), title="Docs: a comma", author="Author Four", unchanged=True),
    "workers": Workers(frame=frame("Workers", view="workers"), rows=worker_rows()),
    "workers-none": Workers(frame=frame("Workers", view="workers")),
    "worker": Worker(frame=frame("debian-12-a"), row=worker_rows()[0], facts=ENVIRONMENT, runs=RUNS, queue=(replace(RUNS[2], id=89_711, state="queued", counts=None, seconds=None, worker=""),)),
    "worker-new": Worker(frame=frame("new-one"), row=worker_rows()[5]),
    "mail-archive": MailArchive(
        frame=frame("Mail", view="mail"),
        rows=(MAIL, replace(MAIL, id=42, state="queued", sent=None), replace(MAIL, id=43, state="failed", sent=None, error="connection refused")),
        older="/mail?before=41",
    ),
    "mail-archive-empty": MailArchive(frame=frame("Mail", view="mail", banner=GREEN)),
    "mail": Mail(
        frame=frame("Mail 41"), row=MAIL, headers=(Fact(name="Message-ID", value="<breakage-17@farm.example>"),), body=_BODY,
        thread=(replace(MAIL, id=44, subject="Re: [pybots] main: fixed"),),
    ),
    "mail-failed": Mail(frame=frame("Mail 43"), row=replace(MAIL, state="failed", sent=None), body=_BODY),
    "legend": Legend(frame=frame("Legend", view="legend")),
    "join": _JOIN,
    "error-404": ErrorPage(frame=frame("Not found"), status=404, message="there is no such run", hint="Run pages never expire: check the number."),
    "error-503": ErrorPage(frame=frame("Busy", alive=False), status=503, message="the ledger is being upgraded", hint="This takes a minute."),
}  # fmt: skip
