"""The `pybots` command as a whole: what stops a command is told in words, with an exit status."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pybots import cli
from pybots.ledger.engine import open_ledger


def test_a_ledger_of_a_newer_pybots_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["init", "--farm", str(tmp_path)]) == 0
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    with ledger.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    ledger.close()
    capsys.readouterr()
    assert cli.main(["init", "--farm", str(tmp_path)]) == cli.CONFIG_ERROR
    assert "which a newer Pybots has written" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pybots project schema | head`: the pipe is closed at its other end."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert cli.main(["project", "schema"]) == cli.BROKEN_PIPE
