"""The succession of changes that a search moves over, read from a repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pybots.core.likely import LITTLE
from pybots.farm import git
from pybots.laptop.changes import history
from pybots.laptop.workbench import LaptopError


def run(path: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(path), "-c", "user.name=A B", "-c", "user.email=a@example.org", *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def commit(path: Path, message: str, **files: str) -> str:
    for name, text in files.items():
        file = path / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    run(path, "add", "-A")
    run(path, "commit", "-q", "--allow-empty", "-m", message)
    return run(path, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    run(tmp_path, "init", "-q", "-b", "main")
    return tmp_path


def test_commits_that_change_nothing_a_build_reads_have_equal_keys(repository: Path) -> None:
    shas = [
        commit(repository, "one", Python__a="1", Misc__ACKS="a"),
        commit(repository, "docs", Doc__a="2", Misc__ACKS="b"),
        commit(repository, "two", Python__a="2"),
        commit(repository, "page", Misc__python="man"),
    ]
    found = history(repository, shas[0], shas[-1], cpython=True)
    assert [change.id for change in found] == shas
    keys = [change.key for change in found]
    assert keys[0] == keys[1] and len(set(keys)) == 3
    assert found[2].files == ("Python/a",) and found[2].author == "A B <a@example.org>"
    plain = history(repository, shas[0], shas[-1], cpython=False)
    assert len({change.key for change in plain}) == 4


def test_keys_are_equal_exactly_when_the_interpreters_are(repository: Path) -> None:
    """The quick reading of a whole range agrees with the one that names interpreters."""
    shas = [commit(repository, str(n), Python__a=str(n // 2), Misc__NEWS=str(n)) for n in range(5)]
    found = history(repository, shas[0], shas[-1], cpython=True)
    slow = [git.content_key(repository, sha) for sha in shas]
    assert [a.key == b.key for a in found for b in found] == [a == b for a in slow for b in slow]


def test_a_change_to_tests_alone_is_unlikely_and_a_revert_names_what_it_undoes(
    repository: Path,
) -> None:
    first = commit(repository, "start", Python__a="1")
    broken = commit(repository, "break", Python__a="2")
    commit(repository, "test", Lib__test__t="1")
    last = commit(repository, f'Revert "break"\n\nThis reverts commit {broken}.', Python__a="1")
    found = history(repository, first, last, cpython=True)
    assert [change.weight for change in found[1:]] == [1.0, LITTLE, 1.0]
    assert found[3].undoes == 1


def test_ends_that_are_not_in_line_are_refused(repository: Path) -> None:
    first = commit(repository, "start", a="1")
    run(repository, "checkout", "-q", "-b", "side")
    side = commit(repository, "side", b="1")
    run(repository, "checkout", "-q", "main")
    last = commit(repository, "main", c="1")
    with pytest.raises(LaptopError, match="no ancestor"):
        history(repository, last, first, cpython=True)
    with pytest.raises(LaptopError, match="no ancestor"):
        history(repository, side, last, cpython=True)
    run(repository, "merge", "-q", "--no-edit", "side")
    with pytest.raises(LaptopError, match="first-parent"):
        history(repository, side, run(repository, "rev-parse", "HEAD"), cpython=True)
