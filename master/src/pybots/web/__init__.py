"""The public face: a process of its own that reads the ledger and the store, so the page outlives the master."""
