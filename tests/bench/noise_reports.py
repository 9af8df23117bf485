"""What a worker reports in the year of `noise_year`, in the worker's contract, and what really made each thing bad in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import msgspec
from noise_year import Column, Fault, Machine, Plant, Suite, Year

from pybots.core.outcomes import INSTALL, TESTS, extension
from pybots_worker.contract import (
    Artifact,
    Environment,
    Failure,
    Locked,
    PhaseResult,
    Report,
    Test,
    TestOutcome,
)

Cause = tuple[str, Any]
"""("plant", number), ("fault", number), ("flaky", (project, test)) or ("standing", project)."""
BUILD: Final = "<build>"
RETRIES: Final = Test(runner="pytest").retries
LIB: Final = "/opt/pybots/python/lib/python3.15"
SITE: Final = "/pybots/venv/lib/python3.15/site-packages"
KINDS: Final = (
    "TypeError",
    "AttributeError",
    "ValueError",
    "ImportError",
    "RuntimeError",
    "KeyError",
)
LIBRARY: Final = ("typing", "inspect", "ast", "asyncio/tasks", "collections/abc", "dataclasses")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One attempt: what runs where and when. `versions`: the lock, dependency -> its version's number."""

    run: int
    attempt: int
    suite: Suite
    column: Column
    position: int
    revision: int
    versions: Mapping[str, int]
    machine: Machine
    at: float
    only: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Told:
    """A report, and the truth about it: id -> cause of everything that is bad. `flakes`: tests that failed by chance."""

    report: Report
    causes: dict[str, Cause] = field(default_factory=dict)
    flakes: int = 0


def environment(machine: Machine) -> Environment:
    return Environment(worker=machine.name, platform=machine.platform, abi=abi(machine.platform))


def abi(platform: str) -> str:
    return f"any-1-{platform.partition('-')[2]}"


def locked(versions: Mapping[str, int]) -> tuple[Locked, ...]:
    return tuple(Locked(name=name, version=f"1.{number}") for name, number in versions.items())


def build(
    year: Year, *, run: int, attempt: int, column: Column, position: int, machine: Machine,
    at: float, artifact: Artifact,
) -> Told:  # fmt: skip
    """An interpreter's build."""
    names = ["source", "configure", "compile", "install", "publish"]
    causes: dict[str, Cause] = {}
    phases = [_phase(name) for name in names]
    broken = next(
        (
            one
            for one in year.plants
            if one.effect == "build" and column in one.columns and one.active(position)
        ),
        None,
    )
    fault = year.fault(machine.name, at)
    if fault:
        causes[BUILD] = ("fault", fault.number)
        phases = [_phase("source", said=Failure(message=_farms_words(fault)), ended="farm_error")]
    elif broken:
        causes[BUILD] = ("plant", broken.number)
        said = f"Modules/_{_word(broken)}.c:31:5: error: unknown type name 'Py_{_word(broken)}_t'"
        failure = Failure(type="CommandFailed", message="make: exit status 2", detail=said)
        phases = [*phases[:2], _phase("compile", said=failure)]
    made = Report(
        contract=1, run=run, attempt=attempt, kind="interpreter", started=at, finished=at + 60,
        environment=environment(machine), phases=tuple(phases), python="3.15.0a1+",
        artifact=None if causes else artifact,
    )  # fmt: skip
    return Told(report=made, causes=causes)


def project(year: Year, asked: Asked, chance: Random) -> Told:
    """A project's run."""
    return _Sheet(year, asked, chance).told()


class _Sheet:
    def __init__(self, year: Year, asked: Asked, chance: Random) -> None:
        self.year, self.asked, self.chance = year, asked, chance
        self.suite = asked.suite
        self.causes: dict[str, Cause] = {}
        self.flakes = 0
        self.plants = [one for one in year.of_project.get(self.suite.name, ()) if self._active(one)]

    def told(self) -> Told:
        fault = self.year.fault(self.asked.machine.name, self.asked.at)
        symptom = self._symptom(fault) if fault else ""
        phases = [_phase("interpreter"), _phase("source"), _phase("install")]
        tests: list[TestOutcome] = []
        modules: list[str] = []
        if fault and symptom in ("early", "install", "source"):
            phases = self._ruined(fault, symptom)
        elif broken := self._first("own install", "dependency install"):
            phases[-1] = self._not_installed(broken)
        else:
            modules = self._modules()
            tests, last = self._tests(fault if symptom == "tests" else None)
            phases.append(last)
        report = Report(
            contract=1, run=self.asked.run, attempt=self.asked.attempt, kind="project",
            started=self.asked.at, finished=self.asked.at + 60,
            environment=environment(self.asked.machine), phases=tuple(phases), tests=tuple(tests),
            modules=tuple(modules), lock=locked(self.asked.versions), python="3.15.0a1+",
        )  # fmt: skip
        return Told(report=report, causes=self.causes, flakes=self.flakes)

    def _active(self, plant: Plant) -> bool:
        if self.asked.column not in plant.columns:
            return False
        if plant.axis == "python":
            return plant.active(self.asked.position)
        if plant.axis == "project":
            return plant.active(self.asked.revision)
        return plant.active(self.asked.versions[plant.dependency])

    def _first(self, *effects: str) -> Plant | None:
        return next((one for one in self.plants if one.effect in effects), None)

    def _symptom(self, fault: Fault) -> str:
        """How a fault shows. Mostly the worker sees it itself; some of it reaches installer or tests."""
        draw = self.chance.random()
        if fault.kind == "disk":  # the interpreter is what needs most room, and comes first
            return "early" if draw < 0.7 else "install" if draw < 0.85 else "tests"
        if self.suite.network:
            return "tests" if draw < 0.7 else "install"
        return (
            "early" if draw < 0.2 else "source" if draw < 0.4 else "install" if draw < 0.8 else ""
        )

    def _ruined(self, fault: Fault, symptom: str) -> list[PhaseResult]:
        self.causes = {INSTALL: ("fault", fault.number)}
        if symptom == "early":
            said = Failure(type="WorkerDisk", message=_farms_words(fault))
            return [_phase("interpreter", said=said, ended="farm_error")]
        if symptom == "source":
            return [
                _phase("interpreter"),
                _phase("source", said=Failure(message="git fetch: Could not resolve host")),
            ]
        detail = (
            "error: Failed to fetch: `https://index.example/simple/setuptools/`\n"
            "  Caused by: error sending request for url (https://index.example/simple/setuptools/)\n"
            "  Caused by: dns error: failed to lookup address information\n"
        )
        if fault.kind == "disk":
            detail = "error: failed to write to file `/pybots/venv/.tmpQx3/RECORD`: No space left on device (os error 28)\n"
        said = Failure(type="CommandFailed", message="uv: exit status 2", detail=detail)
        return [_phase("interpreter"), _phase("source"), _phase("install", said=said)]

    def _not_installed(self, plant: Plant) -> PhaseResult:
        self.causes[INSTALL] = ("plant", plant.number)
        what = f"{self.suite.name} @ file:///pybots/source"
        if plant.dependency:
            what = f"{plant.dependency}==1.{self.asked.versions[plant.dependency]}"
        word = _word(plant)
        detail = (
            f"  × Failed to build `{what}`\n  ├─▶ The build backend returned an error\n"
            f"      src/_{word}.c:88:13: error: implicit declaration of function 'Py{word}_Get'\n"
        )
        said = Failure(type="CommandFailed", message="uv: exit status 1", detail=detail)
        return _phase("install", said=said)

    def _modules(self) -> list[str]:
        lost = {}
        for plant in self.plants:
            if plant.effect == "extension":
                lost[plant.targets[self.suite.name][0]] = plant.number
        for name, number in lost.items():
            self.causes[extension(name)] = ("plant", number)
        return [name for name in self.suite.extensions if name not in lost]

    def _tests(self, fault: Fault | None) -> tuple[list[TestOutcome], PhaseResult]:
        if plant := self._first("nothing"):
            self.causes[TESTS] = ("plant", plant.number)
            return [], _phase("test", ok=False, exit_code=5)
        if plant := self._first("collection"):
            return self._not_collected(plant)
        names = self.suite.at(self.asked.revision)
        if self.asked.only:
            names = [name for name in names if name in self.asked.only]
        found: list[TestOutcome] = []
        for number, name in enumerate(names):
            test = self._test(name, fault)
            if test is None:
                continue
            found.append(test)
            if test.outcome in ("crashed", "timed_out"):
                found += [TestOutcome(id=rest, outcome="not_run") for rest in names[number + 1 :]]
                ended = "signal" if test.outcome == "crashed" else "wall_timeout"
                return found, _phase("test", ok=False, ended=ended)
        failed = any(test.outcome == "failed" for test in found)
        return found, _phase("test", ok=not failed)

    def _not_collected(self, plant: Plant) -> tuple[list[TestOutcome], PhaseResult]:
        module = plant.targets[self.suite.name][0].partition("::")[0]
        self.causes[module] = ("plant", plant.number)
        detail = (
            f"{module}:1: in <module>\n    import {self.suite.name.replace('-', '_')}\n"
            f'E     File "/pybots/source/{self.suite.name}/core.py", line 12\n'
            f"E   SyntaxError: '{_word(plant)}' is a keyword now\n"
        )
        failure = Failure(
            type="CollectError",
            message=f"SyntaxError: '{_word(plant)}' is a keyword now",
            detail=detail,
        )
        test = TestOutcome(
            id=module, outcome="error", failure=failure, retried=("error",) * (RETRIES + 1)
        )
        return [test], _phase("test", ok=False, exit_code=2)

    def _test(self, name: str, fault: Fault | None) -> TestOutcome | None:
        plants = [one for one in self.plants if name in one.targets[self.suite.name]]
        for plant in plants:
            cause = ("plant", plant.number)
            match plant.effect:
                case "vanished":
                    self.causes[name] = cause
                    return None
                case "skipped":
                    self.causes[name] = cause
                    return TestOutcome(id=name, outcome="skipped", reason=f"needs {_word(plant)}")
                case "crash" | "timeout":
                    self.causes[name] = cause
                    return self._ended(name, plant)
        if fault and (failure := self._of_fault(name, fault)):
            self.causes[name] = ("fault", fault.number)
            return _failed(name, failure)
        for plant in plants:
            self.causes[name] = ("plant", plant.number)
            return _failed(name, self._of_plant(name, plant))
        if name in self.suite.standing:
            self.causes[name] = ("standing", self.suite.name)
            return _failed(name, _failure(name, "AssertionError", "assert 'old' == 'new'"))
        return self._by_chance(name)

    def _ended(self, name: str, plant: Plant) -> TestOutcome:
        if plant.effect == "timeout":
            return TestOutcome(
                id=name, outcome="timed_out", failure=Failure(type="Timeout", message="still running after 600 s"),
                retried=("timed_out",) * RETRIES,
            )  # fmt: skip
        detail = (
            "Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f11 (most recent call first):\n"
            f'  File "{LIB}/{_library(plant)}.py", line 210 in _{_word(plant)}\n'
            f'  File "/pybots/source/{name.partition("::")[0]}", line 33 in {name.rpartition("::")[2]}\n'
        )
        failure = Failure(type="Crash", message="killed by signal 11", detail=detail)
        return TestOutcome(
            id=name, outcome="crashed", failure=failure, retried=("crashed",) * RETRIES
        )

    def _of_plant(self, name: str, plant: Plant) -> Failure:
        kind = KINDS[plant.number % len(KINDS)]
        message = f"'{_word(plant)}' object is not what it was"
        word = _word(plant)
        inner = {
            "fails": (f"/pybots/source/{self.suite.name}/{word}.py", f"use_{word}"),
            "stdlib": (f"{LIB}/{_library(plant)}.py", f"_{word}"),
            "dependency": (f"{SITE}/{plant.dependency.replace('-', '_')}/core.py", f"make_{word}"),
        }[plant.effect]
        return _failure(name, kind, message, inner)

    def _of_fault(self, name: str, fault: Fault) -> Failure | None:
        """A full disk fails the tests that write files, a third of them; no network those that use it."""
        third = sum(map(ord, name)) % 3 == 0
        if fault.kind == "disk" and third:
            number = self.chance.randrange(10**6)
            return _failure(
                name,
                "OSError",
                f"[Errno 28] No space left on device: '/tmp/pytest-{number}/out.dat'",
            )
        if fault.kind == "network" and self.suite.network and third:
            inner = (f"{LIB}/socket.py", "getaddrinfo")
            return _failure(
                name, "socket.gaierror", "[Errno -3] Temporary failure in name resolution", inner
            )
        return None

    def _by_chance(self, name: str) -> TestOutcome:
        """A flaky test fails with its rate, and in each retry with the same rate again. Retried as the worker's kit does."""
        rate = self._rate(name)
        if not rate or self.chance.random() >= rate:
            return TestOutcome(id=name, outcome="passed")
        self.flakes += 1
        self.causes[name] = ("flaky", (self.suite.name, name))
        took = f"{self.chance.uniform(1, 9):.4f}"
        address = f"0x{self.chance.randrange(2**44, 2**47):x}"
        failure = _failure(name, "AssertionError", f"<Future at {address}> took {took} seconds")
        words = {True: "failed", False: "passed"}
        retried: list[Any] = []
        while len(retried) < RETRIES and "passed" not in retried:  # alone
            retried.append(words[self.chance.random() < rate])
        alone = "passed" in retried
        retried.append(words[self.chance.random() < rate])  # in order
        if alone and retried[-1] == "failed":
            retried.append(words[self.chance.random() < rate])
        return TestOutcome(id=name, outcome="failed", failure=failure, retried=tuple(retried))

    def _rate(self, name: str) -> float:
        known = self.year.flaky.get((self.suite.name, self.asked.column), ())
        return next((one.rate(self.asked.at) for one in known if one.test == name), 0.0)


def _failed(name: str, failure: Failure) -> TestOutcome:
    return TestOutcome(
        id=name, outcome="failed", failure=failure, retried=("failed",) * (RETRIES + 1)
    )


def _failure(name: str, kind: str, message: str, inner: tuple[str, str] | None = None) -> Failure:
    """A failure with its traceback; `inner`: file and function in which it was raised."""
    module, _, test = name.partition("::")
    lines = [
        "Traceback (most recent call last):",
        f'  File "/pybots/source/{module}", line 41, in {test}',
        "    run()",
    ]
    if inner:
        lines += [f'  File "{inner[0]}", line 117, in {inner[1]}', "    return call(*args)"]
    said = f"{kind}: {message}"
    return Failure(type=kind, message=message, detail="\n".join([*lines, said, ""]))


def _phase(
    name: str,
    *,
    ok: bool = True,
    said: Failure | None = None,
    ended: str = "exit",
    exit_code: int = 1,
) -> PhaseResult:
    good = ok and said is None
    plain = PhaseResult(
        phase=name, ok=good, ended=ended, wall_seconds=20.0, failure=said,  # type: ignore[arg-type]
        exit_code=(0 if good else exit_code) if ended == "exit" else None,
        signal=11 if ended == "signal" else None,
    )  # fmt: skip
    return msgspec.structs.replace(plain)


def _farms_words(fault: Fault) -> str:
    return (
        "No space left on device" if fault.kind == "disk" else "download: the farm can't be reached"
    )


def _word(plant: Plant) -> str:
    """A word of its own for each plant: digits alone would be normalised away."""
    return f"w{chr(97 + plant.number // 26)}{chr(97 + plant.number % 26)}"


def _library(plant: Plant) -> str:
    return LIBRARY[plant.number % len(LIBRARY)]
