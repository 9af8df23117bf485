"""The console's algorithm, pure: rows of the ledger in, boxes out (DESIGN §2, the theme's brief §A and §B).

A box speaks for the *first* run that contains its commit: of one lane, the run at the smallest position that is not
older than the commit. A column (platform × flavour) shows the worst of its lanes; the interpreter's own builds are one
more lane of it, silent while they pass. A lane's first run speaks for its own commit only: nothing was known before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Final, NamedTuple

from pybots_status import links
from pybots_status.pages import Cell, State, worst
from pybots_status.states import STATES

GREEN: Final = frozenset({"passed", "fixed", "flaky"})
BAD: Final = frozenset({"new_failure", "running_failing", "still_failing", "blocked", "infra"})
MAX_NAMES: Final = 4
"""Projects named in a box's title; more are counted."""


class Column(NamedTuple):
    """A column of the console."""

    platform: str
    flavour: str

    @property
    def title(self) -> str:
        return f"{self.flavour} on {self.platform}"


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A lane, or (with `project` "") the builds of a column's interpreter."""

    id: int
    column: Column
    project: str = ""

    @property
    def name(self) -> str:
        return self.project or "the interpreter"


class Seen(NamedTuple):
    """A prepared cell: what lane `lane` came to at the commit at `position`."""

    lane: int
    position: int
    run: int
    state: State
    tests: int
    """Newly failing tests."""


class Voice(NamedTuple):
    """One lane speaking in one box."""

    lane: Lane
    seen: Seen


class Box(NamedTuple):
    """What a column says of one commit."""

    column: Column
    voices: tuple[Voice, ...]
    state: State

    @property
    def runs(self) -> frozenset[int]:
        return frozenset(voice.seen.run for voice in self.voices)

    @property
    def loudest(self) -> tuple[Voice, ...]:
        """The lanes that are in the state shown."""
        return tuple(voice for voice in self.voices if voice.seen.state == self.state)


def boxes(
    positions: Sequence[int],
    lanes: Iterable[Lane],
    seen: Iterable[Seen],
    *,
    before: Collection[int],
) -> list[dict[Column, Box]]:
    """One mapping per commit of `positions` (newest first), with the boxes that say something.

    `seen` has every cell between the oldest and the newest position, and of each lane the next newer one where there
    is one. `before`: the ids of lanes that have a run older than the oldest position."""
    by_lane: dict[int, list[Seen]] = defaultdict(list)
    for item in seen:
        by_lane[item.lane].append(item)
    grid: list[dict[Column, list[Voice]]] = [defaultdict(list) for _ in positions]
    for lane in lanes:
        entries = sorted(by_lane.get(lane.id, ()), key=_newest_first)
        for index, item in _cover(positions, entries, lane.id in before):
            grid[index][lane.column].append(Voice(lane, item))
    return _boxes(grid)


def _newest_first(item: Seen) -> int:
    return -item.position


def _cover(
    positions: Sequence[int], entries: Sequence[Seen], older: bool
) -> Iterator[tuple[int, Seen]]:
    """(index of the commit, the cell that speaks for it), for commits that a run contains."""
    current: Seen | None = None
    taken, total = 0, len(entries)
    for index, position in enumerate(positions):
        while taken < total and entries[taken].position >= position:
            current = entries[taken]
            taken += 1
        if current is None:
            continue
        if current.position == position or taken < total or older:
            yield index, current


def _boxes(grid: Sequence[Mapping[Column, Sequence[Voice]]]) -> list[dict[Column, Box]]:
    """Pillars share one Box object, so that what is derived from it is derived once."""
    made: list[dict[Column, Box]] = []
    above: dict[Column, Box] = {}
    for row in grid:
        current: dict[Column, Box] = {}
        for column, found in row.items():
            voices = tuple(voice for voice in found if voice.lane.project or _loud(voice))
            before = above.get(column)
            if before is not None and before.voices == voices:
                current[column] = before
            elif voices:
                current[column] = _box(column, voices)
        made.append(current)
        above = current
    return made


def _loud(voice: Voice) -> bool:
    """An interpreter that builds says nothing by itself: its projects do."""
    return voice.seen.state not in GREEN


def _box(column: Column, voices: tuple[Voice, ...]) -> Box:
    return Box(column, voices, worst(tuple({voice.seen.state for voice in voices})))


def is_bad(row: Mapping[Column, Box]) -> bool:
    """Whether a commit's row has a box that a reader who looks for trouble wants to see."""
    return any(box.state in BAD for box in row.values())


def cells(
    grid: Sequence[Mapping[Column, Box]],
    columns: Sequence[Column],
    commits: Sequence[tuple[int, str]],
) -> list[tuple[Cell, ...]]:
    """The theme's cells: per commit (position, sha) one per column, pillars joined where commits are neighbours."""
    made = []
    said: dict[int, tuple[tuple[Voice, ...], str]] = {}
    for index, (position, sha) in enumerate(commits):
        above = grid[index - 1] if index and commits[index - 1][0] == position + 1 else {}
        last = index + 1 == len(commits)
        below = {} if last or commits[index + 1][0] != position - 1 else grid[index + 1]
        made.append(
            tuple(
                _cell(grid[index].get(column), sha, above.get(column), below.get(column), said)
                for column in columns
            )
        )
    return made


_EMPTY: Final = Cell()


def _cell(
    box: Box | None,
    sha: str,
    above: Box | None,
    below: Box | None,
    said: dict[int, tuple[tuple[Voice, ...], str]],
) -> Cell:
    """`said`: what was already derived from boxes of this grid, by their identity."""
    if box is None:
        return _EMPTY
    if id(box) not in said:
        words = title(box.column, [(voice.lane.name, voice.seen) for voice in box.voices])
        said[id(box)] = (box.loudest, words)
    loudest, words = said[id(box)]
    return Cell(
        state=box.state,
        count=len(loudest) if box.state == "new_failure" and len(loudest) > 1 else 0,
        href=links.run(loudest[0].seen.run) if len(loudest) == 1 else links.commit(sha),
        title=words,
        joined_above=_joined(box, above),
        joined_below=_joined(box, below),
    )


def _joined(box: Box, other: Box | None) -> bool:
    return other is not None and (other is box or other.runs == box.runs)


def title(column: Column, found: Iterable[tuple[str, Seen]]) -> str:
    """A box in words: `debug on linux-x86_64: new failure genshi (3 tests), twisted; 11 passed`."""
    names: dict[State, list[str]] = defaultdict(list)
    for name, seen in found:
        tests = f" ({seen.tests} tests)" if seen.tests > 1 else ""
        names[seen.state].append(name + tests)
    parts = [_named(state, names[state]) for state in sorted(names, key=_RANK.__getitem__)]
    return f"{column.title}: {'; '.join(parts)}" if parts else column.title


def _compare(one: State, other: State) -> int:
    return 0 if one == other else -1 if worst((one, other)) == one else 1


_RANK: Final = {
    state: place for place, state in enumerate(sorted(STATES, key=cmp_to_key(_compare)))
}
"""Worst first. Looked up, because a console asks for it a thousand times."""


def _named(state: State, names: Sequence[str]) -> str:
    words = STATES[state].words.partition(":")[0]
    if state in GREEN:
        return f"{len(names)} {words}"
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{words} {', '.join(sorted(names)[:MAX_NAMES])}{more}"


def now_state(verdict: str | None, pending: str | None, lane_state: str) -> str:
    """The last known state of a lane: its newest conclusive verdict by commit order, never by finish time.

    A lane that nobody can run any more is not green for ever because it was green last."""
    if lane_state in ("no_worker", "refused") and (not verdict or verdict in GREEN):
        return lane_state
    if verdict:
        return verdict
    return pending or "none"
