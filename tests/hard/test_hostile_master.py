"""A real worker driven by a hostile master, over the real protocol: everything but a Job is refused."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from shutil import disk_usage
from typing import Any

import pytest
from buildbot_worker.commands import registry
from msgspec import structs
from tests.hard.hostile_master import (
    Attacked,
    Refused,
    SilentServer,
    attacked,
    descendants,
    emptied,
    gone,
)
from tests.hard.knocking import ENDLESS, MUCH, item, resident
from tests.unit.worker.kit_builders import make_job, make_project_work

from pybots_worker.contract import GitSource, decode_job, encode
from pybots_worker.facts import memory_bytes, platform_name

SLOT = f"{platform_name()}-1"

ARGUMENTS: dict[str, Any] = {
    "shell": {"command": ["touch", "pwned"], "workdir": ".", "env": {}},
    "uploadFile": {"workdir": ".", "workersrc": "/etc/passwd", "maxsize": None, "blocksize": 1},
    "downloadFile": {"workdir": ".", "workerdest": "pwned", "maxsize": None, "blocksize": 1},
    "mkdir": {"dir": "pwned"},
    "rmdir": {"dir": "cache"},
    "cpdir": {"fromdir": "cache", "todir": "pwned"},
}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("attacked")) as made:
        yield made


@pytest.fixture(scope="module")
def slot(worker: Attacked) -> Any:
    return worker.master.call("setBuilderList", [(SLOT, "x")])[SLOT]


def job(**changes: Any) -> str:
    return encode(make_job(**changes)).decode()


@pytest.mark.parametrize("command", sorted(registry.getAllCommandNames()))
def test_every_command_of_buildbots_worker_is_refused(
    worker: Attacked, slot: Any, command: str
) -> None:
    before = worker.folders()
    with pytest.raises(Refused, match="one command"):
        worker.master.order(slot, command, ARGUMENTS.get(command, {}))
    assert worker.folders() == before


def test_odd_builder_names_create_nothing(worker: Attacked) -> None:
    before = worker.folders()
    names = ["../escape", str(worker.root.parent / "absolute"), "info", "", f"{SLOT}/../../x"]
    accepted = worker.master.call(
        "setBuilderList", [(SLOT, "../../escape"), *((name, name) for name in names)]
    )
    assert list(accepted) == [SLOT]
    assert worker.folders() == before


def test_a_list_of_builders_that_is_none_is_refused(worker: Attacked) -> None:
    with pytest.raises(Refused):
        worker.master.call("setBuilderList", {"a": "b"})


def test_the_environment_stays_at_home(worker: Attacked) -> None:
    told = worker.master.call("getWorkerInfo")
    assert "environ" not in told
    assert "tell-nobody" not in repr(told)
    assert str(worker.root) not in repr(told)


@pytest.mark.parametrize("method", ["shutdown", "getCommands", "getVersion", "getSlaveInfo", "die"])
def test_a_master_cannot_call_anything_else(worker: Attacked, method: str) -> None:
    with pytest.raises(Refused):
        worker.master.call(method)
    worker.master.call("print", message="ping")
    assert worker.alive()


def test_what_a_master_prints_is_not_repeated(worker: Attacked) -> None:
    worker.master.call("print", message="BUY-NOW " * 10_000)
    assert "BUY-NOW" not in worker.log


@pytest.mark.parametrize(
    "arguments",
    [
        {"job": "{}", "phase": "source"},
        {"job": job(), "phase": "publish"},
        {"job": job(), "phase": "../../bin/sh"},
        {"job": job(), "phase": "source", "env": {"LD_PRELOAD": "/tmp/evil.so"}},
        {"job": job(run=0), "phase": "source"},
        [job(), "source"],
        None,
    ],
)
def test_what_does_not_validate_as_a_job_is_refused(
    worker: Attacked, slot: Any, arguments: Any
) -> None:
    before = worker.folders()
    with pytest.raises(Refused):
        worker.master.order(slot, "pybots", arguments)
    assert worker.folders() == before


def test_a_job_that_names_files_of_this_machine_is_refused(worker: Attacked, slot: Any) -> None:
    work = make_project_work(source=GitSource(url="file:///home", commit="a" * 40))
    with pytest.raises(Refused, match="may not name"):
        worker.master.order(slot, "pybots", {"job": job(work=work), "phase": "source"})


def test_a_command_that_reports_to_nobody_is_refused(worker: Attacked, slot: Any) -> None:
    with pytest.raises(Refused, match="report"):
        worker.master.call(
            "startCommand", None, "1", "pybots", {"job": job(), "phase": "source"}, on=slot
        )


def test_phases_out_of_order_come_to_nothing(worker: Attacked, slot: Any) -> None:
    """`test` without what comes before it: no project code runs, and the result says it is not ok."""
    ear = worker.master.order(slot, "pybots", {"job": job(run=99), "phase": "test"})
    assert ear.complete.wait(30)
    [result] = ear.said("result")
    assert '"ok":false' in result


def test_a_job_without_caps_gets_those_of_the_machine(worker: Attacked, slot: Any) -> None:
    """As the phase's own process reads them."""
    endless = {
        name: structs.replace(one, memory_bytes=2**53, disk_bytes=2**53, processes=2**53)
        for name, one in make_job().limits.items()
    }
    ear = worker.master.order(slot, "pybots", {"job": job(run=96, limits=endless), "phase": "test"})
    assert ear.complete.wait(30)
    [path] = (worker.root / "jobs").glob("96-*/job.json")
    kept = decode_job(path.read_bytes())
    for one in kept.limits.values():
        assert one.memory_bytes < memory_bytes() and one.processes < 10_000
        assert one.disk_bytes < disk_usage(worker.root).free


def test_two_jobs_at_once_cannot_share_a_folder(worker: Attacked) -> None:
    slots = worker.master.call("setBuilderList", [(SLOT, ""), (f"{platform_name()}-2", "")])
    order = {"job": job(run=98), "phase": "interpreter"}
    ears = [worker.master.order(slot, "pybots", order) for slot in slots.values()]
    assert all(ear.complete.wait(30) for ear in ears)
    results = [ear.said("result")[0] for ear in ears]
    assert sum("another" in result for result in results) == 1


def test_a_phase_that_is_interrupted_says_so(tmp_path: Path) -> None:
    with SilentServer() as server, attacked(tmp_path) as made:
        ear, slot = begin(made, server)
        made.master.call("interruptCommand", "1", "because", on=slot)
        assert ear.complete.wait(20)
        [result] = ear.said("result")
        assert '"ok":false' in result
        assert '"ended":"cancelled"' in result


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_ends_leaves_no_process_behind(tmp_path: Path, number: int) -> None:
    with SilentServer() as server, attacked(tmp_path) as made:
        begin(made, server)
        pids = descendants(made.process.pid)
        assert pids
        made.process.send_signal(number)
        made.process.wait(20)
        assert all(gone(pid) for pid in pids)


def test_a_master_that_goes_away_ends_the_phase_and_its_job(tmp_path: Path) -> None:
    """What nobody waits for any more must not keep a volunteer's machine busy."""
    with SilentServer() as server, attacked(tmp_path) as made:
        begin(made, server)
        pids = descendants(made.process.pid)
        assert pids
        made.master.hang_up()
        assert all(gone(pid) for pid in pids)
        assert made.alive()
        made.master.wait()
        assert emptied(made.root / "jobs")


def test_a_message_that_never_ends_fills_nothing(tmp_path: Path) -> None:
    """The worker hangs up, and comes back to whoever is its master then."""
    with attacked(tmp_path) as made:
        before = resident(made.process.pid)
        made.master.send(ENDLESS)
        for _ in range(MUCH // 600_000):
            made.master.send(item(600_000))
        made.master.wait()
        assert resident(made.process.pid) - before < MUCH // 4
        assert made.master.call("getWorkerInfo")


def test_orders_without_end_fill_nothing(tmp_path: Path) -> None:
    """Each takes the place of the one before, which has to end first; a Job may have half a megabyte."""
    with SilentServer() as server, attacked(tmp_path) as made:
        _, slot = begin(made, server)
        order = {"job": hanging(server.url) + " " * 500_000, "phase": "interpreter"}
        before = resident(made.process.pid)
        refused = 0
        for _ in range(100):
            try:
                made.master.order(slot, "pybots", order)
            except Refused as error:
                refused += "too many" in str(error)
        assert refused > 50
        assert resident(made.process.pid) - before < 100 * 500_000 // 2
        assert made.alive() and made.master.call("getWorkerInfo")


def begin(made: Attacked, server: SilentServer) -> tuple[Any, Any]:
    """A phase under way that will never end: its download is not answered."""
    slot = made.master.call("setBuilderList", [(SLOT, "")])[SLOT]
    ear = made.master.order(slot, "pybots", {"job": hanging(server.url), "phase": "interpreter"})
    server.wait()
    return ear, slot


def hanging(url: str) -> str:
    work = make_project_work()
    blob = type(work.interpreter.blob)(url=url, sha256="ab" * 32, size=10_000)
    reference = type(work.interpreter)(
        key=work.interpreter.key, commit=work.interpreter.commit, branch="main",
        flavour="release", blob=blob,
    )  # fmt: skip
    return job(work=make_project_work(interpreter=reference), run=97)
