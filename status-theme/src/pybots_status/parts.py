"""The small frozen pieces that pages are made of. Pages themselves are in `pages`, which re-exports all of these.

Times are seconds since the epoch in UTC (`None`: not yet, or not known), durations are seconds, sizes are bytes.
Every string may have been written by a hostile worker: rendering escapes it and makes control characters visible.
Every `href` comes from `links` or is somebody's http(s) address; anything else is rendered as plain text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pybots_status.states import State

TreeState = Literal["open", "throttled", "closed", "maintenance"]
Theme = Literal["", "light", "dark"]


@dataclass(frozen=True, kw_only=True)
class Link:
    """Text that may lead somewhere (`href` empty: it doesn't). `current` marks the page the reader is on."""

    text: str
    href: str = ""
    title: str = ""
    current: bool = False


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One box. `label` replaces the state's glyph (`rel`); `count` follows the glyph (`F3`), 0 shows nothing.

    `joined_above` and `joined_below` say that the box is one pillar with the box of the next newer (above) or the next
    older (below) row: one run covered several commits. Each row still has all its cells; no rowspan.
    """

    state: State = "none"
    count: int = 0
    label: str = ""
    href: str = ""
    title: str = ""
    joined_above: bool = False
    joined_below: bool = False


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A line of a list of facts: `name`, `value` and optionally where it leads."""

    name: str
    value: str
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A line under the capsule: what every reader should know now."""

    text: str
    level: Literal["info", "warning"] = "info"
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class TreeNote:
    """What the farm's admin says about the farm, in force from `since`. Not CPython's policy."""

    state: TreeState
    text: str
    by: str = ""
    since: float | None = None


@dataclass(frozen=True, kw_only=True)
class Banner:
    """The computed facts on top of every page: `main builds; 11 of 12 projects pass; 1 lane unknown`.

    `state` gives the colour: `passed` all conclusive lanes pass, `new_failure`, `still_failing`, `running` (first run),
    `unknown` (nothing known), `infra` (farm trouble).
    """

    state: State
    text: str
    href: str = ""
    note: TreeNote | None = None


@dataclass(frozen=True, kw_only=True)
class Announce:
    """A labelled line of links in the capsule's left half (`Mail & feeds: archive | atom`)."""

    label: str
    links: tuple[Link, ...]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What every page needs around its content.

    `here` is this page's own path and query. `base_url` is put before every local link (`""`: links start with `/`).
    `refresh`: seconds until a reader's page is fetched again, 0: never. `theme`: `""` follows the reader's system.
    `event`: the newest event that the page knows of, from where the reader's event stream goes on; 0: there is none.
    `feed`: the Atom feed of what the page is about.
    """

    title: str
    branch: str
    banner: Banner
    generated: float
    branches: tuple[Link, ...] = ()
    nav: tuple[Link, ...] = ()
    announce: tuple[Announce, ...] = ()
    notices: tuple[Notice, ...] = ()
    master_alive: bool = True
    master_seen: float | None = None
    here: str = "/"
    base_url: str = ""
    refresh: int = 60
    event: int = 0
    feed: str = ""
    theme: Theme = ""
    farm: str = "Pybots"
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class TestCounts:
    """How many tests came to what. The same names as the ledger's, so `TestCounts(**counts)` works."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    passed: int = 0
    failed: int = 0
    error: int = 0
    skipped: int = 0
    xfailed: int = 0
    xpassed: int = 0
    crashed: int = 0
    timed_out: int = 0
    not_run: int = 0
    flaky: int = 0


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One run in a table. `lane` is the slug of its lane, or of the interpreter's builds; `""`: no link."""

    id: int
    state: State
    kind: Literal["interpreter", "project"] = "project"
    project: str = ""
    source: str = ""
    lane: str = ""
    branch: str = ""
    flavour: str = ""
    platform: str = ""
    sha: str = ""
    commit_title: str = ""
    revision: str = ""
    purpose: str = "routine"
    worker: str = ""
    started: float | None = None
    seconds: float | None = None
    counts: TestCounts | None = None
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class LaneRow:
    """One lane in a table. `reason` says why it has no worker or was refused; `last_run` 0: never ran.

    Without a `source` it is no project's lane but the builds of an interpreter."""

    slug: str
    project: str
    branch: str
    flavour: str
    platform: str
    cell: Cell
    source: str = ""
    reason: str = ""
    since: float | None = None
    last_run: int = 0
    last_sha: str = ""
    last_finished: float | None = None
    revision: str = ""
    seconds: float | None = None
    counts: TestCounts | None = None


@dataclass(frozen=True, kw_only=True)
class CommitLine:
    """A commit in a list."""

    sha: str
    title: str = ""
    author: str = ""
    when: float | None = None
    state: State = "none"
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class BreakageRow:
    """A breakage in a table. `lanes` and `tests` are counts; `until` None: open.

    `alike`: so many more say the same, and are listed at `alike_href`."""

    id: int
    state: Literal["suspected", "open", "closed"]
    kind: str
    summary: str
    project: str = ""
    since: float | None = None
    until: float | None = None
    lanes: int = 0
    tests: int = 0
    disposition: str = ""
    person: str = ""
    alike: int = 0
    alike_href: str = ""


@dataclass(frozen=True, kw_only=True)
class MailRow:
    """A message in a list. `state`: in the outbox, sent, or given up. `about` (`breakage 3`) may lead somewhere."""

    id: int
    subject: str
    to: tuple[str, ...]
    state: Literal["queued", "sent", "failed"]
    created: float
    sent: float | None = None
    about: str = ""
    about_href: str = ""
    error: str = ""


WorkerState = Literal[
    "online", "busy", "offline", "resting", "paused", "waiting", "quarantined", "revoked", "retired"
]


@dataclass(frozen=True, kw_only=True)
class WorkerRow:
    """A worker in a table. `running` are links to the runs it has now; `wanted` counts what waits for it.

    `reason`: why it rests, or why it was stopped."""

    name: str
    state: WorkerState
    platform: str
    abi: str = ""
    owner: str = ""
    slots: int = 1
    running: tuple[Link, ...] = ()
    wanted: int = 0
    last_seen: float | None = None
    runs_today: int = 0
    infra_today: int = 0
    reason: str = ""
