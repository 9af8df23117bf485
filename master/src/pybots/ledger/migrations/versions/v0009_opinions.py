"""Second opinions: a sample of results, repeated on another owner's worker."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "opinions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=80), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("second", sa.String(length=80), nullable=False),
        sa.Column("opinion", sa.String(length=10), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("tests", sa.JSON(), nullable=False),
        sa.Column("asked", sa.Float(), nullable=False),
        sa.Column("given", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["subject"], ["runs.id"], name=op.f("fk_opinions_subject_runs")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_opinions_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opinions")),
        sa.UniqueConstraint("run_id", name=op.f("uq_opinions_run_id")),
    )
    for column in ("subject", "worker", "second"):
        op.create_index(op.f(f"ix_opinions_{column}"), "opinions", [column], unique=False)
