"""`pybots project show | upkeep`: what the farm will do with a project, and which files want their keeper."""

from __future__ import annotations

import argparse
import json
import shlex
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pybots.config.errors import Problem, refuse
from pybots.config.examine import examine
from pybots.config.farm import FarmConfig
from pybots.config.projects import load_project
from pybots.core.model import GitBranch, IndexSource, Project, Source
from pybots.farm import keeper
from pybots.farm.home import open_farm
from pybots.ledger import migrate
from pybots_worker import contract, services
from pybots_worker.engine import Workshop
from pybots_worker.phases import install
from pybots_worker.phases.context import Context
from pybots_worker.runners import plans, tools
from pybots_worker.settings import WorkshopSettings

NOTHING, SOMETHING = 0, 1
MIB: Final = 1 << 20


def add_parsers(actions: Any) -> None:
    """Add `show` and `upkeep` to `pybots project`."""
    show = actions.add_parser(
        "show",
        help="what the farm will do with a project",
        description="Renders a project's lanes, phases with their commands, limits and readers. Exit status: 0.",
    )
    show.add_argument("project", metavar="FILE|NAME")
    show.set_defaults(run=main_show)
    upkeep = actions.add_parser(
        "upkeep",
        help="the project files that want a look, each with a change to propose",
        description="Lists the files whose source is gone or has moved, whose tests no longer collect, or whose control has been red "
        "for weeks, from the farm's ledger. Exit status: 0 none, 1 some.",
    )
    upkeep.add_argument("--json", action="store_true", help="print them as JSON")
    upkeep.set_defaults(run=main_upkeep)
    for parser in (show, upkeep):
        parser.add_argument(
            "--farm",
            type=Path,
            default=Path("farm"),
            metavar="FOLDER",
            help="the farm (default: farm)",
        )


def main_upkeep(arguments: argparse.Namespace) -> int:
    migrate.check(arguments.farm / "ledger.sqlite")
    farm = open_farm(arguments.farm)
    with farm.ledger.read() as connection:
        found = keeper.cases(farm, connection, farm.clock())
    if arguments.json:
        print(json.dumps([asdict(case) for case in found], indent=2))
        return SOMETHING if found else NOTHING
    for case in found:
        day = f" since {time.strftime('%Y-%m-%d', time.gmtime(case.since))}" if case.since else ""
        print(f"{case.project} ({case.source}): {case.what}{day}")
        print(f"    {_plain(case.said)}")
        print(f"    propose: {_plain(case.propose)}")
    if not found:
        print("no project file wants a look")
    return SOMETHING if found else NOTHING


def _plain(text: str) -> str:
    """A stranger's words, harmless for a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)[:500]


def main_show(arguments: argparse.Namespace) -> int:
    found = examine(arguments.farm.resolve())
    config = found.config or FarmConfig()
    name = arguments.project
    if name.endswith(".toml"):
        project = load_project(Path(name))
    else:
        if name not in found.registry.projects:
            mend = "give a file, or a name `pybots project list` shows"
            refuse([Problem(name, "", "is neither a file nor a registered project", mend)])
        project = found.registry.projects[name]
    for line in rendered(project, config):
        print(line)
    return NOTHING


def rendered(project: Project, config: FarmConfig) -> Iterator[str]:
    """The lines of `show`."""
    yield f"{project.title} ({project.name})"
    yield ""
    yield "Sources, each with lanes of its own, looked at again every " + _minutes(config)
    for name, source in project.sources.items():
        yield f"  {name:<10} {_origin(source)}"
    yield ""
    yield "Lanes"
    yield from (f"  {lane}" for lane in _lanes(project, config))
    wants = ", ".join(sorted(project.facts)) or "nothing special"
    yield f"  on workers that provide: {wants}"
    yield ""
    yield from _phases(project, config)
    yield ""
    yield "Readers"
    for what, addresses in (
        ("at once", project.notify), ("daily", project.notify_daily), ("personally", project.notify_personal),
    ):  # fmt: skip
        if addresses:
            yield f"  {what:<10} {', '.join(addresses)}"
    if not (project.notify or project.notify_daily or project.notify_personal):
        yield "  nobody but the farm's list: `notify` is empty"


def _minutes(config: FarmConfig) -> str:
    return f"{config.index.poll_minutes:g} minutes"


def _origin(source: Source) -> str:
    match source:
        case IndexSource(name=name, version=version):
            return f"{version or 'the newest sdist'} of {name} on the package index"
        case GitBranch(url=url, branch=branch):
            return f"{branch or 'the default branch'} of {url}"
        case _:
            return "the interpreter under test itself"


def _lanes(project: Project, config: FarmConfig) -> Iterator[str]:
    branches = [b for b in config.cpython.branches if not project.branches or b in project.branches]
    flavours = [f for f in config.flavour_names() if not project.flavours or f in project.flavours]
    for source in project.sources:
        for branch in branches:
            for flavour in flavours:
                for platform in config.platforms:
                    yield f"{project.name}.{source}.{branch}.{flavour}.{platform}"
    if not (branches and flavours):
        yield "none: the farm builds no branch and flavour that this project wants"


def _phases(project: Project, config: FarmConfig) -> Iterator[str]:
    online = {
        "none": ("source",),
        "install": ("source", "install"),
        "always": ("source", "install", "test"),
    }
    given = {"install": list(_installing(project)), "test": list(_testing(project))}
    for phase in ("interpreter", "source", "install", "test"):
        limits = config.limits(phase, project)
        network = "network" if phase in online[project.network] else "no network"
        yield (
            f"Phase {phase}: at most {limits.wall_seconds / 60:g} min, {limits.memory_bytes // MIB:,} MB memory, "
            f"{limits.disk_bytes // MIB:,} MB disk, {limits.processes:,} processes; {network}"
        )
        yield from (f"  {line}" for line in given.get(phase, ()))
    for name, value in project.env.items():
        yield f"  {name}={shlex.quote(value)}"


def _installing(project: Project) -> Iterator[str]:
    """The commands of the install phase, made by the worker kit's own code in a folder that is thrown away."""
    work = contract.ProjectWork(
        project=project.name, revision="", interpreter=_NO_INTERPRETER, source=contract.OwnSource(),
        install=project.install, test=project.test, env=project.env, network=project.network,
        modules=project.modules, services=project.services,
    )  # fmt: skip
    report = contract.Upload(url="file:///nowhere", token="none", max_bytes=1)
    limits = dict.fromkeys(contract.PROJECT_PHASES, FarmConfig().limits("test", project))
    job = contract.Job(
        contract=contract.VERSION, run=1, attempt=1, purpose="routine", work=work, limits=limits, report=report,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="pybots-show-") as folder:
        shop = Workshop(Path(folder), WorkshopSettings(local=True), environ={})
        context = Context(
            job=job, phase="install", folder=shop.begin(job), machine=shop.machine,
            sink=lambda _stream, _data: None, cancel=threading.Event(),
        )  # fmt: skip
        yield "uv venv"
        for words in install.steps(context, project.install):
            yield shlex.join(["uv", "pip", "install", *words])
        requirements = context.folder.given / "requirements.txt"
        if requirements.exists():
            yield "  with requirements.txt: " + ", ".join(requirements.read_text().split("\n")[:-1])
    for command in project.install.commands:
        yield shlex.join(command)
    if project.test.runner in tools.TOOLS:
        yield shlex.join(tools.making(project.test))


def _testing(project: Project) -> Iterator[str]:
    plan = plans.plan(project.test)
    if project.services:
        yield shlex.join(services.preparing(project.services))
    yield shlex.join(services.around(project.services, plan.argv))
    where = project.test.directory
    yield f"  in the source tree{'' if where in ('', '.') else ', ' + where}; {_again(project.test)}"
    for name, value in {**services.environment(project.services), **plan.env}.items():
        yield f"  {name}={shlex.quote(value)}"


def _again(test: contract.Test) -> str:
    """What becomes of failed tests."""
    if not test.retries:
        return "what failed is not run again"
    if not plans.plan(test).tells:
        return "all of it once more when it fails"
    return f"failed tests again up to {test.retries} times alone"


_NO_INTERPRETER: Final = contract.InterpreterRef(
    key="0" * 64, commit="0" * 40, branch="main", flavour="release",
    blob=contract.Blob(url="file:///nowhere", sha256="0" * 64, size=0),
)  # fmt: skip
