"""Letters as people read them: subject and body, plain text of 78 columns. Pure.

What workers and commits say is data: control characters are gone, lines are cut, nothing of it leaves its place.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pybots.core.alerts import Topic
from pybots.core.normal import one_line, printable
from pybots.core.outcomes import is_test
from pybots.mail.message import MAX_SUBJECT

WIDTH: Final = 78
SHOWN_TESTS: Final = 10
SHOWN_COMMITS: Final = 10
SHOWN_LINES: Final = 12


@dataclass(frozen=True, kw_only=True)
class CommitLine:
    sha: str
    author: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Failing:
    """One failing test (or phase) and its error in a line."""

    id: str
    error: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a letter may tell. `commits`: after the last good one up to the first bad one, newest first.

    `since_good`: a good commit is known. `more`: tests that were bad before. `project` "" for interpreters, whose
    `configure` options are given instead. `source` "" when it is the project's first."""

    project: str
    title: str
    source: str
    revision: str
    revision_before: str
    branch: str
    flavour: str
    platform: str
    python: str
    commit: CommitLine
    since_good: bool
    commits: tuple[CommitLine, ...]
    failing: tuple[Failing, ...]
    more: int
    tail: str
    fixed: tuple[str, ...]
    url: str
    run: int
    breakages: tuple[int, ...]
    repository: str
    configure: tuple[str, ...] = ()
    worker: str = ""


def text(topic: Topic, facts: Facts) -> tuple[str, str]:
    """Subject and body."""
    return _subject(topic, facts), "\n".join(_body(topic, facts)).rstrip() + "\n"


# The subject: what and where, readable in a list's archive.


def _subject(topic: Topic, facts: Facts) -> str:
    who = facts.project or "CPython"
    where = f"{facts.branch} at {facts.commit.sha[:12]} ({facts.flavour}, {facts.platform})"
    return one_line(f"[Pybots] {who}: {_headline(topic, facts)} on {where}", MAX_SUBJECT)


def _headline(topic: Topic, facts: Facts) -> str:
    match topic:
        case "new" | "joined":
            return _what_fails(facts)
        case "again":
            return f"{_what_fails(facts)} again"
        case "fixed":
            return "fixed"
        case "unbuilt" | "unbuilt_first":
            return "does not build"
        case "built_again":
            return "builds again"
        case "farm_fault":
            return f"the farm could not do its work on {facts.worker}"


def _what_fails(facts: Facts) -> str:
    kinds = {one.kind for one in facts.failing}
    tests = [one for one in facts.failing if is_test(one.id)]
    if "install" in kinds:
        return "does not install"
    if len(tests) == 1 and "hollow" not in kinds:
        name = tests[0].id.rsplit("::", 1)[-1] if "::" in tests[0].id else tests[0].id
        return f"{one_line(name[-60:], 60)} {_verb(tests[0].kind)}"
    if tests and "hollow" not in kinds:
        return f"{len(tests):,} tests fail"
    if tests:
        return f"{len(tests):,} test{'s' if len(tests) > 1 else ''} vanished or skipped"
    return one_line(facts.failing[0].error, 60) if facts.failing else "fails"


def _verb(kind: str) -> str:
    return {"crash": "crashes", "timeout": "hangs", "collection": "cannot be collected"}.get(
        kind, "fails"
    )


# The body.


def _body(topic: Topic, facts: Facts) -> Iterator[str]:
    yield from wrap(_opening(topic, facts))
    yield ""
    if topic in ("fixed", "built_again"):
        yield from _fixed(facts)
        yield from _links(facts)
    else:
        yield from _failing(facts)
        yield from _error(facts)
        if topic != "farm_fault":
            yield from _commits(facts)
        yield from _links(facts)
        if topic != "farm_fault":
            yield from _how_to_run(facts)
    yield "--"
    yield from wrap(_closing(topic))


def _opening(topic: Topic, facts: Facts) -> str:
    title, author = one_line(facts.commit.title, 100), one_line(facts.commit.author, 60)
    commit = f'{facts.commit.sha[:12]} "{title}" by {author}'
    kind = f"{facts.flavour}, {facts.platform}"
    name = facts.title or facts.project
    release = f"{name} {one_line(facts.revision, 60)}".strip()
    match topic:
        case "new" | "joined":
            return f"{release} fails newly on CPython {facts.branch} at {commit} ({kind})."
        case "again":
            return f"{release} fails again on CPython {facts.branch} at {commit} ({kind}); it had been fixed."
        case "fixed":
            return f"{release} is good again on CPython {facts.branch} at {commit} ({kind})."
        case "unbuilt":
            return f"CPython {facts.branch} does not build any more at {commit} ({kind})."
        case "unbuilt_first":
            return (
                f"CPython {facts.branch} at {commit} does not build as {kind}. It is the first interpreter of"
                " its kind here, so nobody is accused: it may be the worker."
            )
        case "built_again":
            return f"CPython {facts.branch} builds again at {commit} ({kind})."
        case "farm_fault":
            return (
                f"A run was given up after several attempts, through no fault of the code under test:"
                f" {facts.project or 'the interpreter'} on CPython {facts.branch} at {commit} ({kind})."
            )


def _failing(facts: Facts) -> Iterator[str]:
    if not facts.failing:
        return
    number = len(facts.failing)
    if facts.project and number > 1:
        yield f"{number:,} failures that were not there before:"
        yield ""
    shown = facts.failing[:SHOWN_TESTS]
    for error in dict.fromkeys(one.error for one in shown):
        yield f"  {cut(error, WIDTH - 2)}"
        for one in shown:
            if one.error == error:
                yield f"      {cut_front(_name(one.id), WIDTH - 6)}"
    if number > SHOWN_TESTS:
        yield f"  … and {number - SHOWN_TESTS:,} more"
    if facts.more:
        yield ""
        yield f"  ({facts.more:,} more failed before already; they are no news.)"
    yield ""


def _name(name: str) -> str:
    return name if is_test(name) else name.strip("<>")


def _error(facts: Facts) -> Iterator[str]:
    lines = [line.rstrip() for line in printable(facts.tail).expandtabs(4).splitlines()]
    lines = [line for line in lines if line][-SHOWN_LINES:]
    if len(lines) < 2:  # said above already
        return
    yield "The error's last lines:"
    yield ""
    for line in lines:
        yield f"  | {cut(line, WIDTH - 4)}"
    yield ""


def _commits(facts: Facts) -> Iterator[str]:
    if not facts.since_good:
        yield from wrap("No earlier good commit is known, so no range of commits either.")
    elif facts.commits:
        many = f"{len(facts.commits):,} commits" if len(facts.commits) > 1 else "One commit"
        yield f"{many} since it was last seen good:"
        yield ""
        yield from _commit_lines(facts.commits)
    else:
        yield from wrap("No CPython commit lies between this and the last good run.")
    if facts.revision_before and facts.revision_before != facts.revision:
        yield ""
        yield from wrap(
            "The project changed too in between: from"
            f" {one_line(facts.revision_before, 60)} to {one_line(facts.revision, 60)}."
        )
    yield ""


def _commit_lines(commits: Sequence[CommitLine]) -> Iterator[str]:
    for commit in commits[:SHOWN_COMMITS]:
        yield f"  {cut(f'{commit.sha[:12]}  {one_line(commit.author, 30)}', WIDTH - 2)}"
        yield f"      {cut(one_line(commit.title, 200), WIDTH - 6)}"
    if len(commits) > SHOWN_COMMITS:
        yield f"  … and {len(commits) - SHOWN_COMMITS:,} older ones"


def _fixed(facts: Facts) -> Iterator[str]:
    yield "What was broken:"
    yield ""
    for title in facts.fixed[:SHOWN_TESTS]:
        yield f"  {cut(title, WIDTH - 2)}"
    if len(facts.fixed) > SHOWN_TESTS:
        yield f"  … and {len(facts.fixed) - SHOWN_TESTS:,} more"
    yield ""


def _links(facts: Facts) -> Iterator[str]:
    base = facts.url.rstrip("/")
    if facts.python:
        yield f"Python:    {cut(facts.python, WIDTH - 11)}"
    yield f"Commit:    {facts.commit.sha} ({facts.flavour})"
    yield f"Run:       {base}/run/{facts.run}"
    for number in facts.breakages[:3]:
        yield f"Breakage:  {base}/breakage/{number}"
    yield ""


def _how_to_run(facts: Facts) -> Iterator[str]:
    yield "The very same on your machine:"
    yield ""
    yield from command_lines(facts)
    yield ""


def command_lines(facts: Facts) -> list[str]:
    """The one command that does it locally; where it is longer than a line, a backslash continues it."""
    if not facts.project:
        words = [shlex.quote(word) for word in facts.configure]
        return _continued(f"git checkout {facts.commit.sha} &&", ["./configure", *words, "&& make"])
    options = [f"--source {facts.source}"] if facts.source else []
    options += [
        f"--cpython {shlex.quote(facts.repository)}",
        f"--commit {facts.commit.sha}",
        f"--flavour {facts.flavour}",
    ]
    return _continued(f"./pybots try {facts.project}", options)


def _continued(first: str, parts: Sequence[str]) -> list[str]:
    lines = [f"  {first}"]
    for part in parts:
        if len(lines[-1]) + len(part) + 3 > WIDTH:
            lines[-1] += " \\"
            lines.append("      " + part)
        else:
            lines[-1] += " " + part
    return lines


def _closing(topic: Topic) -> str:
    if topic in ("unbuilt_first", "farm_fault"):
        return "You get this as the farm's admin."
    return "Pybots writes when something changes, and is silent while it stays as it is."


def wrap(paragraph: str) -> list[str]:
    """A paragraph in lines of 78 columns."""
    return textwrap.wrap(paragraph, WIDTH, break_long_words=True, break_on_hyphens=False)


def cut(line: str, width: int) -> str:
    """A line made harmless and not wider than `width`; its indentation stays."""
    clean = printable(line).replace("\n", " ").replace("\t", "    ").rstrip()
    return clean if len(clean) <= width else clean[: width - 1] + "…"


def cut_front(line: str, width: int) -> str:
    """As `cut`, but the end stays: that is what tells one test of a file from the next."""
    clean = printable(line).replace("\n", " ").replace("\t", "    ").rstrip()
    return clean if len(clean) <= width else "…" + clean[1 - width :]
