"""Bringing a ledger's tables up to date, and refusing to work on others. Upgrades run only in `pybots upgrade` and init."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from pybots.ledger.engine import Ledger, open_ledger

UPGRADE = "run `./pybots upgrade`"


class SchemaError(Exception):
    """This ledger can't be used by this version of Pybots. `mend` says what to do."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(f"{message} ({mend})")
        self.mend = mend


def upgrade(path: Path) -> str:
    """Create the ledger, or bring it up to date, in one transaction. Returns its revision.

    Raises SchemaError when a newer Pybots has written it."""
    ledger = open_ledger(path)
    try:
        with ledger.write() as connection:
            _refuse_newer(path, _revision(connection))
            command.upgrade(_config(connection), "head")
        return _now(ledger) or ""
    finally:
        ledger.close()


def check(path: Path) -> None:
    """Raise SchemaError unless the ledger has exactly the tables this version of Pybots knows."""
    if not path.exists():
        raise SchemaError(f"there is no ledger at {path}", UPGRADE)
    ledger = open_ledger(path)
    try:
        revision = _now(ledger)
    finally:
        ledger.close()
    _refuse_newer(path, revision)
    if revision != head():
        found = f"at revision {revision}" if revision else "empty"
        raise SchemaError(f"the ledger {path} is {found}, {head()} is needed", UPGRADE)


def head() -> str:
    """The newest revision this version of Pybots knows."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def _refuse_newer(path: Path, revision: str | None) -> None:
    if revision is None:
        return
    try:
        ScriptDirectory.from_config(_config()).get_revision(revision)
    except CommandError as error:
        raise SchemaError(
            f"the ledger {path} is at revision {revision}, which a newer Pybots has written",
            "update Pybots, or restore the backup made before the upgrade",
        ) from error


def _now(ledger: Ledger) -> str | None:
    with ledger.read() as connection:
        return _revision(connection)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "pybots.ledger:migrations")
    config.attributes["connection"] = connection
    return config
