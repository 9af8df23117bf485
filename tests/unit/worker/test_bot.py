"""The two objects that a master can call: which methods they have, and what they do with jobs' folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.worker.kit_builders import make_job
from twisted.internet import defer
from twisted.internet.task import Clock
from twisted.spread import pb

from pybots_worker import bot, orders
from pybots_worker.contract import Job, encode
from pybots_worker.layout import JobFolder
from pybots_worker.settings import WorkshopSettings

PLATFORM = "linux-x86_64"


class FakeWorkshop:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.emptied = 0

    def begin(self, job: Job) -> JobFolder:
        folder = JobFolder(self.root / "jobs" / f"{job.run}-{job.attempt}")
        folder.phase("x").parent.mkdir(parents=True)
        self.begun.append(folder.name)
        return folder

    def put_away(self, folder: JobFolder) -> None:
        self.ended.append(folder.name)

    def empty(self, stop: Callable[[], bool]) -> None:
        self.emptied += not stop()


class Reactor(Clock):
    """A clock with the one method of threads, which are none here."""

    def callFromThread(self, call: Callable[[], None]) -> None:
        call()


@pytest.fixture
def shop(tmp_path: Path) -> FakeWorkshop:
    return FakeWorkshop(tmp_path)


@pytest.fixture
def made(shop: FakeWorkshop) -> bot.Bot:
    return bot.Bot(Reactor(), shop, WorkshopSettings(slots=2), PLATFORM)


def remote_methods(of: type) -> set[str]:
    return {name.removeprefix("remote_") for name in dir(of) if name.startswith("remote_")}


def test_these_methods_can_be_called_from_afar_and_no_others() -> None:
    """A base class that grows a remote method would open a door: none of ours may inherit one."""
    assert remote_methods(bot.Bot) == {"print", "getWorkerInfo", "setBuilderList", "shutdown"}
    assert remote_methods(bot.Slot) == {"startBuild", "startCommand", "interruptCommand"}
    assert remote_methods(pb.Referenceable) == set()


def test_the_masters_list_of_builders_creates_no_folders(made: bot.Bot, tmp_path: Path) -> None:
    slots = made.remote_setBuilderList(
        [(f"{PLATFORM}-1", "../../escape"), ("../x", "../x"), (f"{PLATFORM}-7", "seven")]
    )
    assert list(slots) == [f"{PLATFORM}-1"]
    assert list(tmp_path.iterdir()) == []


def test_a_slot_stays_the_same_object_while_it_is_wanted(made: bot.Bot) -> None:
    wanted = [(f"{PLATFORM}-1", "a"), (f"{PLATFORM}-2", "b")]
    first = made.remote_setBuilderList(wanted)
    second = made.remote_setBuilderList(wanted[:1])
    assert second == {f"{PLATFORM}-1": first[f"{PLATFORM}-1"]}


def test_facts_are_harmless(made: bot.Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET_OF_MINE", "tell-nobody")
    told = made.remote_getWorkerInfo()
    assert set(told) == {"system", "version", "numcpus", "platform", "worker_commands"}
    assert "tell-nobody" not in repr(told)
    assert told["worker_commands"] == {"pybots": "1"}


def test_a_master_cannot_end_the_worker(made: bot.Bot) -> None:
    with pytest.raises(pb.Error, match="owner"):
        made.remote_shutdown()


def test_a_command_without_somebody_to_report_to_is_refused(made: bot.Bot) -> None:
    [slot] = made.remote_setBuilderList([(f"{PLATFORM}-1", "x")]).values()
    arguments = {"job": encode(make_job()).decode(), "phase": "source"}
    with pytest.raises(pb.Error, match="report"):
        slot.remote_startCommand("somebody", "0", "pybots", arguments)


def order(phase: str = "source", **changes: Any) -> orders.Order:
    data = encode(make_job(**changes)).decode()
    return orders.read("pybots", {"job": data, "phase": phase}, local=True)


def slots(made: bot.Bot) -> list[bot.Slot]:
    return list(made.remote_setBuilderList([(f"{PLATFORM}-1", ""), (f"{PLATFORM}-2", "")]).values())


def test_a_jobs_folder_is_begun_once(made: bot.Bot, shop: FakeWorkshop) -> None:
    slot, _ = slots(made)
    assert made.open(order("interpreter"), slot) == made.open(order("source"), slot)
    assert shop.begun == ["7-3"]


def test_an_old_result_of_the_phase_is_gone_before_it_runs(made: bot.Bot) -> None:
    slot, _ = slots(made)
    folder = made.open(order(), slot)
    folder.phase("source").write_text("{}")
    made.open(order(), slot)
    assert not folder.phase("source").exists()


def test_phases_of_another_job_under_the_same_name_are_refused(made: bot.Bot) -> None:
    slot, other = slots(made)
    made.open(order(), slot)
    with pytest.raises(orders.Refused, match="another"):
        made.open(order(purpose="probe"), slot)
    with pytest.raises(orders.Refused, match="another"):
        made.open(order(), other)


def test_a_job_that_was_never_finished_is_removed_when_the_next_one_comes(
    made: bot.Bot, shop: FakeWorkshop
) -> None:
    slot, other = slots(made)
    made.open(order(), slot)
    made.open(order(attempt=9), other)
    made.open(order(attempt=4), slot)
    assert shop.ended == ["7-3"]


def test_what_jobs_left_is_removed_in_a_quiet_moment(
    made: bot.Bot, shop: FakeWorkshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot.threads, "deferToThread", defer.maybeDeferred)
    slot, _ = slots(made)
    first, second = order(), order(attempt=4)
    slot.open(first)
    slot.close(first.folder)
    made.reactor.advance(bot.QUIET_SECONDS - 1)
    slot.open(second)
    made.reactor.advance(2)
    assert shop.ended == ["7-3"]
    assert shop.emptied == 0, "another job has begun"
    slot.close(second.folder)
    made.reactor.advance(bot.QUIET_SECONDS)
    assert shop.emptied == 1
