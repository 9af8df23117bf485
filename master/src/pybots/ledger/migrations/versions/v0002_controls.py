"""Controls: suspected, confirmed and dismissed breakages; flaky tests' events counted against their lane's runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("lanes", sa.Column("counted", sa.Integer(), server_default="0", nullable=False))
    op.add_column("runs", sa.Column("subject", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("good_run", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("only", sa.JSON(), nullable=True))
    op.create_index(op.f("ix_runs_subject"), "runs", ["subject"], unique=False)
    op.add_column("flakes", sa.Column("nth", sa.Integer(), server_default="0", nullable=False))
    op.add_column("flakes", sa.Column("again", sa.Boolean(), server_default="0", nullable=False))
    op.drop_index(op.f("ix_flakes_lane_id_at"), table_name="flakes")
    op.create_index(op.f("ix_flakes_lane_id_nth"), "flakes", ["lane_id", "nth"], unique=False)
    op.create_index(
        op.f("ix_flakes_lane_id_test_id_nth"), "flakes", ["lane_id", "test_id", "nth"], unique=False
    )
    for column in (
        sa.Column("confirmed", sa.Float(), nullable=True),
        sa.Column("control", sa.String(length=20), server_default="", nullable=False),
        sa.Column("control_run", sa.Integer(), nullable=True),
        sa.Column("axis", sa.String(length=20), server_default="", nullable=False),
        sa.Column("blamed", sa.Text(), server_default="", nullable=False),
        sa.Column("good_run", sa.Integer(), nullable=True),
        sa.Column("reopened", sa.Integer(), server_default="0", nullable=False),
    ):
        op.add_column("breakages", column)
    op.create_index(op.f("ix_breakages_control_run"), "breakages", ["control_run"], unique=False)
    # What was open so far had been announced: it counts as confirmed, without a control.
    op.execute("UPDATE breakages SET confirmed = opened, control = 'none'")
