"""The main job, end to end: commits arrive, interpreters are built, projects run, cells turn, mails come."""

from __future__ import annotations

from pybots.ledger import schema
from tests.farm.live import Live


def test_the_first_cycle_runs_the_head_and_an_earlier_commit(live: Live) -> None:
    """There is something to compare at once, and nobody is accused."""
    runs = live.rows(schema.runs, schema.runs.c.kind == "project", schema.runs.c.state == "done")
    lanes = {run.lane_id for run in runs}
    assert len(lanes) == 4
    assert all(len({run.position for run in runs if run.lane_id == lane}) == 2 for lane in lanes)
    assert live.letters() == []


def test_a_project_that_was_always_red_accuses_nobody(live: Live) -> None:
    run = live.verdict(live.world.head(), "thorn")
    assert run.verdict == "still_failing", run.summary


def test_a_commit_that_breaks_a_project_turns_a_cell_red_and_is_mailed(live: Live) -> None:
    before = len(live.letters())
    bad = live.commit("break-anchor")
    run = live.verdict(bad, "anchor")
    assert (run.verdict, run.failure_kind) == ("new_failure", "test")
    assert live.verdict(bad, "sprout").verdict == "passed"
    assert live.verdict(bad, "thorn").verdict == "new_failure", "a new failure inside a red lane"
    live.calm()
    for breakage in live.rows(schema.breakages):
        assert (breakage.state, breakage.control) == ("open", "green"), "the control was waited for"
        (control,) = live.rows(schema.runs, schema.runs.c.id == breakage.control_run)
        assert (control.purpose, control.verdict) == ("control", "passed"), control.summary
        assert control.position < run.position
    for more in live.rows(schema.runs, schema.runs.c.purpose == "retry"):
        assert (more.verdict, more.position) == ("still_failing", run.position), "no chance"
    letters = live.letters()[before:]
    assert letters
    text = letters[0].get_body(("plain",)).get_content()  # type: ignore[union-attr] # it always has a text part
    assert "anchor" in text and "thorn" in text
    assert bad[:12] in text
    assert "rgb_to_yiq" in text
    assert "./pybots try anchor" in text

    good = live.commit("fix-anchor")
    assert live.verdict(good, "anchor").verdict == "fixed"
    live.calm()
    replies = [letter for letter in live.letters()[before:] if letter["In-Reply-To"]]
    assert any(letters[0]["Message-ID"] in (reply["References"] or "") for reply in replies)


def test_a_documentation_commit_builds_nothing(live: Live) -> None:
    live.calm()
    runs = len(live.rows(schema.runs))
    sha = live.commit("docs-only")
    live.wait(lambda: live.rows(schema.commits, schema.commits.c.sha == sha), "the commit")
    live.calm()
    assert len(live.rows(schema.runs)) == runs
    cells = [
        cell
        for cell in live.rows(schema.cells)
        if cell.commit_id == live.rows(schema.commits, schema.commits.c.sha == sha)[0].id
    ]
    assert len(cells) == 4


def test_a_commit_that_does_not_compile_is_a_verdict_on_the_commit(live: Live) -> None:
    live.calm()
    before = len(live.letters())
    bad = live.commit("does-not-compile")
    run = live.verdict(bad)
    assert (run.verdict, run.failure_kind) == ("new_failure", "interpreter")
    assert live.verdict(bad, "sprout").verdict == "unknown"
    live.calm()
    (letter,) = live.letters()[before:]
    assert "build" in letter["Subject"]
    good = live.commit("fix-compile")
    assert live.verdict(good, "sprout").verdict == "passed", (
        "a revert: its interpreter is there already"
    )
    live.calm()
    assert len(live.letters()) == before + 2


def test_an_interpreter_is_built_once_for_all_projects(live: Live) -> None:
    builds = live.rows(
        schema.runs, schema.runs.c.kind == "interpreter", schema.runs.c.state == "done"
    )
    keys = [build.interpreter_id for build in builds]
    assert len(keys) == len(set(keys))


def test_the_page_shows_what_the_ledger_says(live: Live) -> None:
    page = live.get("/")
    for project in ("sprout", "anchor", "fern", "thorn"):
        assert project in page
    run = live.verdict(live.world.head(), "anchor")
    assert run.summary in live.get(f"/run/{run.id}")


def test_only_the_days_first_interpreter_is_installed_plainly(live: Live) -> None:
    """The commits of one day are built without what no project reads, and run projects just as well."""
    built = [row for row in live.rows(schema.interpreters) if row.state == "published"]
    built.sort(key=lambda row: row.finished)
    assert built[0].plain
    assert not built[-1].plain
