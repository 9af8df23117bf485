"""The ledger's tables (SQLAlchemy 2 Core, portable SQL). Alembic migrations in `migrations/` create the same.

Times are float seconds since the epoch in UTC. JSON columns hold small, bounded values. Only the master writes results;
web writes invitations and credentials. Nothing here is Buildbot's.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

commits = Table(
    "commits",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("branch", String(100), nullable=False),
    Column("position", Integer, nullable=False),
    Column("sha", String(40), nullable=False),
    Column("author", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("committed", Float, nullable=False),
    Column("title", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("files", JSON, nullable=False),
    Column("content_key", String(64), nullable=False),
    Column("seen", Float, nullable=False),
    UniqueConstraint("branch", "position"),
    UniqueConstraint("branch", "sha"),
    Index(None, "sha"),
)

interpreters = Table(
    "interpreters",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("content_key", String(64), nullable=False),
    Column("flavour", String(80), nullable=False),
    Column("platform", String(80), nullable=False),
    Column("abi", String(80), nullable=False),
    Column("trust", String(80), nullable=False),
    Column("recipe", JSON, nullable=False),
    Column("branch", String(100), nullable=False),
    Column("commit_id", ForeignKey("commits.id"), nullable=False),
    Column("state", String(20), nullable=False),  # model.InterpreterState
    Column("blob", String(64)),
    Column("size", Integer),
    Column("python", Text),
    Column("failure", JSON),  # {"type", "message", "detail", "phase", "signature"}
    Column(
        "plain", Boolean, nullable=False, server_default="0"
    ),  # installed by `make install` as it stands
    Column("created", Float, nullable=False),
    Column("finished", Float),
    Index(None, "content_key", "flavour", "platform"),
)

sources = Table(  # what each project's sources resolved to, last time anybody looked
    "sources",
    metadata,
    Column("project", String(80), primary_key=True),
    Column("source", String(80), primary_key=True),
    Column("label", Text),
    Column("revision", JSON),  # contract.SdistSource or GitSource
    Column("checked", Float, nullable=False),
    Column("error", Text),
    Column("failing", Float),  # since when there is an error, at every look
    Column("moved", Text),  # where its address leads to now
)

lanes = Table(
    "lanes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("slug", String(400), nullable=False, unique=True),
    Column("project", String(80), nullable=False),
    Column("source", String(80), nullable=False),
    Column("branch", String(100), nullable=False),
    Column("flavour", String(80), nullable=False),
    Column("platform", String(80), nullable=False),
    Column("state", String(20), nullable=False),  # model.LaneState
    Column("reason", Text, nullable=False, default=""),
    # The head: the newest conclusive routine run by (commit position, start of attempt), never by finish time.
    Column("head_run", Integer),
    Column("head_position", Integer),
    Column("head_started", Float),
    Column("verdict", String(20)),
    Column("outcome_digest", String(64)),
    # Conclusive routine runs so far: what a flaky test's events are counted against.
    Column("counted", Integer, nullable=False, default=0, server_default="0"),
    Index(None, "project"),
    Index(None, "branch", "platform", "flavour"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(20), nullable=False),  # "interpreter" | "project"
    Column("lane_id", ForeignKey("lanes.id")),  # NULL for interpreter runs
    Column("interpreter_id", ForeignKey("interpreters.id"), nullable=False),
    Column("commit_id", ForeignKey("commits.id"), nullable=False),
    Column("branch", String(100), nullable=False),
    Column("position", Integer, nullable=False),
    Column("purpose", String(20), nullable=False),  # contract.Purpose
    Column("revision_label", Text),
    Column("revision", JSON),  # contract.SdistSource or GitSource; NULL for interpreter runs
    Column("state", String(20), nullable=False),  # model.RunState
    Column("verdict", String(20)),  # model.Verdict, when done
    Column("failure_kind", String(20)),  # model.FailureKind, when red
    Column("summary", Text, nullable=False, default=""),
    Column("counts", JSON),  # model.Counts as a dict
    Column("phase_seconds", JSON),  # {"install": 3.2, ...}
    Column("tries", Integer, nullable=False, default=0),
    Column("lost", Integer, nullable=False, default=0),  # attempts lost to the farm's faults
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
    Column("report", String(64)),  # blob of the recorded report
    # Of a control: the run whose new failures it judges, the good run whose lock it re-uses, and its tests (NULL: all).
    Column("subject", Integer),
    Column("good_run", Integer),
    Column("only", JSON),
    Index(None, "subject"),
    Index(None, "state", "kind"),
    Index(None, "lane_id", "position", "started"),
    Index(None, "commit_id"),
    Index(None, "finished"),
    Index(None, "interpreter_id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("worker", String(80), nullable=False),
    Column("builder", String(80), nullable=False),
    Column("state", String(20), nullable=False),  # model.AttemptState
    Column("build_url", Text),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
    Column("reason", Text, nullable=False, default=""),
    Column(
        "phases", JSON
    ),  # [{"phase", "state", "started", "wall_seconds", ...}], updated as they pass
    Column("environment", JSON),
    Column("report", String(64)),
    UniqueConstraint("run_id", "number"),
    Index(None, "state"),
    Index(None, "worker", "id"),
)

logs = Table(
    "logs",
    metadata,
    Column("attempt_id", ForeignKey("attempts.id"), primary_key=True),
    Column("phase", String(20), primary_key=True),
    Column("blob", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("cut", Boolean, nullable=False, default=False),
)

tests = Table(
    "tests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

_BAD = text("until_run IS NULL AND signature IS NOT NULL")
spans = Table(  # outcomes over time, written by complete routine runs at the lane's head only; open: until_run IS NULL
    "spans",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("lane_id", ForeignKey("lanes.id"), nullable=False),
    Column("test_id", ForeignKey("tests.id"), nullable=False),
    Column("outcome", String(12), nullable=False),
    Column("signature", String(64)),
    Column("from_run", Integer, nullable=False),
    Column("from_position", Integer, nullable=False),
    Column("until_run", Integer),
    Column("until_position", Integer),
    Index(None, "lane_id", "until_run", "test_id"),
    Index(None, "test_id", "lane_id", "from_position"),
    # "What changed between these two runs" reads only what began or ended in between.
    Index(None, "lane_id", "from_position"),
    Index(None, "lane_id", "until_position"),
    # What is bad now: a few among the thousands of each lane.
    Index("ix_spans_bad", "lane_id", "from_run", sqlite_where=_BAD, postgresql_where=_BAD),
)

flakes = Table(  # an outcome that chance explains: a retry did not repeat it; a retry never erases the event
    "flakes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("lane_id", ForeignKey("lanes.id"), nullable=False),
    Column("test_id", ForeignKey("tests.id"), nullable=False),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("outcome", String(12), nullable=False),
    Column("at", Float, nullable=False),
    Column("nth", Integer, nullable=False, default=0, server_default="0"),  # lanes.counted then
    # Whether the retries failed as well: excused by the learned rate, which can't explain many of these in a row.
    Column("again", Boolean, nullable=False, default=False, server_default="0"),
    Index(None, "lane_id", "nth"),
    Index(None, "lane_id", "test_id", "nth"),
)

cells = Table(  # prepared for the pages: one lane at one commit
    "cells",
    metadata,
    Column("lane_id", ForeignKey("lanes.id"), primary_key=True),
    Column("commit_id", ForeignKey("commits.id"), primary_key=True),
    Column("branch", String(100), nullable=False),
    Column("position", Integer, nullable=False),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("state", String(20), nullable=False),  # a verdict, or queued | running
    Column("count", Integer, nullable=False, default=0),  # newly failing tests
    Index(None, "branch", "position"),
    Index(None, "run_id"),
)

days = Table(  # a branch's days that are over, counted (core.days.Day): what the statistics read
    "days",
    metadata,
    Column("branch", String(100), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),  # since the epoch, UTC
    Column("sums", JSON, nullable=False),
)

breakages = Table(
    "breakages",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(20), nullable=False),  # model.FailureKind
    Column("signature", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("branch", String(100), nullable=False),
    Column("state", String(20), nullable=False),  # model.BreakageState
    Column("good_position", Integer),  # last good commit known, NULL: never seen good
    Column("bad_position", Integer, nullable=False),  # first bad commit known
    Column("opened", Float, nullable=False),
    Column("opened_run", ForeignKey("runs.id"), nullable=False),
    Column("fixed", Float),
    Column("fixed_run", Integer),
    Column("disposition", String(20), nullable=False, default="untriaged"),
    Column("thread", String(200), nullable=False),  # Message-ID of the first mail
    Column("confirmed", Float),  # when it became open
    Column("control", String(20), nullable=False, default="", server_default=""),  # model.Control
    Column("control_run", Integer),
    Column("axis", String(20), nullable=False, default="", server_default=""),  # model.Axis
    Column("blamed", Text, nullable=False, default="", server_default=""),
    Column("good_run", Integer),  # the last good routine run of the lane it was opened in
    Column("reopened", Integer, nullable=False, default=0, server_default="0"),
    Column("evidence", Text, nullable=False, default="", server_default=""),  # the error's end
    # What people answered; after `expires` it is untriaged again.
    Column("person", Text, nullable=False, default="", server_default=""),
    Column("issue", Text, nullable=False, default="", server_default=""),
    Column("note", Text, nullable=False, default="", server_default=""),
    Column("decided_by", Text, nullable=False, default="", server_default=""),
    Column("decided_at", Float),
    Column("expires", Float),
    # Its mail: the thread (0: none yet), what readers last heard (threads.Told), the breaker that saw it (0: none).
    Column("thread_id", Integer, nullable=False, default=0, server_default="0"),
    Column("told", JSON),
    Column("trip", Integer, nullable=False, default=0, server_default="0"),
    Index(None, "thread_id"),
    Index(None, "control_run"),
    Index(None, "state", "signature"),
    Index(None, "branch", "bad_position"),
)

breakage_lanes = Table(
    "breakage_lanes",
    metadata,
    Column("breakage_id", ForeignKey("breakages.id"), primary_key=True),
    Column("lane_id", Integer, primary_key=True),  # 0: the interpreter itself
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("tests", JSON, nullable=False),  # newly failing test ids, bounded
    Column("count", Integer, nullable=False),
    Column("opened", Float, nullable=False),
    Column("closed", Float),
    Column("closed_run", Integer),
    Index(None, "lane_id", "closed"),
)

investigations = Table(  # what changed, and which change (core.investigator): one for each time a breakage broke
    "investigations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("breakage_id", ForeignKey("breakages.id"), nullable=False),
    Column(
        "episode", Integer, nullable=False
    ),  # breakages.reopened then; of role "mended" below zero
    Column("lane_id", ForeignKey("lanes.id"), nullable=False),
    Column("good_run", ForeignKey("runs.id"), nullable=False),
    Column("bad_run", ForeignKey("runs.id"), nullable=False),
    Column("state", String(20), nullable=False),  # "going" | "done"
    # What is followed (target.Target), the tests concerned (empty: all), and what the two runs were made of:
    # {"bad_runs", "good_runs", "good": crossover.Run, "bad": crossover.Run}.
    Column("target", JSON, nullable=False),
    Column("only", JSON, nullable=False),
    Column("known", JSON, nullable=False),
    Column(
        "changes", JSON
    ),  # the succession of an axis that is no CPython history: {"axis", "changes": [...]}
    Column("status", String(20), nullable=False, default="", server_default=""),
    Column("axis", String(20), nullable=False, default="", server_default=""),  # crossover.Axis
    # The first and the last change in question; the same when one was confirmed. A sha, a version, a pin.
    Column("first", Text, nullable=False, default="", server_default=""),
    Column("last", Text, nullable=False, default="", server_default=""),
    Column("title", Text, nullable=False, default="", server_default=""),
    Column("author", Text, nullable=False, default="", server_default=""),
    Column("confidence", Float, nullable=False, default=0.0, server_default="0"),
    Column("reason", Text, nullable=False, default="", server_default=""),
    Column(
        "evidence", JSON, nullable=False
    ),  # [{"what", "passed", "failed", "skipped", "owners", "says"}]
    Column(
        "announced", JSON
    ),  # {"file", "line", "quote"} of the documentation that announces the change
    Column("begun", Float, nullable=False),
    Column("ended", Float),
    # What is sought: what "broke" it, or what "mended" it; then good and bad change places.
    Column("role", String(10), nullable=False, default="broke", server_default="broke"),
    UniqueConstraint("breakage_id", "episode"),
    Index(None, "state"),
    Index(None, "axis", "last"),
)

probes = Table(  # what an investigation asked for, each with the run that answers
    "probes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("investigation_id", ForeignKey("investigations.id"), nullable=False),
    Column("run_id", ForeignKey("runs.id"), nullable=False, unique=True),
    Column("way", Integer, nullable=False),  # of inquiry.WAYS
    Column("stage", String(10), nullable=False),  # inquiry.Stage
    Column("mix", JSON, nullable=False),  # the axes that are new in it
    Column("place", Integer),  # the change it is made at; NULL: a crossover's
    Column("on_worker", String(80), nullable=False, default="", server_default=""),
    Column("not_by", JSON, nullable=False),  # owners whose workers may not run it
    Column("bare", Boolean, nullable=False),  # installing alone shows it: no test is run
    Column("lock", JSON),  # [[name, version]] to install instead of good_run's
    Column("why", Text, nullable=False, default="", server_default=""),
    Column("outcome", String(10)),  # "good" | "bad" | "skip" | "lost"; NULL: under way
    Column("note", Text, nullable=False, default="", server_default=""),
    Column("worker", String(80), nullable=False, default="", server_default=""),
    Column("owner", Text, nullable=False, default="", server_default=""),
    Column("created", Float, nullable=False),
    Column("answered", Float),
    Index(None, "investigation_id"),
    Index(None, "created"),
)

opinions = Table(  # results repeated on another owner's worker, and what that said
    "opinions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("subject", ForeignKey("runs.id"), nullable=False),
    Column("run_id", ForeignKey("runs.id"), nullable=False, unique=True),
    Column("worker", String(80), nullable=False),  # whose result it was
    Column("owner", Text, nullable=False),
    Column("second", String(80), nullable=False),  # who repeated it
    Column("opinion", String(10), nullable=False),  # core.opinion.Opinion; "": not given yet
    Column("words", Text, nullable=False),
    Column("tests", JSON, nullable=False),  # some of those that came out otherwise
    Column("asked", Float, nullable=False),
    Column("given", Float),
    Index(None, "subject"),
    Index(None, "worker"),
    Index(None, "second"),
)

threads = Table(  # stories in mail; the id is that of the breakage it began with (core.threads)
    "threads",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("branch", String(100), nullable=False),
    Column("good_position", Integer),
    Column("bad_position", Integer, nullable=False),
    Column("begun", Float, nullable=False),
    Column("state", String(20), nullable=False),  # "held" | "sent" | "closed" | "pointed"
    Column("since", Float),  # news wait since then
    Column("number", Integer, nullable=False),  # rounds of letters so far
    Column("told", JSON, nullable=False),  # reader -> key of the first letter
    Column("points_to", Integer, nullable=False),
    Index(None, "state"),
)

breakers = Table(  # most lanes turned red together (core.breaker)
    "breakers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scope", String(20), nullable=False),  # "worker" | "platform" | "farm"
    Column("name", String(80), nullable=False),
    Column("tripped", Float, nullable=False),
    Column("state", String(20), nullable=False),  # "open" | "python" | "farm" | "over"
    Column("settled", Float),
    Index(None, "state"),
)

readers = Table(  # what a reader's cap kept from them since their last letter
    "readers",
    metadata,
    Column("key", String(400), primary_key=True),
    Column("held_back", Integer, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column(
        "alert", String(200), nullable=False, unique=True
    ),  # one mail per alert, however often it is decided
    Column("message_id", String(200), nullable=False, unique=True),
    Column("thread", String(200), nullable=False),
    Column("audience", String(40), nullable=False),
    Column("reader", String(400), nullable=False, default="", server_default=""),
    Column("topic", String(40), nullable=False, default="", server_default=""),
    Column("recipients", JSON, nullable=False),
    Column("subject", Text, nullable=False),
    Column("message", Text, nullable=False),  # the whole RFC 5322 message, ready to send
    Column("breakage_id", Integer),
    Column("run_id", Integer),
    Column("state", String(20), nullable=False),  # "queued" | "sent" | "rejected"
    Column("tries", Integer, nullable=False, default=0),
    Column("next_try", Float, nullable=False),
    Column("created", Float, nullable=False),
    Column("sent", Float),
    Column("error", Text, nullable=False, default=""),
    Index(None, "state", "next_try"),
    Index(None, "breakage_id"),
    Index(None, "created"),
)

events = Table(  # what the pages hear of; ids only grow, so Last-Event-ID replays
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column(
        "topic", String(40), nullable=False
    ),  # commit | run | attempt | verdict | mail | worker | farm
    Column("data", JSON, nullable=False),
    sqlite_autoincrement=True,
)

workers = Table(
    "workers",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("owner", Text, nullable=False, default=""),
    Column("email", Text, nullable=False, default=""),
    Column("platform", String(80), nullable=False),
    Column("abi", String(80), nullable=False),
    Column("slots", Integer, nullable=False),
    Column("trust", String(80), nullable=False),
    Column("facts", JSON, nullable=False),  # list of str
    Column("projects", JSON, nullable=False),  # allowed projects; empty: all
    Column("state", String(20), nullable=False),  # model.WorkerState
    Column("credential", String(200), nullable=False),  # what Buildbot's PB login compares
    # When its owner hears: "now" | "digest" | "none".
    Column("notify", String(10), nullable=False, default="now", server_default="now"),
    Column("connected", Boolean, nullable=False, default=False),
    Column("last_seen", Float),
    Column("info", JSON),  # contract.Environment as last reported
    Column("reason", Text, nullable=False, default="", server_default=""),  # why it is not approved
    Column(
        "trouble", String(20), nullable=False, default="", server_default=""
    ),  # core.health.Kind
    Column(
        "judged", Float, nullable=False, default=0.0, server_default="0"
    ),  # troubles count since
    Column("joined", Float, nullable=False, default=0.0, server_default="0"),
    # What its owner lets it do (welcome.Decisions), and how it was when it last said so.
    Column("kinds", JSON, nullable=False, default=list, server_default="[]"),
    Column("network", String(10), nullable=False, default="always", server_default="always"),
    Column("health", JSON),  # core.health.Signs, with "at": when it was told
    Column("resting", String(200), nullable=False, default="", server_default=""),
    Column("rest_until", Float),  # while `resting`: when it will be back, NULL: nobody knows
    Column("receipt", Boolean, nullable=False, default=False, server_default="0"),  # weekly mail
)

invitations = Table(  # the code itself is shown once and never kept
    "invitations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("code_hash", String(64), nullable=False, unique=True),  # sha256 of its secret part
    Column("owner", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column(
        "name", String(80), nullable=False
    ),  # what the worker will be called; "": after its owner
    Column("projects", JSON, nullable=False),  # allowed projects; empty: all
    Column("kinds", JSON, nullable=False),  # allowed kinds of work; empty: all
    Column("trust", String(80), nullable=False),
    Column("review", Boolean, nullable=False),  # it waits for approval after joining
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False),
    Column("used", Float),
    Column("worker", String(80), nullable=False, default="", server_default=""),
)

tree = Table(  # what the farm's admin says about the farm; the newest holds
    "tree",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("state", String(20), nullable=False),  # core.tree.TreeState
    Column("text", Text, nullable=False),
    Column("by", String(120), nullable=False),
)

notes = Table(  # small facts of the farm: heartbeats, the master's pid, the schema's birthday
    "notes",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("at", Float, nullable=False),
)
