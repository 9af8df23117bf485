"""Which interpreters were installed by the plain `make install`: so far all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column(
        "interpreters", sa.Column("plain", sa.Boolean(), server_default="0", nullable=False)
    )
    op.execute("UPDATE interpreters SET plain = 1 WHERE finished IS NOT NULL")
