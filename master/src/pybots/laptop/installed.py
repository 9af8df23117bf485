"""A Python that is installed on this machine as an interpreter for jobs: the control beside a CPython under test."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from pybots.laptop.interpreters import NEVER, Built
from pybots.laptop.workbench import LaptopError, Workbench
from pybots_worker import contract

SYSTEM: Final = Path("/usr/bin/python3")
LAUNCHER: Final = '#!/bin/sh\nexec {python} "$@"\n'


def installed(bench: Workbench, python: Path = SYSTEM) -> Built:
    """The Python at a path below /usr, which jobs see. What stands for it is one script: environments made with it are
    those of the Python it starts. Raises LaptopError."""
    real = python.resolve()
    if not real.is_relative_to("/usr"):
        raise LaptopError(f"{python} is not below /usr: jobs would not see it")
    said = _version(real)
    key = hashlib.sha256(f"installed\0{real}\0{said}\0{bench.abi}".encode()).hexdigest()
    shelf = bench.workshop.machine.interpreters
    if not (shelf.root / key / "size").exists():
        with tempfile.TemporaryDirectory(dir=bench.workshop.root) as folder:
            launcher = Path(folder, "prefix/bin/python3")
            launcher.parent.mkdir(parents=True)
            launcher.write_text(LAUNCHER.format(python=real))
            for path in (launcher, launcher.parent, launcher.parents[1]):
                path.chmod(0o755)
            shelf.adopt(key, launcher.parents[1])
    return Built(
        ref=contract.InterpreterRef(
            key=key, commit="0" * 40, branch="installed", flavour="release",
            blob=contract.Blob(url=NEVER, sha256=key, size=0),
        )
    )  # fmt: skip


def _version(python: Path) -> str:
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", "import sys; print(sys.version)"],
            capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise LaptopError(f"{python} does not run: {error}") from error
    return done.stdout
