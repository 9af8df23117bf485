"""The farm the samples show: invented people, real-looking history, one fixed moment. No clock, no chance."""

from __future__ import annotations

import hashlib
from typing import Final

from pybots_status import links
from pybots_status.pages import (
    Announce,
    Banner,
    CommitLine,
    Frame,
    Link,
    Notice,
    TestCounts,
    TreeNote,
)

NOW: Final = 1_777_643_000.0  # 2026-05-01 13:43:20 UTC

BANNER: Final = Banner(
    state="still_failing",
    text="main builds; 5 of 8 projects pass; 3 lanes still failing; 24 lanes unknown",
    href=links.LEGEND,
)
GREEN: Final = Banner(state="passed", text="main builds; 12 of 12 projects pass", href=links.LEGEND)

TITLES: Final = (
    "gh-141002: Speed up list.insert() for short lists",
    "gh-139880: Deprecate ast.Num for good",
    "Docs: clarify the buffer protocol",
    "gh-140020: argparse: keep the order of subparsers",
    "gh-141210: Make dict watchers thread-safe",
    "gh-141333: JIT: spill fewer registers across calls",
    "gh-138411: Remove long-deprecated asyncore shims",
    "gh-140771: Fix a reference leak in the tokenizer",
)
AUTHORS: Final = ("Author One", "Author Two", "Author Three", "Author Four", "Author Five")


def sha(number: int) -> str:
    """An invented commit id, always the same for a number."""
    return hashlib.sha1(f"sample {number}".encode(), usedforsecurity=False).hexdigest()


def commit(number: int) -> CommitLine:
    """The commit `number` places before the newest."""
    return CommitLine(
        sha=sha(number),
        title=TITLES[number % len(TITLES)],
        author=AUTHORS[number * 7 % len(AUTHORS)],
        when=NOW - 600 - 2400 * number,
    )


def frame(
    title: str,
    *,
    view: str = "",
    banner: Banner = BANNER,
    here: str = links.CONSOLE,
    alive: bool = True,
    notices: tuple[Notice, ...] = (),
) -> Frame:
    """The frame of a sample page."""
    return Frame(
        title=title,
        branch="main",
        branches=links.branch_tabs(("main", "3.15", "3.14"), "main"),
        nav=links.views(view),
        announce=(
            Announce(
                label="Feeds",
                links=(Link(text="atom", href="/feed.atom"), Link(text="json", href="/api/v1")),
            ),
            Announce(label="Admin", links=(Link(text="farm@example.org"),), note="until Monday"),
        ),
        banner=banner,
        notices=notices,
        generated=NOW,
        master_alive=alive,
        master_seen=None if alive else NOW - 1500,
        here=here,
        refresh=0,
        version="0.1.0",
    )


def noted(banner: Banner = BANNER) -> Banner:
    """The banner with an admin's word beside it."""
    note = TreeNote(
        state="throttled", text="one arm64 worker for everybody", by="Admin", since=NOW - 7200
    )
    return Banner(state=banner.state, text=banner.text, href=banner.href, note=note)


COUNTS: Final = TestCounts(passed=11_912, failed=3, error=1, skipped=412, xfailed=20, flaky=2)
ALL_WELL: Final = TestCounts(passed=11_916, skipped=412, xfailed=20)
