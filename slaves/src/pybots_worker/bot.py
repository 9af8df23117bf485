"""Our narrowed buildbot-worker: it logs in to a Buildbot master and runs phases of Jobs, and can do nothing else.

Of buildbot-worker only the login (`BotFactory`) is used. The two objects a master can call, `Bot` and `Slot`, inherit
no remote method: emptying buildbot-worker's command registry would not be enough (its builder names create folders
anywhere, it sends its whole environment, and it can be shut down from afar).
"""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from buildbot_worker.pb import BotFactory
from twisted.application.internet import ClientService, backoffPolicy
from twisted.application.service import MultiService
from twisted.cred.credentials import UsernamePassword
from twisted.internet import defer, threads
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.python import log
from twisted.spread import pb

from pybots_worker import engine, facts, orders, rules, signs
from pybots_worker.attendance import DISMISSED, Attendance
from pybots_worker.contract import Job
from pybots_worker.layout import JobFolder
from pybots_worker.orders import Order
from pybots_worker.plainly import Plainly
from pybots_worker.process import Stable
from pybots_worker.reporting import KIT
from pybots_worker.running import Running
from pybots_worker.settings import WorkshopSettings, load
from pybots_worker.welcome import Rest
from pybots_worker.wire import Bounded

KEEPALIVE_SECONDS: Final = 300
QUIET_SECONDS: Final = 15.0
"""After the last job's end: then what jobs left is removed, unless another one has begun."""
MOST_KEPT: Final = 8
"""Commands of one slot that have not ended. A master that waits for each has one, or two when it has called one off."""
PROGRAM: Final = (sys.executable, "-P", "-m", "pybots_worker.warm")
"""What runs phases; the workshop's folder is its argument. -P: the working folder is no place to import from."""


class Workshop(Protocol):
    """What the bot needs of engine.Workshop. All of it blocks."""

    root: Path

    def begin(self, job: Job) -> JobFolder: ...

    def put_away(self, folder: JobFolder) -> None: ...

    def empty(self, stop: Callable[[], bool]) -> None: ...


class Slot(pb.Referenceable):
    """A place where one build can run; what the master calls a builder of this worker."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self.reactor = bot.reactor
        self.stable = Stable(bot.reactor, bot.program, bot.workshop.root)
        self._running: Running | None = None
        self._kept = 0

    def remote_startBuild(self) -> None:
        """A build comes: its first phase will need a process."""
        self.stable.prepare()

    def remote_startCommand(
        self, remote: object, _id: object, command: object, arguments: object
    ) -> None:
        """Run a phase. Refuses everything that is not one."""
        if not isinstance(remote, pb.RemoteReference):
            raise pb.Error("a command needs somebody to report to")
        if self._kept >= MOST_KEPT:
            raise pb.Error("too many commands at once")
        try:
            order = orders.read(command, arguments, local=self._bot.settings.local)
            order = replace(
                order, job=rules.capped(order.job, self._bot.settings, self._bot.room())
            )
        except orders.Refused as refused:
            log.msg(f"refused a command of the master: {refused}")
            raise pb.Error(str(refused)) from None
        before = self._running
        if before is not None:
            before.cancel()
        running = self._running = Running(self, order, remote, before.over if before else None)
        self._kept += 1
        running.over.addCallback(self._ended, running)

    def _ended(self, _: object, running: Running) -> None:
        self._kept -= 1
        if self._running is running:
            self._running = None

    def remote_interruptCommand(self, _id: object, _why: object) -> None:
        if self._running is not None:
            self._running.cancel()

    @property
    def running(self) -> bool:
        return self._running is not None

    def open(self, order: Order) -> JobFolder:
        return self._bot.open(order, self)

    def close(self, name: str) -> None:
        self._bot.close(name)

    def stop(self) -> Any:
        """End what runs here. The Deferred fires when nothing of it is left."""
        self.stable.clear()
        if self._running is None:
            return defer.succeed(None)
        self._running.cancel()
        return self._running.over


class Bot(pb.Referenceable, MultiService):
    """What the master calls the worker."""

    def __init__(
        self,
        reactor: Any,
        workshop: Workshop,
        settings: WorkshopSettings,
        platform: str,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        MultiService.__init__(self)
        self.reactor, self.workshop, self.settings = reactor, workshop, settings
        self.program = (*program, str(workshop.root))
        self._platform = platform
        self._slots: dict[str, Slot] = {}
        self._begun: dict[str, tuple[Order, Slot, JobFolder]] = {}
        self.resting: Rest | None = None
        self._tidying: Any = None

    @property
    def at_work(self) -> int:
        """How many slots have work."""
        return sum(slot.running for slot in self._slots.values())

    @property
    def busy(self) -> bool:
        """Whether a job has been begun and not been ended, between two phases too."""
        return bool(self._begun) or self.at_work > 0

    def room(self) -> rules.Room:
        """What this machine has for a job that begins now."""
        free = shutil.disk_usage(self.workshop.root).free
        return rules.Room(memory=facts.memory_bytes(), disk=free)

    def remote_print(self, message: object) -> None:
        """Masters use this as their ping; what they say is not repeated."""

    def remote_getWorkerInfo(self) -> dict[str, object]:
        """Harmless facts. No environment, no folder names, no files."""
        return {
            "system": "posix",
            "version": KIT,
            "numcpus": facts.cores(),
            "platform": self._platform,
            "worker_commands": {orders.COMMAND: orders.COMMAND_VERSION},
        }

    def remote_setBuilderList(self, wanted: object) -> dict[str, Slot]:
        """The slots out of the master's list of builders; its other builders don't exist here."""
        try:
            names = orders.builders(wanted, platform=self._platform, slots=self.settings.slots)
        except orders.Refused as refused:
            raise pb.Error(str(refused)) from None
        for name in self._slots.keys() - set(names):
            self._slots.pop(name).stop()
        for name in names:
            if name not in self._slots:
                self._slots[name] = Slot(self)
        return {name: self._slots[name] for name in names}

    def remote_shutdown(self) -> None:
        raise pb.Error("this worker is stopped by its owner only")

    def open(self, order: Order, slot: Slot) -> JobFolder:
        """The job's folder, made for its first phase; later phases must be of the same Job. Blocks."""
        known = self._begun.get(order.folder)
        if known is None:
            no = rules.objection(order.job, self.settings)
            if no or self.resting:
                raise orders.Refused(no or f"this worker rests: {self.resting.why}")  # type: ignore[union-attr] # it does
            for name in [name for name, begun in self._begun.items() if begun[1] is slot]:
                self.close(name)  # a job that this slot was never asked to finish
            known = self._begun[order.folder] = (order, slot, self.workshop.begin(order.job))
        if known[0].data != order.data or known[1] is not slot:
            raise orders.Refused(f"job {order.folder} was begun as another one")
        known[2].phase(order.phase).unlink(missing_ok=True)
        return known[2]

    def close(self, name: str) -> None:
        """Nothing of the job is needed any more. Blocks."""
        begun = self._begun.pop(name, None)
        if begun is not None:
            self.workshop.put_away(begun[2])
            self.reactor.callFromThread(self._tidy_later)

    def _tidy_later(self) -> None:
        """What jobs left is removed when nothing was begun for a while."""
        if self._tidying is not None and self._tidying.active():
            self._tidying.cancel()
        self._tidying = self.reactor.callLater(QUIET_SECONDS, self._tidy)

    def _tidy(self) -> None:
        if not self.busy:
            threads.deferToThread(self.workshop.empty, lambda: self.busy).addErrback(log.err)

    def stopService(self) -> Any:
        """End every phase and wait until nothing is left of it."""
        if self._tidying is not None and self._tidying.active():
            self._tidying.cancel()
        stopped = [defer.maybeDeferred(MultiService.stopService, self)]
        return defer.gatherResults([*stopped, *(slot.stop() for slot in self._slots.values())])


class Login(BotFactory):
    """buildbot-worker's login; but a master that refuses us for now never ends this process."""

    protocol = Bounded
    refused: Callable[[], None] = staticmethod(lambda: None)

    def failedToGetPerspective(self, why: Any, broker: Any) -> None:
        said = why.getErrorMessage() or "it knows no such name with this credential"
        log.msg(f"the master refused this worker: {said}")
        self.refused()
        self._failedAttempts += 1
        self._reactor.callLater(
            self._timeoutForAttempt(self._failedAttempts), broker.transport.loseConnection
        )


def connect(bot: Bot, password: str, refused: Callable[[], None] | None = None) -> Any:
    """Keep the bot connected to its master until the service that is returned is stopped."""
    settings = bot.settings
    host, _, port = settings.master.rpartition(":")
    # Local masters take seconds to start: the first attempts come quickly.
    patience = backoffPolicy(initialDelay=0.25, maxDelay=30.0)
    login = Login(host, int(port), KEEPALIVE_SECONDS, None, retryPolicy=patience)
    if refused is not None:
        login.refused = refused
    login.startLogin(UsernamePassword(settings.name.encode(), password.encode()), client=bot)
    service = ClientService(endpoint(bot.reactor, settings), login, retryPolicy=patience)
    service.setServiceParent(bot)
    return service


def endpoint(reactor: Any, settings: WorkshopSettings) -> Any:
    """The way to the master: with TLS, believing the farm's own authority alone where it has one."""
    host, _, port = settings.master.rpartition(":")
    host = host.strip("[]")
    plain = HostnameEndpoint(reactor, host, int(port))
    if not settings.tls:
        return plain
    trust = Certificate.loadPEM(settings.ca) if settings.ca else None
    return wrapClientTLS(optionsForClientTLS(host, trustRoot=trust), plain)


def password_of(root: Path, settings: WorkshopSettings) -> str:
    """What the master is told at login. Raises OSError when it can't be read."""
    return settings.credential or (root / settings.password_file).read_text().strip()


def main(root: Path) -> int:
    """Run the worker in `root` until SIGTERM. Exit status 1: one runs there already; DISMISSED: the farm wants it no more.

    Raises SettingsError, or OSError when the password can't be read."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until we can heed it, see _run
    with signs.alone(root) as free:
        if free:
            return _run(root)
    sys.stderr.write(f"a worker runs in {root} already\n")
    return 1


def _run(root: Path) -> int:
    from twisted.internet import reactor  # importing it installs it

    settings = load(root)
    password_of(root, settings)  # without one it ends here
    workshop = engine.Workshop(root, settings)
    workshop.sweep()
    log.startLogging(Plainly(sys.stdout), setStdout=False)
    bot = Bot(reactor, workshop, settings, facts.platform_name())
    status = 0

    def dismissed() -> None:
        nonlocal status
        status = DISMISSED
        reactor.stop()

    presence = Attendance(
        reactor, root, bot, lambda now: connect(bot, password_of(root, now), presence.refused), dismissed,
    )  # fmt: skip
    bot.startService()
    reactor.callWhenRunning(presence.start)
    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(presence.wake))
    reactor.addSystemEventTrigger("before", "shutdown", bot.stopService)
    reactor.run()
    return status
