"""An investigation in the ledger: begun, asked, answered, told, overtaken; whatever is written survives by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Row, update

from pybots.core.model import GitBranch, Worker
from pybots.farm import dispatch, findings, git, investigations, sources, tokens, workers
from pybots.farm.dispatch import Slot
from pybots.farm.views.search import search
from pybots.ledger import schema
from pybots_worker import contract
from tests.unit.farm.lane_world import (
    PLATFORM,
    World,
    make_report,
    make_test,
    make_world,
    replace_struct,
)

A, B = "tests/test_it.py::test_a", "tests/test_it.py::test_b"
GOOD = [make_test(A), make_test(B)]
BAD = [GOOD[0], make_test(B, "failed", "TypeError: unhashable type")]
OTHER = [make_test(B, "failed", "OSError: no such thing")]
LOCK = (contract.Locked(name="leaf", version="1.2"), contract.Locked(name="Anchor", version="1.0"))
REVISION = {"kind": "git", "url": "https://example.org/x.git", "commit": "a" * 40}
FREE = [Slot(builder="b1", worker="attic"), Slot(builder="b2", worker="cellar")]
HEAD, CULPRIT = 20, 13
SHA = f"{CULPRIT:040x}"


class Farm(World):
    """A lane that was good at 1 and is bad at HEAD; the control was green."""

    def interpreter(
        self, position: int, flavour: str = "release", state: str = "published", **changes: Any
    ) -> int:
        blob = self.farm.store.put(b"an interpreter")
        return super().interpreter(
            position, flavour, state, **{"blob": blob.sha256, "size": blob.size, **changes}
        )

    def run(self, position: int, *, lane: int | None = None, **changes: Any) -> int:  # type: ignore[override]
        return super().run(
            position, lane=lane, **{"revision": REVISION if lane else None, **changes}
        )

    def begin(self, bad: Any = BAD, **more: Any) -> None:
        for position in range(1, HEAD + 1):
            self.commit(position)
        self.seen(1, GOOD)
        self.seen(HEAD, bad, **more)
        self.confirmed(bad)

    def confirmed(self, bad: Any = BAD) -> None:
        """The control is green, and what failed fails again."""
        self.control()
        for run in self.wanted("retry"):
            self.attempt(run.id)
            self.record(run.id, make_report(bad))

    def control(self) -> None:
        """The last good combination passes now."""
        (control,) = self.wanted("control")
        self.attempt(control.id)
        self.record(control.id, make_report([make_test(B)]))

    def seen(self, position: int, tests: Any, *, lock: Any = LOCK, **more: Any) -> None:
        self.go(position, report=replace_struct(make_report(tests), lock=lock), **more)

    def wanted(self, purpose: str = "probe", kind: str = "project") -> list[Row[Any]]:
        runs = schema.runs.c
        return self.rows(
            schema.runs, runs.purpose == purpose, runs.state == "wanted", runs.kind == kind
        )

    def look(self, free: list[Slot] = FREE) -> None:
        investigations.advance(self.farm, free)

    def work(
        self,
        truth: Any = lambda position: BAD if position >= CULPRIT else GOOD,
        told: Any = None,
        builds: Any = lambda run: "",
    ) -> None:
        """Make everything that is wanted, as workers would: tests by position or by run, builds by what their logs say."""
        for build in self.wanted(kind="interpreter"):
            self.attempt(build.id)
            said = builds(build)
            self.record(build.id, self.build_report(ok=not said, said=said))
        for run in self.wanted():
            self.attempt(run.id)
            tests = told(run) if told else truth(run.position)
            self.record(run.id, make_report([one for one in tests if one.id == B]))

    def until_done(self, **more: Any) -> Row[Any]:
        for _ in range(60):
            self.look()
            row = self.rows(schema.investigations)[-1]
            if row.state == "done":
                return row
            self.work(**more)
        raise AssertionError("no end")

    def breakage(self) -> Row[Any]:
        (row,) = self.rows(schema.breakages)
        return row


def project_history(folder: Path, commits: int) -> list[str]:
    """A repository with so many commits; their shas, oldest first."""
    git.git(None, "init", "--quiet", "--initial-branch=main", str(folder))
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for number in range(commits):
        words = ("commit", "--quiet", "--allow-empty", "-m", f"Change {number}")
        git.git(folder, *who, *words)
    return git.git(folder, "log", "--reverse", "--format=%H").split()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(make_world(tmp_path, investigator={"probes_per_day": 100}).farm)
    for name, owner in (("attic", "Ann"), ("cellar", "Bob")):
        hired = Worker(name=name, platform=PLATFORM, abi="debian-12-x86_64", owner=owner)
        workers.enrol(made.farm, hired)
        workers.seen(made.farm, name, connected=name == "attic")
    yield made
    made.farm.ledger.close()


def test_both_ends_are_probed_with_quick_interpreters_on_free_slots(world: Farm) -> None:
    world.begin()
    world.look()
    probes = world.rows(schema.probes)
    assert [(one.stage, one.mix, one.outcome) for one in probes] == [
        ("cross", ["interpreter"], None), ("cross", [], None),
    ]  # fmt: skip
    assert [(run.position, run.only) for run in world.wanted()] == [(HEAD, [B]), (1, [B])]
    builds = world.wanted(kind="interpreter")
    recipes = [world.one(schema.interpreters, run.interpreter_id).recipe for run in builds]
    assert all("-O0" in recipe["cflags"] and not recipe["ensurepip"] for recipe in recipes)
    world.look()
    assert len(world.rows(schema.probes)) == 2, "what waits is not asked for again"


def test_nobody_is_looked_into_before_the_control_or_without_a_slot(world: Farm) -> None:
    for position in range(1, HEAD + 1):
        world.commit(position)
    world.seen(1, GOOD)
    world.seen(HEAD, BAD)
    world.look()
    assert world.rows(schema.investigations) == []
    world.control()
    world.look()
    assert world.rows(schema.investigations) == [], "nor before it has failed twice"
    (more,) = world.wanted("retry")
    world.attempt(more.id)
    world.record(more.id, make_report(BAD))
    world.look([])
    assert len(world.rows(schema.investigations)) == 1
    assert world.rows(schema.probes) == []


def test_the_commit_is_found_and_joins_breakage_and_thread(world: Farm) -> None:
    world.begin()
    found = world.until_done()
    assert (found.status, found.axis, found.last) == ("confirmed", "interpreter", SHA)
    breakage = world.breakage()
    assert (breakage.axis, breakage.blamed) == ("cpython", SHA)
    assert (breakage.good_position, breakage.bad_position) == (CULPRIT - 1, CULPRIT)
    assert breakage.state == "open"
    (thread,) = world.rows(schema.threads)
    assert (thread.good_position, thread.bad_position) == (CULPRIT - 1, CULPRIT)
    opened, known = world.letters()
    assert SHA[:12] in known.subject and "its commit is found" in known.subject
    assert opened.message_id in known.message
    for words in (SHA, f"gh-{CULPRIT}: Change it", "proved by experiment", "The evidence:"):
        assert words in known.message, known.message
    world.look()
    assert len(world.letters()) == 2, "it is said once"
    assert world.rows(schema.outbox, schema.outbox.c.reader.startswith("author:")) == []
    lane = world.one(schema.lanes, world.lane())
    assert (lane.head_position, lane.verdict) == (HEAD, "new_failure"), (
        "probes leave the lane alone"
    )


def test_what_fails_in_a_dependency_is_looked_into_as_well(world: Farm) -> None:
    """The traceback names the dependency; that a commit made its code fail is found by experiment only."""
    world.begin()
    values = {"axis": "dependency", "blamed": "leaf"}
    with world.farm.ledger.write() as connection:
        connection.execute(update(schema.breakages).values(**values))
    found = world.until_done()
    assert (found.status, found.axis, found.last) == ("confirmed", "interpreter", SHA)
    breakage = world.breakage()
    assert (breakage.axis, breakage.blamed) == ("cpython", SHA)
    assert SHA in world.letters()[-1].message
    world.look()
    assert len(world.rows(schema.investigations)) == 1, "once"


def test_an_author_is_written_to_only_by_their_own_wish(world: Farm) -> None:
    tokens.make_key(world.farm.folder.secrets)
    object.__setattr__(world.farm, "people", {"ada@example.org": "ada@home.example.org"})
    world.begin()
    world.until_done()
    mine = world.rows(schema.outbox, schema.outbox.c.reader == "author:ada@home.example.org")
    (letter,) = mine
    assert letter.recipients == ["ada@home.example.org"]
    assert SHA in letter.message and "you asked for it" in " ".join(letter.message.split())
    assert not [one for one in world.letters() if "ada@home" in str(one.recipients)]


def test_another_failure_skips_a_commit(world: Farm) -> None:
    def truth(position: int) -> Any:
        if position == CULPRIT - 1:
            return OTHER
        return BAD if position >= CULPRIT else GOOD

    world.begin()
    found = world.until_done(truth=truth)
    assert found.status == "range"
    assert (found.first, found.last) == (f"{CULPRIT - 1:040x}", SHA)
    assert world.breakage().axis == "", "nobody is named"
    notes = [one.note for one in world.rows(schema.probes, schema.probes.c.outcome == "skip")]
    assert any("another failure" in note for note in notes)


def test_a_commit_that_does_not_build_is_skipped(world: Farm) -> None:
    world.begin()
    builds: list[Row[Any]] = []
    while not builds:
        world.look()
        builds = [b for b in world.wanted(kind="interpreter") if 1 < b.position < HEAD]
        if not builds:
            world.work()
    world.attempt(builds[0].id)
    world.record(builds[0].id, world.build_report(ok=False, said="x.c:1:1: error: no"))
    (skipped,) = world.rows(schema.probes, schema.probes.c.outcome == "skip")
    assert "does not build" in skipped.note or "error: no" in skipped.note, skipped.note
    assert not world.rows(schema.breakages, schema.breakages.c.kind == "interpreter")


def test_mended_meanwhile_ends_it_and_drops_what_waits(world: Farm) -> None:
    world.begin()
    world.look()
    asked = {one.run_id for one in world.rows(schema.probes)}
    world.seen(HEAD + 1, GOOD)
    world.look()
    row = world.rows(schema.investigations)[0]
    assert (row.role, row.state, row.status) == ("broke", "done", "overtaken")
    assert "fixed" in row.reason
    assert {world.one(schema.runs, run).state for run in asked} == {"dropped"}


def test_what_mended_it_is_found_the_same_way_and_said_in_the_thread(world: Farm) -> None:
    mender = HEAD + 6
    world.begin()
    assert world.until_done().role == "broke"
    for position in range(HEAD + 1, HEAD + 11):
        world.commit(position)
    world.seen(HEAD + 10, GOOD)
    assert world.breakage().state == "fixed"
    before = world.letters()
    found = world.until_done(truth=lambda position: GOOD if position >= mender else BAD)
    assert (found.role, found.status, found.last) == ("mended", "confirmed", f"{mender:040x}")
    told = {line["what"][:12]: line for line in found.evidence}
    assert told[f"{mender:040x}"[:12]]["passed"] >= 2
    (letter,) = world.letters()[len(before) :]
    assert f"fixed by {mender:040x}"[:21] in letter.subject
    assert before[0].message_id in letter.message and "Fixed by: CPython's commit" in letter.message
    assert world.breakage().state == "fixed"
    world.look()
    assert len(world.letters()) == len(before) + 1, "and once"


def test_the_day_has_a_budget(world: Farm) -> None:
    small = world.farm.config.model_copy(
        update={
            "investigator": world.farm.config.investigator.model_copy(update={"probes_per_day": 1})
        }
    )
    world.begin()
    object.__setattr__(world.farm, "config", small)
    world.look()
    assert len(world.rows(schema.probes)) == 1
    world.work()
    world.look()
    assert len(world.rows(schema.probes)) == 1


def test_probes_come_after_everything_that_is_routine(world: Farm) -> None:
    world.begin()
    world.look()
    world.work(truth=lambda _: [])
    world.look()
    assert world.wanted() or world.wanted(kind="interpreter")
    routine = world.run(HEAD + 1, lane=world.lane(), state="wanted", tries=0)
    first, *_ = dispatch.next_dispatches(world.farm, FREE[:1])
    assert first.run == routine


def test_a_second_owners_probe_goes_to_nobody_else(world: Farm) -> None:
    world.begin()
    world.look()
    for run in world.wanted():
        world.interpreter(run.position)
    with world.farm.ledger.write() as connection:
        connection.execute(update(schema.interpreters).values(state="published"))
        connection.execute(
            update(schema.runs).where(schema.runs.c.kind == "interpreter").values(state="dropped")
        )
        connection.execute(update(schema.probes).values(not_by=["Ann"]))
    assert dispatch.next_dispatches(world.farm, FREE[:1]) == []
    (sent,) = dispatch.next_dispatches(world.farm, FREE[1:])
    assert sent.worker == "cellar"


def test_a_probe_runs_only_what_is_concerned_with_the_lock_of_its_run(world: Farm) -> None:
    tokens.make_key(world.farm.folder.secrets)
    world.begin()
    world.look()
    for build in world.wanted(kind="interpreter"):
        world.attempt(build.id)
        world.record(build.id, world.build_report())
    chosen = dispatch.next_dispatches(world.farm, FREE)
    jobs = [dispatch.start_attempt(world.farm, one.attempt, "") for one in chosen]
    for job in jobs:
        assert job is not None and isinstance(job.work, contract.ProjectWork)
        assert (job.purpose, job.work.test.only, job.work.test.retries) == ("probe", (B,), 0)
        assert job.work.install.lock == LOCK[:1], "pinned, but not the project itself"
    assert msgspec.to_builtins(jobs[0])["work"]["interpreter"]["commit"] == f"{HEAD:040x}"


def test_what_the_farm_loses_says_nothing(world: Farm) -> None:
    world.begin()
    world.look()
    run = world.wanted()[0]
    for _ in range(3):
        world.attempt(run.id)
        dispatch.attempt_lost(world.farm, world.last_attempt(run.id).id, "the worker was lost")
    (lost,) = world.rows(schema.probes, schema.probes.c.run_id == run.id)
    assert (lost.outcome, lost.note) == ("lost", "the worker was lost")
    assert world.until_done().last == SHA


def test_the_page_tells_the_proof_and_the_console_the_commit(world: Farm) -> None:
    world.begin()
    world.look()
    with world.farm.ledger.read() as connection:
        going = search(connection, world.breakage())
    assert going is not None and going.going and len(going.probes) == 2
    world.until_done()
    with world.farm.ledger.read() as connection:
        done = search(connection, world.breakage())
        (traced,) = findings.traced(connection, [f"{n:040x}" for n in range(HEAD + 1)])
    assert done is not None and done.confidence.endswith("%") and done.evidence
    left = [one.left for one in done.probes if one.left]
    assert left == sorted(left, reverse=True) and left[-1] == 1
    assert (traced.last, traced.breakage_id) == (SHA, world.breakage().id)


def test_a_projects_own_commit_is_found_on_its_axis(world: Farm, tmp_path: Path) -> None:
    """CPython has changed too; of the project's five commits the third did it."""
    shas = project_history(tmp_path / "project", 6)
    here = GitBranch(url=str(tmp_path / "project"), branch="main")
    world.farm.projects["anchor"] = replace(world.farm.projects["anchor"], sources={"trunk": here})
    for position in range(1, HEAD + 1):
        world.commit(position)
    for position, sha, tests in ((1, shas[0], GOOD), (HEAD, shas[-1], BAD)):
        revision = {**REVISION, "commit": sha}
        world.seen(position, tests, revision=revision, revision_label=sha[:12])
    world.confirmed()

    def told(run: Row[Any]) -> list[Any]:
        return BAD if shas.index(run.revision["commit"]) >= 3 else GOOD

    found = world.until_done(told=told)
    assert (found.status, found.axis, found.last) == ("confirmed", "project", shas[3]), found
    assert found.title == "Change 3"
    breakage = world.breakage()
    assert (breakage.axis, breakage.blamed) == ("project", shas[3])
    assert (
        "the project's" in world.letters()[-1].message
        or shas[3][:12] in world.letters()[-1].message
    )


def test_a_dependencys_release_is_found_on_its_axis(
    world: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two packages have changed, one of them by four releases: the release that did it is named."""
    known = {"leaf": ["1.2", "1.3", "1.4rc1", "1.4", "1.5", "1.6"], "twig": ["2", "3"]}
    monkeypatch.setattr(sources, "sdist_versions", lambda _, name: known[name])
    for position in range(1, HEAD + 1):
        world.commit(position)
    locks = {1: {"leaf": "1.2", "twig": "2"}, HEAD: {"leaf": "1.6", "twig": "3"}}
    for position, tests in ((1, GOOD), (HEAD, BAD)):
        lock = tuple(contract.Locked(name=n, version=v) for n, v in locks[position].items())
        world.seen(position, tests, lock=lock)
    world.confirmed()

    def told(run: Row[Any]) -> list[Any]:
        (probe,) = world.rows(schema.probes, schema.probes.c.run_id == run.id)
        pins = dict(probe.lock or locks[world.one(schema.runs, run.good_run).position])
        return BAD if pins["leaf"] >= "1.4" else GOOD

    found = world.until_done(told=told)
    assert (found.status, found.axis, found.last) == ("confirmed", "dependencies", "leaf==1.4"), (
        found
    )
    assert found.title == "leaf 1.3 → 1.4"
    assert (world.breakage().axis, world.breakage().blamed) == ("dependency", "leaf==1.4")


def test_the_commit_that_does_not_build_is_found_by_builds_alone(world: Farm) -> None:
    """Only the head was built; two commits in between fail otherwise, and are skipped."""
    world.lane()
    for position in range(1, HEAD + 1):
        world.commit(position)
    broken = "Modules/x.c:3:1: error: unknown type name 'foo'"
    world.build(1)
    world.build(HEAD, ok=False, said=broken)

    def builds(run: Row[Any]) -> str:
        if run.position in (9, 10):
            return "Modules/y.c:1:1: error: expected ';'"
        return broken if run.position >= CULPRIT else ""

    found = world.until_done(builds=builds)
    assert (found.status, found.axis, found.last) == ("confirmed", "interpreter", SHA), found
    asked = world.rows(schema.probes)
    runs = {world.one(schema.runs, one.run_id).kind for one in asked}
    assert runs == {"interpreter"} and len(asked) <= 16
    breakage = world.breakage()
    assert (breakage.axis, breakage.blamed) == ("cpython", SHA)
    assert (breakage.good_position, breakage.bad_position) == (CULPRIT - 1, CULPRIT)
    assert SHA[:12] in world.letters()[-1].message
    with world.farm.ledger.read() as connection:
        page = search(connection, breakage)
    assert page is not None and page.evidence and not page.going


def test_the_commit_that_lets_it_build_again_is_found_by_builds_alone(world: Farm) -> None:
    world.lane()
    for position in range(1, HEAD + 7):
        world.commit(position)
    broken = "Modules/x.c:3:1: error: unknown type name 'foo'"
    world.build(1)
    world.build(HEAD, ok=False, said=broken)
    mender = HEAD + 4

    def truth(run: Row[Any]) -> str:
        return broken if CULPRIT <= run.position < mender else ""

    assert world.until_done(builds=truth).last == SHA
    world.build(HEAD + 6)
    assert world.breakage().state == "fixed"
    found = world.until_done(builds=truth)
    assert (found.role, found.status, found.last) == ("mended", "confirmed", f"{mender:040x}")
    assert f"fixed by {mender:040x}"[:21] in world.letters()[-1].subject


def test_a_worker_that_builds_nothing_is_not_asked_to(world: Farm) -> None:
    hired = Worker(
        name="shed", platform=PLATFORM, abi="debian-12-x86_64", owner="Cem", kinds=("project",)
    )
    workers.enrol(world.farm, hired)
    workers.seen(world.farm, "shed", connected=True)
    world.lane()
    for position in range(1, HEAD + 1):
        world.commit(position)
    world.build(1)
    world.build(HEAD, ok=False)
    world.look([Slot(builder="b3", worker="shed")])
    assert not world.rows(schema.probes)
    world.look(FREE[:1])
    assert len(world.rows(schema.probes)) == 1
