"""The stories Pybots lives for (DESIGN §1), each on a real master and real workers: what was broken, and what was said.

One farm lives through all of them, in four chapters: everything is green; CPython does not install; ten commits break much at
once; they are reverted. Stories that need a farm of their own are told ELSEWHERE.
"""

from __future__ import annotations

import html
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.hard import story_farm
from tests.hard.farm_yard import ADMIN, LIST
from tests.hard.story_farm import BREAKS, NARROW, Chapter, Stories

from pybots.ledger import schema

ELSEWHERE = {
    "a worker killed in mid-test": ("test_farm_kills", "test_a_killed_worker_costs_one_more_attempt"),
    "the farm's disk full": ("test_farm_trouble", "test_a_full_disk_loses_nothing_and_is_over_when_there_is_room"),
    "a disk full under a run": ("test_farm_trouble", "test_a_disk_that_fills_under_a_run_costs_it_an_attempt"),
    "suites that are bad from their first run on": (
        "test_farm_bad_projects", "test_a_bad_project_gets_its_verdict_and_a_clear_word",
    ),
    "1 GB of output, cut": ("test_farm_bad_projects", "test_noise_is_cut_and_what_was_kept_can_be_read"),
}  # fmt: skip
RED = {
    "amber", "anchor", "bracken", "buoy", "cistern", "copal", "frond", "husk", "keel", "magpie", "moss", "sedge", "thorn",
    "veil",
}  # fmt: skip
"""The projects that the ten commits break."""
GREEN = {"resin", "bad-dice"}


@dataclass(frozen=True, kw_only=True)
class Told:
    """The farm, and its chapters. `first`: moss's suite on the green interpreter, in its own work tree."""

    farm: Stories
    green: Chapter
    uninstalled: Chapter
    broken: Chapter
    mended: Chapter
    first: subprocess.CompletedProcess[str]

    def only(self, project: str, verdict: str, kind: str, platform: str = "") -> Any:
        """The one breakage of a project in the third chapter, after a look at its run and its one letter."""
        run = self.broken.run(project, platform)
        assert (run.verdict, run.failure_kind, run.cell) == (verdict, kind, verdict), run.summary
        (breakage,) = self.broken.broken(run)
        assert (breakage.kind, breakage.state, breakage.control) == (kind, "open", "green")
        assert breakage.title in html_of(self.farm, f"/breakage/{breakage.id}")
        return breakage

    def tests(self, breakage: Any) -> dict[int, list[str]]:
        """Lane -> the ids that are bad there."""
        parts = [part for part in self.broken.parts if part.breakage_id == breakage.id]
        return {part.lane_id: part.tests for part in parts}

    def letter(self, project: str) -> tuple[str, str]:
        """Subject and body of the one letter that a project's people got in the third chapter."""
        (letter,) = self.broken.mails_to(project)
        return str(letter["Subject"]), letter.get_content()

    def phase(self, run: Any, name: str) -> dict[str, Any]:
        """A phase of the run's last attempt, as reported."""
        (found,) = [one for one in self.farm.yard.tries(run.id)[-1].phases if one["phase"] == name]
        assert isinstance(found, dict)
        return found


def html_of(farm: Stories, path: str) -> str:
    return html.unescape(farm.yard.get(path))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    if not story_farm.can_be_narrow():
        reason = "needs setarch and a machine that can be an i686"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with story_farm.living(tmp_path_factory.mktemp("stories")) as farm:
        head = farm.yard.world.head()
        green = farm.chapter(head)
        first = farm.tests_of("moss", farm.python(head))
        uninstalled = farm.chapter(farm.push("does-not-install"))
        broken = farm.chapter(farm.push("fix-install", *BREAKS))
        mended = farm.chapter(farm.push(*reversed(BREAKS.values())))
        yield Told(
            farm=farm, green=green, uninstalled=uninstalled, broken=broken, mended=mended, first=first
        )  # fmt: skip


@pytest.mark.parametrize("story", ELSEWHERE)
def test_the_other_stories_are_told(story: str) -> None:
    module, name = ELSEWHERE[story]
    assert f"\ndef {name}(" in Path(__file__).with_name(f"{module}.py").read_text()


def test_before_anything_happens_nobody_is_accused(told: Told) -> None:
    """One suite is red from the start and one is flaky: a baseline, and no mail."""
    verdicts = {name: run.verdict for (name, _), run in told.green.runs.items()}
    assert verdicts.pop("thorn") == "still_failing"
    assert verdicts.pop("bad-dice") == "flaky"
    assert set(verdicts.values()) == {"passed"}
    assert (told.green.letters, told.green.breakages) == ([], [])


# CPython itself


def test_cpythons_own_make_install_fails_while_its_tests_pass(told: Told, tmp_path: Path) -> None:
    """The commit is accused, on the list; no project is: their runs are unknown, counted, never green."""
    chapter = told.uninstalled
    builds = told.farm.yard.of(chapter.sha)
    assert {(run.verdict, run.failure_kind) for run in builds} >= {("new_failure", "interpreter")}
    said = [run.summary for run in builds]
    assert all("builds, but does not install: " in one and "python.man" in one for one in said), (
        said
    )
    assert {run.verdict for run in chapter.runs.values()} == {"unknown"}
    assert {run.cell for run in chapter.runs.values()} == {"unknown"}
    (letter,) = chapter.letters
    assert letter["To"] == LIST
    assert "CPython: does not install on main" in letter["Subject"]
    assert chapter.sha in letter.get_content() and "make install DESTDIR" in letter.get_content()
    tree = built_tree(told, chapter.sha, tmp_path)
    assert make(tree, "test").returncode == 0, "what CPython's own tests say of the build tree"
    assert make(tree, "install", f"DESTDIR={tmp_path / 'to'}").returncode != 0


def built_tree(told: Told, sha: str, folder: Path) -> Path:
    """The miniature CPython at a commit, configured and built."""
    tree = folder / "tree"
    subprocess.run(
        ["git", "-c", "advice.detachedHead=false", "clone", "-q", str(told.farm.yard.world.cpython), str(tree)],
        check=True,
    )  # fmt: skip
    subprocess.run(["git", "checkout", "-q", sha], cwd=tree, check=True)
    subprocess.run(["sh", "./configure", "-q", "--prefix=/usr/local"], cwd=tree, check=True)
    assert make(tree).returncode == 0
    return tree


def make(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-s", *words], cwd=tree, capture_output=True, text=True, check=False, timeout=120
    )


def test_its_mend_is_told_in_the_same_thread(told: Told) -> None:
    (first,) = told.uninstalled.letters
    again = [one for one in told.broken.public() if "installs again" in one["Subject"]]
    assert [one["References"] for one in again] == [first["Message-ID"]]


@pytest.mark.parametrize(
    ("module", "title", "line"),
    [
        ("tests.test_rules", "SyntaxError: invalid syntax", "def keep(stones, unless):"),
        ("tests.test_mask", "SyntaxError: invalid hexadecimal literal", "HIGH = 0x+80000000"),
    ],
    ids=["a-new-keyword", "a-literal-refused"],
)
def test_a_change_of_the_language(told: Told, module: str, title: str, line: str) -> None:
    """Two changes hit two modules of one project: two breakages, each confirmed, and one letter to its people."""
    run = told.broken.run("moss")
    assert (run.verdict, run.failure_kind, run.count) == ("new_failure", "collection", 2)
    found = {tuple(told.tests(one)[run.lane_id]): one for one in told.broken.broken(run)}
    assert len(found) == 2
    breakage = found[(module,)]
    assert (breakage.title, breakage.kind) == (title, "collection")
    assert (breakage.state, breakage.control) == ("open", "green")
    assert line in breakage.evidence
    subject, body = told.letter("moss")
    assert "2 test modules cannot be collected" in subject
    assert title in body and module in body


def test_stale_byte_code_would_have_hidden_it(told: Told, tmp_path: Path) -> None:
    """The magic number is the same, so a tree that was used before is green on the new interpreter; the farm's is fresh."""
    before, after = told.farm.python(told.green.sha), told.farm.python(told.broken.sha)
    magic = "import importlib.util; print(importlib.util.MAGIC_NUMBER)"
    said = {subprocess.check_output([str(python), "-c", magic]) for python in (before, after)}
    assert len(said) == 1
    assert told.first.returncode == 0, told.first.stderr
    assert list((told.farm.yard.world.project("moss").git / "src").rglob("*.pyc"))
    stale = told.farm.tests_of("moss", after)
    assert stale.returncode == 0 and "Ran 3 tests" in stale.stderr, stale.stderr
    fresh = told.farm.tests_of("moss", after, "-X", f"pycache_prefix={tmp_path}")
    assert fresh.returncode != 0 and fresh.stderr.count("SyntaxError: ") == 2, fresh.stderr
    assert told.broken.run("moss").verdict == "new_failure", (
        "although that tree is where it came from"
    )


# Installation


def test_a_project_does_not_install_while_its_tests_pass(told: Told) -> None:
    breakage = told.only("husk", "new_failure", "install")
    assert (breakage.axis, breakage.blamed) == ("", ""), "nobody's but its own"
    assert "husk does not build: AttributeError: module 'colorsys'" in breakage.title
    assert "husk: does not install on main" in told.letter("husk")[0]
    uninstalled = told.farm.tests_of("husk", told.farm.python(told.broken.sha))
    assert uninstalled.returncode == 0, uninstalled.stderr


def test_a_dependencys_extension_does_not_compile(told: Told) -> None:
    """One breakage, the dependency's, in all that need it. They are told; the dependency, which has no lane here, is not."""
    breakage = told.only("bracken", "new_failure", "install")
    assert told.only("sedge", "new_failure", "install").id == breakage.id
    assert (breakage.axis, breakage.blamed) == ("dependency", "fern")
    assert "fern==1.0 does not build: _fern.c: unknown type name" in breakage.title
    assert len(told.tests(breakage)) == 2
    for name in ("bracken", "sedge"):
        assert "in the dependency fern" in told.letter(name)[1]
        assert html_of(told.farm, f"/breakage/{breakage.id}").count(f"{name}.trunk") >= 1
    assert told.broken.mails_to("fern") == []


def test_a_dependency_raises_in_its_own_frames(told: Told) -> None:
    """Hashing an array.array: one breakage with its dependents, though the dependency's own suite never sees it."""
    breakage = told.only("amber", "new_failure", "test")
    assert told.only("copal", "new_failure", "test").id == breakage.id
    assert (breakage.axis, breakage.blamed) == ("dependency", "resin")
    assert breakage.title == "TypeError: unhashable type: 'array.array'"
    assert sorted(len(ids) for ids in told.tests(breakage).values()) == [1, 1]
    assert told.broken.run("resin").verdict == "passed"
    assert told.broken.mails_to("resin") == []
    for name in ("amber", "copal"):
        subject, body = told.letter(name)
        assert "test_resin_remembers fails" in subject and "in the dependency resin" in body


# Green but hollow


def test_a_whole_suite_is_skipped(told: Told) -> None:
    """It ended as if all were well."""
    breakage = told.only("veil", "new_failure", "hollow")
    assert told.phase(told.broken.run("veil"), "test")["exit_code"] in (0, 5)
    assert "skipped: needs colorsys.rgb_to_yiq" in breakage.title
    assert "no tests ran" in told.letter("veil")[0]


def test_an_optional_extension_is_silently_lost(told: Told) -> None:
    """All tests pass, everything exits 0."""
    breakage = told.only("frond", "new_failure", "hollow")
    run = told.broken.run("frond")
    assert all(told.phase(run, name)["ok"] for name in ("install", "test"))
    assert run.counts["passed"] == told.green.run("frond").counts["passed"] == 1
    assert told.tests(breakage) == {run.lane_id: ["<extension frond._fern>"]}
    assert "compiled frond._fern is missing" in told.letter("frond")[0]


# Where, and beside what


def test_a_failure_on_one_platform_only(told: Told) -> None:
    """Two workers of other kinds: red on one, green on the other, and said so."""
    platforms = {platform for name, platform in told.broken.runs if name == "keel"}
    (other,) = platforms - {NARROW}
    assert told.broken.run("keel", other).verdict == "passed"
    breakage = told.only("keel", "new_failure", "test", NARROW)
    assert list(told.tests(breakage)) == [told.broken.run("keel", NARROW).lane_id]
    subject, _ = told.letter("keel")
    assert NARROW in subject and other not in subject


def test_a_new_failure_in_a_lane_that_was_red_already(told: Told) -> None:
    """The old one is no news, and stays after the mend."""
    breakage = told.only("thorn", "new_failure", "test")
    run = told.broken.run("thorn")
    assert told.tests(breakage) == {run.lane_id: ["tests.test_it.ThornTest.test_colour"]}
    assert "(1 more was bad before)" in run.summary
    subject, body = told.letter("thorn")
    assert "test_colour fails" in subject and "test_always_red" not in subject + body
    assert told.mended.run("thorn").verdict == "still_failing"


def test_what_fails_once_in_twenty_runs_is_nobodys_mail(told: Told) -> None:
    """Each of its twenty tests fails at that rate, so one of them does in each run; it passes when it is tried again."""
    runs = [chapter.run("bad-dice") for chapter in (told.green, told.broken, told.mended)]
    assert {(run.verdict, run.counts["flaky"]) for run in runs} == {("flaky", 1)}
    flakes = told.farm.yard.rows(schema.flakes, schema.flakes.c.lane_id == runs[0].lane_id)
    assert len(flakes) == len({run.id for run in runs})
    assert told.mended.broken(runs[0]) == []
    letters = [*told.uninstalled.letters, *told.broken.letters, *told.mended.letters]
    assert [one["Subject"] for one in letters if "bad-dice" in one.get_content()] == []


# Suites that do not come back


@pytest.mark.parametrize(
    ("project", "kind", "test", "word"),
    [
        ("buoy", "timeout", "tests.test_buoy.BuoyTest.test_wait", "hangs"),
        ("anchor", "crash", "tests.test_anchor.AnchorTest.test_red_paint", "crashes"),
        ("cistern", "memory", "tests.test_cistern.CisternTest.test_fill", "runs out of memory"),
        ("magpie", "crash", "tests.test_magpie.MagpieTest.test_tell", "crashes"),
    ],
)
def test_a_suite_that_hangs_crashes_eats_memory_or_prints_a_gigabyte(
    told: Told, project: str, kind: str, test: str, word: str
) -> None:
    """Named as such, never explained away, with the test that did it."""
    breakage = told.only(project, "new_failure", kind)
    assert told.tests(breakage) == {told.broken.run(project).lane_id: [test]}
    assert f"{word} on main" in told.letter(project)[0]


def test_what_they_said_is_named(told: Told) -> None:
    assert f"took more than {story_farm.HANG_SECONDS} s" in told.broken.run("buoy").summary
    assert "SIGSEGV" in told.broken.run("anchor").summary
    assert "used more than 150 MiB of memory" in told.broken.run("cistern").summary
    run = told.broken.run("magpie")
    assert "TooMuchOutput" in run.summary
    logs = told.farm.yard.rows(schema.logs, schema.logs.c.phase == "test")
    (log,) = [one for one in logs if one.attempt_id == told.farm.yard.tries(run.id)[-1].id]
    assert log.cut and log.size <= (1 << 20) + 10_000


# All of it together


def test_what_breaks_together_is_one_thread(told: Told) -> None:
    """One letter to the list with a row for each project, and each project in one of its own; nobody else hears of it."""
    letters = [one for one in told.broken.public() if "installs again" not in one["Subject"]]
    (letter,) = letters
    assert (
        f"{len(RED)} projects: newly broken on main at {told.broken.sha[:12]}" in letter["Subject"]
    )
    rows = {line[2:].partition(" ")[0] for line in letter.get_content().splitlines()}
    assert rows >= RED and GREEN.isdisjoint(rows)
    assert {name for name in (*RED, *GREEN) if told.broken.mails_to(name)} == RED
    assert len(told.broken.letters) == 2 + len(RED)


def test_the_breaker_found_cpython_and_told_nobody_that_it_was_the_farm(told: Told) -> None:
    breakers = told.farm.yard.rows(schema.breakers)
    assert {row.state for row in breakers} <= {"python"}
    everything = [
        *told.green.letters,
        *told.uninstalled.letters,
        *told.broken.letters,
        *told.mended.letters,
    ]
    assert [one["Subject"] for one in everything if ADMIN in str(one["To"])] == []


def test_the_reverts_mend_all_of_it_in_that_thread(told: Told) -> None:
    verdicts = {name: run.verdict for (name, where), run in told.mended.runs.items() if name in RED}
    assert verdicts.pop("thorn") == "still_failing"
    assert verdicts.pop("keel") in ("fixed", "passed"), "of its two lanes"
    assert set(verdicts.values()) == {"fixed"}, verdicts
    assert {row.state for row in told.mended.breakages} == {"fixed"}
    (first,) = [one for one in told.broken.public() if "newly broken" in one["Subject"]]
    (last,) = told.mended.public()
    assert "fixed" in last["Subject"] and first["Message-ID"] in last["References"]
    assert {name for name in (*RED, *GREEN) if told.mended.mails_to(name)} == RED


def test_a_page_for_each(told: Told) -> None:
    """The farm is sound, and every breakage has its page with the evidence."""
    told.farm.yard.sound()
    for row in told.mended.breakages:
        assert row.title in html_of(told.farm, f"/breakage/{row.id}")
