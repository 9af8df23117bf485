"""The outbox as the postman sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lane_world import World, make_test, make_world

from pybots.farm import notify
from pybots.ledger import schema

GOOD = [make_test("t.py::a")]
BAD = [make_test("t.py::a", "failed", "TypeError: x")]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    for position, tests in enumerate([GOOD, BAD, GOOD]):
        made.go(position, tests)
    yield made
    made.farm.ledger.close()


def test_letters_are_due_in_order_with_all_a_transport_needs(world: World) -> None:
    first, copy, *fixed = notify.due(world.farm, world.farm.clock())
    assert first.id < copy.id < fixed[0].id < fixed[1].id
    assert first.sender == "pybots@localhost"
    assert first.recipients == ("pybots@localhost",)
    assert first.message.startswith(b"From: Pybots <pybots@localhost>\r\n")
    assert first.message_id.encode() in first.message


def test_a_delivered_letter_is_not_due_again(world: World) -> None:
    first, *others = notify.due(world.farm, world.farm.clock())
    notify.delivered(world.farm, first.id)
    assert notify.due(world.farm, world.farm.clock()) == others
    assert world.one(schema.outbox, first.id).state == "sent"


def test_a_failed_delivery_waits_longer_and_longer_and_is_never_given_up(world: World) -> None:
    first, *_ = notify.due(world.farm, world.farm.clock())
    waits = []
    for _ in range(10):
        notify.failed(world.farm, first.id, "connection refused", permanent=False)
        row = world.one(schema.outbox, first.id)
        waits.append(row.next_try - world.farm.clock())
        assert row.state == "queued"
    assert waits == sorted(waits)
    assert 25 < waits[0] <= 30 and 3590 < waits[-1] <= 3600
    assert first.id not in [letter.id for letter in notify.due(world.farm, world.farm.clock())]
    assert first.id in [letter.id for letter in notify.due(world.farm, world.farm.clock() + 3601)]


def test_a_letter_refused_for_good_is_kept_with_its_reason_and_the_admin_is_told(
    world: World,
) -> None:
    first, *_ = notify.due(world.farm, world.farm.clock())
    for _ in range(2):
        notify.failed(world.farm, first.id, "550 no such user", permanent=True)
    row = world.one(schema.outbox, first.id)
    assert (row.state, row.error) == ("rejected", "550 no such user")
    (told,) = world.rows(schema.outbox, schema.outbox.c.audience == "admin")
    assert told.recipients == ["root@localhost"] and "550 no such user" in told.message
    notify.failed(world.farm, told.id, "550 no such user", permanent=True)
    assert len(world.rows(schema.outbox, schema.outbox.c.audience == "admin")) == 1


def test_the_maildir_gets_everything_once(world: World) -> None:
    assert notify.deliver_to_maildir(world.farm) == 4
    assert notify.deliver_to_maildir(world.farm) == 0
    assert len(list((world.farm.folder.mail / "new").iterdir())) == 4


def test_a_maildir_that_cannot_be_written_only_delays(world: World) -> None:
    world.farm.folder.mail.write_text("a file is in the way")
    assert notify.deliver_to_maildir(world.farm) == 0
    assert {row.state for row in world.rows(schema.outbox)} == {"queued"}
    assert all("Maildir" in row.error for row in world.rows(schema.outbox))
