"""What a worker's rota is measured from."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import update
from tests.unit.farm.lane_world import make_test, make_world

from pybots.farm import rotas
from pybots.ledger import schema

attempts = schema.attempts


def test_hours_and_rounds_are_what_the_worker_really_did(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    tests = [make_test("tests/test_it.py::test_a")]
    lanes = [world.lane("anchor"), world.lane("buoy")]
    for position in (1, 2):
        for lane in lanes:
            world.go(position, tests, lane=lane)
    world.build(3)
    now = world.farm.clock()
    with world.farm.ledger.write() as connection:  # an hour each, two days ago
        connection.execute(
            update(attempts).values(started=now - 2 * 86_400, finished=now - 2 * 86_400 + 3600)
        )
    with world.farm.ledger.read() as connection:
        found = rotas.of_worker(connection, "attic", now)
        assert (found.lanes, found.seconds) == (3, 3 * 3600.0)
        assert round(found.hours, 2) == 2.5
        assert rotas.of_worker(connection, "nobody", now).lanes == 0
