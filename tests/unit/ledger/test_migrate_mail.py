"""From the first mail to threads: what was told before the upgrade stays told, and its answers find their letters."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import insert, select, text, update
from tests.unit.farm.builders import make_farm

from pybots.farm import notify, threads
from pybots.farm.mailing import message_id
from pybots.ledger import migrate, schema
from pybots.ledger.engine import Ledger, open_ledger

LANES = "INSERT INTO lanes (id, slug, project, source, branch, flavour, platform, state, reason, counted) VALUES"
BREAKAGES = (
    "INSERT INTO breakages (id, kind, signature, title, branch, state, good_position, bad_position, opened,"
    " opened_run, disposition, thread, confirmed, control) VALUES"
)


def before(path: Path) -> Ledger:
    """A ledger of the version before: one run's two breakages, one of them fixed; and one of a build."""
    ledger = open_ledger(path)
    with ledger.write() as connection:
        command.upgrade(migrate._config(connection), "0002")
        connection.execute(text("PRAGMA defer_foreign_keys=ON"))
        commit = {
            "id": 1, "branch": "main", "position": 5, "sha": "a" * 40, "author": "Ada", "email": "", "committed": 0.0,
            "title": "t", "message": "", "files": [], "content_key": "k", "seen": 0.0,
        }  # fmt: skip
        connection.execute(insert(schema.commits).values(commit))
        connection.execute(
            insert(schema.commits).values({**commit, "id": 2, "position": 9, "sha": "b" * 40})
        )
        connection.execute(
            insert(schema.interpreters).values(
                id=1, key="k", content_key="k", flavour="release", platform="linux-x86_64", abi="a",
                trust="farm", recipe={}, branch="main", commit_id=1, state="published", created=0.0,
            )
        )  # fmt: skip
        for number in (1, 2):
            name = f"p{number}"
            connection.execute(
                text(
                    f"{LANES} ({number}, '{name}', '{name}', 'r', 'main', 'release', 'linux-x86_64', 'active', '', 0)"
                )
            )
        connection.execute(
            insert(schema.runs).values(
                id=7, kind="project", lane_id=1, interpreter_id=1, commit_id=1, branch="main", position=5,
                purpose="routine", state="done", summary="", tries=1, lost=0, created=0.0,
            )
        )  # fmt: skip
        for number, state, thread in (
            (1, "open", "<a@x>"),
            (2, "fixed", "<a@x>"),
            (3, "fixed", "<b@x>"),
        ):
            connection.execute(
                text(
                    f"{BREAKAGES} ({number}, 'test', 's{number}', 'E{number}', 'main', '{state}', 4, 5, 1.0, 7,"
                    f" 'untriaged', '{thread}', 1.0, 'none')"
                )
            )
            connection.execute(
                insert(schema.breakage_lanes).values(
                    breakage_id=number, lane_id=1, run_id=7, tests=["t.py::a"], count=1, opened=1.0,
                    closed=None if state == "open" else 2.0,
                )
            )  # fmt: skip
    ledger.close()
    return open_ledger(path)


@pytest.mark.deep
def test_what_was_told_before_the_upgrade_is_not_told_again(tmp_path: Path) -> None:
    before(tmp_path / "ledger.sqlite").close()
    farm = make_farm(tmp_path, migrated=True)
    with farm.ledger.read() as connection:
        rows = connection.execute(select(schema.threads).order_by(schema.threads.c.id)).all()
    assert [(row.id, row.state) for row in rows] == [(1, "sent"), (3, "closed")]
    assert rows[0].told == {"list": "new:7", "project:p1": "new:7"}
    with farm.ledger.write() as connection:
        threads.consider(farm, connection, farm.clock())
    notify.consider(farm)
    with farm.ledger.read() as connection:
        assert connection.execute(select(schema.outbox)).all() == []
    with farm.ledger.write() as connection:
        connection.execute(
            update(schema.breakages)
            .where(schema.breakages.c.id == 1)
            .values(state="fixed", fixed_run=7)
        )
        threads.consider(farm, connection, farm.clock())
    with farm.ledger.read() as connection:
        (letter,) = connection.execute(select(schema.outbox)).all()
    assert letter.topic == "fixed"
    assert message_id(farm, "new:7") in letter.message.replace("\r\n ", " ")
    farm.ledger.close()
