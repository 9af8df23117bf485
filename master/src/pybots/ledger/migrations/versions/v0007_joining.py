"""Invitations; why a worker may not work, what its owner lets it do, and how it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("projects", sa.JSON(), nullable=False),
        sa.Column("kinds", sa.JSON(), nullable=False),
        sa.Column("trust", sa.String(length=80), nullable=False),
        sa.Column("review", sa.Boolean(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("expires", sa.Float(), nullable=False),
        sa.Column("used", sa.Float(), nullable=True),
        sa.Column("worker", sa.String(length=80), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_invitations_code_hash")),
    )
    for column in (
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("trouble", sa.String(length=20), server_default="", nullable=False),
        sa.Column("judged", sa.Float(), server_default="0", nullable=False),
        sa.Column("joined", sa.Float(), server_default="0", nullable=False),
        sa.Column("kinds", sa.JSON(), server_default="[]", nullable=False),
        sa.Column("network", sa.String(length=10), server_default="always", nullable=False),
        sa.Column("health", sa.JSON(), nullable=True),
        sa.Column("resting", sa.String(length=200), server_default="", nullable=False),
        sa.Column("rest_until", sa.Float(), nullable=True),
        sa.Column("receipt", sa.Boolean(), server_default="0", nullable=False),
    ):
        op.add_column("workers", column)
