"""The interpreter the miniature is made of: the machine's own, which a sandbox sees because it lies under /usr."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

OLDEST = (3, 11)
_SKIPPED = frozenset(
    {"site-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3"}
)
_ASK = """
import json, os, sys, sysconfig
print(json.dumps({
    "executable": os.path.realpath(sys.executable), "version": sys.version_info[:3],
    "library": os.path.dirname(os.__file__), "shared": bool(sysconfig.get_config_var("Py_ENABLE_SHARED")),
    "include": sysconfig.get_path("include"),
}))
"""


class NoBaseError(Exception):
    """No interpreter of this machine can be the base; the text says what was tried."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """What the base interpreter said about itself."""

    executable: Path
    version: tuple[int, int, int]
    library: Path
    shared: bool
    include: Path

    @property
    def headers(self) -> bool:
        """Whether C extensions can be built with it."""
        return (self.include / "Python.h").exists()

    @property
    def carried(self) -> bool:
        """Whether it lies where a sandbox would not see it, so that the source tree has to carry it."""
        return not self.executable.is_relative_to("/usr")


def find_base() -> Base:
    """Debian's python3, or the one this process runs on. Raises NoBaseError when both are missing or too old."""
    tried = []
    for candidate in (
        Path("/usr/bin/python3"),
        Path(getattr(sys, "_base_executable", sys.executable)),
    ):
        try:
            base = ask(candidate)
        except (OSError, subprocess.CalledProcessError) as error:
            tried.append(f"{candidate}: {error}")
            continue
        if base.version[:2] >= OLDEST:
            return base
        tried.append(f"{candidate}: {base.version[0]}.{base.version[1]} is older than 3.11")
    raise NoBaseError("no Python for the miniature; " + "; ".join(tried))


def ask(executable: Path) -> Base:
    """What the interpreter at `executable` says about itself."""
    done = subprocess.run(
        [str(executable), "-I", "-S", "-c", _ASK], capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    major, minor, micro = said["version"]
    return Base(
        executable=Path(said["executable"]), version=(major, minor, micro),
        library=Path(said["library"]), shared=said["shared"], include=Path(said["include"]),
    )  # fmt: skip


def archive(base: Base) -> bytes:
    """A tar of bin/, lib/ (byte-code included) and include/, for a base that has to be carried."""
    buffer = io.BytesIO()
    minor = f"python{base.version[0]}.{base.version[1]}"
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(base.executable, f"bin/{minor}", filter=_plain)
        if base.shared:
            for library in sorted(base.library.parent.glob(f"lib{minor}.so.*")):
                tar.add(library, f"lib/{library.name}", filter=_plain)
        tar.add(base.library, f"lib/{minor}", filter=_wanted)
        if base.headers:
            tar.add(base.include, f"include/{minor}", filter=_plain)
    return buffer.getvalue()


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _wanted(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    name = Path(info.name).name
    if name in _SKIPPED or name.startswith("config-") or ".opt-" in name:
        return None
    return _plain(info)
