"""The dispatcher against a Buildbot of paper: what is submitted, lost, cancelled and adopted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import defer
from twisted.internet.task import Clock

from pybots.farm import controls, dispatch, investigations, news
from pybots.farm.dispatch import Dispatch, OpenAttempt, Slot
from pybots.glue import dispatcher
from pybots.store import StoreFull

BUILDER, WORKER = "linux-x86_64-1", "attic"
SUCCESS, RETRY = 0, 5


class Queue:
    """Buildbot's message queue, delivering at once."""

    def __init__(self) -> None:
        self.consumers: dict[tuple[Any, ...], Callable[..., Any]] = {}
        self.produced: list[tuple[Any, ...]] = []

    def startConsuming(self, heard: Callable[..., Any], topic: tuple[Any, ...]) -> Any:
        self.consumers[topic] = heard
        return defer.succeed(SimpleNamespace(stopConsuming=lambda: self.consumers.pop(topic, None)))

    def produce(self, topic: tuple[Any, ...], _message: Any) -> None:
        self.produced.append(topic)

    def cancelled(self) -> list[int]:
        return [int(topic[2]) for topic in self.produced if topic[0] == "control"]


@dataclass
class Paper:
    """A Buildbot of paper: its queue, its database and the slots of its workers."""

    mq: Queue = field(default_factory=Queue)
    available: list[str] = field(default_factory=lambda: [WORKER])
    buildsets: list[dict[str, Any]] = field(default_factory=list)
    submitted: list[dict[str, Any]] = field(default_factory=list)
    stopping: bool = False
    broken: bool = False

    @property
    def botmaster(self) -> Any:
        places = [
            SimpleNamespace(worker=SimpleNamespace(workername=name)) for name in self.available
        ]
        return SimpleNamespace(
            shuttingDown=self.stopping,
            builders={BUILDER: SimpleNamespace(getAvailableWorkers=lambda: places)},
        )

    @property
    def data(self) -> Any:
        return SimpleNamespace(get=self._get, updates=self)

    def _get(self, path: tuple[str, ...], filters: list[Any]) -> Any:
        if path == ("buildsets",):
            return defer.succeed(self.buildsets)
        [buildset] = filters[0].values
        return defer.succeed([{"buildrequestid": buildset * 10}])

    def findBuilderId(self, _name: str) -> Any:
        return defer.succeed(1)

    def addBuildset(self, **given: Any) -> Any:
        if self.broken:
            return defer.fail(OSError("the database is gone"))
        self.submitted.append(given)
        return defer.succeed((len(self.submitted), {1: len(self.submitted) * 10}))


class Farm:
    """The farm's side: what is asked of farm.dispatch, remembered."""

    def __init__(self) -> None:
        self.store = SimpleNamespace(live=lambda *_: Path("/nowhere/at/all"))
        self.full_disk = False
        self.no_room = False
        self.config = SimpleNamespace(cpython=SimpleNamespace(repository="/cpython"))
        self.waiting: list[Dispatch] = []
        self.open: list[OpenAttempt] = []
        self.lost: list[tuple[int, str]] = []
        self.counted: list[int] = []
        self.asked: list[list[Slot]] = []

    def lose(self, attempt: int, why: str, *, counts: bool) -> None:
        if self.full_disk:
            raise OSError("no space left on device")
        self.lost.append((attempt, why))
        self.counted += [attempt] if counts else []

    def next_dispatches(self, free: list[Slot], most: int) -> list[Dispatch]:
        self.asked.append(free)
        if self.no_room:
            raise StoreFull("3 MiB left")
        count = min(len(free), most)
        made, self.waiting = self.waiting[:count], self.waiting[count:]
        return made


@dataclass
class World:
    paper: Paper
    farm: Farm
    clock: Clock
    hung_up: list[str]
    made: dispatcher.Dispatcher

    def start(self) -> None:
        defer.ensureDeferred(self.made.start())

    def tell(self, what: str, request: int, results: int = SUCCESS) -> None:
        self.paper.mq.consumers["buildrequests", None, what](
            ("buildrequests", str(request), what), {"buildrequestid": request, "results": results}
        )

    @property
    def attempts(self) -> list[str]:
        return [one["external_idstring"] for one in self.paper.submitted]


def _attempt_lost(farm: Farm, attempt: int, why: str, *, counts: bool = True) -> None:
    farm.lose(attempt, why, counts=counts)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    farm, clock, paper = Farm(), Clock(), Paper()

    async def call(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)

    desk: Any = SimpleNamespace(farm=farm, reactor=clock, call=call)
    monkeypatch.setattr(dispatch, "next_dispatches", lambda f, *given: f.next_dispatches(*given))
    monkeypatch.setattr(dispatch, "open_attempts", lambda f: f.open)
    monkeypatch.setattr(dispatch, "attempt_lost", _attempt_lost)
    monkeypatch.setattr(controls, "expire", lambda _: [])
    monkeypatch.setattr(investigations, "advance", lambda _farm, _free: None)
    hung_up: list[str] = []
    made = dispatcher.Dispatcher(paper, desk, lambda worker, _why: hung_up.append(worker))
    return World(paper, farm, clock, hung_up, made)


def wanted(attempt: int, worker: str = WORKER) -> Dispatch:
    return Dispatch(
        run=attempt,
        attempt=attempt,
        number=1,
        builder=BUILDER,
        worker=worker,
        sha="a" * 40,
        branch="main",
        virtual_builder="genshi.release.main.release.linux-x86_64",
        description="A commit",
    )


def opened(attempt: int, state: str) -> OpenAttempt:
    return OpenAttempt(
        attempt_id=attempt, run=attempt, number=1, builder=BUILDER, worker=WORKER, state=state
    )


def buildset(number: int, external: str) -> dict[str, Any]:
    return {"bsid": number, "external_idstring": external}


def test_a_free_slot_gets_a_buildset_that_names_its_attempt(world: World) -> None:
    world.farm.waiting = [wanted(7)]
    world.start()
    [given] = world.paper.submitted
    assert given["external_idstring"] == "pybots:7:1:7"
    assert given["builderids"] == [1]
    assert given["properties"]["pybots_worker"] == (WORKER, "pybots")
    assert given["properties"]["pybots_attempt"] == (7, "pybots")
    assert given["properties"]["virtual_builder_name"][0].startswith("genshi.")


def test_one_slot_gets_one_build_at_a_time(world: World) -> None:
    world.farm.waiting = [wanted(7), wanted(8)]
    world.start()
    world.made.wake()
    assert world.attempts == ["pybots:7:1:7"]
    world.tell("complete", 10)
    world.clock.advance(0)
    assert world.attempts == ["pybots:7:1:7", "pybots:8:1:8"]


def test_an_investigator_that_fails_keeps_nothing_from_running(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_farm: Any, free: list[Slot]) -> None:
        asked.append(free)
        raise OSError("the store is gone")

    asked: list[list[Slot]] = []
    monkeypatch.setattr(investigations, "advance", fails)
    monkeypatch.setattr(dispatcher.log, "err", lambda failure, why: None)
    world.farm.waiting = [wanted(7)]
    world.start()
    assert asked == [[Slot(builder=BUILDER, worker=WORKER)]]
    assert [one["external_idstring"] for one in world.paper.submitted] == ["pybots:7:1:7"]


def test_without_room_in_the_store_nothing_is_dispatched_and_the_farm_is_told_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at again by itself: when there is room, the work goes on."""
    told: list[str] = []
    monkeypatch.setattr(news, "trouble", lambda _farm, what: told.append(what))
    world.farm.waiting = [wanted(7)]
    world.farm.no_room = True
    world.start()
    world.clock.advance(dispatcher.POLL_SECONDS)
    assert (told, world.attempts) == (["3 MiB left"], [])
    world.farm.no_room = False
    world.clock.advance(dispatcher.POLL_SECONDS)
    assert world.attempts == ["pybots:7:1:7"]


def test_without_a_free_slot_the_farm_is_not_asked(world: World) -> None:
    world.paper.available = []
    world.start()
    assert world.farm.asked == []


def test_a_build_that_ended_is_given_up_in_case_it_did_not_report(world: World) -> None:
    """The farm ignores that for an attempt whose report it has."""
    world.farm.waiting = [wanted(7)]
    world.start()
    world.tell("complete", 10)
    assert [attempt for attempt, _ in world.farm.lost] == [7]
    assert world.paper.mq.cancelled() == []


def test_a_build_that_buildbot_would_do_again_is_cancelled_and_lost(world: World) -> None:
    world.farm.waiting = [wanted(7)]
    world.start()
    world.made.begun(7)
    world.tell("unclaimed", 10)
    assert world.farm.lost == [(7, "the worker was lost")]
    assert world.farm.counted == [7]
    assert world.paper.mq.cancelled() == [10]


def test_requests_that_are_not_ours_are_left_alone(world: World) -> None:
    world.start()
    world.tell("complete", 99)
    world.tell("unclaimed", 99)
    assert world.farm.lost == []
    assert world.paper.mq.cancelled() == []


def test_a_build_that_never_begins_is_given_up_and_its_worker_hung_up(world: World) -> None:
    """A frozen worker answers no ping, and Buildbot would wait for ever."""
    world.farm.waiting = [wanted(7)]
    world.start()
    world.clock.advance(dispatcher.START_SECONDS)
    assert world.hung_up == [WORKER]
    assert [attempt for attempt, _ in world.farm.lost] == [7]
    assert world.paper.mq.cancelled() == [10]


def test_a_build_that_has_begun_is_left_to_its_steps(world: World) -> None:
    world.farm.waiting = [wanted(7)]
    world.start()
    world.made.begun(7)
    world.clock.advance(dispatcher.START_SECONDS * 10)
    world.made.gone(WORKER)
    assert (world.hung_up, world.farm.lost) == ([], [])


def test_a_burst_is_started_a_few_at_a_time(world: World) -> None:
    """A hundred builds at once would keep the master from beginning any; those that don't begin hold nobody up for long."""
    most = dispatcher.MOST_STARTING
    world.paper.available = [f"w{number}" for number in range(3 * most)]
    world.farm.waiting = [wanted(number, f"w{number}") for number in range(3 * most)]
    world.start()
    world.made.wake()
    world.clock.advance(0)
    assert len(world.attempts) == most
    for number in range(most // 2):
        world.made.begun(number)
    world.clock.advance(0)
    assert len(world.attempts) == most + most // 2, "as many as have begun"
    for _ in range(2):
        world.clock.advance(dispatcher.POLL_SECONDS)
    assert len(world.attempts) > 2 * most, "the rest is slow: nobody waits for it"
    assert world.hung_up == []


def test_a_worker_that_goes_takes_what_it_had_not_begun(world: World) -> None:
    world.farm.waiting = [wanted(7)]
    world.start()
    world.made.gone("another")
    assert world.farm.lost == []
    world.made.gone(WORKER)
    assert [attempt for attempt, _ in world.farm.lost] == [7]


def test_after_a_restart_what_has_not_begun_goes_on(world: World) -> None:
    world.farm.open = [opened(7, "dispatched")]
    world.farm.waiting = [wanted(8)]
    world.paper.buildsets = [buildset(3, "pybots:7:1:7")]
    world.start()
    assert world.farm.lost == []
    assert world.attempts == [], "its slot is taken"
    world.tell("complete", 30)
    world.clock.advance(0)
    assert world.attempts == ["pybots:8:1:8"]


def test_after_a_restart_what_was_running_is_lost(world: World) -> None:
    """Its build is gone; Buildbot's requeued one must not run a second time."""
    world.farm.open = [opened(7, "running")]
    world.paper.buildsets = [buildset(3, "pybots:7:1:7")]
    world.start()
    assert world.farm.lost == [(7, "the master was restarted")]
    assert world.farm.counted == [], "no fault of run or worker"
    assert world.paper.mq.cancelled() == [30]


def test_after_a_restart_an_attempt_without_a_buildset_is_lost(world: World) -> None:
    """The master died between the ledger's transaction and Buildbot's."""
    world.farm.open = [opened(7, "dispatched")]
    world.start()
    assert world.farm.lost == [(7, "it was never submitted")]
    assert world.farm.counted == []


def test_after_a_restart_a_buildset_without_an_open_attempt_is_cancelled(world: World) -> None:
    world.paper.buildsets = [buildset(3, "pybots:7:1:7"), buildset(4, "somebody else's")]
    world.start()
    assert world.paper.mq.cancelled() == [30]
    assert world.farm.lost == []


@pytest.mark.parametrize("what", ["unclaimed", "complete"])
def test_a_stopping_master_says_so_and_begins_nothing(world: World, what: str) -> None:
    world.farm.waiting = [wanted(7), wanted(8)]
    world.start()
    world.paper.stopping = True
    world.tell(what, 10)
    world.clock.advance(0)
    assert world.farm.lost == [(7, "the master was stopped")]
    assert world.farm.counted == []
    assert world.attempts == ["pybots:7:1:7"]


def test_attempts_that_could_not_be_submitted_are_given_up_in_time(world: World) -> None:
    """Buildbot's database failed after the ledger had recorded the attempts."""
    world.paper.available = [WORKER, "cellar"]
    world.paper.broken = True
    world.farm.waiting = [wanted(7), wanted(8)]
    world.start()
    world.clock.advance(dispatcher.START_SECONDS)
    assert [attempt for attempt, _ in world.farm.lost] == [7, 8]
    assert world.hung_up == [], "the worker is innocent"


def test_an_attempt_that_the_ledger_cannot_lose_now_is_lost_later(world: World) -> None:
    world.farm.waiting = [wanted(7), wanted(8)]
    world.start()
    world.farm.full_disk = True
    world.tell("complete", 10)
    assert world.farm.lost == []
    world.farm.full_disk = False
    world.clock.advance(dispatcher.POLL_SECONDS)
    world.clock.advance(0)
    assert [attempt for attempt, _ in world.farm.lost] == [7]
    assert world.attempts == ["pybots:7:1:7", "pybots:8:1:8"]


def test_nothing_is_left_running_after_the_end(world: World) -> None:
    world.farm.waiting = [wanted(7)]
    world.start()
    defer.ensureDeferred(world.made.stop())
    assert world.clock.getDelayedCalls() == []
    assert world.paper.mq.consumers == {}
