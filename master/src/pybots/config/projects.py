"""projects/<name>.toml: one project per file, as a closed schema; and the registry made of the folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

import msgspec
from pydantic import BeforeValidator, Field

from pybots.config.checks import (
    AsOfOrNone,
    Branch,
    BranchOrNone,
    Distribution,
    Fact,
    GitAddress,
    MailAddress,
    Module,
    Name,
    Paragraph,
    PathOrNone,
    RelPath,
    RequirementLine,
    Title,
    Value,
    Variable,
    VersionOrNewest,
    WebAddressOrNone,
    Word,
    date_text,
)
from pybots.config.checks import name as check_name
from pybots.config.closed import Built, Closed, Several, build, key_text
from pybots.config.errors import Problem, in_order, refuse, shown
from pybots.config.toml import Document, read
from pybots.core.model import GitBranch, IndexSource, Own, Project, Source
from pybots_worker import contract


class Release(Closed):
    """`[source.release]`: the newest sdist of the package index, or the pinned `version`."""

    index: Distribution
    version: VersionOrNewest = ""
    pre: bool = False


class Trunk(Closed):
    """`[source.trunk]`: the head of a branch; an empty `branch` is the repository's default one."""

    git: GitAddress
    branch: BranchOrNone = ""
    submodules: bool = False


class Sources(Closed):
    """`[source]`: at least one of them. Each source has lanes of its own."""

    release: Release | None = None
    trunk: Trunk | None = None
    own: bool = False


class InstallTable(Closed):
    """`[install]`: how the project gets into its environment. `commands` run last, in the source tree."""

    project: bool = True
    path: RelPath = "."
    extras: Several[Distribution] = ()
    groups: Several[Distribution] = ()
    requirements: Several[RequirementLine] = ()
    requirement_files: Several[RelPath] = ()
    editable: bool = False
    build_isolation: bool = True
    commands: Several[Several[Word]] = ()
    as_of: Annotated[AsOfOrNone, BeforeValidator(date_text)] = ""


class TestTable(Closed):
    """`[test]`: how the tests run."""

    runner: contract.Runner
    args: Several[Word] = ()
    directory: RelPath = "."
    results: PathOrNone = ""
    retries: Annotated[int, Field(ge=0, le=5)] = 3


class ProjectFile(Closed):
    """A project's file. Minutes and mebibytes; lists that are absent mean no restriction."""

    stand_in: ClassVar[Mapping[str, Any]] = {
        "title": "x",
        "source": {"own": True},
        "test": {"runner": "pytest"},
    }
    name: Name = ""
    title: Title
    note: Paragraph = ""
    homepage: WebAddressOrNone = ""
    tracker: WebAddressOrNone = ""
    starter: bool = False
    notify: Several[MailAddress] = ()
    notify_daily: Several[MailAddress] = ()
    notify_personal: Several[MailAddress] = ()
    wants: Several[Fact] = ()
    services: Several[contract.Service] = ()
    system: Several[contract.Library] = ()
    network: contract.Network = "install"
    timeout_minutes: Annotated[float, Field(gt=0, le=1440)] = 30.0
    memory_mb: Annotated[int, Field(ge=64, le=1 << 20)] = 4096
    modules: Several[Module] = ()
    flavours: Several[Name] = ()
    branches: Several[Branch] = ()
    source: Sources
    install: InstallTable = InstallTable()
    test: TestTable
    env: dict[Variable, Value] = Field(default_factory=dict)


@dataclass(frozen=True)
class Registry:
    """What the folders hold. `names` has also the files that could not be used, so that they are not "unknown" too."""

    projects: Mapping[str, Project]
    files: Mapping[str, str]
    problems: tuple[Problem, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.files)


def load_projects(folders: Iterable[Path]) -> dict[str, Project]:
    """Every project of the folders by name. Raises ConfigErrors with every mistake of every file."""
    registry = examine_projects(folders)
    refuse(registry.problems)
    return dict(registry.projects)


def examine_projects(folders: Iterable[Path]) -> Registry:
    """Every project that can be used, and every mistake of every file."""
    projects: dict[str, Project] = {}
    files: dict[str, str] = {}
    problems: list[Problem] = []
    for path in (path for folder in folders for path in sorted(folder.glob("*.toml"))):
        name = path.stem
        if name in files:
            mend = f"rename or remove one; the other one is {files[name]}"
            problems.append(Problem(str(path), "", f'project "{name}" is there twice', mend))
            continue
        files[name] = str(path)
        project, found = examine_project(path)
        problems += found
        if project is not None:
            projects[name] = project
    return Registry(dict(sorted(projects.items())), files, tuple(problems))


def load_project(path: Path) -> Project:
    """The project of one file. Raises ConfigErrors with every mistake."""
    project, problems = examine_project(path)
    refuse(problems)
    assert project is not None
    return project


def examine_project(path: Path) -> tuple[Project | None, list[Problem]]:
    """The project of one file when it can be used, and every mistake."""
    document = read(path)
    built = build(ProjectFile, document)
    problems = list(built.problems)
    if document.data is not None:
        problems += _name_problems(path, document)
    if built.value is not None:
        problems += _across(built, document)
    if problems or built.value is None:
        return None, in_order(problems)
    project = _project(path.stem, built.value)
    problems += _wire_problems(project, document)
    return (None if problems else project), problems


def _name_problems(path: Path, document: Document) -> Iterator[Problem]:
    given = (document.data or {}).get("name")
    try:
        check_name(path.stem)
    except ValueError as error:
        mend = "rename the file: its name is the project's"
        yield Problem(document.file, "", f'"{path.stem}" {error}', mend)
    if isinstance(given, str) and given != path.stem:
        mend = f'remove the key, or write name = "{path.stem}"'
        message = f"{shown(given)} is not the name of the file"
        yield Problem(document.file, "name", message, mend, document.line(("name",)))


NEEDED_ARGS: Final = {
    "command": "the command",
    "trial": "the packages to test",
    "tox": "the environment",
    "nox": "the session",
}
Found = tuple[tuple[str | int, ...], str, str]
"""Place, message, mend."""


def _across(built: Built[ProjectFile], document: Document) -> Iterator[Problem]:
    """The checks that need more than one key. What was wrong by itself is not accused a second time."""
    file = built.value
    assert file is not None
    for place, message, mend in (
        *_sources(file.source),
        *_runner(file.source, file.test),
        *_install(file.source, file.install),
        *_readers(file),
    ):
        real = built.place(place)
        if built.trusts(*real):
            yield Problem(document.file, key_text(real), message, mend, document.line(real))


def _sources(source: Sources) -> Iterator[Found]:
    if not (source.release or source.trunk or source.own):
        mend = 'add [source.release] with index = "…", or [source.trunk] with git = "…"'
        yield ("source",), "names no source", mend


def _runner(source: Sources, test: TestTable) -> Iterator[Found]:
    if (what := NEEDED_ARGS.get(test.runner)) and not test.args:
        yield ("test", "args"), f"is missing: {what}", f"runner {test.runner} needs it"
    if test.runner == "regrtest" and not source.own:
        yield ("test", "runner"), "is for CPython's own suite", "write [source] own = true"
    if test.results and test.runner != "command":
        mend = "remove it: only runner command says where its JUnit file is"
        yield ("test", "results"), f"is not used by runner {test.runner}", mend


def _install(source: Sources, install: InstallTable) -> Iterator[Found]:
    if source.own and install.project:
        mend = "write [install] project = false"
        yield ("source", "own"), "has nothing to install: the tests come with the interpreter", mend
    if not install.project and (install.extras or install.editable):
        mend = "set project = true, or remove them"
        yield ("install", "project"), "is false, but there are extras or editable", mend
    for index, command in enumerate(install.commands):
        if not command:
            yield ("install", "commands", index), "is empty", "remove it"


def _readers(file: ProjectFile) -> Iterator[Found]:
    """An address makes one choice."""
    taken: set[str] = set()
    for key in ("notify", "notify_daily", "notify_personal"):
        for index, address in enumerate(getattr(file, key)):
            if address in taken:
                yield (key, index), f"{shown(address)} is there twice", "remove one"
            taken.add(address)


def _project(name: str, file: ProjectFile) -> Project:
    sources: dict[str, Source] = {}
    if file.source.release:
        release = file.source.release
        sources["release"] = IndexSource(
            name=release.index, version=release.version, pre=release.pre
        )
    if file.source.trunk:
        trunk = file.source.trunk
        sources["trunk"] = GitBranch(
            url=trunk.git, branch=trunk.branch, submodules=trunk.submodules
        )
    if file.source.own:
        sources["own"] = Own()
    plain = ProjectFile.model_fields.keys() - {"name", "source", "install", "test", "env"}
    return Project(
        name=name,
        sources=sources,
        install=contract.Install(**dict(file.install)),
        test=contract.Test(**dict(file.test)),
        env=dict(file.env),
        **{key: getattr(file, key) for key in plain},
    )


def _wire_problems(project: Project, document: Document) -> Iterator[Problem]:
    """What the contract with workers would refuse: said here, not when the first job is sent."""
    for key, part in (("install", project.install), ("test", project.test)):
        try:
            msgspec.convert(msgspec.to_builtins(part), type(part))
        except msgspec.ValidationError as error:
            line = document.line((key,))
            yield Problem(document.file, key, f"does not fit the contract: {error}", "", line)
