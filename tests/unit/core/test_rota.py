"""A slow machine's rota: each lane has its turn, in as many days as its measured hours need."""

from __future__ import annotations

from pybots.core.model import Worker
from pybots.core.rota import Round, words
from pybots.core.schedule import Slot, Wanted, assign

SLOT = Slot(
    builder="linux-x86_64-1",
    worker=Worker(name="pi", platform="linux-x86_64", abi="x", slots=1, owner="Ada"),
)


def test_days_are_said_where_a_round_takes_days() -> None:
    slow = Round(lanes=10, seconds=10 * 3600.0, hours=4.0)
    assert slow.days == 2.5 and "every 3 days" in words(slow)
    assert words(Round(lanes=10, seconds=3600.0, hours=4.0)) == ""
    assert words(Round(lanes=0, seconds=0.0, hours=0.0)) == ""


def test_each_lane_has_its_turn_before_any_has_a_second() -> None:
    """A commit comes with every run, and the machine does one run at a time: it goes round, always on the newest."""
    started = dict.fromkeys(range(1, 8), 0.0)
    turns = []
    for now in range(1, 15):
        wanted = [
            Wanted(
                run=100 * now + lane, lane=lane, project=f"p{lane}", interpreter=now, position=now,
                platform="linux-x86_64", abi="x", trust="farm", created=float(now), ready=True,
                lane_started=at, lane_has_head=True,
            )
            for lane, at in started.items()
        ]  # fmt: skip
        (made,) = assign(wanted, [SLOT])
        lane = made.run % 100
        started[lane] = float(now)
        turns.append(lane)
    assert sorted(turns[:7]) == sorted(turns[7:]) == list(range(1, 8))
