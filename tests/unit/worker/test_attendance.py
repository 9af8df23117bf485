"""When a worker says hello: not often where its farm does not know it, at once when it has a new credential."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import defer
from twisted.internet.task import Clock

from pybots_worker import attendance, farmlink, settings, signs
from pybots_worker.attendance import HELLO_SECONDS, LOOK_SECONDS, REFUSED_SECONDS, Attendance
from pybots_worker.welcome import Known


def attending(
    root: Path, monkeypatch: pytest.MonkeyPatch, hello: Callable[[str], Known]
) -> tuple[Clock, Attendance, list[tuple[float, str]]]:
    """A worker's presence, started; when it said hello with which credential."""
    mine = settings.change(root, {"farm": "https://farm.example/", "credential": "old"})
    clock, asked = Clock(), []

    def said(_way: object, credential: str, _said: object) -> Known:
        asked.append((clock.seconds(), credential))
        return hello(credential)

    monkeypatch.setattr(attendance, "threads", SimpleNamespace(deferToThread=defer.execute))
    monkeypatch.setattr(farmlink, "hello", said)
    monkeypatch.setattr(signs, "hello", lambda *_, **__: None)
    gone = SimpleNamespace(disownServiceParent=lambda: defer.succeed(None))
    bot: Any = SimpleNamespace(settings=mine, busy=False, at_work=0, resting=None)
    presence = Attendance(clock, root, bot, lambda _: gone, lambda: None)
    presence.start()
    return clock, presence, asked


def test_who_is_not_known_any_more_asks_seldom_until_it_has_a_new_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong credentials are counted by address: its house's other workers would have to wait for it."""

    def hello(credential: str) -> Known:
        if credential == "old":
            raise farmlink.Turned("this farm does not know this worker")
        return Known(name="worker", state="approved", clock=0.0)

    clock, presence, asked = attending(tmp_path, monkeypatch, hello)
    for _ in range(int(2 * HELLO_SECONDS / LOOK_SECONDS)):
        clock.advance(LOOK_SECONDS)
        presence.refused()  # the master does not let it in either
    assert 2 <= len(asked) <= 3, asked
    settings.change(tmp_path, {"credential": "new"})
    presence.wake()
    assert asked[-1] == (clock.seconds(), "new")


def test_a_farm_that_is_down_is_asked_every_few_seconds_and_not_more_and_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hello(_credential: str) -> Known:
        raise farmlink.LinkError("nothing listens there")

    clock, _, asked = attending(tmp_path, monkeypatch, hello)
    for _ in range(600):
        clock.advance(1)
    assert 100 <= len(asked) <= 600 / REFUSED_SECONDS + 600 / LOOK_SECONDS + 1
