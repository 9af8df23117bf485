"""`pybots tree …`, and what the pages make of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.farm.builders import make_farm

from pybots import cli
from pybots.farm.home import open_farm
from pybots.farm.views import treepage, words
from pybots.farm.views.common import Visit
from pybots_status import render


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_farm(tmp_path, migrated=True).ledger.close()
    return tmp_path


def run(root: Path, *given: str) -> int:
    return cli.main(["tree", *given, "--farm", str(root)])


@pytest.mark.deep
def test_what_is_said_stands_in_the_banner_and_in_the_history(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "show") == 0
    assert "open: nobody" in capsys.readouterr().out
    assert run(root, "close", "the <disk> is full") == 0
    assert "closed: the <disk> is full" in capsys.readouterr().out
    assert run(root, "open") == 0
    assert run(root, "maintenance", "a new disk", "--json") == 0
    capsys.readouterr()
    assert run(root, "show", "--json", "--last", "2") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [one["state"] for one in shown] == ["maintenance", "open"]
    farm = open_farm(root)
    page = treepage.page(farm, Visit())
    assert [row.state for row in page.rows] == ["maintenance", "open", "closed"]
    assert page.frame.banner.note == page.rows[0]
    assert "computed facts" not in page.frame.banner.text
    html = render(words.legend(farm, Visit()))
    assert "a new disk" in html and 'href="/tree"' in html
    assert "the &lt;disk&gt; is full" in render(page)
    assert farm.ledger.data_version() == 3, "each word is an event, so open pages hear of it"
    farm.ledger.close()


@pytest.mark.deep
def test_an_open_farm_without_a_text_has_no_sign(root: Path) -> None:
    assert run(root, "close", "x") == run(root, "open") == 0
    farm = open_farm(root)
    assert treepage.page(farm, Visit()).frame.banner.note is None
    farm.ledger.close()


def test_a_closed_farm_says_why(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "close") == 1
    assert "say why" in capsys.readouterr().err
