"""A worker is an arbitrary peer: what it uploads and reports is refused unless it is true, and costs it its attempt.

The test is the worker: it gets real Jobs, as the master hands them out, and speaks HTTP to a real web process."""

from __future__ import annotations

import hashlib
import html
import http.client
import json
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from sqlalchemy import update
from tests.hard import farm_yard
from tests.hard.farm_yard import Yard
from tests.unit.farm.artifact_builder import Entry, make_artifact

from pybots.farm import commits, dispatch, record
from pybots.farm.dispatch import Slot
from pybots.ledger import schema
from pybots_worker import contract

SLOT = Slot(builder="linux-x86_64-1", worker="local")


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """The page is up; master and worker are the test."""
    made = farm_yard.make(tmp_path_factory.mktemp("hostile"), ("sprout",))
    try:
        made.start("web")
        yield made
    finally:
        made.stop()


@dataclass
class Peer:
    """A worker with a Job. `attempt` is the attempt's id."""

    yard: Yard
    job: contract.Job
    attempt: int

    def put(self, to: contract.Upload, data: bytes, **changes: str) -> tuple[int, Any]:
        """Upload; the status and what the answer says."""
        headers = {
            "Authorization": f"Bearer {to.token}",
            "X-Pybots-Sha256": hashlib.sha256(data).hexdigest(),
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        parts = urllib.parse.urlsplit(to.url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        try:
            connection.request("PUT", parts.path, body=data, headers=headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def report(self, **changes: Any) -> contract.Report:
        """What an honest worker would say."""
        names = contract.INTERPRETER_PHASES[:-1] if self.building else contract.PROJECT_PHASES[:-1]
        honest = contract.Report(
            contract=contract.VERSION, run=self.job.run, attempt=self.job.attempt,
            kind="interpreter" if self.building else "project", started=1.0, finished=2.0,
            environment=contract.Environment(
                worker="local", platform="linux-x86_64", abi="x", system="x", cores=1,
                memory_bytes=1, compiler="", kit="", sandbox="", rung="", caps={},
            ),
            phases=tuple(
                contract.PhaseResult(phase=name, ok=True, ended="exit", wall_seconds=1.0, exit_code=0)
                for name in names
            ),
            tests=() if self.building else (contract.TestOutcome(id="t.a", outcome="passed"),),
            python="3.15",
        )  # fmt: skip
        return msgspec.structs.replace(honest, **changes)

    @property
    def building(self) -> bool:
        return isinstance(self.job.work, contract.InterpreterWork)

    def upload(self, artifact: bytes) -> contract.Artifact:
        assert isinstance(self.job.work, contract.InterpreterWork)
        status, said = self.put(self.job.work.artifact, artifact)
        assert status == 201
        return contract.Artifact(sha256=said["sha256"], size=said["size"])

    def tell(self, report: contract.Report | bytes) -> str:
        """Upload a report and name its digest, as a worker does at the end; what the farm has against it."""
        data = report if isinstance(report, bytes) else contract.encode(report)
        status, said = self.put(self.job.report, data)
        assert status == 201, said
        return self.name(said["sha256"])

    def name(self, sha256: str) -> str:
        """The master's side of it, as its last step does it."""
        try:
            record.record_report(self.yard.farm, self.attempt, sha256)
        except record.RecordError as error:
            dispatch.attempt_lost(self.yard.farm, self.attempt, str(error))
            return str(error)
        return ""


def begin(yard: Yard, kind: str = "interpreter") -> Peer:
    """A Job for a new commit's build, or for the project on the newest interpreter."""
    farm = yard.farm
    if kind == "interpreter":
        with farm.ledger.write() as connection:  # what earlier tests left is of no interest
            old = update(schema.runs).where(schema.runs.c.state == "wanted")
            connection.execute(old.values(state="dropped"))
        yard.world.commit("good-c-change")
        commits.sync(farm)
    (made,) = dispatch.next_dispatches(farm, [SLOT])
    job = dispatch.start_attempt(farm, made.attempt, "http://127.0.0.1/")
    assert job is not None
    peer = Peer(yard, job, made.attempt)
    assert peer.building == (kind == "interpreter")
    return peer


@pytest.fixture
def peer(yard: Yard) -> Peer:
    return begin(yard)


def refused(peer: Peer, why: str) -> None:
    """The attempt is lost with this reason, which the run's page shows; nothing else changed."""
    (attempt,) = peer.yard.rows(schema.attempts, schema.attempts.c.id == peer.attempt)
    (run,) = peer.yard.rows(schema.runs, schema.runs.c.id == peer.job.run)
    assert (attempt.state, run.state, run.verdict, run.lost) == ("lost", "wanted", None, 1)
    assert why in attempt.reason
    assert run.report is attempt.report is None
    states = peer.yard.rows(
        schema.interpreters.c.state, schema.interpreters.c.id == run.interpreter_id
    )
    assert [row.state for row in states] == ["wanted"]
    assert attempt.reason in html.unescape(peer.yard.get(f"/run/{run.id}"))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"run": 1_000_000}, "speaks for run 1000000"),
        ({"attempt": 7}, "attempt 7"),
        ({"kind": "project"}, "kind project"),
        ({"phases": ()}, "lacks the phase"),
        ({"artifact": None}, "names no artifact"),
        ({"artifact": contract.Artifact(sha256="0" * 64, size=3)}, "was not uploaded"),
    ],
)
def test_a_report_that_is_not_about_its_own_attempt_is_refused(
    peer: Peer, changes: dict[str, Any], why: str
) -> None:
    assert why in peer.tell(peer.report(**changes))
    refused(peer, why)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"null",
        b"[" * 100_000,
        b'{"contract": 99}',
        b'{"contract": 1, "surprise": true}',
        b'{"contract": NaN}',
        b"PK\x03\x04 not JSON at all",
    ],
)
def test_garbage_is_no_report(peer: Peer, data: bytes) -> None:
    assert peer.tell(data)
    refused(peer, "")


def test_a_digest_that_was_never_uploaded_is_refused(peer: Peer) -> None:
    assert "was not uploaded" in peer.name("0" * 64)
    refused(peer, "was not uploaded")


@pytest.mark.parametrize("digest", ["", "../../../../etc/passwd", "0" * 63, "Z" * 64])
def test_a_digest_that_is_none_is_refused(peer: Peer, digest: str) -> None:
    assert peer.name(digest)
    refused(peer, "")


def test_another_runs_report_cannot_be_named(yard: Yard) -> None:
    """Blobs are shared, reports are not: a true report of one attempt is nobody else's."""
    honest = begin(yard)
    data = contract.encode(honest.report(artifact=honest.upload(make_artifact())))
    assert honest.tell(data) == ""
    thief = begin(yard)
    assert "speaks for run" in thief.name(contract.digest(data))
    refused(thief, "speaks for run")


def test_a_wrong_digest_and_half_a_body_keep_nothing(peer: Peer) -> None:
    """Refused while they are sent; the attempt may try again."""
    blobs = kept(peer.yard)
    data = contract.encode(peer.report())
    status, said = peer.put(peer.job.report, data, X_Pybots_Sha256="0" * 64)
    assert (status, "digest" in said["error"]) == (422, True)
    assert kept(peer.yard) == blobs
    assert "names no artifact" in peer.tell(peer.report())


def kept(yard: Yard) -> set[str]:
    return {path.name for path in yard.farm.store.root.rglob("*") if path.is_file()}


def test_more_than_was_allowed_is_refused_before_it_is_sent(peer: Peer) -> None:
    blobs = kept(peer.yard)
    assert isinstance(peer.job.work, contract.InterpreterWork)
    for to in (peer.job.report, peer.job.work.artifact):
        parts = urllib.parse.urlsplit(to.url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        connection.putrequest("PUT", parts.path)
        for name, value in (
            ("Authorization", f"Bearer {to.token}"),
            ("X-Pybots-Sha256", "0" * 64),
            ("Content-Length", str(to.max_bytes + 1)),
        ):
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()
    assert kept(peer.yard) == blobs


def test_an_artifact_cannot_be_named_as_a_report(peer: Peer) -> None:
    """It may be larger than any report: it is not even read."""
    peer.upload(make_artifact())
    assert peer.name(hashlib.sha256(make_artifact()).hexdigest())
    refused(peer, "")


@pytest.mark.parametrize(
    "entry",
    [
        ("../../../../tmp/escaped", b"x"),
        ("/tmp/escaped", b"x"),
        ("lib/out", "/etc"),
        ("lib/out", "../../../etc"),
        ("bin/python3/x", b"x"),
    ],
)
def test_an_artifact_that_climbs_out_is_never_published(peer: Peer, entry: Entry) -> None:
    """Refused by the farm itself: no other worker is ever asked to unpack it."""
    artifact = peer.upload(make_artifact(entry))
    assert "the artifact is refused" in peer.tell(peer.report(artifact=artifact))
    refused(peer, "the artifact is refused")


def test_half_an_artifact_is_never_published(peer: Peer) -> None:
    data = make_artifact()
    artifact = peer.upload(data[: len(data) // 2])
    assert "the artifact is refused" in peer.tell(peer.report(artifact=artifact))
    refused(peer, "the artifact is refused")


def test_who_is_given_up_has_no_say_any_more(peer: Peer) -> None:
    """Token and report die with the attempt, and a second report never replaces the first."""
    dispatch.attempt_lost(peer.yard.farm, peer.attempt, "the worker was lost")
    status, said = peer.put(peer.job.report, contract.encode(peer.report()))
    assert status == 409 and said["error"]
    assert "not running but lost" in peer.name("0" * 64)
    refused(peer, "the worker was lost")


def test_a_second_report_does_not_replace_the_first(yard: Yard) -> None:
    first = begin(yard)
    artifact = first.upload(make_artifact())
    assert first.tell(first.report(artifact=artifact)) == ""
    lie = first.yard.farm.store.put(contract.encode(first.report(artifact=artifact, python="lie")))
    assert "already reported" in first.name(lie.sha256)
    project = begin(yard, "project")
    tests = (contract.TestOutcome(id="<b>\x1b[31m\r\nBcc: x", outcome="failed"),)
    assert project.tell(project.report(tests=tests)) == ""
    (run,) = yard.rows(schema.runs, schema.runs.c.id == project.job.run)
    assert run.verdict == "still_failing"
    page = yard.get(f"/run/{run.id}")
    assert "<b>\x1b" not in page and "\x1b" not in page
    assert yard.get("/")


def test_after_three_refusals_the_admin_hears_of_the_worker(yard: Yard) -> None:
    """A worker that only lies costs one run its verdict, which is `infra`, and the project's people nothing."""
    before = len(yard.rows(schema.outbox))
    peer = begin(yard)
    for number in (1, 2, 3):
        assert peer.job.attempt == number
        assert peer.tell(b"lies")
        if number < 3:
            (made,) = dispatch.next_dispatches(yard.farm, [SLOT])
            job = dispatch.start_attempt(yard.farm, made.attempt, "")
            assert job is not None and job.run == peer.job.run
            peer = Peer(yard, job, made.attempt)
    (run,) = yard.rows(schema.runs, schema.runs.c.id == peer.job.run)
    assert (run.verdict, run.lost) == ("infra", 3)
    assert run.summary in yard.get(f"/run/{run.id}")
    letters = yard.rows(schema.outbox)[before:]
    assert [letter.audience for letter in letters] == ["admin"]
    waiting = yard.rows(
        schema.runs, schema.runs.c.kind == "project", schema.runs.c.commit_id == run.commit_id
    )
    assert {row.verdict for row in waiting} <= {"unknown"}
