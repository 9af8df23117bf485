"""A thread's letters as people read them: subject and body, plain text of 78 columns. Pure.

What workers and commits say is data: control characters are gone, lines are cut, nothing of it leaves its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from pybots.core.normal import one_line
from pybots.core.outcomes import is_test
from pybots.core.rounds import FLAPS
from pybots.mail import findings
from pybots.mail.commands import command_lines
from pybots.mail.lines import WIDTH, body, counted, cut, cut_front, listed, number, quoted, wrap
from pybots.mail.story import Row, Story
from pybots.mail.subjects import build_verb, subject

SHOWN_TESTS: Final = 10
SHOWN_COMMITS: Final = 10
SHOWN_LINES: Final = 12
SHOWN_ERRORS: Final = 5
SHOWN_ROWS: Final = 60
SHOWN_WORDS: Final = 4

CLOSING: Final = "Pybots writes when something changes, and is silent while it stays as it is."


def text(story: Story) -> tuple[str, str]:
    """Subject and body."""
    return subject(story), body(_body(story))


def _body(story: Story) -> Iterator[str]:
    yield from wrap(_opening(story))
    yield ""
    if story.topic == "pointer":
        yield f"It goes on there: {story.base}/breakage/{story.goes_on}"
    elif story.topic == "mended":
        yield from findings.lines(story)
        yield from _table(story, "What it mended:")
    elif story.topic in ("fixed", "withdrawn"):
        yield from _table(story, "What was told as broken:")
    else:
        yield from findings.lines(story)
        yield from _news(story)
        if not findings.of(story):
            yield from _commits(story)
            yield from _certainty(story)
    yield ""
    yield from _links(story)
    if story.topic not in ("pointer", "fixed", "withdrawn", "mended"):
        yield from _how_to_run(story)
        yield from _what_to_do(story)
    yield "--"
    yield from _closing(story)


def _opening(story: Story) -> str:
    commit = (
        f'{story.commit.sha[:12]} "{one_line(story.commit.title, 100)}"'
        f" by {one_line(story.commit.author, 60)}"
    )
    what, where = _subject_of(story), f"CPython {story.branch} at {commit}"
    kind = _kind(story.rows)
    several = len(story.projects()) > 1
    verb = build_verb([row for row in story.rows if not row.project])
    flaps = any(row.reopened >= FLAPS for row in story.rows)
    last = " It has come back often: from now on only the digest tells of it." if flaps else ""
    match story.topic:
        case "opened" if not story.rows[0].project:
            does = (
                "builds, but does not install" if verb == "install" else "does not build any more"
            )
            return f"CPython {story.branch} {does} at {commit}{kind}."
        case "opened":
            return f"{what} {'fail' if several else 'fails'} newly on {where}{kind}."
        case "again":
            return f"{what} {'fail' if several else 'fails'} again on {where}{kind}; it had been fixed.{last}"
        case "more":
            return f"What broke on {where} is in more lanes now: {what}."
        case "known" if (found := findings.of(story)) is not None:
            return findings.opening(found, what, story.branch)
        case "known":
            return f"More is known about what broke on {where}: {_known(story.rows)}."
        case "withdrawn":
            return f"What was told here was not CPython's doing, and is withdrawn: {_known(story.rows)}."
        case "mended":
            found = findings.of(story)
            if found is None:
                return f"What mended {what} is known: see the breakage's page."
            return f"Fixed by: {findings.opening(found, what, story.branch, 'mended')}"
        case "pointer":
            return "This turned out to have the same cause as another thread, and is told there from now on."
        case "fixed" if not story.rows[0].project:
            return f"{where} {verb}s again{kind}."
        case "fixed" if story.only_skipped:
            skip = "skip" if several else "skips"
            return f"{what} now {skip} what failed on {where}{kind}; whether it would pass is not known."
        case "fixed":
            return f"{what} {'are' if several else 'is'} good again on {where}{kind}."


def _subject_of(story: Story) -> str:
    names = []
    for project in story.projects():
        row = next(row for row in story.rows if row.project == project)
        shown = f"{one_line(row.title or project, 60)} {one_line(row.revision, 60)}".strip()
        names.append(shown if len(story.projects()) < 3 else project)
    return listed(names) or f"CPython {story.branch}"


def _kind(rows: Sequence[Row]) -> str:
    kinds = dict.fromkeys(f"{row.flavour}, {row.platform}" for row in rows)
    return f" ({next(iter(kinds))})" if len(kinds) == 1 else ""


def _known(rows: Sequence[Row]) -> str:
    for row in rows:
        if row.axis == "dependency" and row.blamed:
            return f"it is the dependency {one_line(row.blamed, 80)}"
        if row.axis == "environment":
            by = f" ({one_line(row.blamed, 80)})" if row.blamed else ""
            return f"it is the environment{by}; the last good combination fails there now too"
        if row.axis == "flaky":
            return "the tests only come and go"
        if row.axis in ("cpython", "project") and row.blamed:
            whose = "CPython's commit" if row.axis == "cpython" else f"{row.project}'s own change"
            return f"it is {whose} {one_line(row.blamed, 40)}"
    if any(row.control == "green" for row in rows):
        return "a control run confirmed it"
    return "a control run failed too" if any(row.control == "red" for row in rows) else "see below"


# What is broken.


def _news(story: Story) -> Iterator[str]:
    if len(story.rows) > 1 and (len(story.projects()) > 1 or len(story.breakages()) > SHOWN_ERRORS):
        yield from _table(story, f"{number(len(story.rows), 'breakage')} in this thread's news:")
    errors = _alike(_one_each(story.rows))
    for row in errors[:SHOWN_ERRORS]:
        yield from _failing(row)
    left = len(errors) - SHOWN_ERRORS
    if left > 0:
        yield f"  … and {number(left, 'other error')}"
    tail = quoted(story.rows[0].tail, SHOWN_LINES) if story.rows else []
    if len(tail) > 1:  # else it was said above already
        yield from ("", "The error's last lines:", "", *tail)
    yield ""


def _one_each(rows: Sequence[Row]) -> list[Row]:
    """The first row of each breakage."""
    return list({row.breakage: row for row in reversed(rows)}.values())[::-1]


def _alike(rows: Sequence[Row]) -> list[Row]:
    """Rows that say the same of one project as one row with all their tests: their frames differ, a reader sees none."""
    found: dict[tuple[str, str, str, str], Row] = {}
    for row in rows:
        key = (row.project, row.error, row.axis, row.blamed)
        known = found.get(key)
        if known:
            row = replace(
                known, failing=(*known.failing, *row.failing), count=known.count + row.count
            )
        found[key] = row
    return list(found.values())


def _table(story: Story, head: str) -> Iterator[str]:
    yield head
    yield ""
    width = min(24, max((len(row.project or "CPython") for row in story.rows), default=0))
    same: dict[tuple[str, str], list[Row]] = {}
    for row in story.rows:
        same.setdefault((row.project or "CPython", one_line(row.error, 200)), []).append(row)
    lines = []
    for (project, error), rows in same.items():
        times, lanes = len(rows), max(row.lanes for row in rows)
        words = [f"{times} breakages"] * (times > 1) + [number(lanes, "lane")] * (lanes > 1)
        if skipped := sum(row.skipped for row in rows):
            words.append(f"{number(skipped, 'test')} skipped now")
        where = f" ({', '.join(words)})" if words else ""
        lines.append(
            cut(f"  {cut(project, width).ljust(width)}  {error}", WIDTH - len(where)) + where
        )
    yield from counted(lines, SHOWN_ROWS)
    yield ""


def _failing(row: Row) -> Iterator[str]:
    yield from (f"  {line}" for line in wrap(row.error, WIDTH - 2)[:SHOWN_WORDS])
    if row.kind == "interpreter":
        yield f"      in the build of {cut(', '.join(row.failing), WIDTH - 22)}"
        return
    names = [name if is_test(name) else name.strip("<>") for name in row.failing[:SHOWN_TESTS]]
    for name in names:
        yield f"      {cut_front(name, WIDTH - 6)}"
    if row.count > len(names):
        yield f"      … and {row.count - len(names):,} more"
    if row.axis == "dependency" and row.blamed:
        yield cut(
            f"      in the dependency {one_line(row.blamed, 30)}, not in the project's own code",
            WIDTH,
        )


# Where it comes from, and how sure that is.

UNSURE: Final = (
    "The new one has not yet been run once more within the hour: this is a suspicion until it has."
)


def _commits(story: Story) -> Iterator[str]:
    if not story.since_good:
        yield from wrap("No earlier good commit is known, so no range of commits either.")
    elif story.commits:
        count = len(story.commits) + story.commits_left_out
        many = f"{count:,} commits" if count > 1 else "One commit"
        yield f"{many} since it was last seen good:"
        yield ""
        for commit in story.commits[:SHOWN_COMMITS]:
            yield f"  {cut(f'{commit.sha[:12]}  {one_line(commit.author, 30)}', WIDTH - 2)}"
            yield f"      {cut(one_line(commit.title, 200), WIDTH - 6)}"
        if count > SHOWN_COMMITS:
            yield f"  … and {count - SHOWN_COMMITS:,} older ones"
    else:
        yield from wrap("No CPython commit lies between this and the last good run.")
    for row in _changed_too(story.rows)[:3]:
        yield ""
        yield from wrap(
            f"{row.project} changed too in between: from {one_line(row.before, 60)}"
            f" to {one_line(row.revision, 60)}."
        )
    yield ""


def _changed_too(rows: Sequence[Row]) -> list[Row]:
    changed = {row.project: row for row in reversed(rows) if row.before not in ("", row.revision)}
    return list(changed.values())[::-1]


def _certainty(story: Story) -> Iterator[str]:
    """What was tried, and how sure we are."""
    said = dict.fromkeys(_sure(row, story.base) for row in story.rows)
    for words in list(said)[:3]:
        yield from wrap(words)
    yield ""


def _sure(row: Row, base: str) -> str:
    tried = (
        ""
        if row.kind in ("interpreter", "install")
        else "Tried: failing tests were run again in the same build. "
    )
    run = f" ({base}/run/{row.control_run})" if row.control_run else ""
    more = f" ({base}/run/{row.again_run})" if row.again_run else ""
    twice = f" The new one was run once more and failed again{more}." if more else ""
    match row.control:
        case "green" if not row.sure:
            return f"{tried}The last good combination was run again now and passed{run}. {UNSURE}"
        case "green":
            return (
                f"{tried}The last good combination was run again now and passed{run}: the change did it.{twice}"
                " Confirmed."
            )
        case "red":
            return f"{tried}The last good combination was run again now and failed too{run}: {_known([row])}."
        case "wanted":
            return f"{tried}The control run has not come in within the hour: this is a suspicion until it has."
        case _ if row.kind == "interpreter":
            return "The build before it, of the same flavour and platform, was good."
        case _:
            silent = f"gave no answer{run}" if run else "could not be run again"
            once = twice if row.sure else f" {UNSURE}"
            return f"{tried}The last good combination {silent}, so the environment may have changed too.{once}"


# Where to look, what to do.


def _links(story: Story) -> Iterator[str]:
    python = next((row.python for row in story.rows if row.python), "")
    if python:
        yield f"Python:    {cut(python, WIDTH - 11)}"
    yield f"Commit:    {story.commit.sha}"
    for run in list(dict.fromkeys(row.run for row in story.rows))[:3]:
        yield f"Run:       {story.base}/run/{run}"
    for breakage in story.breakages()[:5]:
        yield f"Breakage:  {story.base}/breakage/{breakage}"
    yield ""


def _how_to_run(story: Story) -> Iterator[str]:
    yield "The very same on your machine:"
    yield ""
    yield from command_lines(story.rows[0], story.repository)
    yield ""


def _what_to_do(story: Story) -> Iterator[str]:
    first = story.breakages()[0]
    yield "A text that is ready for an issue, for CPython's tracker or the project's:"
    yield f"{story.base}/breakage/{first}#issue"
    yield ""
    for breakage, address in story.answers[:SHOWN_ERRORS]:
        yield from wrap(
            f"This copy is yours alone. Whose bug breakage {breakage} is, and that you look after it, can be said at"
        )
        yield address
        yield ""


def _closing(story: Story) -> Iterator[str]:
    if story.held_back:
        yield from wrap(
            f"{number(story.held_back, 'letter')} to you {'was' if story.held_back == 1 else 'were'} held back"
            f" since the last one: there were too many in a day. All news are at {story.base}/mail"
        )
    if story.audience == "list":
        yield from wrap(CLOSING)
    elif not story.project:
        yield from wrap(
            f"{CLOSING} You get this because the farm's people.toml says that you asked for it."
        )
    else:
        yield from wrap(
            f"{CLOSING} You get this as {story.project}'s address; its project file says so."
        )
