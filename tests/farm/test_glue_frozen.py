"""A worker that is frozen, or cut off without a word, is noticed: Buildbot itself would wait for ever."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from pybots import cli_up
from pybots.ledger import schema
from pybots.supervisor import Supervisor
from tests.farm import live as living
from tests.farm.brisk import brisk


def test_a_frozen_worker_costs_an_attempt_and_comes_back(tmp_path: Path) -> None:
    live = living.make(tmp_path, projects=("sprout",))
    live.running = Supervisor([brisk(one) for one in cli_up.programs(live.farm)])
    live.running.start()
    try:
        live.wait(
            lambda: live.rows(schema.attempts, schema.attempts.c.state == "running"), "an attempt"
        )
        worker = live.running.pids()["worker"]
        os.kill(worker, signal.SIGSTOP)
        lost = live.wait(
            lambda: live.rows(schema.attempts, schema.attempts.c.state == "lost"),
            "the loss of the attempt",
            60,
        )
        assert "silent" in lost[0].reason or "went away" in lost[0].reason
        live.wait(lambda: not live.rows(schema.workers)[0].connected, "its connection's end", 30)
        os.kill(worker, signal.SIGCONT)
        live.calm()
        assert [run.verdict for run in live.rows(schema.runs)] == ["passed"] * 4
    finally:
        live.stop()
