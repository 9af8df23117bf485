"""A year of a farm as it really is: projects, commits, planted breakages, flaky tests, farm faults. Made from a seed alone.

This is the truth that `noise.py` scores against. It knows nothing of verdicts, signatures, breakages or mail: only who
breaks what, when, and on which machines.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log
from random import Random
from typing import Any, Final, Literal

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
YEAR: Final = 365 * DAY
BEGIN: Final = 1_735_689_600.0
"""2025-01-01 00:00 UTC."""
TOLD_WITHIN: Final = 2 * HOUR
"""An interpreter's build, its lanes, and the hour that a letter is held for its control."""
SHARE: Final = 0.85
"""How often a lane takes part when a commit is tested; otherwise it was busy, or the commit was coalesced."""

Column = tuple[str, str]
"""(flavour, platform)."""
COLUMNS: Final[tuple[Column, ...]] = (
    ("release", "linux-x86_64"), ("debug", "linux-x86_64"), ("freethreaded", "linux-x86_64"),
    ("release", "linux-aarch64"), ("release", "macos-arm64"), ("freethreaded", "macos-arm64"),
)  # fmt: skip
MACHINES: Final[Mapping[str, int]] = {"linux-x86_64": 5, "linux-aarch64": 3, "macos-arm64": 3}
SITES: Final = 3
"""Machines share a network, and an owner, in so many places."""

Effect = Literal[
    "fails", "stdlib", "dependency", "collection", "crash", "timeout", "own install",
    "dependency install", "extension", "vanished", "skipped", "nothing", "build",
]  # fmt: skip
Axis = Literal["python", "project", "dependency"]

STORIES: Final[tuple[tuple[str, Axis, Effect, tuple[int, int], int], ...]] = (
    # what it is called, what changes, what that does, in how many projects, how many of it in a year
    ("a commit breaks many projects", "python", "stdlib", (8, 40), 6),
    ("a commit breaks some projects", "python", "fails", (2, 6), 5),
    ("a commit breaks one project", "python", "fails", (1, 1), 5),
    ("on one platform or flavour only", "python", "stdlib", (1, 3), 3),
    ("in a lane that is red already", "python", "fails", (1, 2), 3),
    ("a segmentation fault", "python", "crash", (1, 2), 2),
    ("a test hangs", "python", "timeout", (1, 1), 1),
    ("a syntax error at collection", "python", "collection", (1, 4), 1),
    ("the interpreter does not build", "python", "build", (0, 0), 2),
    ("an extension is silently lost", "python", "extension", (1, 2), 1),
    ("tests vanish", "python", "vanished", (1, 2), 1),
    ("a suite is skipped", "python", "skipped", (1, 2), 1),
    ("no tests run", "project", "nothing", (1, 1), 1),
    ("a dependency does not build", "python", "dependency install", (2, 12), 1),
    ("a dependency fails in its own frames", "python", "dependency", (2, 12), 1),
    ("a dependency's release breaks", "dependency", "dependency", (1, 12), 2),
    ("the project breaks itself", "project", "fails", (1, 1), 3),
    ("the project does not build", "project", "own install", (1, 1), 1),
)  # fmt: skip
HIDING: Final = ("own install", "dependency install", "nothing", "collection")
"""While these last nothing else of the project can be seen; they don't last for ever."""
FAULTS: Final[tuple[tuple[str, int], ...]] = (("lost", 12), ("disk", 9), ("network", 9))


@dataclass(frozen=True, kw_only=True)
class Machine:
    name: str
    platform: str
    site: int


@dataclass(kw_only=True)
class Suite:
    """A project as it is. `tests`: id -> (first revision, first one without it). `standing`: they never passed.

    `revisions`: when each was made; the first is as old as the year."""

    name: str
    columns: tuple[Column, ...]
    tests: dict[str, tuple[int, int]]
    extensions: tuple[str, ...]
    dependencies: tuple[str, ...]
    standing: tuple[str, ...]
    network: bool
    revisions: list[float]
    minutes: float

    @property
    def steady(self) -> list[str]:
        """Tests that are there all year and pass unless something breaks."""
        return [
            name
            for name, (first, end) in self.tests.items()
            if not first and end > len(self.revisions) and name not in self.standing
        ]

    def at(self, revision: int) -> list[str]:
        return [name for name, (first, end) in self.tests.items() if first <= revision < end]


@dataclass(frozen=True, kw_only=True)
class FlakyTest:
    """`rates`: (since, rate), the last one that has begun holds. `columns`: where it is flaky."""

    project: str
    test: str
    columns: frozenset[Column]
    rates: tuple[tuple[float, float], ...]

    def rate(self, at: float) -> float:
        return next((rate for since, rate in reversed(self.rates) if since <= at), 0.0)


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A breakage that was planted. `spans`: [begin, end) in commit positions, revisions or versions, as its axis says.

    `targets`: project -> ids of tests, or an extension; () for what hits a project as a whole."""

    number: int
    story: str
    axis: Axis
    effect: Effect
    spans: tuple[tuple[int, float], ...]
    columns: frozenset[Column]
    targets: Mapping[str, tuple[str, ...]]
    dependency: str = ""

    def active(self, at: int) -> bool:
        return any(begin <= at < end for begin, end in self.spans)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The farm's own: `lost` machines are gone; a full `disk` and no `network` show in what runs there."""

    number: int
    kind: str
    machines: frozenset[str]
    begin: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A commit that is tested: when it came, and its position."""

    at: float
    position: int


@dataclass(kw_only=True)
class Year:
    """All of it. `versions`: dependency -> when each version came out."""

    seed: int
    suites: dict[str, Suite]
    machines: list[Machine]
    commits: list[Tested]
    versions: dict[str, list[float]]
    flaky: dict[tuple[str, Column], list[FlakyTest]]
    plants: list[Plant]
    faults: list[Fault]
    of_project: dict[str, list[Plant]] = field(default_factory=dict)

    def version(self, dependency: str, at: float) -> int:
        return bisect_right(self.versions[dependency], at) - 1

    def fault(self, machine: str, at: float) -> Fault | None:
        """What is wrong with a machine that is there."""
        return next(
            (
                one
                for one in self.faults
                if one.kind != "lost" and machine in one.machines and one.begin <= at < one.end
            ),
            None,
        )


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
    for number, story in enumerate(_spread(chance, STORIES, plants)):
        year.plants.append(_Planter(chance, year, number, story).plant())
    for plant in year.plants:
        for name in plant.targets:
            year.of_project.setdefault(name, []).append(plant)
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


class _Planter:
    """Makes one plant: where it hits, when it begins, whether and when it is mended, whether it comes back."""

    def __init__(
        self,
        chance: Random,
        year: Year,
        number: int,
        story: tuple[str, Axis, Effect, tuple[int, int], int],
    ) -> None:
        self.chance, self.year, self.number = chance, year, number
        self.story, self.axis, self.effect, self.sizes, _ = story

    def plant(self) -> Plant:
        suites, dependency = self._victims()
        columns = frozenset(COLUMNS)
        if self.story.startswith("on one") or self.effect == "build":
            own = sorted({column for suite in suites for column in suite.columns} or COLUMNS)
            columns = frozenset(self.chance.sample(own, 1))
            suites = [suite for suite in suites if columns & set(suite.columns)]
        return Plant(
            number=self.number, story=self.story, axis=self.axis, effect=self.effect,
            spans=self._spans(suites, dependency), columns=columns, dependency=dependency,
            targets={suite.name: self._targets(suite) for suite in suites},
        )  # fmt: skip

    def _victims(self) -> tuple[list[Suite], str]:
        every = list(self.year.suites.values())
        if self.story.endswith("red already"):
            every = [suite for suite in every if suite.standing] or every
        if self.effect == "extension":
            every = [suite for suite in every if suite.extensions] or every
        low, high = self.sizes
        if "dependency" in self.effect:
            users = {
                name: [suite for suite in every if name in suite.dependencies]
                for name in self.year.versions
            }
            fitting = [n for n, found in users.items() if len(found) >= low]
            if self.axis == "dependency":
                fitting = [n for n in fitting if self._versions(n)] or fitting
            name = self.chance.choice(fitting or [n for n, found in users.items() if found])
            return users[name][:high], name
        size = min(self.chance.randint(low, high), len(every))
        return self.chance.sample(every, size), ""

    def _targets(self, suite: Suite) -> tuple[str, ...]:
        """Tests that no other plant has: what is broken already can't be broken."""
        taken = {test for one in self.year.plants for test in one.targets.get(suite.name, ())}
        steady = [test for test in suite.steady if test not in taken] or suite.steady
        if self.effect == "extension":
            return (self.chance.choice(suite.extensions or ("none",)),)
        if self.effect in ("collection", "vanished", "skipped"):
            module = self.chance.choice(steady).partition("::")[0]
            whole = suite.tests if self.effect == "skipped" else steady  # those that fail as well
            return tuple(name for name in whole if name.startswith(f"{module}::"))
        if self.effect in ("crash", "timeout"):
            return (self.chance.choice(steady),)
        if self.effect in ("fails", "stdlib", "dependency"):
            return tuple(
                self.chance.sample(steady, min(len(steady), self.chance.choice((1, 1, 2, 4, 9))))
            )
        return ()

    def _versions(self, dependency: str) -> list[int]:
        return self._middle(self.year.versions[dependency])

    def _middle(self, times: Sequence[float]) -> list[int]:
        """Indexes of changes that are neither too early to have a good run before nor too late to be seen."""
        return [
            n
            for n, at in enumerate(times)
            if BEGIN + 0.06 * YEAR < at < BEGIN + 0.93 * YEAR
            and (n + 1 == len(times) or times[n + 1] - at > 5 * DAY)
        ]

    def _spans(self, suites: Sequence[Suite], dependency: str) -> tuple[tuple[int, float], ...]:
        """One span, or two when it comes back; the last one may have no end."""
        if self.axis == "python":
            return self._of_python()
        times = self.year.versions[dependency] if dependency else suites[0].revisions
        begin = self.chance.choice(self._middle(times) or [max(1, len(times) // 2)])
        if self.chance.random() < 0.3 and self.effect not in HIDING:
            return ((begin, float("inf")),)
        return ((begin, float(begin + self.chance.choice((1, 1, 2)))),)

    def _of_python(self) -> tuple[tuple[int, float], ...]:
        commits = self.year.commits
        spans: list[tuple[int, float]] = []
        first = self.chance.randint(round(0.06 * len(commits)) + 1, round(0.9 * len(commits)))
        while True:
            begin = self.chance.randint(commits[first - 1].position + 1, commits[first].position)
            last = first + 2 + round(self.chance.expovariate(1 / 15))
            if self.effect == "build":  # what is mended before a letter is due is told to nobody
                last = first + self.chance.randint(1, 3)
                while last < len(commits) and commits[last].at - commits[first].at < TOLD_WITHIN:
                    last += 1
            lasting = self.effect != "build" and self.chance.random() < 0.2
            if last >= len(commits) or (lasting and self.effect not in HIDING):
                return (*spans, (begin, float("inf")))
            spans.append((begin, float(self._position(last))))
            first = last + self.chance.randint(3, 30)
            if len(spans) > 1 or first >= len(commits) or self.chance.random() > 0.25:
                return tuple(spans)

    def _position(self, index: int) -> int:
        commits = self.year.commits
        return self.chance.randint(commits[index - 1].position + 1, commits[index].position)


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
