"""The ledger's history as Alembic migrations, kept as package data. Run by `ledger.migrate`, never by hand."""
