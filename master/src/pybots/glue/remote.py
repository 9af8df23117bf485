"""The master's end of a phase that runs on a worker. What comes from there is checked before it is believed.

An update is acknowledged only when it has been written: the worker keeps a bounded number of updates on their way,
so a flood of output slows the phase down instead of filling the master's memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from buildbot.process.remotecommand import RemoteCommand
from twisted.internet import defer
from twisted.python.failure import Failure

from pybots.glue.tail import Flood, Tail
from pybots_worker.contract import PhaseResult

COMMAND: Final = "pybots"
MAX_JOB_CHARS: Final = 600_000
"""Perspective broker's bound for one string is 640 KiB."""
MAX_RESULT_CHARS: Final = 256 << 10
BUILDBOT_LOG_CHARS: Final = 256 << 10
"""Buildbot keeps the beginning of each log only; the whole one is ours."""

MAX_QUEUED: Final = 200
"""Our own workers keep at most 32 updates on their way."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Nonsense(Exception):
    """The worker said something that is no part of the protocol."""


class PhaseCommand(RemoteCommand):
    """One phase on a worker. After it: `result` and, for the report phase, the report's digest."""

    def __init__(self, reactor: Any, job: str, phase: str, tail: Tail, stdio: Any) -> None:
        super().__init__(COMMAND, {"job": job, "phase": phase})
        self._reactor, self._phase, self._tail, self._stdio = reactor, phase, tail, stdio
        self._room = BUILDBOT_LOG_CHARS
        self._lock = defer.DeferredLock()
        self._queued = 0
        self.heard = reactor.seconds()
        self.result: PhaseResult | None = None
        self.report = ""
        self.rc = (
            -1
        )  # Buildbot would poll for it, in steps of 0.1 s; our end waits for all updates anyway

    def remote_update(self, updates: Any) -> Any:
        """Called by the worker. The Deferred fires when everything in it is on disk."""
        self.worker.messageReceivedFromWorker()
        self.heard = self._reactor.seconds()
        if not self.active:
            return 0
        self._queued += 1
        return self._lock.run(lambda: defer.ensureDeferred(self._take(updates)))

    async def _take(self, updates: object) -> int:
        self._queued -= 1
        try:
            if self._queued > MAX_QUEUED:
                raise Flood(f"{self._queued} updates that we have not acknowledged")
            for key, value in items(updates):
                await self._item(key, value)
        except (Nonsense, Flood):
            self._finished(Failure())
        return 0

    async def _item(self, key: str, value: object) -> None:
        if key in ("stdout", "stderr") and isinstance(value, str):
            await self._text(key, value)
        elif key == "result" and isinstance(value, str):
            self.result = read_result(value, self._phase)
        elif key == "report" and isinstance(value, str):
            self.report = value if _SHA256.fullmatch(value) else ""
        elif key == "rc" and isinstance(value, int):
            self.rc = value
        elif key != "heartbeat":
            raise Nonsense(f"update {key[:40]!r}")

    async def _text(self, stream: str, text: str) -> None:
        await self._tail.write(text, stderr=stream == "stderr")
        if self._room <= 0:
            return
        shown, self._room = text[: self._room], self._room - len(text)
        add = self._stdio.addStdout if stream == "stdout" else self._stdio.addStderr
        await add(shown)
        if self._room <= 0:
            await self._stdio.addHeader("\nthe rest is in the farm's own log\n")

    async def _drained(self) -> None:
        await self._lock.acquire()
        self._lock.release()

    def remoteComplete(self, failure: Any) -> Any:
        """What came before the end is written first."""
        drained = defer.ensureDeferred(self._drained())
        return drained.addCallback(lambda _: super(PhaseCommand, self).remoteComplete(failure))


def items(updates: object) -> Iterator[tuple[str, object]]:
    """The keys and values of [[{key: value}, number], …]. Raises Nonsense for anything else.

    >>> list(items([[{"stdout": "hello"}, 0]]))
    [('stdout', 'hello')]
    """
    if not isinstance(updates, list):
        raise Nonsense("updates are a list")
    for update in updates:
        if not isinstance(update, (list, tuple)) or not update or not isinstance(update[0], dict):
            raise Nonsense("an update is a table and a number")
        for key, value in update[0].items():
            if not isinstance(key, str):
                raise Nonsense("an update's keys are texts")
            yield key, value


def read_result(text: str, phase: str) -> PhaseResult:
    """A phase's result as the worker sent it. Raises Nonsense."""
    if len(text) > MAX_RESULT_CHARS:
        raise Nonsense(f"a result of {len(text)} characters")
    try:
        result = msgspec.json.decode(text, type=PhaseResult)
    except msgspec.DecodeError as error:
        raise Nonsense(f"not a result: {error}") from error
    if result.phase != phase:
        raise Nonsense(f"a result of phase {result.phase}, not {phase}")
    return result
