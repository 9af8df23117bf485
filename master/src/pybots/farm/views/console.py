"""The console's algorithm, pure: rows of the ledger in, boxes out (DESIGN §2, the theme's brief §A and §B).

A box speaks for the *first* run that contains its commit: of one lane, the run at the smallest position that is not
older than the commit. A column (platform × flavour) shows the worst of its lanes; the interpreter's own builds are one
more lane of it, silent while they pass. A lane's first run speaks for its own commit only: nothing was known before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, cmp_to_key, lru_cache
from typing import Final, NamedTuple

import msgspec

from pybots.farm.views.common import state
from pybots_status import links
from pybots_status.pages import Cell, State, worst
from pybots_status.states import STATES

GREEN: Final = frozenset({"passed", "fixed", "flaky"})
BAD: Final = frozenset({"new_failure", "running_failing", "still_failing", "blocked", "infra"})
MAX_NAMES: Final = 4
"""Projects named in a box's title; more are counted."""
KEPT_COLUMNS: Final = 256
"""So many columns of consoles are remembered, each about 40 KB."""
KEPT_ROWS: Final = 60
KEPT_LONG: Final = 64
"""And so many of longer windows, each about 250 KB: two or three consoles of 200 rows."""

_TOLD: Final = msgspec.json.Decoder(list[tuple[int, int, str, int]])
"""A lane's cells: position, run, state, newly failing tests."""
NOTHING: Final = "[]"


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


@dataclass(frozen=True, eq=False)
class Box:
    """What a column says of one commit. Rows of one pillar share it, and what is derived from it is derived once."""

    column: Column
    voices: tuple[Voice, ...]
    state: State

    @cached_property
    def runs(self) -> frozenset[int]:
        return frozenset(voice.seen.run for voice in self.voices)

    @cached_property
    def loudest(self) -> tuple[Voice, ...]:
        """The lanes that are in the state shown."""
        return tuple(voice for voice in self.voices if voice.seen.state == self.state)

    @cached_property
    def words(self) -> str:
        return title(self.column, [(voice.lane.name, voice.seen) for voice in self.voices])

    @cached_property
    def run(self) -> int:
        """The only run that says so; 0 when there are several."""
        return self.loudest[0].seen.run if len(self.loudest) == 1 else 0

    @cached_property
    def looks(self) -> dict[tuple[str, bool, bool], Cell]:
        """The cells that were made of it."""
        return {}


class Heard(NamedTuple):
    """All that one lane has to say in a window of commits.

    `told`: its cells as JSON, as the ledger gave them (`told_cells`). `beyond`: the next newer one, where there is one.
    `older`: it has a run before the window. `away`: nobody who could run it is there, so what waits is offline."""

    lane: Lane
    told: str
    beyond: Seen | None = None
    older: bool = False
    away: bool = False


def boxes(positions: Sequence[int], heard: Iterable[Heard]) -> list[dict[Column, Box]]:
    """One mapping per commit of `positions` (newest first), with the boxes that say something.

    A column of which the ledger says what it said before is taken over as it was: of a hundred lanes one has changed."""
    columns: dict[Column, list[Heard]] = defaultdict(list)
    for item in heard:
        columns[item.lane.column].append(item)
    grid: list[dict[Column, Box]] = [{} for _ in positions]
    make = _kept_column if len(positions) <= KEPT_ROWS else _kept_long
    for column, voices in columns.items():
        for index, box in enumerate(make(column, tuple(positions), tuple(voices))):
            if box is not None:
                grid[index][column] = box
    return grid


def _column(
    column: Column, positions: tuple[int, ...], heard: tuple[Heard, ...]
) -> list[Box | None]:
    """A column's box for each commit."""
    rows: list[list[Voice]] = [[] for _ in positions]
    for item in heard:
        for index, seen in _cover(positions, _entries(item), item.older):
            if item.lane.project or seen.state not in GREEN:
                rows[index].append(Voice(item.lane, seen))
    return list(_boxes(column, rows))


_kept_column = lru_cache(KEPT_COLUMNS)(_column)
_kept_long = lru_cache(KEPT_LONG)(_column)


def _entries(heard: Heard) -> list[Seen]:
    """Newest first."""
    words: dict[str, State] = {}
    lane = heard.lane.id
    found = [
        Seen(lane, at, run, words.get(word) or words.setdefault(word, state(word)), count)
        for at, run, word, count in _TOLD.decode(heard.told)
    ]
    if heard.beyond is not None:
        found.append(heard.beyond)
    found.sort(key=_newest_first)
    if heard.away:
        return [
            item._replace(state="offline") if item.state == "queued" else item for item in found
        ]
    return found


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


def _boxes(column: Column, rows: Sequence[Sequence[Voice]]) -> Iterator[Box | None]:
    """Neighbours that say the same share one Box. An interpreter that builds says nothing by itself: its projects do."""
    above: Box | None = None
    for found in rows:
        voices = tuple(found)
        if above is None or above.voices != voices:
            above = _box(column, voices) if voices else None
        yield above


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
    for index, (position, sha) in enumerate(commits):
        above = grid[index - 1] if index and commits[index - 1][0] == position + 1 else {}
        last = index + 1 == len(commits)
        below = {} if last or commits[index + 1][0] != position - 1 else grid[index + 1]
        made.append(
            tuple(
                _cell(grid[index].get(column), sha, above.get(column), below.get(column))
                for column in columns
            )
        )
    return made


_EMPTY: Final = Cell()


def _cell(box: Box | None, sha: str, above: Box | None, below: Box | None) -> Cell:
    if box is None:
        return _EMPTY
    key = ("" if box.run else sha, _joined(box, above), _joined(box, below))
    known = box.looks.get(key)
    if known is None:
        known = box.looks[key] = _look(box, *key)
    return known


def _look(box: Box, sha: str, joined_above: bool, joined_below: bool) -> Cell:
    number = len(box.loudest)
    return Cell(
        state=box.state,
        count=number if box.state == "new_failure" and number > 1 else 0,
        href=links.run(box.run) if box.run else links.commit(sha),
        title=box.words,
        joined_above=joined_above,
        joined_below=joined_below,
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
