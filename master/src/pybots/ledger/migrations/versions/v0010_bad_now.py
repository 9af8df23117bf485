"""What is bad now in every lane, by an index of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

BAD = sa.text("until_run IS NULL AND signature IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_spans_bad", "spans", ["lane_id", "from_run"], sqlite_where=BAD, postgresql_where=BAD
    )
