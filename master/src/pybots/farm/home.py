"""Where a farm lives on disk, and the handful of things every operation needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pybots.config.farm import FarmConfig, load_farm
from pybots.config.people import load_people
from pybots.config.projects import load_projects
from pybots.core.model import Project
from pybots.ledger.engine import Ledger, open_ledger
from pybots.store import Store


@dataclass(frozen=True)
class Folder:
    """The farm's folder: everything that must survive is under it."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "farm.toml"

    @property
    def people(self) -> Path:
        """Authors who asked to be written to; it need not exist."""
        return self.root / "people.toml"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.sqlite"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def mail(self) -> Path:
        """A Maildir."""
        return self.root / "mail"

    @property
    def master(self) -> Path:
        """Buildbot's base directory."""
        return self.root / "master"

    @property
    def worker(self) -> Path:
        """The local worker's folder."""
        return self.root / "worker"

    @property
    def mirror(self) -> Path:
        """The bare, blobless mirror of CPython (unless the repository is a folder of this machine)."""
        return self.root / "cpython.git"

    @property
    def secrets(self) -> Path:
        """One file a secret, readable by the farm only."""
        return self.root / "secrets"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def projects(self) -> Path:
        """Project files of this farm, beside the ones that come with Pybots."""
        return self.root / "projects"

    @property
    def last_cycle(self) -> Path:
        return self.root / "last-cycle.json"


@dataclass(frozen=True, kw_only=True)
class Farm:
    """A farm, opened: settings, registry, ledger and store. `clock` gives seconds since the epoch, UTC.

    `people`: the address of a commit's author, in lower case -> where to write to them (people.toml)."""

    folder: Folder
    config: FarmConfig
    projects: Mapping[str, Project]
    ledger: Ledger
    store: Store
    clock: Callable[[], float] = field(default=time.time)
    people: Mapping[str, str] = field(default_factory=dict)


def open_farm(root: Path, *, clock: Callable[[], float] = time.time) -> Farm:
    """The farm in the folder `root`. Raises config.errors.ConfigErrors naming every mistake at once."""
    folder = Folder(root.resolve())
    config = load_farm(folder.config)
    return Farm(
        folder=folder,
        config=config,
        projects=load_projects(config.project_folders(folder.root)),
        ledger=open_ledger(folder.ledger),
        store=Store(folder.store, reserve=config.store.reserve_bytes),
        clock=clock,
        people=load_people(folder.people),
    )
