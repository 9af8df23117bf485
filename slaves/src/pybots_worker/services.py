"""Servers that a project's tests talk to (`services = ["mariadb"]`): which there are, and what the tests find set.

Each is a private instance in the job's own folder, started by `inside/pybots_services.sh` in the sandbox of the tests: it
listens on a socket only, its caps are the tests' caps, and it is killed with them. Its data is made once and copied for
each run of the tests, so that retries meet a database as fresh as the first run did.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pybots_worker import layout
from pybots_worker.contract import BUILD_ROOT, Service

FOLDER: Final = f"{BUILD_ROOT}/services"
SCRIPT: Final = f"{layout.KIT}/pybots_services.sh"
PREPARE_SECONDS: Final = 300
"""One that is not ready after this time never will be."""

PROGRAMS: Final[Mapping[Service, tuple[str, ...]]] = {
    "mariadb": ("bin/mariadb-install-db", "bin/my_print_defaults", "sbin/mariadbd"),
    "postgresql": ("lib/postgresql/*/bin/initdb", "lib/postgresql/*/bin/postgres"),
}
"""What must be below /usr; elsewhere than on Debian all of it may be in bin."""

ENVIRONMENT: Final[Mapping[Service, Mapping[str, str]]] = {
    "mariadb": {
        "PYBOTS_MARIADB_SOCKET": f"{FOLDER}/mariadb/socket",
        "PYBOTS_MARIADB_USER": "pybots",
        "PYBOTS_MARIADB_DATABASE": "pybots",
        "PYBOTS_MARIADB_OPTIONS": f"{FOLDER}/mariadb/client.cnf",
        "MYSQL_UNIX_PORT": f"{FOLDER}/mariadb/socket",
    },
    "postgresql": {
        "PYBOTS_POSTGRESQL_SOCKET": f"{FOLDER}/postgresql",
        "PYBOTS_POSTGRESQL_USER": "pybots",
        "PYBOTS_POSTGRESQL_DATABASE": "pybots",
        "PGHOST": f"{FOLDER}/postgresql",
        "PGUSER": "pybots",
        "PGDATABASE": "pybots",
    },
}
"""The paths are the same on every worker, so a project's file may name them too."""


def provided(root: Path) -> list[str]:
    """The facts `service:<name>` of a machine whose /usr is `root`."""
    return [f"service:{name}" for name, programs in PROGRAMS.items() if _all(root, programs)]


def _all(root: Path, programs: tuple[str, ...]) -> bool:
    return all(
        next(root.glob(program), None) or (root / "bin" / Path(program).name).exists()
        for program in programs
    )


def environment(names: tuple[Service, ...]) -> dict[str, str]:
    """The variables that say where the servers are."""
    return {key: value for name in names for key, value in ENVIRONMENT[name].items()}


def preparing(names: tuple[Service, ...]) -> tuple[str, ...]:
    """The command that makes their data and sees that they start. Its failure is the machine's, not the project's."""
    seconds = str(PREPARE_SECONDS)
    return ("timeout", "-k", "5", seconds, "/bin/sh", SCRIPT, FOLDER, "prepare", *names)


def around(names: tuple[Service, ...], argv: tuple[str, ...]) -> tuple[str, ...]:
    """The command that runs `argv` while they are there."""
    return ("/bin/sh", SCRIPT, FOLDER, "run", *names, "--", *argv) if names else argv
