"""A worker that is frozen, or cut off without a word, is noticed: Buildbot itself would wait for ever."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from pybots import cli_up
from pybots.ledger import schema
from pybots.supervisor import Program, Supervisor
from tests.farm import live as living
from tests.farm.live import Live

IMPATIENT = """\
import sys
from pybots.core import health
from pybots.glue import launch, steps
steps.SILENT_SECONDS, steps.CHECK_SECONDS = 6.0, 0.5
health.MOST_SILENCES = 99  # a machine under load is silent for six seconds now and then
sys.exit(launch.main(sys.argv[1:]))
"""


def start(live: Live) -> None:
    """The farm, with a master that gives a silent worker up after six seconds instead of ninety."""
    programs = [
        Program(name=one.name, arguments=("-c", IMPATIENT, one.arguments[-1]), log=one.log)
        if one.name == "master"
        else one
        for one in cli_up.programs(live.farm)
    ]
    live.running = Supervisor(programs)
    live.running.start()


def test_a_frozen_worker_costs_an_attempt_and_comes_back(tmp_path: Path) -> None:
    live = living.make(tmp_path, projects=("sprout",))
    start(live)
    assert live.running
    try:
        live.wait(
            lambda: live.rows(schema.attempts, schema.attempts.c.state == "running"), "an attempt"
        )
        worker = live.running.pids()["worker"]
        os.kill(worker, signal.SIGSTOP)
        lost = live.wait(
            lambda: live.rows(schema.attempts, schema.attempts.c.state == "lost"),
            "the loss of the attempt",
            30,
        )
        assert "silent" in lost[0].reason or "went away" in lost[0].reason
        live.wait(lambda: not live.rows(schema.workers)[0].connected, "its connection's end", 5)
        os.kill(worker, signal.SIGCONT)
        live.calm()
        assert [run.verdict for run in live.rows(schema.runs)] == ["passed"] * 4
    finally:
        live.stop()
