"""Samples of every other page, full and empty."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from pybots_status import links
from pybots_status.pages import (
    STATES,
    AnswerPage,
    Breakage,
    BreakageRow,
    Cell,
    Choice,
    Commit,
    ErrorPage,
    EvidenceRow,
    Fact,
    FailingRow,
    FlakyRow,
    InterpreterRow,
    IssueText,
    Lane,
    LaneRow,
    Legend,
    Link,
    Mail,
    MailArchive,
    MailRow,
    Page,
    ProbeRow,
    Project,
    ProjectRow,
    Projects,
    Search,
    State,
    TestHistory,
    TestSpan,
    TextBlock,
    TextPage,
    Version,
    Worker,
    WorkerRow,
    Workers,
)
from pybots_status.samples.common import ALL_WELL, COUNTS, GREEN, NOW, commit, frame, sha
from pybots_status.samples.console import PROJECTS
from pybots_status.samples.runs import ENVIRONMENT, INTERPRETER, ROW, SLUG

BREAKAGE: Final = BreakageRow(
    id=17,
    state="open",
    kind="test",
    summary="AttributeError: module 'ast' has no attribute 'Num'",
    project="twisted",
    since=NOW - 900,
    lanes=3,
    tests=14,
    disposition="untriaged",
)
MAIL: Final = MailRow(
    id=41,
    subject="[pybots] main: gh-139880 breaks twisted (3 lanes)",
    to=("pybots@example.org", "twisted@example.org"),
    state="sent",
    created=NOW - 600,
    sent=NOW - 598,
    about="breakage 17",
)
RUNS: Final = (
    replace(
        ROW,
        state="running",
        id=89_700,
        counts=None,
        seconds=None,
        summary="",
        sha=sha(0),
        commit_title=commit(0).title,
    ),
    ROW,
    replace(
        ROW,
        id=89_560,
        state="passed",
        counts=ALL_WELL,
        summary="",
        sha=sha(2),
        commit_title=commit(2).title,
    ),
    replace(
        ROW,
        id=89_520,
        state="flaky",
        purpose="control",
        summary="1 test passed when repeated",
        sha=sha(3),
    ),
    replace(
        ROW, id=89_480, state="infra", counts=None, summary="disk full on the worker", sha=sha(4)
    ),
)


def _lane(state: State, flavour: str = "debug", **changes: Any) -> LaneRow:
    row = LaneRow(
        slug=SLUG.replace("debug", flavour),
        project="twisted",
        source="release",
        branch="main",
        flavour=flavour,
        platform="linux-x86_64",
        cell=Cell(state=state),
        since=NOW - 86_400,
        last_run=89_600,
        last_sha=sha(1),
        last_finished=NOW - 600,
        revision="25.5.0",
        seconds=312.4,
        counts=COUNTS,
    )
    return replace(row, **changes)


def _never(state: State, flavour: str, reason: str) -> LaneRow:
    return _lane(
        state,
        flavour,
        reason=reason,
        since=None,
        last_run=0,
        last_sha="",
        counts=None,
        seconds=None,
        revision="",
    )


LANES: Final = (
    _lane("new_failure"),
    _lane("passed", "release", counts=ALL_WELL),
    _lane("still_failing", "freethreaded"),
    _never("refused", "jit", "the compiler is too old: clang 19 or newer is needed"),
    _never("no_worker", "asan", "no worker offers asan on linux-x86_64"),
)


def project() -> Project:
    """A project with everything."""
    return Project(
        frame=frame("Twisted", here=links.project("twisted")),
        name="twisted",
        title="Twisted",
        summary="3 of 5 lanes have an answer; 1 passes",
        note="The tests need a network interface of their own.",
        homepage="https://twisted.org/",
        tracker="https://github.com/twisted/twisted/issues",
        maintainers=("Maintainer One", "Maintainer Two"),
        versions=(
            Version(
                source="release",
                label="25.5.0",
                origin="newest release on the package index",
                checked=NOW - 3600,
            ),
            Version(
                source="trunk",
                label="",
                origin="https://github.com/twisted/twisted",
                checked=NOW,
                error="fatal: could not read from remote repository",
            ),
        ),
        facts=(
            Fact(name="Runner", value="trial"),
            Fact(name="Time limit", value="30 m"),
            Fact(name="Network", value="while installing"),
        ),
        lanes=LANES,
        runs=RUNS,
        breakages=(BREAKAGE,),
        controls=(replace(RUNS[2], purpose="control"),),
        badge=links.badge("twisted"),
        badge_text="[![Twisted on CPython main](https://farm.example/badge/twisted.svg)](https://farm.example/project/twisted)",
    )


TEST: Final = "twisted.web.test.test_template.FlattenTests.test_nested"


def history() -> TestHistory:
    """A test that broke twice in one lane, and never in the other."""
    now = TestSpan(
        lane=SLUG, where="release, main debug on linux-x86_64", state="new_failure", outcome="error", run=89_600,
        sha=sha(1), when=NOW - 900, signature="b81d0c3f9a77e012",
    )  # fmt: skip
    before = replace(
        now, state="passed", outcome="passed", run=88_100, sha=sha(9), when=NOW - 800_000,
        until_run=89_600, until_sha=sha(1), signature="",
    )  # fmt: skip
    old = replace(now, run=87_900, sha=sha(12), until_run=88_100, until_sha=sha(9))
    other = replace(
        before, where="release, main release on linux-x86_64", until_run=0, until_sha=""
    )
    return TestHistory(test=TEST, spans=(now, before, old, other), left_out=2)


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


PROBES: Final = (
    ProbeRow(
        run=89_601,
        state="new_failure",
        said="fails",
        stage="crossover",
        why="is it CPython alone?",
        sha=sha(0),
        worker="debian-12-a",
        answered=NOW - 860,
        left=9,
    ),
    ProbeRow(
        run=89_602,
        state="passed",
        said="passes",
        stage="search",
        why="halves the range",
        sha=sha(5),
        worker="fedora-42",
        answered=NOW - 800,
        left=4,
    ),
    ProbeRow(
        run=89_603,
        state="unknown",
        said="skipped",
        stage="search",
        why="its neighbour",
        sha=sha(3),
        worker="debian-12-a",
        answered=NOW - 760,
        left=4,
    ),
    ProbeRow(
        run=89_604,
        state="passed",
        said="passes",
        stage="search",
        why="halves the range",
        sha=sha(2),
        worker="fedora-42",
        answered=NOW - 700,
        left=2,
    ),
    ProbeRow(
        run=89_605,
        state="running",
        said="under way",
        stage="confirmation",
        why="another owner's worker",
        sha=sha(1),
        left=2,
    ),
)
SEARCH: Final = Search(
    status="confirmed: one commit did it",
    reason="The parent passed and the culprit failed, several times each",
    confidence="99.4 %",
    began=NOW - 890,
    ended=NOW - 600,
    evidence=(
        EvidenceRow(what="the culprit", passed=0, failed=3, owners=("Volunteer One", "Volunteer Two"), says="it always fails"),
        EvidenceRow(what="its parent", passed=3, failed=0, skipped=1, owners=("Volunteer One",), says="it never fails"),
    ),
    probes=PROBES[:4],
)  # fmt: skip


def _breakage() -> Breakage:
    return Breakage(
        frame=frame("Breakage 17", here=links.breakage(17)),
        row=BREAKAGE,
        signature="test · AttributeError: module 'ast' has no attribute * · twisted/web/_flatten.py:flatten",
        error="AttributeError: module 'ast' has no attribute 'Num'",
        axis="CPython commit",
        culprit=replace(commit(1), note="confirmed 3 times, parent passed 3 times"),
        good=commit(2),
        commits=(
            replace(commit(0), state="still_failing", note="fails"),
            replace(commit(1), state="new_failure", note="fails"),
            replace(commit(2), state="passed", note="passes"),
        ),
        lanes=LANES[:1],
        tests=tuple(f"twisted.web.test.test_template.FlattenTests.test_{n}" for n in range(6)),
        mails=(MAIL,),
        facts=(Fact(name="Disposition", value="untriaged"),),
        reproduce="./pybots reproduce breakage-17.json",
        capsule="/breakage/17/capsule.json",
        search=replace(SEARCH, announced="* Remove :class:`!ast.Num` and other classes that were deprecated in 3.8.", announced_at="Doc/whatsnew/3.15.rst:412"),
        issues=(
            IssueText(
                tracker="CPython's tracker", href="https://github.com/python/cpython/issues",
                title="AttributeError: module 'ast' has no attribute 'Num' in Twisted since 0d1c2b3a4f5e",
                body="Twisted fails on CPython `main` at 0d1c2b3a4f5e (release, linux-x86_64), and was good before.\n\n"
                "```text\nAttributeError: module 'ast' has no attribute 'Num'\n```\n\nFound by Pybots.\n",
            ),
            IssueText(tracker="Twisted's tracker", title="CPython main: AttributeError", body="Twisted fails on CPython."),
        ),
    )  # fmt: skip


def _answer() -> AnswerPage:
    words = (
        "nobody has looked yet",
        "expected: the change is meant to do this",
        "CPython's bug",
        "the project's bug",
    )
    return AnswerPage(
        frame=frame("Breakage 17", here="/answer?t=17-20600-0123456789-abcdefghijklmnopqrstuv"),
        breakage=17,
        title=BREAKAGE.summary,
        state="open",
        token="17-20600-0123456789-abcdefghijklmnopqrstuv",
        reader="maintainer@twisted.example",
        choices=tuple(
            Choice(value=f"choice-{n}", words=said, chosen=n == 0) for n, said in enumerate(words)
        ),
        person="maintainer",
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


def _projects() -> Projects:
    cells = tuple(Cell(state=state, href=links.lane(SLUG), title=state) for state in STATES)
    rows = tuple(
        ProjectRow(
            name=name,
            title=name.title(),
            versions=("25.5.0", "trunk@abcdef123456"),
            cells=cells[index : index + 6],
            summary="1 new failure",
        )
        for index, name in enumerate(PROJECTS)
    )
    return Projects(frame=frame("Projects", view="projects"), rows=rows)


def _many_projects() -> Projects:
    """Five hundred lanes: fifty projects on ten columns."""
    states = tuple(STATES)
    rows = tuple(
        ProjectRow(
            name=f"project-{number:02}",
            title=f"Project {number:02}",
            versions=("1.0", "trunk@abcdef123456"),
            cells=tuple(
                Cell(state=states[number * column % 9] if number % 7 == 3 else "passed", href=links.lane(SLUG))
                for column in range(10)
            ),
        )
        for number in range(50)
    )  # fmt: skip
    return Projects(frame=frame("Projects", view="projects"), rows=rows)


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
    "projects": _projects(),
    "projects-one-lane": replace(_projects(), rows=tuple(replace(row, cells=row.cells[:1]) for row in _projects().rows[:1])),
    "projects-500-lanes": _many_projects(),
    "projects-empty": Projects(frame=frame("Projects", view="projects")),
    "project": project(),
    "project-test": replace(project(), history=history()),
    "project-no-such-test": replace(project(), history=TestHistory(test="test_nested", known=False, alike=(TEST,))),
    "project-new": Project(frame=frame("Genshi"), name="genshi", title="Genshi"),
    "lane": Lane(frame=frame("Lane"), lane=LANES[0], runs=RUNS, breakages=(BREAKAGE,), failing=(FailingRow(test="tests/test_a.py::test_b[1-<x>]", run=812),), failing_left_out=2,
                 flaky=(FlakyRow(test="tests/test_net.py::test_slow", events=6, runs=120, quiet=3), FlakyRow(test="tests/test_t.py::test_clock", events=1, runs=300)), older="/lane/x?before=1"),
    "lane-refused": Lane(frame=frame("Lane"), lane=LANES[3]),
    "commit": _commit(),
    "commit-docs": Commit(frame=frame("Docs"), sha=sha(3), title="Docs: a comma", author="Author Four", unchanged=True),
    "breakage": _breakage(),
    "breakage-suspected": Breakage(frame=frame("Breakage 18"), row=replace(BREAKAGE, id=18, state="suspected", tests=0)),
    "breakage-searched": replace(
        _breakage(), culprit=None,
        search=replace(SEARCH, status="being searched", going=True, reason="", confidence="", ended=None, evidence=(), probes=PROBES, probes_left_out=3),
    ),
    "breakage-answered": replace(
        _breakage(),
        facts=(
            Fact(name="Disposition", value="CPython's bug"), Fact(name="Looked after by", value="Ada"),
            Fact(name="Reported at", value="https://github.com/python/cpython/issues/1", href="https://github.com/python/cpython/issues/1"),
            Fact(name="Holds until", value="2026-04-05"),
        ),
    ),
    "answer": _answer(),
    "answer-taken": replace(_answer(), done=True, holds="2026-04-05", issue="https://github.com/python/cpython/issues/1", note="Removed on purpose."),
    "answer-refused": replace(_answer(), problem="the issue must be an address that begins with https:// or http://"),
    "breakage-closed": replace(_breakage(), row=replace(BREAKAGE, state="closed", until=NOW)),
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
