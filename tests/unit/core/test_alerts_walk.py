"""Random histories of breakages: what must hold whatever happens in whatever order."""

from __future__ import annotations

import copy
import random
from collections import Counter

import pytest
from alerts_world import BOOK, World

from pybots.core.audiences import Caps
from pybots.core.rounds import HOLD_SECONDS
from pybots.core.threads import Broken

PROJECTS = ("anchor", "buoy", "calm", "mute")


def step(world: World, chance: random.Random) -> None:
    """One thing happens to one breakage, as recording and controls would do it."""
    standing = [one for one in world.broken.values() if one.state in ("suspected", "open")]
    what = chance.choice(("new", "new", "green", "red", "none", "fixed", "wider", "again", "trip"))
    if what == "new" or not standing:
        bad = chance.randrange(10, 60)
        world.breaks(
            len(world.broken) + 1, chance.choice(PROJECTS), state="suspected", control="wanted",
            good=bad - chance.randrange(0, 6), bad=bad,
            axis=chance.choice(("", "", "", "flaky")),
        )  # fmt: skip
        return
    one = chance.choice(standing)
    if what in ("green", "none") and one.state == "suspected":
        world.becomes(one.id, state="open", control=what)
    elif what == "red" and one.state == "suspected":
        world.becomes(one.id, state="dismissed", control="red", axis="environment")
    elif what == "fixed":
        world.becomes(one.id, state="fixed")
    elif what == "wider":
        world.becomes(one.id, projects=tuple(sorted({*one.projects, chance.choice(PROJECTS)})))
    elif what == "again":
        over = [two for two in world.broken.values() if two.state == "fixed"]
        if over:
            back = chance.choice(over)
            world.becomes(back.id, state="suspected", control="wanted", reopened=back.reopened + 1)
    elif what == "trip" and one.state == "suspected":
        world.trips[one.id] = chance.choice(("open", "farm", "python"))
        world.becomes(one.id, trip=one.id)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens(seed: int) -> None:
    chance = random.Random(seed)
    world = World(caps=Caps(list=10_000, project=10_000))
    ever: dict[int, set[str]] = {}
    for _ in range(100):
        step(world, chance)
        for one in world.broken.values():
            ever.setdefault(one.id, set()).add(f"{one.state} {one.control}")
        world.busy = {"main": {chance.randrange(10, 60)}} if chance.random() < 0.5 else {}
        before = copy.deepcopy(world)
        letters = world.look(chance.choice((1, 60, 600, 4000)))
        assert world.look() == [], "asking again changes nothing"
        before.look(world.now - before.now)
        assert before.letters == world.letters, (
            "killed before the commit, the same is decided again"
        )
        for letter in letters:
            check(world, letter.audience, [world.broken[number] for number, _ in letter.news])
    settle(world)
    told = Counter((number, letter.reader) for letter in world.letters for number, what in letter.news
                   if what == "opened")  # fmt: skip
    assert set(told.values()) <= {1}, "nothing is opened twice for one reader"
    for one in world.broken.values():
        if one.state == "open" and one.axis != "flaky" and world.trips.get(one.trip) is None:
            assert one.told is not None, f"never told: {one}"
        if not any(state.startswith(("open", "suspected wanted")) for state in ever[one.id]):
            assert one.told is None


def check(world: World, audience: str, news: list[Broken]) -> None:
    """What the public hears of is nothing of the farm's, and nothing that only comes and goes."""
    assert audience in ("list", "project", "person")
    for one in news:
        assert one.axis != "flaky" or (one.told and one.told.state != "open")
        if world.trips.get(one.trip) == "farm" and one.told and one.told.state == "open":
            assert (
                one.control == "green" or one.told.reopened < one.reopened or was_told(world, one)
            )


def was_told(world: World, one: Broken) -> bool:
    """Before the breaker saw it."""
    return any(number == one.id for letter in world.letters[:-1] for number, _ in letter.news)


def settle(world: World) -> None:
    """Nothing happens any more: every hour is over, every lane has finished."""
    world.busy = {}
    for _ in range(3):
        world.look(HOLD_SECONDS)
    assert world.book is BOOK
