"""Texts that are ready for an issue tracker. Markdown, as trackers take it; hostile words stay in their fences. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pybots.core.normal import one_line, printable
from pybots.mail.commands import command_lines
from pybots.mail.lines import listed, number
from pybots.mail.story import Row, Story

CPYTHON: Final = "https://github.com/python/cpython/issues"
MAX_TAIL: Final = 30


def issue(story: Story, *, about: str) -> tuple[str, str]:
    """Title and text. `about`: `python` for CPython's tracker, anything else for the project's (or dependency's)."""
    row = story.rows[0]
    since = f"since {story.commit.sha[:12]}" if len(story.commits) == 1 else f"on {story.branch}"
    who = row.title or row.project or "CPython"
    error = one_line(row.error, 100)
    title = f"{error} in {who} {since}" if about == "python" else f"CPython {story.branch}: {error}"
    return one_line(title, 150), _text(story, row, about)


def _text(story: Story, row: Row, about: str) -> str:
    projects = listed(story.projects(), 10)
    lines = [
        f"{projects or 'The build'} fails on CPython `{story.branch}` at {story.commit.sha}"
        f" ({row.flavour}, {row.platform}), and was good before.",
        "",
        *_fenced([one_line(row.error, 200), *_tail(row)]),
    ]
    if row.failing and row.project:
        lines += ["", "Failing:", "", *_fenced([one_line(name, 300) for name in row.failing[:10]])]
        if row.count > 10:
            lines += ["", f"and {number(row.count - 10, 'other')}."]
    if story.commits:
        count = len(story.commits) + story.commits_left_out
        lines += [
            "",
            "The one commit in question:"
            if count == 1
            else f"{count:,} commits in question, newest first:",
            "",
        ]
        lines += _fenced(
            f"{c.sha[:12]} {one_line(c.title, 100)} ({one_line(c.author, 40)})"
            for c in story.commits[:10]
        )
    if row.control == "green":
        lines += ["", "The last good combination was run again at the same time and passed."]
    lines += [
        "",
        "To reproduce:",
        "",
        *_fenced(line.strip() for line in command_lines(row, story.repository)),
    ]
    lines += ["", f"Found by Pybots: {story.base}/breakage/{row.breakage}"]
    return "\n".join(lines) + "\n"


def _tail(row: Row) -> list[str]:
    found = [line.rstrip()[:300] for line in printable(row.tail).splitlines() if line.strip()]
    return found[-MAX_TAIL:]


def _fenced(lines: Iterable[str]) -> list[str]:
    """Lines in a fence that is longer than any in them."""
    found = list(lines)
    longest = max((len(run) for line in found for run in _ticks(line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *found, fence]


def _ticks(line: str) -> list[str]:
    return [part for part in "".join(c if c == "`" else " " for c in line).split() if part]
