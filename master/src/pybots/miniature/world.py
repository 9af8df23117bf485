"""The miniature world: a small CPython with a history, small projects, and a small package index, in one folder.

    world/cpython/         the git repository of the miniature CPython
    world/projects/NAME/   the git repository of each miniature project
    world/sdists/          their releases

Everything is repeatable: the same arguments on the same machine give the same shas.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pybots.miniature.base import Base, archive, find_base
from pybots.miniature.history import (
    AUTHORS,
    BASE_COMMITS,
    CHANGES,
    Append,
    Change,
    Delete,
    Edit,
    Swap,
)
from pybots.miniature.hostile import Bounds, hostile
from pybots.miniature.packaging import read_files, released, simple_index, sources, write_sdist
from pybots.miniature.projects import PROJECTS, Definition
from pybots.miniature.repository import Person, Repository

START: Final = datetime(2026, 1, 5, 9, tzinfo=UTC)
"""The first commit's date."""

_TREE: Final = Path(__file__).parent / "tree"
_FIRST_NUMBER: Final = 140_000


@dataclass(frozen=True, kw_only=True)
class MiniProject:
    """Where a miniature project lies, and how its tests run."""

    name: str
    version: str
    git: Path
    sdist: Path
    runner: str
    args: tuple[str, ...]
    dependencies: tuple[str, ...]
    extension: bool
    """Whether it has a C extension, so that the base's headers are needed."""
    about: str


@dataclass(frozen=True)
class World:
    """A miniature world in `folder`."""

    folder: Path
    bounds: Bounds = field(default_factory=Bounds)

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        base_commits: Iterable[str] = BASE_COMMITS,
        start: datetime = START,
        projects: Iterable[str] | None = None,
        bounds: Bounds | None = None,
        base: Base | None = None,
    ) -> World:
        """A new world: a first commit, then `base_commits` an hour apart, and the `projects` (None: all).

        Raises FileExistsError when there is one already, and NoBaseError when no Python here can be the base.
        """
        world = cls(folder.resolve(), bounds or Bounds())
        if (world.cpython / ".git").exists():
            raise FileExistsError(f"there is a miniature world in {folder}")
        repository = Repository.init(world.cpython)
        _write_tree(repository, base or find_base())
        repository.commit("The miniature begins", AUTHORS[0], start)
        for kind in base_commits:
            world.commit(kind)
        for definition in world._definitions():
            if projects is None or definition.name in set(projects):
                world._create_project(definition, start)
        return world

    @classmethod
    def open(cls, folder: Path) -> World:
        """A world that create() made earlier."""
        world = cls(folder.resolve())
        if not (world.cpython / ".git").exists():
            raise FileNotFoundError(f"no miniature world in {folder}")
        return world

    @property
    def cpython(self) -> Path:
        """The miniature CPython's git repository; good for `./pybots up --cpython`."""
        return self.folder / "cpython"

    @property
    def projects_dir(self) -> Path:
        return self.folder / "projects"

    @property
    def sdists_dir(self) -> Path:
        return self.folder / "sdists"

    def head(self) -> str:
        """The sha of the miniature CPython's head."""
        return Repository(self.cpython).head()

    def commit(self, kind: str, *, at: datetime | None = None, author: Person | None = None) -> str:
        """Commit one of CHANGES to the miniature CPython; `at` defaults to an hour after its parent. Returns the sha."""
        repository = Repository(self.cpython)
        number = repository.count()
        change = CHANGES[kind]
        if change.undoes:
            message = _revert(repository, CHANGES[change.undoes])
        else:
            message = f"gh-{_FIRST_NUMBER + number}: {change.title}"
            for edit in change.edits:
                _apply(self.cpython, edit, number)
        who = author or AUTHORS[number % len(AUTHORS)]
        return repository.commit(message, who, at or repository.next_date())

    def commit_files(
        self,
        files: Mapping[str, str | None],
        title: str,
        *,
        project: str = "",
        at: datetime | None = None,
        author: Person | None = None,
    ) -> str:
        """Commit texts (None removes a file) to the miniature CPython, or to a project's repository. Returns the sha."""
        path = self.projects_dir / project if project else self.cpython
        repository = Repository(path)
        repository.write({name: text for name, text in files.items() if text is not None})
        for name in (name for name, text in files.items() if text is None):
            (path / name).unlink()
        who = author or AUTHORS[repository.count() % len(AUTHORS)]
        return repository.commit(title, who, at or repository.next_date())

    def release(self, project: str, version: str) -> Path:
        """Give a project a new version: a commit and an sdist, which is returned."""
        definition = self._definition(project)
        path = self.projects_dir / project
        pyproject = (path / "pyproject.toml").read_text()
        old = f'version = "{released(path)}"'
        changed = pyproject.replace(old, f'version = "{version}"', 1)
        self.commit_files({"pyproject.toml": changed}, f"Release {version}", project=project)
        return write_sdist(path, self.sdists_dir, truncated=definition.truncated)

    def projects(self) -> Iterator[MiniProject]:
        """The projects of this world, in the order of their definitions."""
        for definition in self._definitions():
            if (self.projects_dir / definition.name).exists():
                yield self.project(definition.name)

    def project(self, name: str) -> MiniProject:
        """One project as it is now. Raises KeyError for an unknown name."""
        definition = self._definition(name)
        path = self.projects_dir / name
        version = released(path)
        return MiniProject(
            name=name, version=version, git=path,
            sdist=self.sdists_dir / f"{definition.package}-{version}.tar.gz",
            runner=definition.runner, args=definition.args,
            dependencies=definition.dependencies, extension=bool(definition.extension),
            about=definition.about,
        )  # fmt: skip

    def simple_index(self, folder: Path) -> Path:
        """Write a static package index (PEP 503 and 691) of all releases into `folder`, to be served over HTTP."""
        return simple_index(self.sdists_dir, folder)

    def _definitions(self) -> tuple[Definition, ...]:
        return (*PROJECTS, *hostile(self.bounds))

    def _definition(self, name: str) -> Definition:
        return {definition.name: definition for definition in self._definitions()}[name]

    def _create_project(self, definition: Definition, at: datetime) -> None:
        repository = Repository.init(self.projects_dir / definition.name)
        repository.write(sources(definition))
        repository.commit(f"Start {definition.name}", AUTHORS[-1], at)
        write_sdist(repository.path, self.sdists_dir, truncated=definition.truncated)


def _write_tree(repository: Repository, base: Base) -> None:
    """The first tree: the files beside this one, with the base's version written in and the base named (or carried)."""
    files = read_files(_TREE)
    patchlevel = files["Include/patchlevel.h"]
    for key, number in zip(("@MAJOR@", "@MINOR@", "@MICRO@"), base.version, strict=True):
        patchlevel = patchlevel.replace(key, str(number))
    repository.write(files | {"Include/patchlevel.h": patchlevel}, executable=["configure"])
    if base.carried:
        (repository.path / "Modules" / "base.tar").write_bytes(archive(base))
    where = "Modules/base.tar" if base.carried else str(base.executable)
    repository.write({"Modules/base": where + "\n"})


def _apply(root: Path, edit: Edit, number: int) -> None:
    path = root / edit.path.replace("@N@", str(number))
    match edit:
        case Delete():
            path.unlink()
        case Append(text=text):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(text.replace("@N@", str(number)))
        case Swap(old=old, new=new):
            text = path.read_text()
            if text.count(old) != 1:
                raise ValueError(
                    f"{edit.path} does not have {old!r} once: was this change made before?"
                )
            path.write_text(text.replace(old, new))


def _revert(repository: Repository, change: Change) -> str:
    """Undo the last commit of `change` in the work tree. Returns the message GitHub would give it."""
    for line in repository.git("log", "--format=%H %s").splitlines():
        sha, _, subject = line.partition(" ")
        if subject.endswith(f": {change.title}"):
            repository.git("revert", "--no-commit", sha)
            return f'Revert "{subject}"\n\nThis reverts commit {sha}.'
    raise ValueError(f"there is no {change.title!r} to be undone")
