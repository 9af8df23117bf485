"""Investigations also of what mended a breakage."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column(
        "investigations",
        sa.Column("role", sa.String(length=10), server_default="broke", nullable=False),
    )
