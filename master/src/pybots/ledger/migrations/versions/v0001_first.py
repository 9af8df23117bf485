"""The ledger as it was born."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "commits",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("branch", sa.String(length=100), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sha", sa.String(length=40), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("committed", sa.Float(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("content_key", sa.String(length=64), nullable=False),
        sa.Column("seen", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commits")),
        sa.UniqueConstraint("branch", "position", name=op.f("uq_commits_branch_position")),
        sa.UniqueConstraint("branch", "sha", name=op.f("uq_commits_branch_sha")),
    )
    op.create_index(op.f("ix_commits_sha"), "commits", ["sha"], unique=False)
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("topic", sa.String(length=40), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "lanes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(length=400), nullable=False),
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("source", sa.String(length=80), nullable=False),
        sa.Column("branch", sa.String(length=100), nullable=False),
        sa.Column("flavour", sa.String(length=80), nullable=False),
        sa.Column("platform", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("head_run", sa.Integer(), nullable=True),
        sa.Column("head_position", sa.Integer(), nullable=True),
        sa.Column("head_started", sa.Float(), nullable=True),
        sa.Column("verdict", sa.String(length=20), nullable=True),
        sa.Column("outcome_digest", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lanes")),
        sa.UniqueConstraint("slug", name=op.f("uq_lanes_slug")),
    )
    op.create_index(
        op.f("ix_lanes_branch_platform_flavour"),
        "lanes",
        ["branch", "platform", "flavour"],
        unique=False,
    )
    op.create_index(op.f("ix_lanes_project"), "lanes", ["project"], unique=False)
    op.create_table(
        "notes",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_notes")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alert", sa.String(length=200), nullable=False),
        sa.Column("message_id", sa.String(length=200), nullable=False),
        sa.Column("thread", sa.String(length=200), nullable=False),
        sa.Column("audience", sa.String(length=40), nullable=False),
        sa.Column("recipients", sa.JSON(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("breakage_id", sa.Integer(), nullable=True),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try", sa.Float(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("sent", sa.Float(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("alert", name=op.f("uq_outbox_alert")),
        sa.UniqueConstraint("message_id", name=op.f("uq_outbox_message_id")),
    )
    op.create_index(op.f("ix_outbox_breakage_id"), "outbox", ["breakage_id"], unique=False)
    op.create_index(op.f("ix_outbox_state_next_try"), "outbox", ["state", "next_try"], unique=False)
    op.create_table(
        "sources",
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("source", sa.String(length=80), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("revision", sa.JSON(), nullable=True),
        sa.Column("checked", sa.Float(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("project", "source", name=op.f("pk_sources")),
    )
    op.create_table(
        "tests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tests")),
        sa.UniqueConstraint("name", name=op.f("uq_tests_name")),
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("platform", sa.String(length=80), nullable=False),
        sa.Column("abi", sa.String(length=80), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("trust", sa.String(length=80), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("projects", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("credential", sa.String(length=200), nullable=False),
        sa.Column("connected", sa.Boolean(), nullable=False),
        sa.Column("last_seen", sa.Float(), nullable=True),
        sa.Column("info", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
    )
    op.create_table(
        "interpreters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("content_key", sa.String(length=64), nullable=False),
        sa.Column("flavour", sa.String(length=80), nullable=False),
        sa.Column("platform", sa.String(length=80), nullable=False),
        sa.Column("abi", sa.String(length=80), nullable=False),
        sa.Column("trust", sa.String(length=80), nullable=False),
        sa.Column("recipe", sa.JSON(), nullable=False),
        sa.Column("branch", sa.String(length=100), nullable=False),
        sa.Column("commit_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("blob", sa.String(length=64), nullable=True),
        sa.Column("size", sa.Integer(), nullable=True),
        sa.Column("python", sa.Text(), nullable=True),
        sa.Column("failure", sa.JSON(), nullable=True),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("finished", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["commit_id"], ["commits.id"], name=op.f("fk_interpreters_commit_id_commits")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_interpreters")),
        sa.UniqueConstraint("key", name=op.f("uq_interpreters_key")),
    )
    op.create_index(
        op.f("ix_interpreters_content_key_flavour_platform"),
        "interpreters",
        ["content_key", "flavour", "platform"],
        unique=False,
    )
    op.create_table(
        "spans",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("lane_id", sa.Integer(), nullable=False),
        sa.Column("test_id", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("signature", sa.String(length=64), nullable=True),
        sa.Column("from_run", sa.Integer(), nullable=False),
        sa.Column("from_position", sa.Integer(), nullable=False),
        sa.Column("until_run", sa.Integer(), nullable=True),
        sa.Column("until_position", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["lane_id"], ["lanes.id"], name=op.f("fk_spans_lane_id_lanes")),
        sa.ForeignKeyConstraint(["test_id"], ["tests.id"], name=op.f("fk_spans_test_id_tests")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spans")),
    )
    op.create_index(
        op.f("ix_spans_lane_id_from_position"), "spans", ["lane_id", "from_position"], unique=False
    )
    op.create_index(
        op.f("ix_spans_lane_id_until_position"),
        "spans",
        ["lane_id", "until_position"],
        unique=False,
    )
    op.create_index(
        op.f("ix_spans_lane_id_until_run_test_id"),
        "spans",
        ["lane_id", "until_run", "test_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_spans_test_id_lane_id_from_position"),
        "spans",
        ["test_id", "lane_id", "from_position"],
        unique=False,
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("lane_id", sa.Integer(), nullable=True),
        sa.Column("interpreter_id", sa.Integer(), nullable=False),
        sa.Column("commit_id", sa.Integer(), nullable=False),
        sa.Column("branch", sa.String(length=100), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("revision_label", sa.Text(), nullable=True),
        sa.Column("revision", sa.JSON(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=True),
        sa.Column("failure_kind", sa.String(length=20), nullable=True),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=True),
        sa.Column("phase_seconds", sa.JSON(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("lost", sa.Integer(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("started", sa.Float(), nullable=True),
        sa.Column("finished", sa.Float(), nullable=True),
        sa.Column("report", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["commit_id"], ["commits.id"], name=op.f("fk_runs_commit_id_commits")
        ),
        sa.ForeignKeyConstraint(
            ["interpreter_id"],
            ["interpreters.id"],
            name=op.f("fk_runs_interpreter_id_interpreters"),
        ),
        sa.ForeignKeyConstraint(["lane_id"], ["lanes.id"], name=op.f("fk_runs_lane_id_lanes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_commit_id"), "runs", ["commit_id"], unique=False)
    op.create_index(op.f("ix_runs_finished"), "runs", ["finished"], unique=False)
    op.create_index(op.f("ix_runs_interpreter_id"), "runs", ["interpreter_id"], unique=False)
    op.create_index(
        op.f("ix_runs_lane_id_position_started"),
        "runs",
        ["lane_id", "position", "started"],
        unique=False,
    )
    op.create_index(op.f("ix_runs_state_kind"), "runs", ["state", "kind"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=80), nullable=False),
        sa.Column("builder", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("build_url", sa.Text(), nullable=True),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("started", sa.Float(), nullable=True),
        sa.Column("finished", sa.Float(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("phases", sa.JSON(), nullable=True),
        sa.Column("environment", sa.JSON(), nullable=True),
        sa.Column("report", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_attempts_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("run_id", "number", name=op.f("uq_attempts_run_id_number")),
    )
    op.create_index(op.f("ix_attempts_state"), "attempts", ["state"], unique=False)
    op.create_index(op.f("ix_attempts_worker_id"), "attempts", ["worker", "id"], unique=False)
    op.create_table(
        "breakages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("signature", sa.String(length=64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("branch", sa.String(length=100), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("good_position", sa.Integer(), nullable=True),
        sa.Column("bad_position", sa.Integer(), nullable=False),
        sa.Column("opened", sa.Float(), nullable=False),
        sa.Column("opened_run", sa.Integer(), nullable=False),
        sa.Column("fixed", sa.Float(), nullable=True),
        sa.Column("fixed_run", sa.Integer(), nullable=True),
        sa.Column("disposition", sa.String(length=20), nullable=False),
        sa.Column("thread", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["opened_run"], ["runs.id"], name=op.f("fk_breakages_opened_run_runs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_breakages")),
    )
    op.create_index(
        op.f("ix_breakages_branch_bad_position"),
        "breakages",
        ["branch", "bad_position"],
        unique=False,
    )
    op.create_index(
        op.f("ix_breakages_state_signature"), "breakages", ["state", "signature"], unique=False
    )
    op.create_table(
        "cells",
        sa.Column("lane_id", sa.Integer(), nullable=False),
        sa.Column("commit_id", sa.Integer(), nullable=False),
        sa.Column("branch", sa.String(length=100), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["commit_id"], ["commits.id"], name=op.f("fk_cells_commit_id_commits")
        ),
        sa.ForeignKeyConstraint(["lane_id"], ["lanes.id"], name=op.f("fk_cells_lane_id_lanes")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_cells_run_id_runs")),
        sa.PrimaryKeyConstraint("lane_id", "commit_id", name=op.f("pk_cells")),
    )
    op.create_index(op.f("ix_cells_branch_position"), "cells", ["branch", "position"], unique=False)
    op.create_index(op.f("ix_cells_run_id"), "cells", ["run_id"], unique=False)
    op.create_table(
        "flakes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("lane_id", sa.Integer(), nullable=False),
        sa.Column("test_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["lane_id"], ["lanes.id"], name=op.f("fk_flakes_lane_id_lanes")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_flakes_run_id_runs")),
        sa.ForeignKeyConstraint(["test_id"], ["tests.id"], name=op.f("fk_flakes_test_id_tests")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flakes")),
    )
    op.create_index(op.f("ix_flakes_lane_id_at"), "flakes", ["lane_id", "at"], unique=False)
    op.create_table(
        "breakage_lanes",
        sa.Column("breakage_id", sa.Integer(), nullable=False),
        sa.Column("lane_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("tests", sa.JSON(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("opened", sa.Float(), nullable=False),
        sa.Column("closed", sa.Float(), nullable=True),
        sa.Column("closed_run", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["breakage_id"], ["breakages.id"], name=op.f("fk_breakage_lanes_breakage_id_breakages")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_breakage_lanes_run_id_runs")
        ),
        sa.PrimaryKeyConstraint("breakage_id", "lane_id", name=op.f("pk_breakage_lanes")),
    )
    op.create_index(
        op.f("ix_breakage_lanes_lane_id_closed"),
        "breakage_lanes",
        ["lane_id", "closed"],
        unique=False,
    )
    op.create_table(
        "logs",
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.Column("phase", sa.String(length=20), nullable=False),
        sa.Column("blob", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("cut", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name=op.f("fk_logs_attempt_id_attempts")
        ),
        sa.PrimaryKeyConstraint("attempt_id", "phase", name=op.f("pk_logs")),
    )


def downgrade() -> None:
    op.drop_table("logs")
    op.drop_index(op.f("ix_breakage_lanes_lane_id_closed"), table_name="breakage_lanes")
    op.drop_table("breakage_lanes")
    op.drop_index(op.f("ix_flakes_lane_id_at"), table_name="flakes")
    op.drop_table("flakes")
    op.drop_index(op.f("ix_cells_run_id"), table_name="cells")
    op.drop_index(op.f("ix_cells_branch_position"), table_name="cells")
    op.drop_table("cells")
    op.drop_index(op.f("ix_breakages_state_signature"), table_name="breakages")
    op.drop_index(op.f("ix_breakages_branch_bad_position"), table_name="breakages")
    op.drop_table("breakages")
    op.drop_index(op.f("ix_attempts_worker_id"), table_name="attempts")
    op.drop_index(op.f("ix_attempts_state"), table_name="attempts")
    op.drop_table("attempts")
    op.drop_index(op.f("ix_runs_state_kind"), table_name="runs")
    op.drop_index(op.f("ix_runs_lane_id_position_started"), table_name="runs")
    op.drop_index(op.f("ix_runs_interpreter_id"), table_name="runs")
    op.drop_index(op.f("ix_runs_finished"), table_name="runs")
    op.drop_index(op.f("ix_runs_commit_id"), table_name="runs")
    op.drop_table("runs")
    op.drop_index(op.f("ix_spans_test_id_lane_id_from_position"), table_name="spans")
    op.drop_index(op.f("ix_spans_lane_id_until_run_test_id"), table_name="spans")
    op.drop_index(op.f("ix_spans_lane_id_until_position"), table_name="spans")
    op.drop_index(op.f("ix_spans_lane_id_from_position"), table_name="spans")
    op.drop_table("spans")
    op.drop_index(op.f("ix_interpreters_content_key_flavour_platform"), table_name="interpreters")
    op.drop_table("interpreters")
    op.drop_table("workers")
    op.drop_table("tests")
    op.drop_table("sources")
    op.drop_index(op.f("ix_outbox_state_next_try"), table_name="outbox")
    op.drop_index(op.f("ix_outbox_breakage_id"), table_name="outbox")
    op.drop_table("outbox")
    op.drop_table("notes")
    op.drop_index(op.f("ix_lanes_project"), table_name="lanes")
    op.drop_index(op.f("ix_lanes_branch_platform_flavour"), table_name="lanes")
    op.drop_table("lanes")
    op.drop_table("events")
    op.drop_index(op.f("ix_commits_sha"), table_name="commits")
    op.drop_table("commits")
