"""What a phase says reaches its master in order, in batches, and never faster than the master takes it."""

from __future__ import annotations

from typing import Any

from twisted.internet import defer
from twisted.internet.task import Clock

from pybots_worker import line


class Master:
    """Remembers updates; acknowledges them when told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, object]] = []
        self.waiting: list[Any] = []
        self.complete = False

    def callRemote(self, what: str, argument: Any) -> Any:
        if what == "complete":
            self.complete = True
            return defer.succeed(None)
        [[values, _]] = argument
        self.said += values.items()
        self.waiting.append(defer.Deferred())
        return self.waiting[-1]

    def acknowledge(self) -> None:
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            one.callback(0)

    def text(self, stream: str = "stdout") -> str:
        return "".join(str(value) for key, value in self.said if key == stream)


def make(limit: int = 1 << 20) -> tuple[line.Line, Master, Clock, list[bool]]:
    master, clock = Master(), Clock()
    pauses: list[bool] = []
    return line.Line(clock, master, limit, pauses.append), master, clock, pauses


def test_small_pieces_travel_together_after_a_moment() -> None:
    made, master, clock, _ = make()
    for word in (b"one ", b"two ", b"three"):
        made.text("stdout", word)
    assert master.said == []
    clock.advance(line.UPDATE_SECONDS)
    assert master.said == [("stdout", "one two three")]


def test_the_order_of_the_streams_is_kept() -> None:
    made, master, _, _ = make()
    made.text("stdout", b"a")
    made.text("stderr", b"b")
    made.text("stdout", b"c")
    made.finish({"rc": 0})
    assert master.said == [("stdout", "a"), ("stderr", "b"), ("stdout", "c"), ("rc", 0)]
    assert master.complete


def test_a_character_that_is_cut_in_two_arrives_whole() -> None:
    made, master, clock, _ = make()
    data = "naïve ✓".encode()
    for index in range(len(data)):
        made.text("stdout", data[index : index + 1])
    clock.advance(1)
    assert master.text() == "naïve ✓"


def test_bytes_that_are_no_text_do_no_harm() -> None:
    made, master, _, _ = make()
    made.text("stdout", b"\xff\xfe ok \xe2")
    made.finish({})
    assert "ok" in master.text()


def test_no_update_is_long() -> None:
    made, master, _, _ = make()
    made.text("stdout", b"x" * (line.UPDATE_CHARS * 3 + 5))
    assert [len(str(value)) for _, value in master.said] == [line.UPDATE_CHARS] * 3 + [5]


def test_what_is_over_the_phases_log_limit_is_dropped() -> None:
    made, master, _, _ = make(limit=10)
    made.text("stdout", b"0123456789abc")
    made.text("stderr", b"more")
    made.finish({})
    assert (master.text(), master.text("stderr")) == ("0123456789", "")


def test_a_master_that_does_not_keep_up_makes_the_phase_wait() -> None:
    made, master, _, pauses = make()
    for _ in range(line.MAX_UNACKNOWLEDGED):
        made.text("stdout", b"x" * line.UPDATE_CHARS)
    assert pauses[-1] is True
    master.acknowledge()
    assert pauses[-1] is False


def test_a_master_that_has_enough_to_do_hears_no_heartbeat() -> None:
    made, master, _, _ = make()
    made.heartbeat()
    assert [key for key, _ in master.said] == ["heartbeat"]
    made.text("stdout", b"x" * line.UPDATE_CHARS * line.MAX_UNACKNOWLEDGED)
    made.heartbeat()
    assert [key for key, _ in master.said].count("heartbeat") == 1


def test_after_the_connection_is_lost_nothing_is_said() -> None:
    made, master, _, _ = make()
    made.hang_up()
    made.text("stdout", b"x" * line.UPDATE_CHARS)
    made.finish({"rc": 0})
    assert master.said == []
    assert not master.complete


def test_a_master_that_refuses_an_update_is_told_no_more() -> None:
    made, master, _, _ = make()
    made.text("stdout", b"x" * line.UPDATE_CHARS)
    master.waiting.pop().errback(RuntimeError("no"))
    made.text("stdout", b"y" * line.UPDATE_CHARS)
    assert "y" not in master.text()
