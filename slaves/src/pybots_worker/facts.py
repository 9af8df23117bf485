"""What this machine is: measured here, told to the farm, recorded in every report."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pybots_worker import libraries, services
from pybots_worker.machine import machine

OS_RELEASE: Final = (Path("/etc/os-release"), Path("/usr/lib/os-release"))
MASQUERADE: Final = Path("/usr/lib/ccache")
"""Where Debian and its like keep links named gcc, cc … to ccache."""

HEADERS: Final = {
    "bz2": "bzlib.h",
    "curses": "curses.h",
    "ffi": "ffi.h",
    "gdbm": "gdbm.h",
    "lzma": "lzma.h",
    "readline": "readline/readline.h",
    "sqlite": "sqlite3.h",
    "ssl": "openssl/ssl.h",
    "tk": "tk.h",
    "uuid": "uuid/uuid.h",
    "zlib": "zlib.h",
    "zstd": "zstd.h",
    "xml2": "libxml/xmlversion.h",
    "xslt": "libxslt/xslt.h",
    "pq": "libpq-fe.h",
    "mysql": "mysql.h",
}
"""A name a project can ask for (`wants = ["headers:ffi"]`) and the header that shows it is there."""

SUBFOLDERS: Final = ("libxml2", "postgresql", "mariadb", "mysql")
"""Where Debian keeps headers that are found by asking pkg-config."""

PROGRAMS: Final = ("ccache", "clang", "g++", "git", "make", "pkg-config", "rustc", "cargo", "hg")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One machine. `memory_bytes` is physical memory; `provided` are the facts a lane can ask for."""

    platform: str
    abi: str
    system: str
    cores: int
    memory_bytes: int
    compiler: str
    provided: tuple[str, ...]


def measure(extra: tuple[str, ...] = ()) -> Facts:
    """Look at this machine (about 10 ms: the compiler is asked for its version)."""
    compiler = compiler_version()
    return Facts(
        platform=platform_name(),
        abi=abi_tag(os_release()),
        system=os_release().get("PRETTY_NAME", platform.system()),
        cores=cores(),
        memory_bytes=memory_bytes(),
        compiler=compiler,
        provided=tuple(sorted({*provided(), *(["compiler"] if compiler else []), *extra})),
    )


def memory_bytes() -> int:
    """All of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def platform_name() -> str:
    """`linux-x86_64`: operating system and architecture, nothing finer."""
    return f"{platform.system().lower()}-{machine().lower()}"


def abi_tag(release: Mapping[str, str]) -> str:
    """Where an interpreter built here also runs: distribution, its version, architecture.

    >>> abi_tag({"ID": "debian", "VERSION_ID": "12"}).rpartition("-")[0]
    'debian-12'
    """
    parts = (release.get("ID", "linux"), release.get("VERSION_ID", "rolling"), machine())
    return re.sub(r"[^a-z0-9._-]", "_", "-".join(parts).lower())[:80]


def os_release() -> dict[str, str]:
    """os-release(5) as a mapping; empty where there is none."""
    for path in OS_RELEASE:
        if path.is_file():
            pairs = (line.partition("=") for line in path.read_text().splitlines())
            return {key: value.strip("\"'") for key, _, value in pairs if key.isidentifier()}
    return {}


def cores() -> int:
    """How many processors we may use (less than the machine has, under taskset or in a container)."""
    return len(os.sched_getaffinity(0))


def compiler_version(command: str = "gcc") -> str:
    """The first line of `gcc --version`; empty when there is no compiler."""
    try:
        done = subprocess.run(
            [command, "--version"], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else ""


def provided(root: Path = Path("/usr")) -> list[str]:
    """Facts found by looking: programs by name, development headers as `headers:<name>`, libraries as `system:<name>`,
    servers as `service:<name>`."""
    found = [name for name in PROGRAMS if (root / "bin" / name).exists()]
    # CPython's JIT is generated with one version of clang only, so a flavour can ask for `clang-19`.
    found += sorted(p.name for p in (root / "bin").glob("clang-[0-9]*") if p.name[6:].isdigit())
    include = root / "include"
    folders = [include, *include.glob("*-linux-gnu*"), *(include / name for name in SUBFOLDERS)]
    for name, header in HEADERS.items():
        if any((folder / header).exists() for folder in folders):
            found.append(f"headers:{name}")
    return found + libraries.provided(root) + services.provided(root)
