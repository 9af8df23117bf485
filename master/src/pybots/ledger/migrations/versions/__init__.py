"""One module a migration, in order; the first one is the ledger as it was born."""
