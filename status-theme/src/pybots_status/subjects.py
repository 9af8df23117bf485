"""Projects, lanes, commits and breakages as data: what people talk about."""

from __future__ import annotations

from dataclasses import dataclass

from pybots_status.parts import BreakageRow, Cell, CommitLine, Fact, Frame, LaneRow, MailRow, RunRow
from pybots_status.states import State


@dataclass(frozen=True, kw_only=True)
class Version:
    """What one source of a project resolved to, when somebody last looked; `error` when that went wrong."""

    source: str
    label: str
    origin: str = ""
    href: str = ""
    checked: float | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class ProjectRow:
    """A project in the list of all."""

    name: str
    title: str
    versions: tuple[str, ...] = ()
    cells: tuple[Cell, ...] = ()
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class Projects:
    """`/projects`."""

    frame: Frame
    rows: tuple[ProjectRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TestSpan:
    """A test's outcome in a lane over some commits: since run `run` at `sha`, until run `until_run` (0: still)."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    lane: str
    where: str
    state: State
    outcome: str
    run: int
    sha: str = ""
    when: float | None = None
    until_run: int = 0
    until_sha: str = ""
    signature: str = ""


@dataclass(frozen=True, kw_only=True)
class TestHistory:
    """What is known of one test in all of a project's lanes, lane by lane, newest first. `known`: it has a history."""

    __test__ = False

    test: str
    known: bool = True
    spans: tuple[TestSpan, ...] = ()
    left_out: int = 0
    alike: tuple[str, ...] = ()
    """Known tests whose names begin or end like the one asked for, when there is none of that name."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """`/project/<name>`. `homepage` and `tracker` may be anything; only http(s) addresses become links.

    `controls`: the last good combination made again, for the newest breakages. `history`: of the test asked for.
    `badge`: the address of its badge, `badge_text` the lines that show it elsewhere."""

    frame: Frame
    name: str
    title: str
    summary: str = ""
    note: str = ""
    homepage: str = ""
    tracker: str = ""
    maintainers: tuple[str, ...] = ()
    versions: tuple[Version, ...] = ()
    facts: tuple[Fact, ...] = ()
    lanes: tuple[LaneRow, ...] = ()
    runs: tuple[RunRow, ...] = ()
    breakages: tuple[BreakageRow, ...] = ()
    controls: tuple[RunRow, ...] = ()
    history: TestHistory | None = None
    badge: str = ""
    badge_text: str = ""


@dataclass(frozen=True, kw_only=True)
class FailingRow:
    """A test that fails now, and the run in which that began."""

    test: str
    run: int


@dataclass(frozen=True, kw_only=True)
class FlakyRow:
    """A test that fails by chance: in `events` of the last `runs` runs, `quiet` runs ago for the last time."""

    test: str
    events: int
    runs: int
    quiet: int = 0

    @property
    def percent(self) -> str:
        rate = 100 * self.events / self.runs if self.runs else 0.0
        return f"{rate:.0f} %" if rate >= 1 else "under 1 %"


@dataclass(frozen=True, kw_only=True)
class Lane:
    """`/lane/<slug>`: newest run first, ordered by commit, never by finish time."""

    frame: Frame
    lane: LaneRow
    runs: tuple[RunRow, ...] = ()
    breakages: tuple[BreakageRow, ...] = ()
    failing: tuple[FailingRow, ...] = ()
    failing_left_out: int = 0
    flaky: tuple[FlakyRow, ...] = ()
    older: str = ""


@dataclass(frozen=True, kw_only=True)
class InterpreterRow:
    """An interpreter of a commit. `run` 0: nobody has built it yet. `shared_with`: the commit it was built for."""

    flavour: str
    platform: str
    state: State
    abi: str = ""
    key: str = ""
    run: int = 0
    worker: str = ""
    seconds: float | None = None
    size: int | None = None
    python: str = ""
    shared_with: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """`/commit/<sha>`. `unchanged`: nothing a build sees changed, so it shares its neighbour's interpreters."""

    frame: Frame
    sha: str
    title: str
    author: str
    message: str = ""
    branch: str = ""
    position: int = 0
    when: float | None = None
    upstream: str = ""
    unchanged: bool = False
    files: tuple[str, ...] = ()
    interpreters: tuple[InterpreterRow, ...] = ()
    runs: tuple[RunRow, ...] = ()
    breakages: tuple[BreakageRow, ...] = ()
    mails: tuple[MailRow, ...] = ()
    newer: CommitLine | None = None
    older: CommitLine | None = None


@dataclass(frozen=True, kw_only=True)
class IssueText:
    """A text that is ready for a tracker. `href`: the tracker, when it is known; only http(s) becomes a link."""

    tracker: str
    title: str
    body: str
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of several answers."""

    value: str
    words: str
    chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class AnswerPage:
    """`/answer`: the form behind a personal link. `holds`: the day the present answer ends, "" when there is none.

    `problem`: why the answer that was sent can't be taken; `done`: it was taken."""

    frame: Frame
    breakage: int
    title: str
    state: str
    token: str
    reader: str
    choices: tuple[Choice, ...]
    person: str = ""
    issue: str = ""
    note: str = ""
    days: int = 90
    holds: str = ""
    problem: str = ""
    done: bool = False


@dataclass(frozen=True, kw_only=True)
class EvidenceRow:
    """A line of the proof: what was run, how often it passed and failed, on whose workers, and what that says."""

    what: str
    passed: int
    failed: int
    skipped: int = 0
    owners: tuple[str, ...] = ()
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class ProbeRow:
    """One probe, in the order in which they were asked for. `outcome` is the state of its box, `said` its word;
    `left`: commits in question when it had answered (0: no search among commits)."""

    run: int
    state: State
    said: str
    why: str = ""
    stage: str = ""
    sha: str = ""
    worker: str = ""
    answered: float | None = None
    left: int = 0


@dataclass(frozen=True, kw_only=True)
class Search:
    """What the investigator did about a breakage. `status`: what it came to, in words; `going`: it has not ended."""

    status: str
    going: bool = False
    reason: str = ""
    confidence: str = ""
    began: float | None = None
    ended: float | None = None
    evidence: tuple[EvidenceRow, ...] = ()
    probes: tuple[ProbeRow, ...] = ()
    probes_left_out: int = 0
    announced: str = ""
    """How CPython's own documentation announces the change; `announced_at`: the file there, and the line."""
    announced_at: str = ""


@dataclass(frozen=True, kw_only=True)
class Breakage:
    """`/breakage/<id>`. `commits` is the range, newest first, with each probe's state; `good` is the last that passed."""

    frame: Frame
    row: BreakageRow
    signature: str = ""
    error: str = ""
    axis: str = ""
    culprit: CommitLine | None = None
    good: CommitLine | None = None
    commits: tuple[CommitLine, ...] = ()
    commits_left_out: int = 0
    lanes: tuple[LaneRow, ...] = ()
    tests: tuple[str, ...] = ()
    mails: tuple[MailRow, ...] = ()
    facts: tuple[Fact, ...] = ()
    reproduce: str = ""
    issues: tuple[IssueText, ...] = ()
    search: Search | None = None
    capsule: str = ""
    """Where its capsule is: all that `pybots reproduce` needs."""
