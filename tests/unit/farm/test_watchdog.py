"""The watchdog over the ledger: quarantine with a reason, release, letters once, receipts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from tests.unit.farm.builders import PLATFORM, START, Book, Clock, make_farm

from pybots.core.model import Worker
from pybots.farm import alarms, health, receipts, workers
from pybots.farm.home import Farm
from pybots.farm.losses import SILENT
from pybots.ledger import schema
from pybots.ledger.engine import announce

table, outbox = schema.workers, schema.outbox


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    made = make_farm(tmp_path)
    for name in ("attic", "shed"):
        worker = Worker(name=name, platform=PLATFORM, abi="x", owner="Bob", email="bob@example.org")
        workers.enrol(made, worker)
    well(made)
    return made


def at(farm: Farm, seconds: float) -> Farm:
    return replace(farm, clock=Clock(START + seconds))


def change(farm: Farm, name: str = "attic", **values: Any) -> None:
    with farm.ledger.write() as connection:
        connection.execute(update(table).where(table.c.name == name).values(**values))


def well(farm: Farm, **signs: Any) -> None:
    change(farm, health={"at": farm.clock(), "skew": 0.0, "disk_free_bytes": 100 << 30, **signs})


def row(farm: Farm, name: str = "attic") -> Any:
    return next(one for one in workers.everyone(farm) if one.name == name)


def letters(farm: Farm, topic: str) -> list[Any]:
    with farm.ledger.read() as connection:
        return list(connection.execute(select(outbox).where(outbox.c.topic == topic)).all())


def test_a_full_disk_is_quarantined_told_once_and_forgiven(farm: Farm) -> None:
    assert health.look(farm) == []
    well(farm, disk_free_bytes=1 << 30)
    assert health.look(farm) == ["attic"]
    assert (row(farm).state, row(farm).reason) == (
        "quarantined", "only 1.0 GiB are free on its disk",
    )  # fmt: skip
    assert row(farm, "shed").state == "approved"
    with farm.ledger.read() as connection:
        assert [one.name for one in workers.approved(connection)] == ["shed"]
    assert health.look(farm) == []
    assert sorted(one.recipients[0] for one in letters(farm, "quarantine")) == [
        "bob@example.org", "root@localhost",
    ]  # fmt: skip
    well(farm)
    assert health.look(farm) == ["attic"]
    assert (row(farm).state, row(farm).reason, row(farm).trouble) == ("approved", "", "")


def test_one_that_comes_and_goes_rests_for_an_hour(farm: Farm) -> None:
    with farm.ledger.write() as connection:
        for second in range(12):
            announce(connection, START + second, "worker", worker="attic", state="gone")
    later = at(farm, 60)
    assert health.look(later) == ["attic"]
    assert "12 times in an hour" in row(farm).reason
    assert health.look(at(farm, 3000)) == []
    assert health.look(at(farm, 3700)) == ["attic"]
    assert row(farm).state == "approved"


def freeze(farm: Farm, name: str, number: int) -> None:
    book = Book(farm)
    book.commit(number)
    run = book.run(book.lane(f"p{number}"), number, "passed")
    with farm.ledger.write() as connection:
        connection.execute(
            insert(schema.attempts).values(
                run_id=run, number=9, worker=name, builder="b", state="lost",
                created=START, finished=START, reason=f"{SILENT} for 91 s",
            )
        )  # fmt: skip


def test_the_farms_own_worker_sleeps_when_the_farm_does(farm: Farm) -> None:
    Book(farm).worker("local")
    for number in (1, 2, 3):
        freeze(farm, "local", number)
    assert health.look(at(farm, 60)) == []


def test_one_that_stops_answering_twice_rests_for_six_hours(farm: Farm) -> None:
    for number in (1, 2):
        assert health.look(at(farm, 60)) == [], "once is no reason"
        freeze(farm, "attic", number)
    assert health.look(at(farm, 60)) == ["attic"]
    assert "2 times in six hours it stopped answering" in row(farm).reason
    assert len(letters(farm, "quarantine")) == 2, "admin and owner"
    assert health.look(at(farm, 5 * 3600)) == []
    assert health.look(at(farm, 7 * 3600)) == ["attic"]
    assert row(farm).state == "approved"


def lose(farm: Farm, count: int) -> None:
    """Runs that the attic lost and the shed did."""
    book = Book(farm)
    lane = book.lane("p")
    for number in range(count):
        book.commit(number + 1)
        run = book.run(lane, number + 1, "passed")
        with farm.ledger.write() as connection:
            connection.execute(schema.attempts.delete().where(schema.attempts.c.run_id == run))
            for nth, (name, state) in enumerate([("attic", "lost"), ("shed", "recorded")], 1):
                connection.execute(
                    insert(schema.attempts).values(
                        run_id=run, number=nth, worker=name, builder="b", state=state,
                        created=START + number, started=START, finished=START + 1800, reason="gone",
                    )
                )  # fmt: skip


def test_one_that_loses_what_others_finish_waits_for_the_admin(farm: Farm) -> None:
    lose(farm, 5)
    later = at(farm, 60)
    assert health.look(later) == ["attic"]
    assert "lost 5 builds in a day that other workers finished" in row(farm).reason
    tomorrow = at(farm, 2 * 86_400)
    assert health.look(tomorrow) == [], "it does not heal by itself"
    workers.set_state(later, "attic", "approved")
    assert health.look(later) == [], "what was before is forgiven"


def test_one_whose_lanes_disagree_with_themselves_is_quarantined(farm: Farm) -> None:
    with farm.ledger.write() as connection:
        connection.execute(
            insert(schema.breakers).values(
                scope="worker", name="attic", tripped=START, state="farm", settled=START + 1
            )
        )
    change(farm, "shed", state="paused")
    assert health.look(at(farm, 60)) == [], "there is nobody who could do its work"
    change(farm, "shed", state="approved")
    assert health.look(at(farm, 60)) == ["attic"]
    assert row(farm).trouble == "disagrees"


def test_a_missed_worker_that_is_back_is_told_once(farm: Farm) -> None:
    change(farm, last_seen=START)
    missing = at(farm, 7200)
    with farm.ledger.write() as connection:
        assert alarms.missing(missing, connection, missing.clock()) == 1
    assert letters(farm, "back") == []
    change(farm, connected=True)
    for _ in range(2):
        health.look(missing)
    assert [one.recipients for one in letters(farm, "back")] == [["bob@example.org"]]


def test_who_rests_is_not_missed_until_it_should_be_back(farm: Farm) -> None:
    change(farm, last_seen=START, resting="outside its hours", rest_until=START + 86_400)
    for seconds, told in ((7200, 0), (86_400 + 1800, 0), (86_400 + 7200, 1)):
        now = at(farm, seconds)
        with farm.ledger.write() as connection:
            assert alarms.missing(now, connection, now.clock()) == told


def test_a_receipt_says_what_a_worker_did(farm: Farm) -> None:
    lose(farm, 3)
    now = START + 7200
    with farm.ledger.write() as connection:
        assert receipts.write(farm, connection, now, now) == 0, "nobody asked"
    change(farm, "shed", receipt=True)
    change(farm, receipt=True)
    with farm.ledger.write() as connection:
        assert receipts.write(farm, connection, now, now) == 1, "the attic has done nothing"
        assert receipts.write(farm, connection, now, now) == 0, "once a week"
    [letter] = letters(farm, "receipt")
    assert letter.recipients == ["bob@example.org"] and "3 runs" in letter.subject
    assert "worked for 1.5 hours" in letter.message
