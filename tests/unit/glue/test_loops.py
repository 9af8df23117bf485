"""Loops run when woken, never twice at a time, and survive what goes wrong in them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import defer
from twisted.internet.task import Clock

from pybots.glue.loops import Loop


class Work:
    """Counts its runs; each lasts until it is let go, when `slow`."""

    def __init__(self, *, slow: bool = False, error: Exception | None = None) -> None:
        self.runs = 0
        self.slow, self.error = slow, error
        self.under_way: Any = None

    async def __call__(self) -> None:
        self.runs += 1
        if self.error:
            raise self.error
        if self.slow:
            self.under_way = defer.Deferred()
            await self.under_way

    def let_go(self) -> None:
        self.under_way.callback(None)


def make(work: Work, seconds: float = 60.0) -> tuple[Loop, Clock]:
    clock = Clock()
    return Loop(clock, "the work", seconds, work), clock


def test_it_runs_at_the_start_and_again_after_its_time() -> None:
    work = Work()
    loop, clock = make(work)
    loop.start()
    clock.advance(59)
    assert work.runs == 1
    clock.advance(1)
    assert work.runs == 2


def test_a_wake_up_runs_it_at_once() -> None:
    work = Work()
    loop, _ = make(work)
    loop.start()
    loop.wake()
    assert work.runs == 2


def test_wake_ups_during_a_run_mean_one_more_run() -> None:
    work = Work(slow=True)
    loop, clock = make(work)
    loop.start()
    loop.wake()
    loop.wake()
    assert work.runs == 1
    work.let_go()
    clock.advance(0)
    assert work.runs == 2
    work.let_go()
    clock.advance(0)
    assert work.runs == 2


def test_before_the_start_and_after_the_end_nothing_wakes_it() -> None:
    work = Work()
    loop, clock = make(work)
    loop.wake()
    loop.start()
    defer.ensureDeferred(loop.stop())
    loop.wake()
    clock.advance(1000)
    assert work.runs == 1
    assert clock.getDelayedCalls() == []


def test_the_end_waits_for_the_run_under_way() -> None:
    work = Work(slow=True)
    loop, clock = make(work)
    loop.start()
    stopped = defer.ensureDeferred(loop.stop())
    assert not stopped.called
    work.let_go()
    assert stopped.called
    assert clock.getDelayedCalls() == []


def test_a_failure_is_told_and_ends_nothing() -> None:
    told: list[str] = []
    work = Work(error=RuntimeError("the disk is on fire"))
    clock = Clock()
    loop = Loop(clock, "the work", 60, work, told.append)
    loop.start()
    clock.advance(60)
    assert work.runs == 2
    assert told == ["the work: the disk is on fire"] * 2


@pytest.mark.parametrize("slow", [True, False])
def test_it_may_be_woken_from_inside(slow: bool) -> None:
    work = Work(slow=slow)
    loop, clock = make(work)
    loop.start()
    loop.wake()
    if slow:
        work.let_go()
    clock.advance(0)
    assert work.runs == 2
