"""Plant breakages in a year (`noise_year`): where each hits, when it begins, whether and when it is mended, whether it comes back."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from random import Random
from typing import Final

from noise_year import BEGIN, COLUMNS, DAY, HOUR, YEAR, Axis, Effect, Plant, Suite, Tested, Year

TOLD_WITHIN: Final = 2 * HOUR
"""An interpreter's build, its lanes, and the hour that a letter is held for its control."""
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
SHOWN: Final = 4
"""In so many runs at least, had every lane a part in every commit, a plant must be seen: what no run shows nobody can report."""
TRIES: Final = 200


def plant(
    year: Year, chance: Random, stories: Sequence[tuple[str, Axis, Effect, tuple[int, int], int]]
) -> None:
    """Plant one of each story; whatever others would hide as long as it lasts is planted elsewhere."""
    planters = [_Planter(chance, year, number, story) for number, story in enumerate(stories)]
    for one in planters:
        year.plants.append(one.plant())
    _by_project(year)
    again = Random(f"noise/{year.seed}/again")
    for _ in range(TRIES):
        unseen = next((one for one in year.plants if shown(year, one) < SHOWN), None)
        if unseen is None:
            return
        planters[unseen.number].chance = again
        year.plants[unseen.number] = planters[unseen.number].plant()
        _by_project(year)
    raise ValueError(f"seed {year.seed}: nowhere is left where {unseen} would be seen")


def _by_project(year: Year) -> None:
    year.of_project.clear()
    for one in year.plants:
        for name in one.targets:
            year.of_project.setdefault(name, []).append(one)


def shown(year: Year, one: Plant) -> int:
    """In how many runs at most it shows; a build counts as a run."""
    if one.effect == "build":
        return sum(SHOWN for tested in year.commits if one.active(tested.position))
    found = 0
    for name, targets in one.targets.items():
        suite = year.suites[name]
        others = [it for it in year.of_project[name] if it is not one]
        builds = [it for it in year.plants if it.effect == "build"]
        for tested in (it for it in year.commits if _active(year, one, suite, it)):
            there = [it for it in (*others, *builds) if _active(year, it, suite, tested)]
            hidden = {c for it in there if _hides(it, suite, targets) for c in it.columns}
            found += len((one.columns & set(suite.columns)) - hidden)
    return found


def _hides(other: Plant, suite: Suite, targets: Sequence[str]) -> bool:
    """Whether nothing else of the project is seen while it is there, or nothing of these tests."""
    if other.effect == "build" or other.effect in HIDING:
        return True
    if not targets:
        return False
    if other.effect in ("crash", "timeout"):  # the suite ends there
        order = {name: place for place, name in enumerate(suite.tests)}
        places = [order[name] for name in targets if name in order]  # an extension is no test
        return bool(places) and order[other.targets[suite.name][0]] < min(places)
    return set(targets) <= set(other.targets[suite.name])


def _active(year: Year, one: Plant, suite: Suite, tested: Tested) -> bool:
    if one.axis == "python":
        return one.active(tested.position)
    if one.axis == "project":
        return one.active(bisect_right(suite.revisions, tested.at) - 1)
    return one.active(year.version(one.dependency, tested.at))


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
