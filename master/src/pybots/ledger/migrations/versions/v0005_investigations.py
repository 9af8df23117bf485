"""Investigations and their probes: which axis, which change, how sure, and from what evidence."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "investigations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("breakage_id", sa.Integer(), nullable=False),
        sa.Column("episode", sa.Integer(), nullable=False),
        sa.Column("lane_id", sa.Integer(), nullable=False),
        sa.Column("good_run", sa.Integer(), nullable=False),
        sa.Column("bad_run", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("target", sa.JSON(), nullable=False),
        sa.Column("only", sa.JSON(), nullable=False),
        sa.Column("known", sa.JSON(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=True),
        sa.Column("status", sa.String(length=20), server_default="", nullable=False),
        sa.Column("axis", sa.String(length=20), server_default="", nullable=False),
        sa.Column("first", sa.Text(), server_default="", nullable=False),
        sa.Column("last", sa.Text(), server_default="", nullable=False),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("author", sa.Text(), server_default="", nullable=False),
        sa.Column("confidence", sa.Float(), server_default="0", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("announced", sa.JSON(), nullable=True),
        sa.Column("begun", sa.Float(), nullable=False),
        sa.Column("ended", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["breakage_id"], ["breakages.id"], name=op.f("fk_investigations_breakage_id_breakages")
        ),
        sa.ForeignKeyConstraint(
            ["lane_id"], ["lanes.id"], name=op.f("fk_investigations_lane_id_lanes")
        ),
        sa.ForeignKeyConstraint(
            ["good_run"], ["runs.id"], name=op.f("fk_investigations_good_run_runs")
        ),
        sa.ForeignKeyConstraint(
            ["bad_run"], ["runs.id"], name=op.f("fk_investigations_bad_run_runs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_investigations")),
        sa.UniqueConstraint(
            "breakage_id", "episode", name=op.f("uq_investigations_breakage_id_episode")
        ),
    )
    op.create_index(
        op.f("ix_investigations_axis_last"), "investigations", ["axis", "last"], unique=False
    )
    op.create_index(op.f("ix_investigations_state"), "investigations", ["state"], unique=False)
    op.create_table(
        "probes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("investigation_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("way", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=10), nullable=False),
        sa.Column("mix", sa.JSON(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=True),
        sa.Column("on_worker", sa.String(length=80), server_default="", nullable=False),
        sa.Column("not_by", sa.JSON(), nullable=False),
        sa.Column("bare", sa.Boolean(), nullable=False),
        sa.Column("lock", sa.JSON(), nullable=True),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("worker", sa.String(length=80), server_default="", nullable=False),
        sa.Column("owner", sa.Text(), server_default="", nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("answered", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["investigation_id"],
            ["investigations.id"],
            name=op.f("fk_probes_investigation_id_investigations"),
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_probes_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_probes")),
        sa.UniqueConstraint("run_id", name=op.f("uq_probes_run_id")),
    )
    op.create_index(op.f("ix_probes_created"), "probes", ["created"], unique=False)
    op.create_index(
        op.f("ix_probes_investigation_id"), "probes", ["investigation_id"], unique=False
    )
