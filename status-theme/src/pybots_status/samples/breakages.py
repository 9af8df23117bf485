"""Samples of breakages and of the answers that people give about them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pybots_status import links
from pybots_status.pages import (
    AnswerPage,
    Breakage,
    Choice,
    EvidenceRow,
    Fact,
    IssueText,
    Page,
    ProbeRow,
    Search,
)
from pybots_status.samples.common import NOW, commit, frame, sha
from pybots_status.samples.rows import BREAKAGE, LANES, MAIL

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


SAMPLES: Final[dict[str, Page]] = {
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
}  # fmt: skip
