"""An empty ledger as a file, made once a process: making the tables takes longer than most tests."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from pybots.ledger import schema
from pybots.ledger.engine import Ledger, open_ledger


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        ledger = open_ledger(path)
        schema.metadata.create_all(ledger.engine)
        ledger.close()
        return path.read_bytes()


def new_ledger(path: Path) -> Ledger:
    """A new ledger at `path`, open; its tables are the metadata's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_empty())
    return open_ledger(path)
