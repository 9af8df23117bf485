"""`pybots project show` and `upkeep`: what is said, and with which exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import insert
from tests.unit.test_cli_config import SMALL, run

from pybots.farm.home import Folder
from pybots.ledger import migrate, schema
from pybots.ledger.engine import open_ledger

SERVED = (
    'title = "X"\nservices = ["postgresql"]\nwants = ["g++"]\nnotify = ["you@example.org"]\n'
    '[source.trunk]\ngit = "https://example.org/x"\n[install]\nrequirements = ["mock"]\n'
    '[test]\nrunner = "pytest"\nargs = ["a b"]\n[env]\nTZ = "UTC"\n'
)


def test_show_says_what_the_farm_will_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.toml").write_text(SERVED)
    assert run("project", "show", tmp_path / "x.toml", "--farm", tmp_path) == 0
    said = capsys.readouterr().out
    for words in (
        "x.trunk.main.release.linux-x86_64",
        "workers that provide: g++, service:postgresql",
        "uv pip install --requirement /opt/pybots/job/requirements.txt /pybots/source",
        "with requirements.txt: mock, pytest",
        "run postgresql -- /pybots/venv/bin/pytest -p pybots_pytest 'a b'",
        "PGHOST=/pybots/services/postgresql",
        "Phase test: at most 30 min, 4,096 MB memory",
        "TZ=UTC",
        "at once    you@example.org",
    ):
        assert words in said, words


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("", "; failed tests again up to 3 times alone"),
        ("retries = 0", "; what failed is not run again"),
        ('runner = "command"\nargs = ["make"]', "; all of it once more when it fails"),
    ],
)
def test_show_says_what_becomes_of_failures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], test: str, words: str
) -> None:
    """As the kit does it: a command knows no single tests."""
    given = SMALL.replace('runner = "pytest"', test) if "runner" in test else f"{SMALL}\n{test}\n"
    (tmp_path / "x.toml").write_text(given)
    assert run("project", "show", tmp_path / "x.toml", "--farm", tmp_path) == 0
    assert words in capsys.readouterr().out


def test_show_of_tox_names_the_forced_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SMALL.replace('"pytest"', '"tox"\nargs = ["py312-x", "-q"]')
    (tmp_path / "x.toml").write_text(text)
    assert run("project", "show", tmp_path / "x.toml", "--farm", tmp_path) == 0
    said = capsys.readouterr().out
    assert "tox run -e py-x" in said and "--notest" in said and "--skip-pkg-install" in said


@pytest.mark.deep
def test_upkeep_lists_what_wants_a_look(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "projects").mkdir()
    (tmp_path / "projects" / "x.toml").write_text(SMALL)
    folder = Folder(tmp_path)
    migrate.upgrade(folder.ledger)
    assert run("project", "upkeep", "--farm", tmp_path) == 0
    assert "no project file wants a look" in capsys.readouterr().out
    ledger = open_ledger(folder.ledger)
    with ledger.write() as connection:
        row = {"project": "x", "source": "release", "error": "gone\x1b[2J"}
        row |= {"failing": 1.0, "checked": 1e5}
        connection.execute(insert(schema.sources).values(**row))
    ledger.close()
    assert run("project", "upkeep", "--farm", tmp_path) == 1
    said = capsys.readouterr().out
    assert "x (release): its source cannot be had since 1970-01-01" in said and "\x1b" not in said
    assert run("project", "upkeep", "--json", "--farm", tmp_path) == 1
    assert json.loads(capsys.readouterr().out)[0]["propose"].startswith("correct `index`")
