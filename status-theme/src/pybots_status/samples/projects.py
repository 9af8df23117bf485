"""Samples of projects and their lists, few and many, with and without lanes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pybots_status import links
from pybots_status.pages import (
    STATES,
    Cell,
    Fact,
    Page,
    Project,
    ProjectRow,
    Projects,
    TestHistory,
    TestSpan,
    Version,
)
from pybots_status.samples.common import NOW, frame, sha
from pybots_status.samples.console import PROJECTS
from pybots_status.samples.rows import BREAKAGE, LANES, RUNS
from pybots_status.samples.runs import SLUG


def project() -> Project:
    """A project with everything."""
    return Project(
        frame=frame("Twisted", here=links.project("twisted")),
        name="twisted",
        title="Twisted",
        summary="3 of 5 lanes have an answer; 1 passes",
        note="The tests need a network interface of their own.",
        homepage="https://twisted.org/",
        tracker="https://github.com/twisted/twisted/issues",
        maintainers=("Maintainer One", "Maintainer Two"),
        versions=(
            Version(
                source="release",
                label="25.5.0",
                origin="newest release on the package index",
                checked=NOW - 3600,
            ),
            Version(
                source="trunk",
                label="",
                origin="https://github.com/twisted/twisted",
                checked=NOW,
                error="fatal: could not read from remote repository",
            ),
        ),
        facts=(
            Fact(name="Runner", value="trial"),
            Fact(name="Time limit", value="30 m"),
            Fact(name="Network", value="while installing"),
        ),
        lanes=LANES,
        runs=RUNS,
        breakages=(BREAKAGE,),
        controls=(replace(RUNS[2], purpose="control"),),
        badge=links.badge("twisted"),
        badge_text="[![Twisted on CPython main](https://farm.example/badge/twisted.svg)](https://farm.example/project/twisted)",
    )


TEST: Final = "twisted.web.test.test_template.FlattenTests.test_nested"


def history() -> TestHistory:
    """A test that broke twice in one lane, and never in the other."""
    now = TestSpan(
        lane=SLUG, where="release, main debug on linux-x86_64", state="new_failure", outcome="error", run=89_600,
        sha=sha(1), when=NOW - 900, signature="b81d0c3f9a77e012",
    )  # fmt: skip
    before = replace(
        now, state="passed", outcome="passed", run=88_100, sha=sha(9), when=NOW - 800_000,
        until_run=89_600, until_sha=sha(1), signature="",
    )  # fmt: skip
    old = replace(now, run=87_900, sha=sha(12), until_run=88_100, until_sha=sha(9))
    other = replace(
        before, where="release, main release on linux-x86_64", until_run=0, until_sha=""
    )
    return TestHistory(test=TEST, spans=(now, before, old, other), left_out=2)


def _projects() -> Projects:
    cells = tuple(Cell(state=state, href=links.lane(SLUG), title=state) for state in STATES)
    rows = tuple(
        ProjectRow(
            name=name,
            title=name.title(),
            versions=("25.5.0", "trunk@abcdef123456"),
            cells=cells[index : index + 6],
            summary="1 new failure",
        )
        for index, name in enumerate(PROJECTS)
    )
    return Projects(frame=frame("Projects", view="projects"), rows=rows)


def _many_projects() -> Projects:
    """Five hundred lanes: fifty projects on ten columns."""
    states = tuple(STATES)
    rows = tuple(
        ProjectRow(
            name=f"project-{number:02}",
            title=f"Project {number:02}",
            versions=("1.0", "trunk@abcdef123456"),
            cells=tuple(
                Cell(state=states[number * column % 9] if number % 7 == 3 else "passed", href=links.lane(SLUG))
                for column in range(10)
            ),
        )
        for number in range(50)
    )  # fmt: skip
    return Projects(frame=frame("Projects", view="projects"), rows=rows)


SAMPLES: Final[dict[str, Page]] = {
    "projects": _projects(),
    "projects-one-lane": replace(_projects(), rows=tuple(replace(row, cells=row.cells[:1], summary="") for row in _projects().rows[:1])),
    "projects-500-lanes": _many_projects(),
    "projects-empty": Projects(frame=frame("Projects", view="projects")),
    "project": project(),
    "project-test": replace(project(), history=history()),
    "project-no-such-test": replace(project(), history=TestHistory(test="test_nested", known=False, alike=(TEST,))),
    "project-new": Project(frame=frame("Genshi"), name="genshi", title="Genshi"),
}  # fmt: skip
