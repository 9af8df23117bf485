"""From a runner's events to the one outcome model.

The events were written by strangers' code: everything is checked, nothing is believed beyond its own test.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal

import msgspec
from msgspec import Struct

from pybots_worker.contract import BAD_OUTCOMES, Failure, Outcome, TestOutcome
from pybots_worker.inside.pybots_ids import Numbered, stable
from pybots_worker.runners import text
from pybots_worker.sandbox import Outcome as Ending

MAX_TESTS: Final = 500_000
MAX_LINE: Final = 4 << 20
MAX_LINES: Final = 4 * MAX_TESTS
"""Of the events; a suite that writes into our file must not keep the kit busy, or fill its memory."""
MAX_SECONDS: Final = 10_000_000.0
TIMED_OUT: Final = frozenset({"wall_timeout", "cpu_timeout"})
RETRIED: Final = BAD_OUTCOMES - {"not_run", "xpassed"}
"""Outcomes that a second try may change."""


class _Event(Struct, frozen=True):
    """One line; unknown keys are ignored, so that a plugin may be newer than the kit."""

    e: Literal["collected", "start", "end"]
    id: str = ""
    ids: tuple[str, ...] = ()
    pid: int = 0
    outcome: Outcome = "error"
    seconds: float = 0.0
    type: str = ""
    message: str = ""
    detail: str = ""
    reason: str = ""
    once: bool = False


_decoder: Final = msgspec.json.Decoder(_Event)


@dataclass
class Results:
    """The tests of one run of a runner, by stable id, in the order they were told of."""

    tests: dict[str, TestOutcome] = field(default_factory=dict)
    refused: int = 0
    """Lines that were not events: a test wrote into our file, or the machine died while writing."""

    @property
    def to_retry(self) -> tuple[str, ...]:
        """Ids of the tests that failed in a way a retry may change, in order."""
        return tuple(name for name, test in self.tests.items() if test.outcome in RETRIED)


def read_events(data: bytes, ending: Ending, only: Iterable[str] = ()) -> Results:
    """The results told in `data`; how the run ended says what became of the test that was running.

    `only` are the ids the run was restricted to, if it was.
    """
    reader = _Reader(only)
    lines = io.BytesIO(data)
    for raw in islice(lines, MAX_LINES):
        reader.take(raw)
    if lines.read(1):
        reader.results.refused += 1
    return reader.finish(ending)


class _Reader:
    """Follows the events, process by process: two tests of one name in two processes are two tests."""

    def __init__(self, only: Iterable[str] = ()) -> None:
        self.only = tuple(only)
        self.results = Results()
        self.number = Numbered(self.only)
        self.running: dict[tuple[int, str], str] = {}
        self.plans: dict[int, list[str]] = {}

    def take(self, raw: bytes) -> None:
        try:
            event = _decoder.decode(raw) if len(raw) <= MAX_LINE else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            event = None
        match event:
            case None:
                self.results.refused += 1
            case _Event(e="collected"):
                self._plan(event)
            case _Event(e="start"):
                self._start(event)
            case _Event(e="end"):
                self._end(event)

    def _plan(self, event: _Event) -> None:
        plan = self.plans.setdefault(event.pid, [])
        if len(plan) <= MAX_TESTS:
            plan += [stable(name) for name in event.ids]

    def _start(self, event: _Event) -> str:
        name = self.number(stable(event.id))
        self.running[event.pid, event.id] = name
        return name

    def _end(self, event: _Event) -> None:
        if event.once and stable(event.id) in self.results.tests:
            return
        name = self.running.pop((event.pid, event.id), None)
        if name is None:
            name = self._of_another(event) or self.number(stable(event.id))
        self._put(name, event.outcome, _failure(event), event.reason, event.seconds)

    def _of_another(self, event: _Event) -> str | None:
        """xdist's controller tells of a crash in a worker: end the test where it was begun."""
        for pid, started in list(self.running):
            if started == event.id:
                return self.running.pop((pid, started))
        return None

    def _put(
        self, name: str, outcome: Outcome, failure: Failure | None, reason: str, seconds: float
    ) -> None:
        if len(self.results.tests) < MAX_TESTS:
            self.results.tests[name] = TestOutcome(
                id=name,
                outcome=outcome,
                seconds=min(max(seconds, 0.0), MAX_SECONDS),
                failure=failure,
                reason=text.line(reason),
            )

    def finish(self, ending: Ending) -> Results:
        outcome = interrupted(ending)
        for name in self.running.values():
            self._put(name, outcome, cut_short(ending), "", 0.0)
        for name in self._never_started():
            self._put(name, "not_run", None, f"the run ended before it: {ending.detail}", 0.0)
        return self.results

    def _never_started(self) -> list[str]:
        """Planned names without an outcome. Each xdist worker plans them all, so a name is planned as often as
        the one that planned it most often."""
        names: dict[str, None] = {}
        for plan in self.plans.values():
            names.update(dict.fromkeys(map(Numbered(self.only), plan)))
        return [name for name in names if name not in self.results.tests]


def _failure(event: _Event) -> Failure | None:
    if not (event.type or event.message or event.detail):
        return None
    return text.failure(event.type, event.message, event.detail)


def interrupted(ending: Ending) -> Outcome:
    """What a test came to that was running when everything ended."""
    if ending.ended in TIMED_OUT:
        return "timed_out"
    return "not_run" if ending.ended == "cancelled" else "crashed"


ENDINGS: Final[Mapping[str, str]] = {
    "signal": "Signal", "exit": "Exit", "memory": "MemoryLimit", "wall_timeout": "Timeout",
    "cpu_timeout": "Timeout", "processes": "TooManyProcesses", "disk": "TooMuchDisk", "log": "TooMuchOutput",
}  # fmt: skip


def cut_short(ending: Ending) -> Failure:
    """Why, in the sandbox's words. A process that exits in the middle of a test crashed as well."""
    kind = ENDINGS.get(ending.ended, ending.ended)
    return text.failure(kind, f"while this test was running: {ending.detail}")


def with_retries(
    first: Mapping[str, TestOutcome], retries: Iterable[tuple[tuple[str, ...], Results]]
) -> tuple[TestOutcome, ...]:
    """The first run's outcomes, with what each retry (the ids asked for, what came) said of them."""
    merged = dict(first)
    for asked, results in retries:
        for name in asked:
            again = results.tests.get(name)
            outcome: Outcome = again.outcome if again else "not_run"
            before = merged[name]
            merged[name] = msgspec.structs.replace(before, retried=(*before.retried, outcome))
    return tuple(merged.values())
