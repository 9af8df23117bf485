"""Everything `pybots check` can say without starting anything: the farm's settings, all projects, and both together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pybots.config import flavours as flavour_data
from pybots.config.checks import near
from pybots.config.errors import Problem, shown
from pybots.config.farm import FarmConfig, examine_farm
from pybots.config.people import examine_people
from pybots.config.projects import Registry, examine_projects


@dataclass(frozen=True)
class Examined:
    """What was found in a farm's folder. `config` is None when farm.toml is beyond use."""

    config: FarmConfig | None
    registry: Registry
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.level == "error")


def examine(root: Path) -> Examined:
    """Read the farm in the folder `root` and every project it knows; all mistakes of all files. Never raises for them."""
    path = root / "farm.toml"
    config, problems = examine_farm(path)
    usable = config or FarmConfig()
    problems += _folders(str(path), usable)
    problems += examine_people(root / "people.toml")[1]
    registry = examine_projects(usable.project_folders(root))
    problems += registry.problems
    if config is not None:
        problems += _selection(str(path), config, registry)
    problems += _projects_flavours(usable, registry)
    return Examined(config, registry, tuple(problems))


def _folders(file: str, config: FarmConfig) -> Iterator[Problem]:
    for index, folder in enumerate(config.folders):
        if not Path(folder).is_dir():
            message = f"{shown(folder)} is not a folder"
            yield Problem(file, f"folders[{index}]", message, "make it, or correct the path")


def _selection(file: str, config: FarmConfig, registry: Registry) -> Iterator[Problem]:
    for index, name in enumerate(config.projects):
        if name not in registry.names:
            mend = near(name, registry.names) or "see `pybots project list`"
            yield Problem(file, f"projects[{index}]", f"unknown project {shown(name)}", mend)


def _projects_flavours(config: FarmConfig, registry: Registry) -> Iterator[Problem]:
    known = {*flavour_data.BUILT_IN, *config.flavour}
    for name, project in registry.projects.items():
        for index, flavour in enumerate(project.flavours):
            if flavour not in known:
                mend = near(flavour, known) or f"known: {', '.join(sorted(known))}"
                place = f"flavours[{index}]"
                yield Problem(
                    registry.files[name], place, f"unknown flavour {shown(flavour)}", mend
                )
