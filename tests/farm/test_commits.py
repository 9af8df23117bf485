"""Comparing heads with the ledger, over real git: nothing is unwritten, nothing is counted twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from pybots.config.farm import FarmConfig
from pybots.farm import commits, tokens
from pybots.farm.home import Farm, Folder
from pybots.ledger import schema
from pybots.ledger.engine import open_ledger
from pybots.store import Store
from tests.farm.test_git import commit, run


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    """A farm without projects over a repository of five commits."""
    repository = tmp_path / "cpython"
    repository.mkdir()
    run(repository, "init", "--quiet", "--initial-branch=main")
    for number in range(1, 6):
        commit(repository, {"Lib/x.py": f"{number}\n"}, f"Commit {number}")
    folder = Folder(tmp_path / "farm")
    folder.root.mkdir()
    ledger = open_ledger(folder.ledger)
    schema.metadata.create_all(ledger.engine)
    tokens.make_key(folder.secrets)
    config = FarmConfig.model_validate({"cpython": {"repository": str(repository), "history": 3}})
    return Farm(
        folder=folder, config=config, projects={}, ledger=ledger,
        store=Store(folder.store, reserve=0), clock=lambda: 1.0,
    )  # fmt: skip


def repository(farm: Farm) -> Path:
    return Path(farm.config.cpython.repository)


def pinned(farm: Farm, pin: str) -> Farm:
    cpython = farm.config.cpython.model_copy(update={"pin": pin})
    return replace(farm, config=farm.config.model_copy(update={"cpython": cpython}))


def known(farm: Farm) -> list[tuple[int, str]]:
    with farm.ledger.read() as connection:
        rows = connection.execute(
            select(schema.commits.c.position, schema.commits.c.title).order_by(
                schema.commits.c.position
            )
        ).all()
    return [(row.position, row.title) for row in rows]


def head(farm: Farm) -> int | None:
    with farm.ledger.read() as connection:
        return commits.head_position(connection, "main")


def test_the_newest_commits_are_known_at_first_and_then_every_new_one(farm: Farm) -> None:
    assert len(commits.sync(farm)) == 3
    assert known(farm) == [(3, "Commit 3"), (4, "Commit 4"), (5, "Commit 5")]
    assert commits.sync(farm) == []
    new = commit(repository(farm), {"Lib/x.py": "6\n"}, "Commit 6")
    assert commits.sync(farm) == [new]
    assert known(farm)[-1] == (6, "Commit 6")


def test_an_older_commit_that_is_asked_for_gets_its_own_place(farm: Farm) -> None:
    commits.sync(farm)
    commits.sync(pinned(farm, "main~3"))
    assert known(farm) == [(n, f"Commit {n}") for n in range(1, 6)]
    assert head(farm) == 2
    commits.sync(farm)
    assert head(farm) == 5


def test_a_branch_that_went_back_unwrites_nothing(farm: Farm) -> None:
    commits.sync(farm)
    run(repository(farm), "reset", "--quiet", "--hard", "HEAD~1")
    assert commits.sync(farm) == []
    assert len(known(farm)) == 3
    assert head(farm) == 4


def test_a_rewritten_history_comes_after_the_one_before(farm: Farm) -> None:
    """The newest commit the ledger knows is gone from the repository, and every position stays unique."""
    commits.sync(farm)
    path = repository(farm)
    run(path, "checkout", "--quiet", "--orphan", "other")
    commit(path, {"Lib/y.py": "new\n"}, "Another history")
    run(path, "branch", "-M", "other", "main")
    run(path, "reflog", "expire", "--expire=now", "--all")
    run(path, "gc", "--quiet", "--prune=now")
    assert len(commits.sync(farm)) == 1
    assert known(farm)[-1] == (8, "Another history")
    assert head(farm) == 8
