"""Real workers without work: many in one process, for connections.py. Not a benchmark by itself.

    python tests/bench/connections_host.py FOLDER

FOLDER has a subfolder for each worker with its worker.toml. Each is the kit's own bot, login and attendance, on one
reactor; only what a phase does is left out: it answers at once, as an honest worker whose phase took no time, and uploads
what the farm insists on (an interpreter's archive, a report of `tests` outcomes).
"""

from __future__ import annotations

import signal
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.unit.farm.artifact_builder import make_artifact
from twisted.internet import defer, reactor, threads
from twisted.python import log
from twisted.spread import pb

from pybots_worker import contract, facts, fetch, orders, settings
from pybots_worker.attendance import Attendance
from pybots_worker.bot import Bot, connect, password_of
from pybots_worker.line import Line
from pybots_worker.orders import Order
from pybots_worker.running import values_of
from pybots_worker.settings import WorkshopSettings

TESTS: Final = 100
UPLOADS: Final = 20
"""So many uploads at a time from one process."""


class IdleSlot(pb.Referenceable):
    """A slot whose phases take no time. `jobs` remembers the archive that a job has published."""

    def __init__(self, bot: IdleBot) -> None:
        self._bot = bot
        self._artifact: contract.Artifact | None = None

    def remote_startBuild(self) -> None:
        pass

    def remote_interruptCommand(self, _id: object, _why: object) -> None:
        pass

    def remote_startCommand(self, remote: Any, _id: object, command: object, given: object) -> None:
        order = orders.read(command, given, local=True)
        line = Line(reactor, remote, order.job.limits[order.phase].log_bytes, lambda _: None)
        worked = defer.ensureDeferred(self._work(order, line))
        worked.addErrback(log.err, "a phase")

    async def _work(self, order: Order, line: Line) -> None:
        values = values_of(result(order.phase), 0)
        work = order.job.work
        if order.phase == "publish" and isinstance(work, contract.InterpreterWork):
            sent = await threads.deferToThread(upload, make_artifact(), work.artifact)
            self._artifact = contract.Artifact(sha256=sent.sha256, size=sent.size)
        if order.phase == "report":
            data = contract.encode(report(order.job, self._bot.settings.name, self._artifact))
            values["report"] = (await threads.deferToThread(upload, data, order.job.report)).sha256
            self._artifact = None
        line.finish(values)

    def stop(self) -> Any:
        return defer.succeed(None)

    running = False


class IdleBot(Bot):
    """The kit's bot with slots of another kind."""

    def remote_setBuilderList(self, wanted: object) -> dict[str, Any]:
        names = orders.builders(wanted, platform=self._platform, slots=self.settings.slots)
        return {name: self._idle(name) for name in names}

    def _idle(self, name: str) -> Any:
        idle: dict[str, Any] = self.__dict__.setdefault("idle", {})
        return idle.setdefault(name, IdleSlot(self))


def upload(data: bytes, to: contract.Upload) -> fetch.Sent:
    """PUT these bytes, as the kit does it. Blocks."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return fetch.upload(Path(file.name), to, local=True)


def result(phase: contract.Phase) -> contract.PhaseResult:
    return contract.PhaseResult(phase=phase, ok=True, ended="exit", wall_seconds=0.01, exit_code=0)


@cache
def outcomes() -> tuple[contract.TestOutcome, ...]:
    return tuple(
        contract.TestOutcome(id=f"tests/test_it.py::test_{n}", outcome="passed", seconds=0.01)
        for n in range(TESTS)
    )


def report(job: contract.Job, worker: str, artifact: contract.Artifact | None) -> contract.Report:
    """What a worker would say whose phases all went well."""
    building = isinstance(job.work, contract.InterpreterWork)
    return contract.Report(
        contract=contract.VERSION, run=job.run, attempt=job.attempt,
        kind="interpreter" if building else "project", started=1.0, finished=2.0,
        environment=contract.Environment(
            worker=worker, platform=facts.platform_name(), abi="x", system="x", cores=1,
            memory_bytes=1, compiler="", kit="", sandbox="", rung="", caps={},
        ),
        phases=tuple(result(phase) for phase in job.phases if phase != "report"),
        tests=() if building else outcomes(), artifact=artifact, python="3.15",
    )  # fmt: skip


def host(root: Path) -> Attendance:
    """A worker, coming and going by the kit's own rules."""
    known: WorkshopSettings = settings.load(root)
    password = password_of(root, known)
    bot = IdleBot(reactor, NoWorkshop(root), known, facts.platform_name())
    presence = Attendance(
        reactor, root, bot, lambda _: connect(bot, password, presence.refused), _sent_away
    )
    bot.startService()
    return presence


def _sent_away() -> None:
    log.msg("the farm sent a worker away")


class NoWorkshop:
    """No phase is run: nothing is begun, put away or emptied."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def begin(self, job: contract.Job) -> Any:
        raise NotImplementedError

    def put_away(self, folder: Any) -> None:
        raise NotImplementedError

    def empty(self, stop: Any) -> None:
        pass


def main() -> int:
    log.startLogging(sys.stdout, setStdout=False)
    reactor.suggestThreadPoolSize(UPLOADS)
    for root in sorted(Path(sys.argv[1]).iterdir()):
        presence = host(root)
        reactor.callWhenRunning(presence.start)
    signal.signal(signal.SIGTERM, lambda *_: reactor.callFromThread(reactor.stop))
    reactor.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
