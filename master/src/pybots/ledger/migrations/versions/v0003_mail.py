"""Mail threads, breakers, readers' caps; what people answer about breakages."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _answers_and_threads()
    op.create_table(
        "threads",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("branch", sa.String(length=100), nullable=False),
        sa.Column("good_position", sa.Integer(), nullable=True),
        sa.Column("bad_position", sa.Integer(), nullable=False),
        sa.Column("begun", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("since", sa.Float(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.Column("points_to", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_threads")),
    )
    op.create_index(op.f("ix_threads_state"), "threads", ["state"], unique=False)
    op.create_table(
        "breakers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scope", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("tripped", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("settled", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_breakers")),
    )
    op.create_index(op.f("ix_breakers_state"), "breakers", ["state"], unique=False)
    op.create_table(
        "readers",
        sa.Column("key", sa.String(length=400), nullable=False),
        sa.Column("held_back", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_readers")),
    )
    op.add_column(
        "outbox", sa.Column("reader", sa.String(length=400), server_default="", nullable=False)
    )
    op.add_column(
        "outbox", sa.Column("topic", sa.String(length=40), server_default="", nullable=False)
    )
    op.create_index(op.f("ix_outbox_created"), "outbox", ["created"], unique=False)
    op.add_column(
        "workers", sa.Column("notify", sa.String(length=10), server_default="now", nullable=False)
    )
    _keep_what_was_told(op.get_bind())


def _answers_and_threads() -> None:
    for name in ("evidence", "person", "issue", "note", "decided_by"):
        op.add_column("breakages", sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.add_column("breakages", sa.Column("decided_at", sa.Float(), nullable=True))
    op.add_column("breakages", sa.Column("expires", sa.Float(), nullable=True))
    op.add_column(
        "breakages", sa.Column("thread_id", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("breakages", sa.Column("told", sa.JSON(), nullable=True))
    op.add_column("breakages", sa.Column("trip", sa.Integer(), server_default="0", nullable=False))
    op.create_index(op.f("ix_breakages_thread_id"), "breakages", ["thread_id"], unique=False)


def _keep_what_was_told(bind: sa.Connection) -> None:
    """Everything known so far had been mailed as it happened, to list and projects in one letter: `new:<run>`."""
    first: dict[str, int] = {}
    told: dict[int, dict[str, str]] = {}
    for row in bind.execute(sa.text("SELECT * FROM breakages ORDER BY id")).mappings().all():
        thread = first.setdefault(row["thread"], row["id"])
        lanes = (
            bind.execute(
                sa.text(
                    "SELECT l.project FROM breakage_lanes p JOIN lanes l ON l.id = p.lane_id"
                    " WHERE p.breakage_id = :id ORDER BY l.project"
                ),
                {"id": row["id"]},
            )
            .scalars()
            .all()
        )
        if thread == row["id"]:
            _insert_thread(bind, row)
            told[thread] = {"list": f"new:{row['opened_run']}"}
        projects = sorted(set(lanes))
        told[thread] |= {f"project:{name}": f"new:{row['opened_run']}" for name in projects}
        said = {
            "state": row["state"], "projects": projects, "lanes": max(len(lanes), 1),
            "axis": row["axis"], "blamed": row["blamed"], "reopened": row["reopened"], "sure": True,
        }  # fmt: skip
        bind.execute(
            sa.text("UPDATE breakages SET thread_id = :thread, told = :told WHERE id = :id"),
            {"thread": thread, "told": json.dumps(said), "id": row["id"]},
        )
        if row["state"] == "open":
            bind.execute(
                sa.text("UPDATE threads SET state = 'sent' WHERE id = :id"), {"id": thread}
            )
    for thread, readers in told.items():
        bind.execute(
            sa.text("UPDATE threads SET told = :told WHERE id = :id"),
            {"told": json.dumps(readers), "id": thread},
        )


def _insert_thread(bind: sa.Connection, row: Any) -> None:
    bind.execute(
        sa.text(
            "INSERT INTO threads (id, branch, good_position, bad_position, begun, state, number, told,"
            " points_to) VALUES (:id, :branch, :good, :bad, :begun, 'closed', 1, '{}', 0)"
        ),
        {
            "id": row["id"], "branch": row["branch"], "good": row["good_position"],
            "bad": row["bad_position"], "begun": row["opened"],
        },
    )  # fmt: skip
