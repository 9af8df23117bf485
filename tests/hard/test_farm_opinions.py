"""Second opinions on a live farm: one volunteer's worker says that all is well; another owner's worker finds out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.hard import farm_yard
from tests.hard.farm_yard import ADMIN, Yard

from pybots.ledger import schema

opinions = schema.opinions
LIAR = """\
import sys
import msgspec
from pybots_worker import bot, cli, reporting, warm
truth = reporting.assemble
def lie(*given):
    report = truth(*given)
    tests = tuple(msgspec.structs.replace(test, outcome="passed", failure=None, retried=()) for test in report.tests)
    phases = tuple(
        msgspec.structs.replace(one, ok=True, exit_code=0, failure=None) if one.phase == "test" else one
        for one in report.phases
    )
    return msgspec.structs.replace(report, tests=tests, phases=phases)
reporting.assemble = lie
bot.PROGRAM = (sys.executable, "-c", sys.argv[1], sys.argv[1])
bot.Bot.__init__.__defaults__ = (bot.PROGRAM,)
sys.exit(warm.main(sys.argv[2:]) if len(sys.argv) == 3 else cli.main(sys.argv[2:]))
"""
"""The kit, but for its reports: every test has passed. It starts itself again, with its folder alone, for each job."""


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """The farm's own worker is honest, Mallory's is not. Every result is repeated."""
    made = farm_yard.make(tmp_path_factory.mktemp("opinions"), ("anchor",), second_opinions=100)
    made.hire("mallory", "Mallory")
    honest = made.more.pop()
    words = ("-c", LIAR, LIAR, *honest.arguments[2:])
    made.more.append(replace(honest, arguments=words))
    try:
        made.start("web", "master", "worker", "mallory")
        made.calm()
        yield made
    finally:
        made.stop()


def worker(yard: Yard, name: str) -> Any:
    return yard.rows(schema.workers, schema.workers.c.name == name)[0]


def given(yard: Yard, run: int) -> Any:
    """The second opinion on a run."""
    return yard.wait(
        lambda: yard.rows(opinions, opinions.c.subject == run, opinions.c.opinion != ""),
        "the second opinion", 90,
    )[0]  # fmt: skip


def result(yard: Yard, kind: str, other: str) -> Any:
    """The routine run at a new commit, while `other` is away; then it comes back."""
    yard.stop(other)
    run = yard.verdict(yard.commit(kind), "anchor")
    yard.start(other)
    return run


def test_an_honest_result_agrees(yard: Yard) -> None:
    run = result(yard, "good-c-change", "mallory")
    one = given(yard, run.id)
    assert (one.opinion, one.worker, one.second) == ("agrees", "local", "mallory"), one.words
    assert f"agrees with run {one.run_id} on mallory" in yard.get(f"/run/{run.id}")
    assert not [one for one in yard.letters() if "is not what another" in str(one["Subject"])]


def test_a_lie_is_found_out_and_shown(yard: Yard) -> None:
    """A red that Mallory's worker reports green: told on both runs' pages, both workers' pages, and to the admin once."""
    run = result(yard, "break-anchor", "worker")
    assert run.verdict == "passed", "nobody knows better yet"
    one = given(yard, run.id)
    assert (one.opinion, one.worker, one.second) == ("differs", "mallory", "local"), one.words
    assert f"differs with run {one.run_id} on local" in yard.get(f"/run/{run.id}")
    assert f"differs with run {run.id} on mallory" in yard.get(f"/run/{one.run_id}")
    counted = re.search(r"(\d+) of (\d+) results agree", yard.get("/worker/mallory"))
    assert counted and int(counted[2]) - int(counted[1]) == 1
    assert f"not run {run.id} and run {one.run_id} (with local: " in yard.get("/worker/mallory")
    yard.wait(
        lambda: [one for one in yard.letters() if "is not what another" in str(one["Subject"])], "the letter"
    )  # fmt: skip
    yard.calm()
    told = [one for one in yard.letters() if "is not what another" in str(one["Subject"])]
    assert [str(one["To"]) for one in told] == [ADMIN]
    assert "a result of worker mallory is not what another worker found" in str(told[0]["Subject"])
