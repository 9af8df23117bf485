"""What a search moves over, axis by axis: the interpreter, the project or its dependencies change, the rest stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pybots.core.flavours import probe_recipe
from pybots.core.model import Flavour, Revision
from pybots.laptop.changes import Change
from pybots.laptop.interpreters import Built, Interpreters
from pybots.laptop.lab import How
from pybots.laptop.probes import Prober
from pybots.laptop.workbench import Workbench
from pybots_worker import contract


def makers(bench: Workbench, flavour: Flavour) -> dict[How, Interpreters]:
    """The interpreters of a flavour, by the recipe they are built with."""
    return {
        "probe": Interpreters(bench=bench, flavour=flavour, recipe=probe_recipe(flavour)),
        "routine": Interpreters(bench=bench, flavour=flavour, recipe=flavour.recipe()),
    }


@dataclass(kw_only=True)
class CPythonGround:
    """CPython's history; project and dependencies stay what they are."""

    changes: Sequence[Change]
    makers: Mapping[How, Interpreters]
    prober: Prober
    axis: str = "cpython"

    @property
    def builds(self) -> int:
        return sum(maker.builds for maker in self.makers.values())

    def at(self, index: int, how: How) -> tuple[Built, Prober]:
        return self.makers[how].get(self.changes[index].id), self.prober

    def cached(self, index: int, how: How) -> bool:
        return self.makers[how].has(self.changes[index].id)


@dataclass(kw_only=True)
class ProjectGround:
    """A project's history or releases on one interpreter. `revision` gives a change's by its id."""

    changes: Sequence[Change]
    makers: Mapping[How, Interpreters]
    prober: Prober
    revision: Callable[[str], Revision]
    sha: str
    axis: str = "project"

    @property
    def builds(self) -> int:
        return sum(maker.builds for maker in self.makers.values())

    def at(self, index: int, how: How) -> tuple[Built, Prober]:
        revision = self.revision(self.changes[index].id)
        return self.makers[how].get(self.sha), replace(self.prober, revision=revision)

    def cached(self, index: int, how: How) -> bool:
        return self.makers[how].has(self.sha)


@dataclass(kw_only=True)
class DependencyGround:
    """A dependency delta, one package or version after the other. `locks` are by the change's id."""

    changes: Sequence[Change]
    makers: Mapping[How, Interpreters]
    prober: Prober
    locks: Mapping[str, tuple[contract.Locked, ...]]
    sha: str
    axis: str = "dependencies"

    @property
    def builds(self) -> int:
        return sum(maker.builds for maker in self.makers.values())

    def at(self, index: int, how: How) -> tuple[Built, Prober]:
        lock = self.locks[self.changes[index].id]
        return self.makers[how].get(self.sha), self.prober.pinned(lock)

    def cached(self, index: int, how: How) -> bool:
        return self.makers[how].has(self.sha)
