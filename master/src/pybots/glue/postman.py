"""Writes the mail that time has made due and delivers the outbox: at start, when something was written, for retries."""

from __future__ import annotations

from typing import Any, Final, Protocol

from pybots.farm import notify, post
from pybots.farm.home import Farm
from pybots.glue import smtp
from pybots.glue.desk import Desk
from pybots.glue.loops import Loop

RETRY_SECONDS: Final = 15.0


class Call(Protocol):
    """Runs a blocking function in a thread (Desk.call)."""

    async def __call__(self, function: Any, /, *args: Any) -> Any: ...


class Postman:
    """How long a letter waits after a failure is decided by farm.notify."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._loop = Loop(desk.reactor, "delivering mail", RETRY_SECONDS, self._deliver)

    def start(self) -> None:
        self._loop.start()

    def wake(self) -> None:
        self._loop.wake()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _deliver(self) -> None:
        await self._desk.call(notify.consider, self._desk.farm)
        while await deliver(self._desk.reactor, self._desk.call, self._desk.farm):
            pass  # there may be more than one batch


async def deliver(reactor: Any, call: Call, farm: Farm) -> int:
    """Deliver every letter that is due, at most a batch of them. Returns how many were taken over."""
    if farm.config.mail.transport == "maildir":
        return int(await call(notify.deliver_to_maildir, farm))
    letters = await call(notify.due, farm, farm.clock())
    if not letters:
        return 0
    route = await call(post.route, farm)
    taken = 0
    for index, letter in enumerate(letters):
        result = await smtp.send(reactor, route, letter)
        taken += await call(post.ended, farm, letter, result)
        if result.unreachable:
            await call(post.delayed, farm, letters[index + 1 :], result.error)
            break
    return taken
