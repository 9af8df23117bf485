"""`pybots-worker join` and `leave`: from an invitation to a worker that works, and back to a machine without one."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from pybots_worker import doctor, farmlink, rules, service, settings, signs, welcome
from pybots_worker.doctor import Diagnosis
from pybots_worker.facts import Facts
from pybots_worker.farmlink import Way
from pybots_worker.settings import WorkshopSettings
from pybots_worker.welcome import Code, Join, Joined

UNDER_WAY: Final = "joining.json"
"""Which code was sent with which credential, so that asking again is harmless, while the answer is awaited and ever after."""
OURS: Final = ("cache", "jobs", "gone", "venv", settings.FILE, UNDER_WAY, signs.PAUSED, signs.LOCK)
"""What `leave` removes from the worker's folder; anything else there is its owner's."""


HALVES: Final = (".joining-*", ".worker-*")
"""What a killed `join` may have left half written."""
MARKS: Final = (settings.FILE, UNDER_WAY, signs.PAUSED, signs.LOCK)
"""One of these is in every worker's folder."""


class JoinError(Exception):
    """The machine has not joined; the text says why, and what would help."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the person said on the command line. `slots` 0: as many as the machine is good for."""

    name: str = ""
    slots: int = 0


def prepare(root: Path, url: str, code: Code) -> tuple[Way, Diagnosis]:
    """Find the farm and look at this machine. Changes nothing, sends nothing secret.

    Raises JoinError, farmlink.LinkError, farmlink.Turned, settings.SettingsError."""
    there = settings.load(root)
    if there.farm and there.farm != url:
        raise JoinError(
            f"{root} is a worker of {there.farm} already: `pybots-worker leave`, or --root for another folder"
        )
    if foreign := _foreign(root):
        raise JoinError(
            f"{root} has other things in it ({foreign}): give the worker a folder of its own with --root"
        )
    way = farmlink.find(url, code)
    return way, doctor.diagnose(root, way)


def _foreign(root: Path) -> str:
    """Something in a folder that is no worker's yet; "" for none. `leave` would take some of it along."""
    if not root.is_dir() or any((root / name).exists() for name in MARKS):
        return ""
    hidden = ("venv", "lost+found")
    names = sorted(path.name for path in root.iterdir())
    return next((name for name in names if name not in hidden and name[0] != "."), "")


def plan(root: Path, facts: Facts, wishes: Wishes) -> WorkshopSettings:
    """The settings it would work with: what the owner wrote, and the slots."""
    there = settings.load(root)
    slots = wishes.slots or (there.slots if there.farm else default_slots(facts))
    return msgspec.structs.replace(there, slots=slots)


def default_slots(facts: Facts) -> int:
    """Two processors and 3 GiB for each build: suites beside one another are slower, and memory is what runs out."""
    return max(1, min(facts.cores // 2, facts.memory_bytes // (3 << 30), 8))


def terms(planned: WorkshopSettings, facts: Facts) -> list[str]:
    """What will run here, and with which caps: for the person who decides."""
    cap = _cap
    projects = ", ".join(planned.projects) or "every project that the farm tests"
    kinds = {"interpreter": "builds of CPython", "project": f"tests of {projects}"}
    runs = " and ".join(words for kind, words in kinds.items() if kind in (planned.kinds or kinds))
    network = {
        "always": "for installing, and for tests of projects that declare it",
        "install": "for installing only",
        "none": "never",
    }[planned.network]
    return [
        f"runs        {runs}, in a sandbox without your files",
        f"at a time   {planned.slots} {'job' if planned.slots == 1 else 'jobs'}, {planned.cores or facts.cores} of {facts.cores} processors in all",
        f"memory      {cap(planned.memory_mb)} for each job; disk {cap(planned.disk_mb)}; caches {planned.cache_mb} MiB",
        f"network     {network}",
        f"when        {', '.join(planned.hours) or 'always'}; `pybots-worker pause` whenever you like",
    ]


def _cap(megabytes: int) -> str:
    return f"{megabytes} MiB" if megabytes else "as the farm caps it"


def join(
    root: Path, way: Way, code: Code, planned: WorkshopSettings, facts: Facts, wishes: Wishes
) -> Joined:
    """Exchange the invitation and write worker.toml. Killed at any line, or well, the same command may be given again.

    Raises JoinError, farmlink.LinkError, farmlink.Turned."""
    root.mkdir(parents=True, exist_ok=True)
    with _only(root):
        return _join(root, way, code, planned, facts, wishes)


@contextmanager
def _only(root: Path) -> Iterator[None]:
    """Two joins at once would send two credentials with one code. Raises JoinError."""
    folder = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise JoinError(f"another `join` is under way in {root}") from None
    finally:
        os.close(folder)


def _join(
    root: Path, way: Way, code: Code, planned: WorkshopSettings, facts: Facts, wishes: Wishes
) -> Joined:
    credential = _credential(root, code)
    asked = Join(
        version=welcome.VERSION, code=str(code), credential=credential, name=wishes.name,
        machine=signs.machine(facts, planned), decisions=rules.decisions(planned),
    )  # fmt: skip
    answer = farmlink.join(way, asked)
    host, _, port = answer.master.rpartition(":")
    values: dict[str, Any] = {
        "name": answer.name,
        "farm": way.url,
        "master": f"{host or way.host}:{port}",
        "tls": answer.tls,
        "slots": planned.slots,
        "credential": credential,
    }
    if way.ca:
        values |= {"ca": way.ca, "ca_for_web": way.strict}
    settings.change(root, values)
    return answer


def _credential(root: Path, code: Code) -> str:
    """A new credential, or the one that was sent with this code before."""
    path, hashed = root / UNDER_WAY, welcome.fingerprint(code)
    try:
        before = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.DecodeError):
        before = {}
    if before.get("code") == hashed and before.get("credential"):
        return before["credential"]
    made = {"code": hashed, "credential": secrets.token_urlsafe(32)}
    with tempfile.NamedTemporaryFile("wb", dir=root, prefix=".joining-", delete=False) as file:
        file.write(msgspec.json.encode(made))  # mode 0600
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
    return made["credential"]


def leave(root: Path, say: Callable[[str], object]) -> None:
    """Tell the farm, and remove everything of this worker. Raises SettingsError, JoinError while it runs."""
    running_from = Path(sys.prefix).resolve() == (root / "venv").resolve()
    if not running_from and not any((root / name).exists() for name in MARKS):
        raise JoinError(f"there is no worker in {root}: nothing was removed")
    there = settings.load(root)
    if service.runs_in(root):
        service.remove(say)
    with signs.alone(root) as free:
        if not free:
            raise JoinError("the worker is running: stop it first")
        if there.farm:
            _say_goodbye(there, say)
        halves = (path.name for half in HALVES for path in root.glob(half))
        for name in (*halves, *OURS):
            path = root / name
            if path.is_dir() and not path.is_symlink():
                _remove(path)
            else:
                path.unlink(missing_ok=True)
    if root.is_dir() and not any(root.iterdir()):
        _remove_root(root)
    else:
        say(f"{root} has files that are not ours: they were left alone")


def _say_goodbye(there: WorkshopSettings, say: Callable[[str], object]) -> None:
    try:
        said = signs.hello(there, leaving=True)
        farmlink.hello(doctor.way_of(there), there.credential, said)
        say(f"{there.farm} knows that {there.name} has left")
    except (farmlink.LinkError, farmlink.Turned) as error:
        say(f"the farm could not be told ({error}): its admin sees the worker missing")


def _remove_root(root: Path) -> None:
    try:
        root.rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:  # a container's volume: whoever mounted it removes it
            raise


def _remove(path: Path) -> None:
    """Also what a job has made read-only."""

    def allow(function: Any, name: str, _error: object) -> None:
        Path(name).parent.chmod(0o700)
        if Path(name).is_dir() and not Path(name).is_symlink():
            Path(name).chmod(0o700)
        function(name)

    shutil.rmtree(path, onerror=allow)
