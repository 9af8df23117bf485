"""Projects that behave badly, on a real farm: each gets its verdict, its kind and a clear word; the others don't notice."""

from __future__ import annotations

import functools
import html
import shutil
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest
from tests.hard import farm_yard
from tests.hard.farm_yard import LIST, MAINTAINER, Yard

from pybots.farm import local
from pybots.ledger import schema
from pybots.miniature.hostile import Bounds

BOUNDS = Bounds(hang_seconds=600, noise_bytes=1 << 30, forks=5000, memory_bytes=8 << 30)
GOOD = ("sprout", "anchor", "tally", "resin", "fern")
BAD = (
    "bad-hang", "bad-noise", "bad-forks", "bad-memory", "bad-segfault", "bad-kill", "bad-exit", "bad-empty",
    "bad-skipped", "bad-names", "bad-sdist", "bad-archive",
)  # fmt: skip
HANG_MINUTES = 0.1
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    root = tmp_path_factory.mktemp("bad")
    made = farm_yard.make(
        root, (*GOOD, *BAD), BOUNDS, limits__test__log_mb=1, limits__test__processes=200
    )
    with farm_yard.index(made.world.simple_index(root / "index")) as url:
        for name in ("bad-sdist", "bad-archive"):
            farm_yard.set_keys(made, name, source={"release": {"index": name}})
        farm_yard.set_keys(made, "bad-memory", memory_mb=150)
        for name in ("bad-hang", "anchor"):
            farm_yard.set_keys(made, name, timeout_minutes=HANG_MINUTES)
        made.settle(index__url=url)
        local.enrol_local(made.farm, slots=2)
        with farm_yard.running(made, patience=300):
            yield made


def first_run(yard: Yard, project: str) -> Any:
    return yard.of(yard.world.head(), project)[0]


def run_page(yard: Yard, run: Any) -> str:
    return html.unescape(yard.get(f"/run/{run.id}"))


@pytest.mark.parametrize(
    ("project", "verdict", "kind", "word"),
    [
        ("bad-hang", "still_failing", "timeout", "6 s"),
        ("bad-noise", "still_failing", "crash", "TooMuchOutput"),
        ("bad-forks", "still_failing", "crash|test", "Resource temporarily unavailable"),
        ("bad-memory", "still_failing", "memory", "memory"),
        ("bad-segfault", "still_failing", "crash", "SIGSEGV"),
        ("bad-kill", "still_failing", "crash", "SIGKILL"),
        ("bad-exit", "still_failing", "crash", "test_2_bad"),
        ("bad-empty", "still_failing", "hollow", "no tests ran"),
        ("bad-skipped", "still_failing", "hollow", "not today"),
        ("bad-names", "still_failing", "test", EVIL),
        ("bad-sdist", "still_failing", "install", "no such header: moon.h"),
        ("bad-archive", "unknown", None, "bad_archive-1.0.tar.gz"),
    ],
)
def test_a_bad_project_gets_its_verdict_and_a_clear_word(
    yard: Yard, project: str, verdict: str, kind: str | None, word: str
) -> None:
    """The first run is a baseline: shown with its kind and reason, and nobody is accused."""
    run = first_run(yard, project)
    assert (run.verdict, run.lost) == (verdict, 0), run.summary
    # Who enforces a cap, and so how the suite ends, depends on the machine's rung.
    assert run.failure_kind in (kind.split("|") if kind else [None]), run.summary
    assert word in run.summary or word in run_page(yard, run), run.summary
    assert run.summary and run.summary in run_page(yard, run)
    assert project in yard.get("/")


def test_good_neighbours_of_bad_projects_stay_green(yard: Yard) -> None:
    assert [first_run(yard, name).verdict for name in GOOD] == ["passed"] * len(GOOD)


def test_first_runs_accuse_nobody(yard: Yard) -> None:
    assert yard.letters() == []


def test_noise_is_cut_and_what_was_kept_can_be_read(yard: Yard) -> None:
    """1 GB of output: a bounded log, marked as cut."""
    run = first_run(yard, "bad-noise")
    (attempt,) = yard.tries(run.id)
    (log,) = yard.rows(
        schema.logs, schema.logs.c.attempt_id == attempt.id, schema.logs.c.phase == "test"
    )
    assert log.cut and log.size <= (1 << 20) + 10_000
    assert "All work and no play" in yard.get(f"/run/{run.id}/log/test")


def test_hostile_names_are_data_on_pages(yard: Yard) -> None:
    """Nothing of them is markup, an escape sequence or a header."""
    run = first_run(yard, "bad-names")
    for path in (f"/run/{run.id}", "/", "/project/bad-names", "/waterfall"):
        page = yard.get(path)
        assert "<script>alert" not in page and "\x1b" not in page and "\x00" not in page


MODULE = "import unittest\n\nclass T(unittest.TestCase):\n    def test_a(self):\n        {}\n"
LATER = {
    "sprout": ("import ctypes; ctypes.string_at(0)", "crash", "SIGSEGV"),
    "anchor": ("import time; time.sleep(600)", "timeout", "took more than 6 s"),
    "resin": (
        f"self.assertEqual({EVIL + chr(27) + '[31m'!r}, 'x' * 5000)",
        "test",
        "AssertionError",
    ),
}


def test_projects_that_turn_bad_later_are_mailed_about(yard: Yard) -> None:
    """One letter each, to the list and the project's people; it names what changed: the project, not CPython."""
    for name, (line, _, _) in LATER.items():
        files = {"tests/test_late.py": MODULE.format(line)}
        yard.world.commit_files(files, f"Subject: x {EVIL}\n\nBcc: y", project=name)
    tests = yard.world.project("tally").git / "tests"
    gone: dict[str, str | None] = {f"tests/{path.name}": None for path in tests.glob("test_*.py")}
    yard.world.commit_files(gone, "Tests are overrated", project="tally")
    yard.wake()
    for name, kind in {**{n: k for n, (_, k, _) in LATER.items()}, "tally": "hollow"}.items():
        run = yard.wait(functools.partial(newest, yard, name), f"the second run of {name}")
        assert (run.verdict, run.failure_kind) == ("new_failure", kind), (name, run.summary)
    yard.calm()
    names = ["anchor", "resin", "sprout", "tally"]
    letters = yard.letters()
    assert sorted(about(letter) for letter in letters) == sorted([*names, *names])
    assert {str(letter["To"]) for letter in letters} == {LIST, MAINTAINER}
    assert sorted(map(about, yard.public())) == names
    for name, letter in ((about(letter), letter) for letter in letters):
        assert letter["Cc"] is None
        assert {key.lower() for key in letter}.isdisjoint({"bcc"})
        assert "\x1b" not in letter.get_content()
        assert LATER.get(name, ("", "", "no tests ran"))[2] in letter.get_content()
        assert "\n" not in letter["Subject"]


def newest(yard: Yard, project: str) -> Any:
    """The second run, when it has its verdict; the control that it may have asked for is another matter."""
    found = [run for run in yard.of(yard.world.head(), project) if run.purpose == "routine"]
    return found[1] if len(found) == 2 and found[1].verdict else None


def about(letter: EmailMessage) -> str:
    """The project in `[Pybots] anchor: …`."""
    return str(letter["Subject"]).split()[1].rstrip(":")


def test_a_source_that_vanished_keeps_the_old_revision(yard: Yard) -> None:
    """Said on the project's page; what ran before stays, nobody is mailed, and the others go on."""
    before = len(yard.letters())
    (row,) = yard.rows(schema.sources, schema.sources.c.project == "fern")
    shutil.rmtree(yard.world.project("fern").git)
    yard.wake()
    (error,) = yard.wait(
        lambda: [r.error for r in yard.rows(schema.sources, schema.sources.c.project == "fern") if r.error],
        "the error",
    )  # fmt: skip
    (after,) = yard.rows(schema.sources, schema.sources.c.project == "fern")
    assert (after.label, after.revision) == (row.label, row.revision)
    page = html.unescape(yard.get("/project/fern"))
    assert "fern" in error and error[:80] in page and row.label in page
    yard.change(projects=["fern", "sprout"])
    sha = yard.commit("good-lib-change")
    run = yard.verdict(sha, "fern")
    assert (run.verdict, run.failure_kind) == ("unknown", None)
    assert "source" in run.summary and run.summary in run_page(yard, run)
    assert yard.verdict(sha, "sprout").verdict == "still_failing"
    yard.sound()
    assert len(yard.letters()) == before
