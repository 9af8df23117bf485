"""`pybots breakage …`: what is broken, and what people say about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.farm.builders import Book, make_farm

from pybots import cli


@pytest.fixture
def root(tmp_path: Path) -> Path:
    farm = make_farm(tmp_path, migrated=True)
    book = Book(farm)
    book.history(1, 9)
    lane = book.lane("anchor")
    run = book.run(lane, 5, "new_failure")
    book.breakage(run, {lane: ["t.py::a"]}, title="TypeError: x")
    book.breakage(run, {lane: ["t.py::b"]}, title="KeyError: y", signature="o" * 64, opened=1.0)
    book.breakage(run, {lane: []}, title="old", signature="f" * 64, state="fixed")
    farm.ledger.close()
    return tmp_path


def run(root: Path, *words: str) -> int:
    return cli.main(["breakage", *words, "--farm", str(root)])


@pytest.mark.deep
def test_the_list_has_what_stands_the_oldest_first(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "list") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "KeyError: y" in first and "TypeError: x" in second and "untriaged" in first
    assert run(root, "list", "--json") == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == [2, 1]


@pytest.mark.deep
def test_an_answer_is_set_and_what_is_not_given_stays(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "set", "1", "--disposition", "python", "--person", "Ada", "--days", "9") == 0
    assert run(root, "set", "1", "--issue", "https://x.org/1", "--for-ever", "--json") == 0
    said = json.loads(capsys.readouterr().out.partition("{")[2].join(["{", ""]))
    assert (said["disposition"], said["person"], said["issue"]) == (
        "python",
        "Ada",
        "https://x.org/1",
    )
    assert said["expires"] is None and said["url"].endswith("/breakage/1")
    assert run(root, "list", "--untriaged") == 0
    assert "TypeError" not in capsys.readouterr().out
    assert run(root, "show", "1") == 0
    assert "CPython's bug" in capsys.readouterr().out


@pytest.mark.deep
@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["show", "99"], 1, "no breakage 99"),
        (["set", "99", "--person", "x"], 1, "no breakage 99"),
        (["set", "1", "--issue", "javascript:x"], 1, "https://"),
        (["set", "1", "--days", "-1"], 1, "days"),
    ],
)
def test_what_cannot_be_done_is_said_with_a_status(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, said: str
) -> None:
    assert run(root, *words) == status
    assert said in capsys.readouterr().err


def test_misuse_is_status_two(root: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        run(root, "set", "1", "--disposition", "nonsense")
    assert ended.value.code == 2


def test_a_folder_without_a_farm_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "none", "list") == cli.CONFIG_ERROR
    assert "no ledger" in capsys.readouterr().err
