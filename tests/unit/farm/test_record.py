"""Recording a report: one transaction, once, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lane_world import (
    World,
    make_failure,
    make_phase,
    make_project,
    make_report,
    make_test,
    make_world,
)

from pybots.farm import livelogs, record
from pybots.farm.record import RecordError
from pybots.farm.views import breakagepage
from pybots.farm.views.common import Visit
from pybots.farm.views.reports import Digests
from pybots.ledger import schema
from pybots_worker.contract import Network


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.farm.ledger.close()


GOOD = [make_test("tests/test_it.py::test_a"), make_test("tests/test_it.py::test_b")]
BAD = [GOOD[0], make_test("tests/test_it.py::test_b", "failed", "TypeError: unhashable type")]


def test_the_first_run_of_a_lane_is_a_baseline_and_accuses_nobody(world: World) -> None:
    recorded = world.go(1, BAD)
    assert recorded.verdict == "still_failing"
    assert recorded.summary.startswith("baseline: ")
    assert world.counts()["breakages"] == 0
    assert world.subjects() == []


def test_a_new_failure_opens_a_breakage_and_writes_to_list_and_project(world: World) -> None:
    world.go(1, GOOD)
    recorded = world.go(3, BAD)
    assert recorded.verdict == "new_failure"
    (breakage,) = world.rows(schema.breakages)
    assert (breakage.good_position, breakage.bad_position, breakage.state) == (1, 3, "open")
    assert breakage.title == "TypeError: unhashable type"
    letter, copy = world.rows(schema.outbox)
    assert (letter.recipients, copy.recipients) == (["pybots@localhost"], ["anchor@example.org"])
    assert letter.message_id == letter.thread == copy.thread == breakage.thread
    (cell,) = world.rows(schema.cells, schema.cells.c.position == 3)
    assert (cell.state, cell._mapping["count"]) == ("new_failure", 1)
    topics = [event.topic for event in world.rows(schema.events)]
    assert topics[-2:] == ["mail", "verdict"]


def test_still_failing_is_no_news(world: World) -> None:
    world.go(1, GOOD)
    world.go(2, BAD)
    recorded = world.go(3, BAD)
    assert recorded.verdict == "still_failing"
    assert recorded.summary.startswith("still: ")
    assert len(world.subjects()) == 1


def test_a_fix_closes_the_breakage_and_answers_in_its_thread(world: World) -> None:
    for position, tests in enumerate([GOOD, BAD, BAD, GOOD]):
        recorded = world.go(position, tests)
    assert recorded.verdict == "fixed"
    (breakage,) = world.rows(schema.breakages)
    assert breakage.state == "fixed"
    first, second = world.letters()
    assert second.thread == first.message_id != second.message_id
    assert f"In-Reply-To: {first.message_id}" in second.message.replace("\r\n ", " ")


def facts(world: World) -> list[str]:
    """The names of what the first breakage's page says."""
    page = breakagepage.breakage(world.farm, Visit(), 1, Digests(world.farm.store))
    return [fact.name for fact in page.facts]


def test_a_skip_in_a_new_revision_closes_the_breakage_and_is_not_called_a_fix(world: World) -> None:
    """The project's answer; nothing has passed. The commit after it, whose test passes, is no news."""
    skipped = [GOOD[0], make_test(BAD[1].id, "skipped")]
    world.go(1, GOOD, revision_label="1.0")
    world.go(2, BAD, revision_label="1.0")
    assert world.go(3, skipped, revision_label="2.0").verdict == "fixed"
    told = [row for row in world.rows(schema.outbox) if row.topic == "fixed"]
    assert told and all("Anchor 2.0 now skips" in row.message for row in told)
    assert not any("good again" in row.message for row in told)
    assert "Skipped now" in facts(world), "the page says it too, as long as it is so"
    world.go(4, GOOD, revision_label="2.0")
    assert "Fixed in" in facts(world) and "Skipped now" not in facts(world)


@pytest.mark.deep
def test_the_same_failure_again_after_a_fix_opens_the_same_breakage_again(world: World) -> None:
    for position, tests in enumerate([GOOD, BAD, GOOD, BAD]):
        recorded = world.go(position, tests)
    assert recorded.verdict == "new_failure"
    (breakage,) = world.rows(schema.breakages)
    assert (breakage.state, breakage.bad_position, breakage.good_position) == ("open", 3, 2)
    assert len({letter.thread for letter in world.rows(schema.outbox)}) == 1
    assert "again" in world.subjects()[-1]


def test_a_report_is_recorded_once(world: World) -> None:
    world.go(1, GOOD)
    run = world.run(2, lane=world.lane())
    sha256 = world.put(run, make_report(BAD))
    attempt = world.last_attempt(run).id
    first = record.record_report(world.farm, attempt, sha256)
    before = world.counts()
    second = record.record_report(world.farm, attempt, sha256)
    assert (second.repeated, second.verdict) == (True, first.verdict)
    assert world.counts() == before


def test_another_report_for_the_same_attempt_is_refused(world: World) -> None:
    run = world.run(1, lane=world.lane())
    world.record(run, make_report(GOOD))
    with pytest.raises(RecordError, match="already reported"):
        world.record(run, make_report(BAD))


def test_a_report_for_another_run_is_refused_and_changes_nothing(world: World) -> None:
    one, other = world.run(1, lane=world.lane()), world.run(2, lane=world.lane())
    sha256 = world.put(other, make_report(GOOD))
    before = world.counts()
    with pytest.raises(RecordError, match=f"speaks for run {other}"):
        record.record_report(world.farm, world.last_attempt(one).id, sha256)
    assert world.counts() == before
    assert world.last_attempt(one).state == "running"


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"{", "not a Report"), (b"{}", "not a Report"), (b'{"contract":1}', "not a Report")],
)
def test_what_is_no_report_is_refused(world: World, data: bytes, said: str) -> None:
    run = world.run(1, lane=world.lane())
    stored = world.farm.store.put(data)
    with pytest.raises(RecordError, match=said):
        record.record_report(world.farm, world.last_attempt(run).id, stored.sha256)


def test_a_digest_that_was_never_uploaded_or_is_none_is_refused(world: World) -> None:
    run = world.run(1, lane=world.lane())
    for name in ("e" * 64, "../../etc/passwd"):
        with pytest.raises(RecordError, match="not uploaded"):
            record.record_report(world.farm, world.last_attempt(run).id, name)


def test_a_damaged_blob_is_refused(world: World) -> None:
    run = world.run(1, lane=world.lane())
    sha256 = world.put(run, make_report(GOOD))
    path = world.farm.store.path(sha256)
    path.write_bytes(path.read_bytes().replace(b"test_a", b"test_z"))
    with pytest.raises(RecordError, match="damaged"):
        record.record_report(world.farm, world.last_attempt(run).id, sha256)


def test_a_lost_attempt_can_report_no_more(world: World) -> None:
    run = world.run(1, lane=world.lane())
    first = world.last_attempt(run).id
    sha256 = world.put(run, make_report(GOOD))
    with world.farm.ledger.write() as connection:
        connection.execute(schema.attempts.update().values(state="lost"))
    with pytest.raises(RecordError, match="not running but lost"):
        record.record_report(world.farm, first, sha256)


def test_a_report_of_the_wrong_kind_is_refused(world: World) -> None:
    run = world.run(1, lane=world.lane())
    with pytest.raises(RecordError, match="kind interpreter"):
        world.record(run, world.build_report())


def test_an_attempt_nobody_made_is_refused(world: World) -> None:
    with pytest.raises(RecordError, match="no attempt 77"):
        record.record_report(world.farm, 77, "a" * 64)


def test_an_unchanged_report_writes_no_span_and_moves_the_head(world: World) -> None:
    lane = world.lane()
    world.go(1, GOOD)
    before = world.counts()
    run = world.run(2, lane=lane)
    world.record(run, make_report(GOOD))
    after = world.counts()
    grown = {name for name in after if after[name] != before[name]}
    assert grown == {"commits", "interpreters", "runs", "attempts", "cells", "events"}
    assert after["events"] == before["events"] + 1
    assert world.one(schema.lanes, lane).head_run == run


def test_what_a_run_and_its_attempt_keep(world: World) -> None:
    run = world.run(1, lane=world.lane())
    world.record(run, make_report(BAD))
    row = world.one(schema.runs, run)
    assert (row.state, row.failure_kind) == ("done", "test")
    assert (row.counts["passed"], row.counts["failed"]) == (1, 1)
    assert row.phase_seconds["install"] == 1.5
    attempt = world.last_attempt(run)
    assert attempt.state == "recorded"
    assert [phase["state"] for phase in attempt.phases] == ["ok", "ok", "ok", "failed"]
    assert attempt.environment["worker"] == "attic"
    assert attempt.report == row.report


@pytest.mark.deep
def test_a_revision_that_did_not_install_has_not_shown_which_tests_it_has(world: World) -> None:
    """The project has removed a test. That the commit before could not be installed makes no loss of it."""
    failure = make_failure("uv: exit 1", "SyntaxError: invalid syntax")
    phases = [make_phase("interpreter"), make_phase("source")]
    broken = make_report(phases=[*phases, make_phase("install", ok=False, failure=failure)])
    world.go(1, GOOD, revision_label="1.0")
    assert world.go(2, report=broken, revision_label="2.0").verdict == "new_failure"
    assert world.go(3, GOOD[:1], revision_label="2.0").verdict == "fixed"
    assert world.go(4, GOOD, revision_label="2.0").verdict == "passed"
    assert world.go(5, GOOD[:1], revision_label="2.0").verdict == "new_failure", "the same text"


def test_retries_controls_and_probes_leave_the_lane_alone(world: World) -> None:
    lane = world.lane()
    world.go(1, GOOD)
    before, head = world.counts(), world.one(schema.lanes, lane)
    for purpose in ("retry", "control", "probe"):
        recorded = world.go(2, BAD, purpose=purpose)
        assert recorded.verdict in ("new_failure", "still_failing")
    assert world.one(schema.lanes, lane) == head
    after = world.counts()
    assert all(after[n] == before[n] for n in ("spans", "cells", "breakages", "outbox", "tests"))


def test_an_older_run_keeps_its_cell_and_narrows_the_range(world: World) -> None:
    lane = world.lane()
    world.go(1, GOOD)
    head = world.run(9, lane=lane)
    world.record(head, make_report(BAD))
    spans = world.rows(schema.spans)
    assert world.go(5, BAD).verdict == "new_failure"
    assert world.rows(schema.breakages)[0].bad_position == 5
    assert world.go(3, GOOD).verdict == "passed"
    (breakage,) = world.rows(schema.breakages)
    assert (breakage.good_position, breakage.bad_position) == (3, 5)
    assert world.rows(schema.spans) == spans
    assert world.one(schema.lanes, lane).head_run == head
    assert len(world.subjects()) == 1


def test_the_same_failure_elsewhere_joins_and_tells_only_the_other_project(world: World) -> None:
    said = 'File "/pybots/venv/lib/python3.15/site-packages/dep/core.py", line {}, in hash_it\n    hash(x)\n'

    def failing(id: str, line: int) -> list[object]:
        failure = make_failure("unhashable type", said.format(line), type="TypeError")
        return [GOOD[0], make_test(id, "error", failure=failure)]

    lanes = [world.lane(), world.lane(flavour="debug"), world.lane("buoy")]
    for lane in lanes:
        world.go(1, [GOOD[0]], lane=lane)
    for number, lane in enumerate(lanes):
        world.go(2, failing(f"tests/t.py::test_{number}", number), lane=lane)  # type: ignore[arg-type]
    (breakage,) = world.rows(schema.breakages)
    assert len(world.rows(schema.breakage_lanes)) == 3
    first = world.letters()[0]
    second = world.rows(schema.outbox)[-1]
    assert second.recipients == ["buoy@example.org"]
    assert second.thread == first.message_id
    for lane in lanes[:2]:
        world.go(3, [GOOD[0], make_test(f"tests/t.py::test_{lanes.index(lane)}")], lane=lane)
    assert world.one(schema.breakages, breakage.id).state == "open"
    world.go(3, [GOOD[0], make_test("tests/t.py::test_2")], lane=lanes[2])
    assert world.one(schema.breakages, breakage.id).state == "fixed"
    last = [row for row in world.rows(schema.outbox) if row.topic == "fixed"]
    assert [address for row in last for address in row.recipients] == [
        "pybots@localhost", "anchor@example.org", "buoy@example.org",
    ]  # fmt: skip


@pytest.mark.deep
def test_a_project_that_joins_a_breakage_that_is_back_is_told_again(world: World) -> None:
    """It has heard of the fix in between."""
    lanes = [world.lane(), world.lane("buoy")]
    said = 'File "/pybots/venv/lib/python3.15/site-packages/dep/core.py", line 1, in hash_it\n    hash(x)\n'
    broken = make_test(
        "t.py::test_x", "error", failure=make_failure("unhashable type", said, type="TypeError")
    )
    for position, test in enumerate((make_test("t.py::test_x"), broken) * 2):
        for lane in lanes:
            world.go(position, [GOOD[0], test], lane=lane)
    told = [row for row in world.rows(schema.outbox) if row.recipients == ["buoy@example.org"]]
    assert [(row.run_id, row.topic) for row in told] == [(4, "opened"), (6, "fixed"), (8, "again")]


@pytest.mark.deep
def test_a_threads_letter_tells_what_was_fixed_in_that_thread(world: World) -> None:
    other = make_test("tests/test_it.py::test_a", "failed", "KeyError: 'x'")
    for position, tests in enumerate([GOOD, BAD, [other, BAD[1]], GOOD]):
        world.go(position, tests)
    fixes = world.letters()[2:]
    assert ["TypeError: unhashable" in row.message for row in fixes] == [True, False]
    assert ["KeyError" in row.message for row in fixes] == [False, True]


def test_a_retried_test_is_a_flake_and_the_event_is_kept(world: World) -> None:
    world.go(1, GOOD)
    flaky = make_test("tests/test_it.py::test_b", "failed", "OSError: busy", retried=("passed",))
    recorded = world.go(2, [GOOD[0], flaky])
    assert recorded.verdict == "flaky"
    assert len(world.rows(schema.flakes)) == 1
    assert world.go(3, GOOD).verdict == "passed"
    assert world.subjects() == []


def test_the_farms_fault_is_made_again_and_told_to_the_admin_once(world: World) -> None:
    fault = make_phase("install", ok=False, ended="farm_error", failure=make_failure("disk full"))
    phases = [make_phase("interpreter"), make_phase("source"), fault]
    run = world.run(1, lane=world.lane())
    for again in (True, True, False):
        recorded = world.record(run, make_report(phases=phases))
        assert recorded.again is again
        if again:
            assert world.rows(schema.cells)[0].state == "queued"
            world.attempt(run)
    assert recorded.verdict == world.verdict(run) == "infra"
    (letter,) = world.rows(schema.outbox)
    assert (letter.audience, letter.recipients) == ("admin", ["root@localhost"])
    assert world.counts()["spans"] == 0


@pytest.mark.deep
def test_a_test_that_comes_and_goes_in_one_lane_may_do_so_in_the_next(world: World) -> None:
    """The first time that all its retries fail is no news, in a project where it is known to be flaky."""
    other = world.lane(flavour="debug")
    for position in range(1, 13):
        again = make_test(
            "tests/test_it.py::test_b", "failed", "OSError: busy", retried=("passed",)
        )
        world.go(position, [GOOD[0], GOOD[1] if position % 4 else again], lane=other)
    ill = make_test("tests/test_it.py::test_b", "failed", "OSError: busy", retried=("failed",) * 2)
    world.go(1, GOOD)
    assert world.go(2, [GOOD[0], ill]).verdict == "flaky"
    later = [world.go(position, [GOOD[0], ill]).verdict for position in range(3, 6)]
    assert "new_failure" in later, "run after run is no chance"
    assert world.rows(schema.breakages)[0].bad_position == 2


@pytest.mark.deep
def test_what_passed_alone_is_no_proof_that_a_flaky_test_is_broken(world: World) -> None:
    """It failed again in order, by chance; the next run in which every retry fails is not the second such run."""
    once = make_test("tests/test_it.py::test_b", "failed", "OSError: busy", retried=("passed",))
    order = make_test(
        "tests/test_it.py::test_b",
        "failed",
        "OSError: busy",
        retried=("passed", "failed", "failed"),
    )
    for position in range(1, 8):
        world.go(position, [GOOD[0], once if position % 3 else GOOD[1]])
    assert world.go(8, [GOOD[0], order]).verdict == "flaky"
    assert [row.again for row in world.rows(schema.flakes)][-1] is False


FULL = "OSError: [Errno 28] No space left on device: '/tmp/out.dat'"
NO_NAMES = "socket.gaierror: [Errno -3] Temporary failure in name resolution"


@pytest.mark.parametrize(("said", "network"), [(FULL, "install"), (NO_NAMES, "always")])
def test_tests_on_a_broken_machine_are_made_again_elsewhere(
    world: World, said: str, network: Network
) -> None:
    """A control might be green by then, and a project would be told of it."""
    world.farm = replace(world.farm, projects={"anchor": make_project("anchor", network=network)})
    world.go(1, GOOD)
    run = world.run(2, lane=world.lane())
    ill = make_report([make_test("tests/test_it.py::test_a", "failed", said), GOOD[1]])
    assert world.record(run, ill).again
    world.attempt(run)
    assert world.record(run, make_report(GOOD)).verdict == "passed"
    assert world.counts()["breakages"] == 0


def test_a_test_that_must_not_use_the_network_fails_by_itself(world: World) -> None:
    world.go(1, GOOD)
    assert (
        world.go(2, [make_test("tests/test_it.py::test_a", "failed", NO_NAMES), GOOD[1]]).verdict
        == "new_failure"
    )


def test_a_project_that_always_finds_its_disk_full_has_a_history(world: World) -> None:
    ill = [make_test("tests/test_it.py::test_a", "failed", FULL), GOOD[1]]
    assert [world.go(n, ill).verdict for n in (1, 2)] == ["still_failing", "still_failing"]
    assert world.go(3, GOOD).verdict == "fixed"


def test_a_vanished_source_is_unknown_and_no_ones_breakage(world: World) -> None:
    world.go(1, GOOD)
    gone = make_phase("source", ok=False, failure=make_failure("no such repository"))
    recorded = world.go(2, report=make_report(phases=[make_phase("interpreter"), gone]))
    assert recorded.verdict == "unknown"
    assert "no such repository" in recorded.summary
    assert world.subjects() == []


def test_a_log_becomes_a_blob_once(world: World) -> None:
    run = world.run(1, lane=world.lane())
    attempt = world.last_attempt(run).id
    live = world.farm.store.live(attempt, "test")
    live.parent.mkdir(parents=True)
    live.write_bytes(b"hello\n")
    sha256 = livelogs.store_log(world.farm, attempt, "test", cut=False)
    assert sha256 and world.farm.store.read(sha256) == b"hello\n"
    assert livelogs.store_log(world.farm, attempt, "test", cut=False) is None
    (row,) = world.rows(schema.logs)
    assert (row.size, row.blob, row.cut) == (6, sha256, False)
