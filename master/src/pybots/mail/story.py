"""What letters are made of: a thread's breakages with all that may be said of them, as frozen data.

Every text in here was written by somebody else, except urls and ids.
"""

from __future__ import annotations

from dataclasses import dataclass

from pybots.core.audiences import Audience
from pybots.core.evidence import Line
from pybots.core.rounds import Change, Topic


@dataclass(frozen=True, kw_only=True)
class CommitLine:
    sha: str
    author: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """Where CPython's own documentation announces a change: file and line in the tree at that commit, and its words."""

    file: str
    line: int
    quote: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What an investigation proved: the change (a sha, a project's commit, a pin), who made it, and from what evidence.

    `axis`: "cpython" | "project" | "dependency". `confidence` in 0..1. `files_left_out`: how many more there are."""

    axis: str
    id: str
    title: str
    author: str
    confidence: float
    reason: str
    evidence: tuple[Line, ...] = ()
    files: tuple[str, ...] = ()
    files_left_out: int = 0
    announced: Announcement | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One breakage in one project (`project` "": in an interpreter, built with `configure`).

    `failing`: the first few ids; `count`: how many there are. `run` showed it there first, on `worker`'s platform.
    `phase`: of an interpreter's build, the one that failed. `source` "" when it is the project's first. `before`: the revision that was good. `control`: "" | "wanted" | "green" |
    "red" | "none". `skipped`: of a fixed one, how many of its tests are skipped now, which proves nothing. `again_run`: what `run` did, once more (0: was not done). `sure`: it is confirmed. `tail`: the error's last lines."""

    breakage: int
    change: Change
    project: str
    title: str
    kind: str
    error: str
    failing: tuple[str, ...]
    count: int
    run: int
    lanes: int
    flavour: str
    platform: str
    sha: str
    python: str = ""
    source: str = ""
    revision: str = ""
    before: str = ""
    control: str = ""
    control_run: int = 0
    again_run: int = 0
    skipped: int = 0
    sure: bool = True
    axis: str = ""
    blamed: str = ""
    reopened: int = 0
    tail: str = ""
    tracker: str = ""
    configure: tuple[str, ...] = ()
    phase: str = ""
    finding: Finding | None = None


@dataclass(frozen=True, kw_only=True)
class Story:
    """A letter's contents. `commit`: the first bad one; `commits`: the range, newest first, `commits_left_out` more.

    `since_good`: a good commit is known. `answer`: (breakage, address of the form), in a person's own copy only.
    `held_back`: letters that a cap kept from this reader. `goes_on`: where a pointer points."""

    topic: Topic
    audience: Audience
    rows: tuple[Row, ...]
    branch: str
    commit: CommitLine
    since_good: bool
    url: str
    repository: str
    thread: int
    commits: tuple[CommitLine, ...] = ()
    commits_left_out: int = 0
    project: str = ""
    answers: tuple[tuple[int, str], ...] = ()
    held_back: int = 0
    goes_on: int = 0

    @property
    def base(self) -> str:
        return self.url.rstrip("/")

    @property
    def only_skipped(self) -> bool:
        """Whether nothing that failed has passed: all of it is skipped now."""
        return bool(self.rows) and all(0 < row.count <= row.skipped for row in self.rows)

    def projects(self) -> list[str]:
        return list(dict.fromkeys(row.project for row in self.rows if row.project))

    def breakages(self) -> list[int]:
        return list(dict.fromkeys(row.breakage for row in self.rows))
