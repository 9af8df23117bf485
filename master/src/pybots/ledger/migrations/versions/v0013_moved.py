"""Where a project's source has moved to, for the registry's keeper."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("sources", sa.Column("moved", sa.Text))
