"""Subjects: what and where, readable in a list's archive. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pybots.core.normal import one_line
from pybots.core.outcomes import extension_name, is_extension, is_test
from pybots.mail.lines import number
from pybots.mail.message import MAX_SUBJECT
from pybots.mail.story import Row, Story

_VERBS: Final = {
    "crash": "crashes",
    "timeout": "hangs",
    "memory": "runs out of memory",
    "collection": "cannot be collected",
}


def subject(story: Story) -> str:
    """`[Pybots] anchor: test_b fails on main at 0123456789ab (release, linux-x86_64)`."""
    return one_line(f"[Pybots] {_who(story)}: {_what(story)} on {_where(story)}", MAX_SUBJECT)


def _who(story: Story) -> str:
    projects = story.projects()
    builds = any(not row.project for row in story.rows)
    if story.project:
        return story.project
    if builds:
        return "CPython"
    return projects[0] if len(projects) == 1 else number(len(projects), "project")


def _where(story: Story) -> str:
    kinds = {(row.flavour, row.platform) for row in story.rows}
    kind = f" ({', '.join(next(iter(kinds)))})" if len(kinds) == 1 else ""
    return f"{story.branch} at {story.commit.sha[:12]}{kind}"


def _what(story: Story) -> str:
    builds = [row for row in story.rows if not row.project]
    match story.topic:
        case "fixed" if story.only_skipped:
            return "skipped now"
        case "fixed":
            return f"{build_verb(builds)}s again" if builds and not story.project else "fixed"
        case "withdrawn":
            return "withdrawn, it was not CPython"
        case "mended":
            found = next((row.finding for row in story.rows if row.finding), None)
            return f"fixed by {found.id[:12]}" if found else "fixed"
        case "pointer":
            return "the same cause as another thread's"
        case "known":
            return _known(story.rows)
        case "more":
            return (
                "more lanes are broken"
                if len(story.projects()) < 2
                else "broken by the same change"
            )
        case _:
            again = " again" if story.topic == "again" else ""
            suspected = ", not confirmed yet" if not any(row.sure for row in story.rows) else ""
            return f"{_fails(story, builds)}{again}{suspected}"


def _known(rows: Sequence[Row]) -> str:
    for row in rows:
        if row.axis == "dependency" and row.blamed:
            return f"caused by {one_line(row.blamed, 60)}"
        if row.finding:
            return "its commit is found" if row.axis == "cpython" else "its cause is found"
    return "confirmed"


def _fails(story: Story, builds: Sequence[Row]) -> str:
    if builds and not story.project:
        return f"does not {build_verb(builds)}"
    if len(story.projects()) > 1:
        return "newly broken"
    return what_fails(story.rows)


def build_verb(rows: Sequence[Row]) -> str:
    """What the interpreter does not do: a build whose own tests pass may still not install."""
    return "install" if {row.phase for row in rows} == {"install"} else "build"


def what_fails(rows: Sequence[Row]) -> str:
    """What fails in one project, in a few words."""
    kinds = {row.kind for row in rows}
    tests = [(name, row.kind) for row in rows for name in row.failing if is_test(name)]
    count = sum(row.count for row in rows if any(map(is_test, row.failing)))
    if "install" in kinds:
        return "does not install"
    if count == 1 and "hollow" not in kinds:
        name, kind = tests[0]
        name = name.rsplit("::", 1)[-1] if "::" in name else name
        return f"{one_line(name[-60:], 60)} {_VERBS.get(kind, 'fails')}"
    if kinds == {"collection"}:
        return f"{number(count, 'test module')} cannot be collected"
    if tests and "hollow" not in kinds:
        return f"{count:,} tests fail"
    if tests:
        return f"{number(count, 'test')} vanished or skipped"
    return _without_tests(rows[0]) if rows else "fails"


def _without_tests(row: Row) -> str:
    """What has no test to name: a lost extension, a suite that did not run."""
    lost = [extension_name(name) for name in row.failing if is_extension(name)]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        return f"compiled {one_line(lost[0], 60)}{more} is missing"
    return one_line(row.error.removeprefix("the suite as a whole: "), 60)
