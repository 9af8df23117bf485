"""What a breakage's page says of its investigation: the proof, every probe, the range that shrinks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import START, Book, make_farm, sha
from sqlalchemy import insert

from pybots.farm.home import Farm
from pybots.farm.views import breakagepage
from pybots.farm.views.common import Visit
from pybots.farm.views.reports import Digests
from pybots.ledger import schema
from pybots_status import render


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = make_farm(tmp_path)
    yield made
    made.ledger.close()


def investigate(farm: Farm, lane: int, good: int, bad: int, **values: Any) -> None:
    with farm.ledger.write() as connection:
        connection.execute(
            insert(schema.investigations).values(
                **{
                    "id": 1, "breakage_id": 1, "episode": 0, "lane_id": lane, "good_run": good,
                    "bad_run": bad, "state": "going", "target": {}, "only": [], "known": {},
                    "evidence": [], "begun": START, **values,
                }
            )
        )  # fmt: skip


def probe(farm: Farm, run: int, outcome: str | None, **values: Any) -> None:
    with farm.ledger.write() as connection:
        connection.execute(
            insert(schema.probes).values(
                **{
                    "investigation_id": 1, "run_id": run, "way": 0, "stage": "search",
                    "mix": ["interpreter"], "place": 1, "not_by": [], "bare": False, "why": "halves",
                    "outcome": outcome, "created": START, "answered": START + run if outcome else None,
                    **values,
                }
            )
        )  # fmt: skip


def test_the_range_shrinks_probe_by_probe(farm: Farm) -> None:
    book = Book(farm)
    book.history(1, 17)
    lane = book.lane("django")
    good, bad = book.run(lane, 1), book.run(lane, 17, "new_failure")
    book.breakage(bad, {lane: ["t"]}, good_position=1, bad_position=17)
    page = breakagepage.breakage(farm, Visit(), 1, Digests(farm.store))
    assert page.search is None and page.capsule == "/breakage/1/capsule.json"
    investigate(farm, lane, good, bad)
    asked = [(16, "bad", {"stage": "cross", "place": None}), (9, "good", {}), (13, "bad", {}),
             (11, "skip", {}), (10, None, {})]  # fmt: skip
    numbers = []
    for position, outcome, more in asked:
        numbers.append(book.run(lane, position, None, purpose="probe", state="running"))
        probe(farm, numbers[-1], outcome, **more)
    page = breakagepage.breakage(farm, Visit(), 1, Digests(farm.store))
    html = render(page)
    assert page.search is not None and page.search.going and "being looked into" in html
    assert [(row.sha, row.left) for row in page.search.probes] == [
        (sha(16), 0), (sha(9), 8), (sha(13), 4), (sha(11), 4), (sha(10), 4),
    ]  # fmt: skip
    said = {line.sha: (line.state, line.note) for line in page.commits}
    assert said[sha(13)] == ("new_failure", f"fails in run {numbers[2]}")
    assert said[sha(11)][0] == "unknown" and said[sha(10)][0] == "running"
    assert said[sha(17)] == ("new_failure", "") and said[sha(12)] == ("none", "")


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("wanted", ("queued", "waits for a worker")),
        ("running", ("running", "under way")),
        ("dropped", ("unknown", "given up before it ran")),
    ],
)
def test_a_probe_without_an_answer_says_what_became_of_it(
    farm: Farm, state: str, shown: tuple[str, str]
) -> None:
    book = Book(farm)
    book.history(1, 3)
    lane = book.lane("django")
    good, bad = book.run(lane, 1), book.run(lane, 3, "new_failure")
    book.breakage(bad, {lane: ["t"]}, good_position=1, bad_position=3)
    investigate(farm, lane, good, bad, state="done", status="overtaken")
    asked = book.run(lane, 2, None, purpose="probe", state=state)
    probe(farm, asked, None)
    page = breakagepage.breakage(farm, Visit(), 1, Digests(farm.store))
    assert page.search is not None
    assert [(row.state, row.said) for row in page.search.probes] == [shown]


def test_the_proof_is_shown_and_the_culprit_named(farm: Farm) -> None:
    book = Book(farm)
    book.history(1, 9)
    lane = book.lane("django")
    good, bad = book.run(lane, 1), book.run(lane, 9, "new_failure")
    book.breakage(
        bad, {lane: ["t"]}, good_position=4, bad_position=5, axis="cpython", blamed=sha(5)
    )
    line = {"what": "the <culprit>", "passed": 0, "failed": 3, "skipped": 0, "owners": ["Ada"],
            "says": "always"}  # fmt: skip
    investigate(
        farm, lane, good, bad, state="done", status="confirmed", axis="interpreter",
        confidence=0.994, reason="because.", evidence=[line], ended=START + 9,
    )  # fmt: skip
    page = breakagepage.breakage(farm, Visit(), 1, Digests(farm.store))
    html = render(page)
    assert page.culprit is not None and page.culprit.sha == sha(5)
    assert page.axis == "CPython commit"
    assert page.search is not None and not page.search.going
    assert (page.search.confidence, page.search.reason) == ("99.4 %", "because")
    assert "the &lt;culprit&gt;" in html and "Ada" in html


def test_a_cause_that_is_no_commit_names_none(farm: Farm) -> None:
    book = Book(farm)
    book.history(1, 9)
    lane = book.lane("django")
    bad = book.run(lane, 5, "new_failure")
    book.breakage(bad, {lane: ["t"]}, axis="project", blamed="5.2.1")
    page = breakagepage.breakage(farm, Visit(), 1, Digests(farm.store))
    assert (page.axis, page.culprit) == ("the project itself: 5.2.1", None)
