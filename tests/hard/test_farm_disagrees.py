"""A machine on which every test fails, on a live farm: most of its lanes turn red together, the control on it too. It gets no
more work, its owner one letter, and nobody is told that a project broke."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.hard import farm_yard
from tests.hard.farm_yard import ADMIN, Yard

from pybots.core.breaker import LEAST_LANES
from pybots.ledger import schema

PROJECTS = ("sprout", "anchor", "tally", "resin", "fern")
BROKEN = """\
import sys
import msgspec
from pybots_worker import bot, cli, reporting, warm
from pybots_worker.contract import Failure
truth = reporting.assemble
def broken(*given):
    report = truth(*given)
    why = Failure(type="OSError", message="[Errno 5] Input/output error")
    tests = tuple(
        msgspec.structs.replace(test, outcome="failed", failure=why) if test.outcome == "passed" else test
        for test in report.tests
    )
    phases = tuple(
        msgspec.structs.replace(one, ok=False, exit_code=1) if one.phase == "test" else one for one in report.phases
    )
    return msgspec.structs.replace(report, tests=tests, phases=phases)
reporting.assemble = broken
bot.PROGRAM = (sys.executable, "-c", sys.argv[1], sys.argv[1])
bot.Bot.__init__.__defaults__ = (bot.PROGRAM,)
sys.exit(warm.main(sys.argv[2:]) if len(sys.argv) == 3 else cli.main(sys.argv[2:]))
"""
"""The kit on a disk that is dying, as its reports show it. It starts itself again, with its folder alone, for each job."""


@pytest.fixture
def yard(tmp_path: Any) -> Iterator[Yard]:
    """The farm's own worker has run everything; then only Bob's is there."""
    made = farm_yard.make(tmp_path, PROJECTS)
    made.hire("attic")
    plain = made.more.pop()
    made.more.append(replace(plain, arguments=("-c", BROKEN, BROKEN, *plain.arguments[2:])))
    try:
        made.start("web", "master", "worker")
        made.calm()
        made.stop("worker")
        made.start("attic")
        yield made
    finally:
        made.stop()


def attic(yard: Yard) -> Any:
    return yard.rows(schema.workers, schema.workers.c.name == "attic")[0]


def test_a_machine_whose_lanes_all_turn_red_is_put_to_rest(yard: Yard) -> None:
    assert len(PROJECTS) >= LEAST_LANES
    sha = yard.commit("good-c-change")
    yard.wait(
        lambda: [one.state for one in yard.rows(schema.breakers)] == ["farm"], "its judgement", 120
    )
    yard.start("worker")  # news of any worker makes the watchdog look, else it does once a minute
    yard.wait(lambda: attic(yard).state == "quarantined", "the quarantine", 90)
    words = "most of its lanes turned red, and the last good combination fails there too"
    assert attic(yard).reason == words and words in yard.get("/worker/attic")
    (breaker,) = yard.rows(schema.breakers)
    assert (breaker.scope, breaker.name, breaker.state) == ("worker", "attic", "farm")
    red = [run for name in PROJECTS for run in yard.of(sha, name) if run.purpose == "routine"]
    assert "new_failure" not in {run.verdict for run in red}, "each control on it is red too"

    after = yard.commit("good-lib-change")
    for name in PROJECTS:
        assert yard.verdict(after, name).verdict in ("fixed", "passed"), name
    yard.mail_is_due()
    yard.wake("mail")
    told = [one for one in yard.letters() if "attic gets no work" in str(one["Subject"])]
    assert sorted(str(one["To"]) for one in told) == sorted([ADMIN, "bob@example.org"])
    assert not [one for one in yard.letters() if "fails" in str(one["Subject"])], "nobody's fault"
