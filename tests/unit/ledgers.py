"""An empty ledger as a file, made once a process: making the tables takes longer than most tests.

SQLAlchemy compiles every statement once for each engine, which is once a test, and takes longer than running it. Our
engines lend each other the dialect (part of a compiled statement's key) and what was compiled.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Dialect, event

from pybots.ledger import schema
from pybots.ledger.engine import Ledger, open_ledger

COMPILED: dict[Any, Any] = {}


@cache
def _empty() -> tuple[bytes, Dialect]:
    """The file, and the dialect that has seen the SQLite of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        ledger = open_ledger(path)
        schema.metadata.create_all(ledger.engine)
        ledger.close()
        return path.read_bytes(), ledger.engine.dialect


def new_ledger(path: Path, *, durable: bool = False) -> Ledger:
    """A new ledger at `path`, open; its tables are the metadata's. `durable`: exactly as a farm opens it, synced to
    the disk at every commit, with nothing compiled yet."""
    empty, dialect = _empty()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(empty)
    ledger = open_ledger(path)
    if not durable:
        ledger.engine.dialect = dialect
        ledger.engine.update_execution_options(compiled_cache=COMPILED)
        event.listen(ledger.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
    return ledger
