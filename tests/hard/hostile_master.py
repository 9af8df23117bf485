"""A master that can say anything to a worker: a perspective broker on loopback, driven from the test's own thread."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor, threads
from twisted.spread import pb
from zope.interface import implementer

NAME, PASSWORD = "attic", "correct horse"
PATIENCE = 20.0
_started = threading.Event()


def run_reactor() -> None:
    """Start Twisted's reactor in a thread, once for all tests of a process."""
    if not _started.is_set():
        _started.set()
        threading.Thread(
            target=reactor.run, kwargs={"installSignalHandlers": False}, daemon=True
        ).start()


class Refused(Exception):
    """The worker answered with an error; the text is what it said."""


def _plainly(failure: Any) -> None:
    raise Refused(f"{failure.getErrorMessage()} ({failure.type})")


class Perspective(pb.Avatar):
    def perspective_keepalive(self) -> None:
        pass


@implementer(IRealm)
class Realm:
    def __init__(self) -> None:
        self.minds: Queue[Any] = Queue()

    def requestAvatar(self, _name: bytes, mind: Any, *_: Any) -> Any:
        self.minds.put(mind)
        return pb.IPerspective, Perspective(), lambda: None


class Ear(pb.Referenceable):
    """What a master gives along with a command, to hear of it."""

    def __init__(self) -> None:
        self.updates: list[tuple[str, Any]] = []
        self.complete = threading.Event()

    def remote_update(self, updates: Any) -> int:
        for values, _ in updates:
            self.updates += values.items()
        return 0

    def remote_complete(self, _failure: Any) -> None:
        self.complete.set()

    def said(self, key: str) -> list[Any]:
        return [value for name, value in self.updates if name == key]


@dataclass
class HostileMaster:
    """Calls methods of the worker that logged in. What it refuses is raised as Refused."""

    realm: Realm = field(default_factory=Realm)
    mind: Any = None
    _port: Any = None

    def listen(self) -> int:
        run_reactor()
        checker = InMemoryUsernamePasswordDatabaseDontUse(**{NAME: PASSWORD.encode()})
        factory = pb.PBServerFactory(Portal(self.realm, [checker]))
        self._port = threads.blockingCallFromThread(
            reactor, reactor.listenTCP, 0, factory, interface="127.0.0.1"
        )
        return int(self._port.getHost().port)

    def stop(self) -> None:
        threads.blockingCallFromThread(reactor, self._port.stopListening)

    def wait(self) -> None:
        """Until a worker has logged in."""
        self.mind = self.realm.minds.get(timeout=PATIENCE)

    def hang_up(self) -> None:
        """Drop the worker's connection."""
        transport = self.mind.broker.transport
        threads.blockingCallFromThread(reactor, transport.abortConnection)

    def call(self, what: str, *arguments: Any, on: Any = None, **named: Any) -> Any:
        target = on if on is not None else self.mind

        def called() -> Any:
            return target.callRemote(what, *arguments, **named).addErrback(_plainly)

        return threads.blockingCallFromThread(reactor, called)

    def send(self, data: bytes) -> None:
        """Bytes as they are, past everything that makes a message of them."""
        threads.blockingCallFromThread(reactor, self.mind.broker.transport.write, data)

    def order(self, slot: Any, command: Any, arguments: Any) -> Ear:
        ear = Ear()
        self.call("startCommand", ear, "1", command, arguments, on=slot)
        return ear


@dataclass
class Attacked:
    """A real worker process in `root`, logged in to a hostile master."""

    master: HostileMaster
    root: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return (self.root.parent / "worker.log").read_text(errors="replace")

    def alive(self) -> bool:
        return self.process.poll() is None

    def folders(self) -> set[str]:
        """Everything in the worker's folder and around it, but the caches' insides."""
        found = {path.relative_to(self.root.parent) for path in self.root.parent.rglob("*")}
        return {str(path) for path in found if "cache" not in path.parts}


@contextmanager
def attacked(folder: Path, *settings: str) -> Iterator[Attacked]:
    """A worker that logs in to a hostile master. `settings` are further lines of its worker.toml."""
    root = folder / "worker"
    root.mkdir(parents=True)
    master = HostileMaster()
    port = master.listen()
    lines = [f'name = "{NAME}"', f'master = "127.0.0.1:{port}"', "slots = 2", *settings]
    (root / "worker.toml").write_text("\n".join(lines) + "\n")
    (root / "password").write_text(PASSWORD + "\n")
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pybots_worker.cli", "run", "--root", str(root)],
            stdout=log, stderr=subprocess.STDOUT, cwd=folder,
            env={**os.environ, "A_SECRET_OF_MINE": "tell-nobody"},
        )  # fmt: skip
    try:
        master.wait()
        yield Attacked(master, root, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()
            master.stop()


class SilentServer:
    """Takes connections and never answers."""

    def __enter__(self) -> SilentServer:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE)
        self._taken: list[socket.socket] = []
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._socket, *self._taken):
            one.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/blob"

    def wait(self) -> None:
        """Until somebody has connected and now waits for an answer."""
        self._taken.append(self._socket.accept()[0])


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and theirs."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(child) for child in path.read_text().split()]
    return found + [one for child in found for one in descendants(child)]


def gone(pid: int, seconds: float = PATIENCE) -> bool:
    """Whether a process ends within the time (it is not our child: there is nothing to wait for)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def emptied(folder: Path, seconds: float = PATIENCE) -> bool:
    """Whether everything in a folder goes within the time: a worker removes a job beside its other work."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(folder.iterdir()):
            return True
        time.sleep(0.05)
    return False
