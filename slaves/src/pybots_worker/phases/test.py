"""Running the project's tests, and those that failed again: alone, and then in order.

A test that passes alone may fail after others only, and one that fails alone may need others before it. So the word that
counts is the last one: what came of the test among its predecessors, for those that passed alone twice if need be.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from pybots_worker import layout, sandbox, services
from pybots_worker.contract import PREFIX, OwnSource, ProjectWork, Test, TestOutcome
from pybots_worker.errors import FarmTrouble, failed
from pybots_worker.phases.context import Context, kit_mount
from pybots_worker.phases.install import environment
from pybots_worker.phases.interpreter import interpreter
from pybots_worker.runners import junit, order, plans, text
from pybots_worker.runners.results import (
    Results,
    cut_short,
    interrupted,
    read_events,
    with_retries,
)
from pybots_worker.sandbox import Mount
from pybots_worker.take import NotTakenError, take

Asked = order.Asked
MAX_EVENTS: Final = 1 << 30
MAX_RETRIED: Final = 500
"""More failures than these are no flakes: running them all again would tell nothing new."""
LEAST_RETRY_SECONDS: Final = 60.0
RETRY_SHARE: Final = 2.0
"""A retry may last so many times as long as all tests did: what hangs when it is alone must not hang for the whole time."""


def test(context: Context) -> None:
    """The tests' outcomes, and the runner's exit status as the phase's. The first run is what counts."""
    work = _work(context)
    serve(context, work)
    with installed(context, work) as python:
        runs = Runs(context, python)
        first, ending = runs.run(work.test.only)
        if first.refused:
            context.say(f"{first.refused} lines of the results file were not understood")
        tried = ending.ended in ("exit", "signal")
        retries = runs.retry(first, ending.wall_seconds) if tried else []
        context.found.tests = with_retries(first.tests, retries)
    context.spent.last = ending
    if ending.ended != "exit" or ending.exit_code != 0:
        raise context.failure(plans.plan(work.test).argv, ending)
    if runs.trouble:
        raise failed("BadResults", runs.trouble)


def serve(context: Context, work: ProjectWork) -> None:
    """Make the servers that the tests need. One that does not start is the machine's trouble, with its log."""
    if not work.services:
        return
    argv = services.preparing(work.services)
    ending = context.run(*argv, mounts=(kit_mount(),))
    if ending.ended == "exit" and ending.exit_code:
        raise FarmTrouble("Service", context.tail() or ending.detail)
    if ending.ended != "exit":
        raise context.failure(argv, ending)


@contextmanager
def installed(context: Context, work: ProjectWork) -> Iterator[Mount]:
    """The interpreter as the tests find it: read-only. CPython's own suite gets a copy that it may write to.

    It removes files beside the standard library's that are not there, and takes a read-only file system's answer to
    that (EROFS for ENOENT) for an error: test_runpy failed nowhere but here.
    """
    with interpreter(context) as prefix:
        if not isinstance(work.source, OwnSource):
            yield Mount(source=prefix, target=PREFIX)
            return
        copy = context.folder.prefix
        try:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(prefix, copy, symlinks=True)
            sandbox.own(copy)
        except OSError as error:
            said = f"the interpreter could not be copied: {str(error)[:300]}"
            raise FarmTrouble("WorkerDisk", said) from error
        # As a cache, for only what the suite adds is its own.
        yield Mount(source=copy, target=PREFIX, writable=True, cache=True)


class Runs:
    """The runs of one phase: the whole suite, then the retries."""

    def __init__(self, context: Context, python: Mount) -> None:
        self.context = context
        self.work = _work(context)
        self.python = python
        self.count = 0
        self.trouble = ""
        self.tells = plans.plan(self.work.test).tells
        """Why the results file could not be used."""

    def run(self, only: tuple[str, ...], most: float = math.inf) -> tuple[Results, sandbox.Outcome]:
        """One run, restricted to the ids `only` unless that is empty, of `most` seconds."""
        self.count += 1
        plan = plans.plan(self.work.test)
        self._forget()
        events = f"{layout.RESULTS}/events-{self.count}.jsonl"
        env = {**services.environment(self.work.services), **environment(self.work), **plan.env}
        env["PYBOTS_EVENTS"] = events
        if only:
            env["PYBOTS_ONLY"] = self.context.give(f"only-{self.count}.json", json.dumps(only))
        for name, mark in (("PYTHONPATH", ":"), ("PYTEST_ADDOPTS", " ")):
            if name in plan.env and self.work.env.get(name):
                env[name] = f"{plan.env[name]}{mark}{self.work.env[name]}"
        online = self.work.network == "always"
        reach = self.context.machine.reach
        ending = self.context.run(
            *services.around(self.work.services, plan.argv),
            cwd=_directory(self.work.test),
            env={**env, **(reach.env if online else {})},
            mounts=(
                self.python,
                kit_mount(),
                *(reach.mounts if online else ()),
            ),
            path=(f"{layout.VENV}/bin",),
            network=online,
            seconds=most,
        )
        if self.tells:
            results = self._told(events, ending, only)
            if results.tests or not plan.perhaps or only:
                return results, ending
            self.tells = False
        return self._decided(ending), ending

    def _forget(self) -> None:
        """Remove an older results file, of the source's or of the run before: it would answer for a run that writes
        none. In the sandbox, for the path may lead anywhere."""
        if not plans.plan(self.work.test).tells and self.work.test.results:
            path = f"{layout.SOURCE}/{self.work.test.directory}/{self.work.test.results}"
            self.context.run("rm", "-rf", "--", path)

    def retry(self, first: Results, took: float) -> list[Asked]:
        """The failed ones again, alone as often as the project wants and then in order, while time is left.

        `took`: seconds of the first run. A command knows no single tests: all of it is run once more."""
        found: list[Asked] = []
        asked = first.to_retry
        tells = self.tells
        most = max(LEAST_RETRY_SECONDS, RETRY_SHARE * took)
        for _ in range(self.work.test.retries if tells else min(self.work.test.retries, 1)):
            if not asked or len(asked) > MAX_RETRIED or self._left() < 5:
                break
            self.context.say(f"trying {len(asked)} failed tests again")
            results, _ending = self.run(asked, most)
            found.append((asked, results))
            asked = order.again(asked, results)
        if found and tells:
            found += self.in_order(first, found, most)
        return found

    def in_order(self, first: Results, alone: Sequence[Asked], most: float) -> list[Asked]:
        """What failed, among the tests before it; again those that passed alone and not here: chance, or the order?"""
        passed, hung = order.passed(alone), order.hung(alone)
        there = {name: test for name, test in first.tests.items() if name not in hung}
        failed, _results = alone[0]
        again = tuple(
            name for name in failed if name in there and there[name].outcome in order.EXPLAINED
        )
        found: list[Asked] = []
        for _ in range(2):
            only = order.predecessors(there, again, passed, min(self._left(), most))
            if not only:
                break
            self.context.say(f"trying {len(again)} failed tests again, in order")
            results, _ending = self.run(only, most)
            found.append((again, results))
            again = tuple(name for name in results.to_retry if name in again and name in passed)
        return found

    def _left(self) -> float:
        """Seconds of the phase."""
        return self.context.limits.wall_seconds - self.context.spent.wall

    def _told(self, events: str, ending: sandbox.Outcome, only: tuple[str, ...]) -> Results:
        try:
            data = take(self.context.folder.work, self.context.folder.outside(events), MAX_EVENTS)
        except FileNotFoundError:
            data = b""
        except NotTakenError as error:
            self.trouble, data = str(error), b""
        return read_events(data, ending, only)

    def _decided(self, ending: sandbox.Outcome) -> Results:
        """A command: its results file, else its exit status as one test."""
        if self.work.test.results:
            return self._junit(ending)
        name = plans.command_id(self.work.test)
        if ending.ended == "exit":
            outcome = TestOutcome(
                id=name[:500],
                outcome="failed" if ending.exit_code else "passed",
                seconds=ending.wall_seconds,
                failure=text.failure("Exit", ending.detail, self.context.tail())
                if ending.exit_code
                else None,
            )
        else:
            outcome = TestOutcome(
                id=name[:500], outcome=interrupted(ending), failure=cut_short(ending)
            )
        return Results(tests={outcome.id: outcome})

    def _junit(self, ending: sandbox.Outcome) -> Results:
        path = self.context.folder.outside(layout.SOURCE) / self.work.test.directory
        try:
            data = take(self.context.folder.work, path / self.work.test.results, junit.MAX_BYTES)
            return Results(tests=junit.parse(data))
        except FileNotFoundError:
            self.trouble = f"{self.work.test.results} was not written"
        except (NotTakenError, junit.JUnitError) as error:
            self.trouble = f"{self.work.test.results}: {error}"
        self.context.say(self.trouble)
        return Results()


def _directory(test: Test) -> str:
    return layout.SOURCE if test.directory in ("", ".") else f"{layout.SOURCE}/{test.directory}"


def _work(context: Context) -> ProjectWork:
    assert isinstance(context.job.work, ProjectWork)
    return context.job.work
