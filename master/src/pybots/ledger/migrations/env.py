"""Alembic's entrance. The connection is brought by `ledger.migrate`; there is no offline mode."""

from __future__ import annotations

from alembic import context

from pybots.ledger import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    render_as_batch=True,  # SQLite can't alter columns in place
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
