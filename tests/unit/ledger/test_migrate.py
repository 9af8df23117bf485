"""The ledger's tables: what migrations make is what the code expects, and nothing else is worked on."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from pybots.ledger import migrate, schema
from pybots.ledger.engine import Ledger, open_ledger
from pybots.ledger.migrate import SchemaError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def execute(path: Path, statement: str) -> None:
    ledger = open_ledger(path)
    with ledger.write() as connection:
        connection.execute(text(statement))
    ledger.close()


def sql(ledger: Ledger) -> dict[str, list[str]]:
    """Each table's and index's definition, part by part in one order (that of columns and constraints means nothing)."""
    with ledger.read() as connection:
        rows = connection.execute(
            text("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'alembic%' AND sql != ''")
        ).all()
    return {name: sorted(parts(made)) for name, made in rows}


def parts(made: str) -> list[str]:
    """What stands between the commas of the outermost parentheses; columns added later are not on lines of their own."""
    head, _, body = made.partition("(")
    found, depth = [""], 0
    for sign in body.rpartition(")")[0]:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and not depth:
            found.append("")
        else:
            found[-1] += sign
    return [" ".join(part.split()) for part in (head, *found)]


def test_the_migrated_database_is_exactly_what_the_metadata_says(
    path: Path, tmp_path: Path
) -> None:
    """Alembic sees no difference, and the SQL of every table and index is the same as created directly."""
    migrate.upgrade(path)
    ledger, direct = open_ledger(path), open_ledger(tmp_path / "direct.sqlite")
    schema.metadata.create_all(direct.engine)
    with ledger.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    assert sql(ledger) == sql(direct)
    ledger.close()
    direct.close()


@pytest.mark.deep
def test_upgrading_twice_is_upgrading_once(path: Path) -> None:
    assert migrate.upgrade(path) == migrate.upgrade(path) == migrate.head()
    migrate.check(path)


def test_a_ledger_that_is_not_there_names_the_mend(path: Path) -> None:
    with pytest.raises(SchemaError, match=r"no ledger.*pybots upgrade"):
        migrate.check(path)
    assert not path.exists()


def test_an_empty_database_is_refused_with_the_mend(path: Path) -> None:
    open_ledger(path).close()
    path.touch()
    with pytest.raises(SchemaError, match=r"is empty, \d+ is needed.*pybots upgrade"):
        migrate.check(path)


def test_a_newer_ledger_is_refused_and_left_alone(path: Path) -> None:
    migrate.upgrade(path)
    execute(path, "UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    for step in (migrate.check, migrate.upgrade):
        with pytest.raises(SchemaError, match=r"9999, which a newer Pybots.*update Pybots"):
            step(path)
    assert path.read_bytes() == before


def test_a_failed_upgrade_leaves_nothing_behind(path: Path) -> None:
    """All migrations are one transaction: a table in the way, and no other table is made."""
    execute(path, "CREATE TABLE workers (name TEXT)")
    with pytest.raises(Exception, match="already exists"):
        migrate.upgrade(path)
    ledger = open_ledger(path)
    assert inspect(ledger.engine).get_table_names() == ["workers"]
    ledger.close()
