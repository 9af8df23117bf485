"""The unattended farm: a commit among many breaks a project; the farm finds it, proves it and says it once."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from tests.hard import farm_yard
from tests.hard.farm_yard import Yard

from pybots.farm import cycle
from pybots.ledger import schema

PATIENCE = 300.0
BEFORE = ("good-lib-change", "good-c-change", "docs-only", "good-lib-change", "good-c-change")
AFTER = ("good-lib-change", "docs-only", "good-c-change", "good-lib-change")
NEWS = """\
Removed
=======

* The function :func:`!colorsys.rgb_to_yiq` is gone. Nobody broadcasts
  NTSC any more.
"""


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with farm_yard.investigating(tmp_path_factory.mktemp("investigator")) as made:
        yield made


def text(letter: EmailMessage) -> str:
    return str(letter.get_body(("plain",)).get_content())  # type: ignore[union-attr]


def probing(yard: Yard) -> list[object]:
    """Probes under way: what runs when the answer comes is not stopped."""
    runs = schema.runs.c
    return yard.rows(schema.runs, runs.purpose == "probe", runs.state.in_(cycle.UNDER_WAY))


def test_a_commit_among_many_is_found_proved_and_told(yard: Yard) -> None:
    """Only the head was run; the workers, idle now, go and look at what is in between."""
    for kind in BEFORE:
        yard.world.commit(kind)
    yard.world.commit_files({"Doc/whatsnew/3.15.rst": NEWS}, "Announce what is gone")
    culprit = yard.world.commit("break-anchor")
    for kind in AFTER:
        head = yard.world.commit(kind)
    yard.wake()
    assert yard.verdict(head, "anchor", PATIENCE).verdict == "new_failure"
    done = schema.investigations.c.state == "done"
    (found,) = yard.wait(lambda: yard.rows(schema.investigations, done), "the answer", PATIENCE)
    assert (found.status, found.axis, found.last) == ("confirmed", "interpreter", culprit), found
    assert found.confidence >= 0.97
    (breakage,) = yard.rows(schema.breakages)
    assert (breakage.axis, breakage.blamed) == ("cpython", culprit)
    assert breakage.bad_position - breakage.good_position == 1

    yard.wait(lambda: not probing(yard), "the end of probes that came too late", PATIENCE)
    made = yard.rows(schema.probes)
    assert len({one.owner for one in made}) > 1, "a second owner's worker has seen it"
    runs = {run.id: run for run in yard.rows(schema.runs)}
    assert all(one.outcome or runs[one.run_id].state == "dropped" for one in made)
    assert all(runs[one.run_id].only == list(found.only) for one in made), "only what is concerned"

    yard.calm(PATIENCE)
    first, second = yard.public()
    assert first["Message-ID"] in second["References"]
    assert culprit[:12] in str(second["Subject"])
    said = " ".join(text(second).split())
    (commit,) = yard.rows(schema.commits, schema.commits.c.sha == culprit)
    for words in (culprit, commit.author, commit.title, "Lib/colorsys.py", "anchor", "rgb_to_yiq"):
        assert words in said, said
    assert "parent:" in said and "./pybots try anchor" in said
    assert "an announced change" in said and "Doc/whatsnew/3.15.rst:4" in said
    assert "Nobody broadcasts" not in text(first)

    page = yard.get(f"/breakage/{breakage.id}")
    assert culprit[:12] in page and "Evidence" in page
    assert f"/breakage/{breakage.id}" in yard.get(f"/commit/{culprit}")
    assert "proved to have broken" in yard.get("/")
    assert f"/breakage/{breakage.id}" not in yard.get(f"/commit/{head}")
