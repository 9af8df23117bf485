"""Since when a project's source cannot be had: a day without network is nothing for the registry's keeper."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("sources", sa.Column("failing", sa.Float))
    op.execute("UPDATE sources SET failing = checked WHERE error IS NOT NULL")
