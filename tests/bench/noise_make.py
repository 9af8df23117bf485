"""Make a year (`noise_year`) from a seed alone: its commits, projects, flaky tests and farm faults; `noise_planting` plants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import exp, log
from random import Random
from typing import Any, Final

import noise_planting as planting
from noise_year import (
    BEGIN,
    COLUMNS,
    DAY,
    HOUR,
    MACHINES,
    SHARE,
    SITES,
    YEAR,
    Column,
    Fault,
    FlakyTest,
    Machine,
    Suite,
    Tested,
    Year,
)  # fmt: skip

FAULTS: Final[tuple[tuple[str, int], ...]] = (("lost", 12), ("disk", 9), ("network", 9))


def make(seed: int, *, runs: int, lanes: int, plants: int, faults: int) -> Year:
    """The year of a farm with so many lanes and about so many runs of them."""
    chance = Random(f"noise/{seed}")
    commits = _commits(chance, max(20, round(runs / lanes / SHARE)))
    versions = {name: _times(chance, 50 * DAY) for name in _names("dep", 14)}
    suites = _suites(chance, lanes, versions)
    year = Year(
        seed=seed, suites=suites, machines=_machines(), commits=commits, versions=versions,
        flaky=_flaky(chance, suites.values()), plants=[], faults=[],
    )  # fmt: skip
    planting.plant(year, chance, _spread(chance, planting.STORIES, plants))
    kinds = _spread(chance, FAULTS, faults)
    year.faults = [_fault(chance, year, number, one[0]) for number, one in enumerate(kinds)]
    return year


def _spread(chance: Random, kinds: Sequence[Any], number: int) -> list[Any]:
    """So many of them, in the proportions that a table's last column gives."""
    every = [one for one in kinds for _ in range(one[-1])]
    whole, rest = divmod(number, len(every))
    return every * whole + chance.sample(every, rest)


def _names(stem: str, number: int) -> list[str]:
    """`stem-aa`, `stem-ab` …: digits would make names that differ too little."""
    return [f"{stem}-{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(number)]


def _times(chance: Random, gap: float) -> list[float]:
    found = [BEGIN - DAY]
    while found[-1] < BEGIN + YEAR:
        found.append(found[-1] + chance.expovariate(1 / gap))
    return found[:-1]


def _machines() -> list[Machine]:
    names = [
        (f"{platform.replace('_', '-')}-{n}", platform)
        for platform, number in MACHINES.items()
        for n in range(number)
    ]
    return [Machine(name=n, platform=p, site=i % SITES) for i, (n, p) in enumerate(names)]


def _commits(chance: Random, number: int) -> list[Tested]:
    """Commits that are tested, hours or days apart, with others between them."""
    times = sorted(chance.uniform(0.002, 0.99) for _ in range(number))
    found, position = [], 100
    for at in times:
        position += chance.randint(3, 40)
        found.append(Tested(at=BEGIN + at * YEAR, position=position))
    return found


def _suites(
    chance: Random, lanes: int, versions: Mapping[str, Sequence[float]]
) -> dict[str, Suite]:
    """Projects with their columns: three or four lanes each, `lanes` in all."""
    names = _names("project", max(3, round(lanes * 0.3)))
    columns = {name: {chance.choice(COLUMNS[:2])} for name in names}
    while sum(map(len, columns.values())) < lanes:
        columns[chance.choice(names)].add(chance.choice(COLUMNS))
    return {name: _suite(chance, name, columns[name], list(versions)) for name in names}


def _suite(chance: Random, name: str, columns: set[Column], dependencies: list[str]) -> Suite:
    revisions = _times(chance, chance.choice((6, 20, 45)) * DAY)
    tests: dict[str, tuple[int, int]] = {}
    for module in _names("m", chance.randint(3, 7)):
        for test in _names("t", chance.randint(3, 7)):
            tests[_id(module, test)] = (0, len(revisions) + 1)
    for number in range(1, len(revisions)):  # every revision may bring tests and take some
        if chance.random() < 0.4:
            tests[_id("m-new", f"{_names('t', 700)[number]}")] = (number, len(revisions) + 1)
        if chance.random() < 0.1:
            tests[_id("m-old", f"{_names('t', 700)[number]}")] = (0, number)
    steady = [test for test, (first, end) in tests.items() if not first and end > len(revisions)]
    return Suite(
        name=name,
        columns=tuple(sorted(columns)),
        tests=tests,
        extensions=tuple(
            f"{_word(name)}._{_word(e)}" for e in _names("e", chance.choice((0, 0, 1, 3)))
        ),
        dependencies=tuple(chance.sample(dependencies, chance.randint(0, 5))),
        standing=tuple(chance.sample(steady, chance.randint(1, 3)))
        if chance.random() < 0.15
        else (),
        network=chance.random() < 0.08,
        revisions=revisions,
        minutes=chance.uniform(2, 12),
    )


def _word(name: str) -> str:
    return name.replace("-", "_")


def _id(module: str, test: str) -> str:
    return f"tests/test_{_word(module)}.py::test_{_word(module)}_{_word(test)}"


def _flaky(chance: Random, suites: Iterable[Suite]) -> dict[tuple[str, Column], list[FlakyTest]]:
    """About two in a project: rates from 0.1 to 30 %, evenly on a logarithmic scale; some are born, rise or calm down."""
    found: dict[tuple[str, Column], list[FlakyTest]] = {}
    for suite in suites:
        for test in chance.sample(suite.steady, chance.choice((0, 1, 2, 2, 3, 4))):
            columns = frozenset(suite.columns)
            if chance.random() < 0.3:
                columns = frozenset(chance.sample(suite.columns, 1))
            one = FlakyTest(project=suite.name, test=test, columns=columns, rates=_rates(chance))
            for column in columns:
                found.setdefault((suite.name, column), []).append(one)
    return found


def _rates(chance: Random) -> tuple[tuple[float, float], ...]:
    rate = exp(chance.uniform(log(0.001), log(0.3)))
    when = BEGIN + chance.uniform(0.1, 0.9) * YEAR
    fate = chance.random()
    if fate < 0.15:
        return ((when, rate),)
    if fate < 0.25:
        return ((BEGIN, rate), (when, min(0.3, 5 * rate)))
    if fate < 0.35:
        return ((BEGIN, rate), (when, 0.0))
    return ((BEGIN, rate),)


def _fault(chance: Random, year: Year, number: int, kind: str) -> Fault:
    """Most of them while the farm is at work. Some hit one machine, some a site, some the whole farm."""
    at = chance.choice(year.commits).at + chance.uniform(-0.3, 1.5) * HOUR
    machine = chance.choice(year.machines)
    hit = {machine.name}
    if kind != "disk" and chance.random() < 0.5:
        hit = {one.name for one in year.machines if one.site == machine.site}
        if kind == "network" and chance.random() < 0.4:
            hit = {one.name for one in year.machines}
    length = exp(chance.uniform(log(0.25), log(12))) * HOUR
    return Fault(number=number, kind=kind, machines=frozenset(hit), begin=at, end=at + length)
