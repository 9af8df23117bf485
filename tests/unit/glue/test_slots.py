"""Slots and builders: who offers what, what is free, and who gets a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from pybots.farm.dispatch import Slot
from pybots.glue import slots


def place(worker: str) -> Any:
    return SimpleNamespace(worker=SimpleNamespace(workername=worker))


@dataclass
class Builder:
    available: list[str] = field(default_factory=list)

    def getAvailableWorkers(self) -> list[Any]:
        return [place(name) for name in self.available]


def request(worker: str) -> Any:
    found = {slots.WORKER: worker}
    return SimpleNamespace(properties=SimpleNamespace(getProperty=found.get))


def test_a_worker_sits_on_as_many_builders_as_it_offers_slots() -> None:
    found = slots.builders_of([("attic", "linux-x86_64", 2), ("cellar", "linux-x86_64", 1)])
    assert found == {"linux-x86_64-1": ["attic", "cellar"], "linux-x86_64-2": ["attic"]}


def test_platforms_have_builders_of_their_own() -> None:
    found = slots.builders_of([("attic", "linux-x86_64", 1), ("barn", "linux-aarch64", 1)])
    assert found == {"linux-aarch64-1": ["barn"], "linux-x86_64-1": ["attic"]}


def test_every_idle_pair_of_builder_and_worker_is_free() -> None:
    builders = {"p-1": Builder(["attic", "cellar"]), "p-2": Builder(["attic"])}
    assert slots.free_slots(builders, set()) == [
        Slot(builder="p-1", worker="attic"),
        Slot(builder="p-1", worker="cellar"),
        Slot(builder="p-2", worker="attic"),
    ]


def test_a_slot_for_which_a_build_was_submitted_is_taken() -> None:
    builders = {"p-1": Builder(["attic"])}
    assert slots.free_slots(builders, {("p-1", "attic")}) == []


def test_workers_that_do_nothing_come_first() -> None:
    builders = {"p-1": Builder(["cellar"]), "p-2": Builder(["attic"])}
    free = slots.free_slots(builders, {("p-1", "attic")})
    assert [slot.worker for slot in free] == ["cellar", "attic"]


def test_a_request_goes_to_the_worker_that_was_chosen() -> None:
    places = [place("attic"), place("cellar")]
    assert slots.next_worker(None, places, request("cellar")) is places[1]
    assert slots.next_worker(None, places, request("gone")) is None


def test_a_request_whose_worker_is_away_blocks_nobody() -> None:
    waiting, ready = request("gone"), request("cellar")
    assert slots.next_build(Builder(["cellar"]), [waiting, ready]) is ready
    assert slots.next_build(Builder(["cellar"]), [waiting]) is None


@pytest.mark.parametrize("text", [None, "", "pybots", "pybots:1:2", "other:1:2:3", "pybots:1:2:x"])
def test_what_is_not_our_buildset_has_no_attempt(text: str | None) -> None:
    assert slots.attempt_of(text) is None


def test_a_buildset_carries_its_attempt() -> None:
    assert slots.attempt_of("pybots:12:1:34") == 34
