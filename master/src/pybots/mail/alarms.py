"""The farm's letters to its own people: what went wrong with it, with a worker, with its mail. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pybots.core.alerts import Alarm
from pybots.core.audiences import Audience
from pybots.core.normal import one_line
from pybots.mail.commands import command_lines
from pybots.mail.lines import WIDTH, body, counted, cut, number, quoted, wrap
from pybots.mail.message import MAX_SUBJECT
from pybots.mail.story import CommitLine, Row

SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What an alarm may tell; what does not belong to its topic is left empty.

    `row`: the run or build concerned. `lines`: lanes of a breaker, or tests, one each. `state`: of a breaker, "open" or
    "farm"; why a worker is quarantined; what differs. `scope`: of a breaker; who repeated a result.
    `words`: how long a worker is gone, what a mail server said. `where`: a path of the pages to look at."""

    audience: Audience
    url: str
    worker: str = ""
    branch: str = ""
    commit: CommitLine | None = None
    row: Row | None = None
    repository: str = ""
    lines: tuple[str, ...] = ()
    state: str = ""
    scope: str = ""
    words: str = ""
    where: str = ""
    held_back: int = 0


def text(topic: Alarm, facts: Facts) -> tuple[str, str]:
    """Subject and body."""
    return one_line(f"[Pybots] {_subject(topic, facts)}", MAX_SUBJECT), body(_body(topic, facts))


def _subject(topic: Alarm, facts: Facts) -> str:
    row, commit = facts.row, facts.commit
    at = f"{facts.branch} at {commit.sha[:12]}" if commit else facts.branch
    kind = f" ({row.flavour}, {row.platform})" if row else ""
    match topic:
        case "unbuilt_first":
            return f"CPython: does not build on {at}{kind}"
        case "farm_fault":
            who = row.project or "CPython" if row else "CPython"
            return f"{who}: the farm could not do its work on {facts.worker} on {at}{kind}"
        case "missing":
            return f"worker {facts.worker} is missing"
        case "back":
            return f"worker {facts.worker} is back"
        case "quarantine":
            return f"worker {facts.worker} gets no work for now"
        case "differs":
            return f"a result of worker {facts.worker} is not what another worker found"
        case "rejected":
            return "a letter was refused for good"
        case "breaker" if facts.state == "open":
            return f"mail is held: most lanes of {facts.scope} turned red at once"
        case "breaker":
            return f"most lanes of {facts.scope} turned red, and it is not CPython"


def _body(topic: Alarm, facts: Facts) -> Iterator[str]:
    yield from wrap(_opening(topic, facts))
    yield ""
    if facts.row:
        yield f"  {cut(facts.row.error, WIDTH - 2)}"
        tail = quoted(facts.row.tail, 12)
        yield from ("", "The error's last lines:", "", *tail) if len(tail) > 1 else ()
        yield ""
    if facts.lines:
        yield from counted([f"  {cut(line, WIDTH - 2)}" for line in facts.lines], SHOWN)
        yield ""
    if facts.words:
        yield from quoted(facts.words, 10)
        yield ""
    if facts.where:
        yield f"See:       {facts.url.rstrip('/')}{facts.where}"
        yield ""
    if topic == "unbuilt_first" and facts.row:
        yield "The very same on your machine:"
        yield ""
        yield from command_lines(facts.row, facts.repository)
        yield ""
    yield "--"
    if facts.held_back:
        yield f"{number(facts.held_back, 'letter')} to you held back since the last one: too many in a day."
    yield from wrap(
        "You get this as the farm's admin." if facts.audience == "admin"
        else f"You get this as the owner of the worker {facts.worker}; nobody else is told."
    )  # fmt: skip


def _opening(topic: Alarm, facts: Facts) -> str:
    row, commit = facts.row, facts.commit
    kind = f"{row.flavour}, {row.platform}" if row else ""
    at = (
        f'{commit.sha[:12]} "{one_line(commit.title, 100)}" by {one_line(commit.author, 60)}'
        if commit
        else ""
    )
    match topic:
        case "unbuilt_first":
            return (
                f"CPython {facts.branch} at {at} does not build as {kind}. It is the first interpreter of"
                " its kind here, so nobody is accused: it may be the worker."
            )
        case "farm_fault":
            what = (row.project if row else "") or "the interpreter"
            return (
                "A run was given up after several attempts, through no fault of the code under test:"
                f" {what} on CPython {facts.branch} at {at} ({kind})."
            )
        case "missing":
            return (
                f"Your worker {facts.worker} has not been connected for a while; the farm goes on without it."
                " Nothing is expected of you: it may come back at any time, or leave with"
                " `pybots-worker leave`. There will be no second letter about this absence."
            )
        case "back":
            return f"Your worker {facts.worker} is connected again and gets work. Thank you for it."
        case "quarantine":
            return (
                f"The worker {facts.worker} may connect, but the farm gives it no work: {facts.state}. A full"
                " disk, a wrong clock and a connection or a machine that comes and goes are forgiven when they are"
                " over;"
                f" anything else waits for `pybots worker approve {facts.worker}`."
            )
        case "differs":
            return (
                f"A result of the worker {facts.worker} was drawn by chance and repeated on {facts.scope}, a worker of"
                f" another owner: {facts.state}. It may be a difference of the two machines, a flaky test, or a"
                " report that is not true. Nothing follows by itself: `pybots worker pause` keeps a worker from"
                " more work."
            )
        case "rejected":
            return "A mail server refused a letter of the farm for good; it is not tried again. It said:"
        case "breaker" if facts.state == "open":
            return (
                f"Most lanes of {facts.scope} turned red together, and no control run could tell within the"
                " hour whether it is CPython or the farm. Mail about them is held. It is sent when a control"
                " is green, or when you say whose bug one of them is with `pybots breakage set`."
            )
        case "breaker":
            return (
                f"Most lanes of {facts.scope} turned red together, and the last good combination fails there"
                " now too: so it is not CPython, but the machine or what was installed on it. Neither the"
                " list nor a project is told."
            )
