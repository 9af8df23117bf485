"""`pybots-worker service install`: a systemd unit that keeps the worker running, with a control group of its own to cap jobs by.

As root it is a unit of the system, else of the user (whose units run without a login once lingering is on).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

NAME: Final = "pybots-worker.service"
SYSTEM: Final = Path("/etc/systemd/system")
SECONDS: Final = 60.0

UNIT: Final = """\
[Unit]
Description=Pybots worker: builds CPython and runs projects' tests in a sandbox
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={command}
Restart=always
RestartSec=10
# 4: the farm wants this worker no more.
RestartPreventExitStatus=4
# Jobs get groups of their own below ours: memory, processes and processor time are capped by the kernel.
Delegate=yes
TimeoutStopSec=90
# Whatever else this machine does goes first.
Nice=10
CPUWeight=20
IOWeight=20

[Install]
WantedBy={target}
"""


class ServiceError(Exception):
    """systemd did not do it; the text has its words."""


def unit(root: Path, *, system: bool) -> str:
    """The unit for the worker in `root`, run by this very Python."""
    words = (sys.executable, "-P", "-m", "pybots_worker.cli", "run", "--root", str(root.resolve()))
    target = "multi-user.target" if system else "default.target"
    return UNIT.format(command=" ".join(map(_quoted, words)), target=target)


def _quoted(word: str) -> str:
    """As systemd reads command lines."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"'


def place(*, system: bool) -> Path:
    """Where the unit's file belongs."""
    if system:
        return SYSTEM / NAME
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return home / "systemd" / "user" / NAME


def runs_in(root: Path) -> bool:
    """Whether the unit that is installed is for the worker in `root`."""
    path = place(system=os.geteuid() == 0)
    return path.exists() and _quoted(str(root.resolve())) in path.read_text()


def install(root: Path, say: Callable[[str], object]) -> None:
    """Write the unit and start it, now and after every boot. Raises ServiceError; nothing is left behind then."""
    system = os.geteuid() == 0
    path = place(system=system)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(unit(root, system=system))
    try:
        _systemctl(["daemon-reload"], system=system)
        _systemctl(["enable", "--now", NAME], system=system)
    except ServiceError:
        path.unlink(missing_ok=True)
        raise
    say(f"{path} is installed and runs; its log: journalctl {'' if system else '--user '}-u {NAME}")
    if not system:
        say("to run without your login: loginctl enable-linger")


def remove(say: Callable[[str], object]) -> bool:
    """Stop it and remove the unit. Returns whether there was one. Raises ServiceError."""
    system = os.geteuid() == 0
    path = place(system=system)
    if not path.exists():
        return False
    _systemctl(["disable", "--now", NAME], system=system)
    path.unlink()
    _systemctl(["daemon-reload"], system=system)
    say(f"{path} is removed")
    return True


def _systemctl(words: Sequence[str], *, system: bool) -> None:
    program = shutil.which("systemctl")
    if program is None:
        raise ServiceError(
            "there is no systemd here: `pybots-worker run` under whatever keeps programs running"
        )
    command = [program, *([] if system else ["--user"]), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise ServiceError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
