"""Rows that samples of several pages share: a breakage, a mail, runs, lanes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from pybots_status.pages import (
    BreakageRow,
    Cell,
    LaneRow,
    MailRow,
    State,
)
from pybots_status.samples.common import ALL_WELL, COUNTS, NOW, commit, sha
from pybots_status.samples.runs import ROW, SLUG

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
