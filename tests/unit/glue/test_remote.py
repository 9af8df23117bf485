"""What a worker says about its phase is checked before it is believed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pybots.glue import remote
from pybots_worker.contract import PhaseResult


def result(**changes: Any) -> str:
    given: dict[str, Any] = {"phase": "test", "ok": True, "ended": "exit", "wall_seconds": 1.0}
    return msgspec.json.encode({**given, **changes}).decode()


def test_updates_are_taken_apart() -> None:
    updates = [[{"stdout": "a"}, 0], [{"rc": 0, "heartbeat": 5}, 0]]
    assert list(remote.items(updates)) == [("stdout", "a"), ("rc", 0), ("heartbeat", 5)]


@pytest.mark.parametrize(
    "updates", [None, "text", {"stdout": "a"}, [1], [[]], [["stdout", "a"]], [[{1: "a"}, 0]]]
)
def test_updates_of_another_shape_are_nonsense(updates: object) -> None:
    with pytest.raises(remote.Nonsense):
        list(remote.items(updates))


def test_a_result_is_decoded() -> None:
    read = remote.read_result(result(), "test")
    assert read == PhaseResult(phase="test", ok=True, ended="exit", wall_seconds=1.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        result(ended="well"),
        result(surprise=1),
        result(wall_seconds=-1),
        result(phase="install"),
        result(failure={"message": "x" * 300_000}),
    ],
)
def test_a_result_that_does_not_fit_the_contract_is_nonsense(text: str) -> None:
    with pytest.raises(remote.Nonsense):
        remote.read_result(text, "test")
