"""`pybots check` and `pybots project …`: words and exit statuses."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from pybots import cli_config
from pybots.config.errors import ConfigErrors, Problem

SMALL = 'title = "X"\n[source.release]\nindex = "x"\n[test]\nrunner = "pytest"\n'


def run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    cli_config.add_parsers(parser.add_subparsers(required=True))
    arguments = parser.parse_args([str(word) for word in words])
    return int(arguments.run(arguments))


@pytest.fixture
def farm(tmp_path: Path) -> Path:
    root = tmp_path / "farm"
    (root / "projects").mkdir(parents=True)
    return root


def test_check_names_the_mistakes_of_all_files(
    farm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (farm / "farm.toml").write_text('ulr = "x"\nprojects = ["nosuch"]\n')
    (farm / "projects" / "x.toml").write_text("netwrok = 'none'\n" + SMALL)
    assert run("check", "--farm", farm) == 1
    said = capsys.readouterr().err
    assert 'farm.toml:1: ulr: unknown key (did you mean "url"?)' in said
    assert 'unknown project "nosuch"' in said
    assert 'x.toml:1: netwrok: unknown key (did you mean "network"?)' in said
    assert "3 mistakes" in said


def test_check_speaks_json(farm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (farm / "farm.toml").write_text('ulr = "x"\n')
    assert run("check", "--json", "--farm", farm) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    assert said["problems"] == [
        {
            "file": str(farm / "farm.toml"),
            "key": "ulr",
            "message": "unknown key",
            "mend": 'did you mean "url"?',
            "line": 1,
            "level": "error",
        }
    ]


def test_check_of_a_folder_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    assert run("check", "--farm", tmp_path / "none") == 1


def test_without_a_ledger_buildbots_check_is_left_out_and_said_so(
    farm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", "--farm", farm) == 0
    assert "left out" in capsys.readouterr().err


def test_with_a_ledger_buildbot_is_asked(farm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (farm / "ledger.sqlite").write_bytes(b"")
    asked: list[Path] = []

    def refusing(root: Path) -> list[Problem]:
        asked.append(root)
        return [Problem("master.cfg", "", "no", "mend it")]

    monkeypatch.setattr(cli_config, "buildbots_own", refusing)
    assert run("check", "--farm", farm) == 1
    assert asked == [farm]


def test_buildbot_is_not_asked_about_files_with_mistakes(
    farm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (farm / "ledger.sqlite").write_bytes(b"")
    (farm / "farm.toml").write_text("x")
    monkeypatch.setattr(cli_config, "buildbots_own", None)
    assert run("check", "--farm", farm) == 1


def test_a_project_is_checked_by_file_or_by_name(farm: Path, tmp_path: Path) -> None:
    (farm / "projects" / "mine.toml").write_text(SMALL)
    (tmp_path / "bad.toml").write_text("title = 1\n")
    assert run("project", "check", "mine", "--farm", farm) == 0
    assert run("project", "check", "twisted", "--farm", farm) == 0
    assert run("project", "check", tmp_path / "bad.toml") == 1
    with pytest.raises(ConfigErrors, match="neither a file nor a registered project"):
        run("project", "check", "nosuch", "--farm", farm)


def test_new_writes_a_file_that_is_right_and_never_overwrites(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "project",
        "new",
        "frog",
        "--git",
        "https://example.org/frog",
        "--offline",
        "--directory",
        tmp_path,
    )
    assert run(*words) == 0
    written = (tmp_path / "frog.toml").read_text()
    assert 'git = "https://example.org/frog"' in written and "index" not in written
    assert run(*words) == 1
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "frog.toml").read_text() == written


def test_new_refuses_a_bad_name_and_a_bad_url(tmp_path: Path) -> None:
    words = ("--git", "git@example.org:x")
    assert run("project", "new", "Frog", *words, "--directory", tmp_path) == 1
    assert not list(tmp_path.iterdir())


def test_new_says_what_is_wrong_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All at once where it can be known at once; never a traceback, and nothing is written."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    tree = ("--source", tmp_path / "empty")
    cases = (
        (("Frog", "--index", "a b", "--git", "x"), ["write frog", "--index: 'a b'", "--git: 'x'"]),
        (("é", *tree), ["use up to 80 of a-z"]),
        (("frog", *tree, "--directory", tmp_path / "file"), ["cannot be written", "--directory"]),
        (("frog", "--source", tmp_path / "file"), ["is not a folder"]),
        (
            ("frog", "--git", f"file://{tmp_path}/empty"),
            ["file://", "does not appear to be a git repository", "--offline"],
        ),
    )
    for words, said in cases:
        assert run("project", "new", *words) == 1
        heard = capsys.readouterr().err
        assert all(word in heard for word in said) and not heard.startswith(":"), heard
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


def test_new_tells_the_next_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tree").mkdir()
    words = ("--source", tmp_path / "tree", "--directory", tmp_path)
    assert run("project", "new", "frog", *words) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[-2:] for line in said[1:3]] == [
        [action, f"{tmp_path}/frog.toml"] for action in ("check", "show")
    ]
    for line in said[1:3]:
        assert run(*line.split()[1:]) == 0


def test_list_shows_the_farms_own_projects_too(
    farm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (farm / "projects" / "mine.toml").write_text(SMALL)
    assert run("project", "list", "--json", "--farm", farm) == 0
    listed = {project["name"]: project for project in json.loads(capsys.readouterr().out)}
    assert {"mine", "twisted", "django"} <= set(listed)
    assert listed["mine"]["sources"] == {
        "release": {"kind": "index", "name": "x", "version": "", "pre": False}
    }


def test_the_schema_is_closed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("project", "schema") == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"title", "source", "test"}
    tables = (schema, *schema["$defs"].values())
    assert len(tables) > 5 and all(one["additionalProperties"] is False for one in tables)
    values = [value for one in tables for value in one["properties"].values()]
    assert all("description" in one or "$ref" in one or one.get("title") == "Env" for one in values)
    assert not any(choice == {"type": "null"} for one in values for choice in one.get("anyOf", ()))
