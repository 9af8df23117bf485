"""What the project's own build came to, kept for when the very same thing is to be installed again.

A routine run of the same source on the same interpreter (another set of dependencies, another attempt) need not compile
the project once more. Whose question is the build itself gets a new one: a control asks about this machine today, a
probe confirms, and another interpreter is another recipe. What build requirements have become is found out a few hours
later at most, or with the next interpreter.

    <project>.<n>/own/<recipe>/     wheel, tree.tar (what building left in the tree), sums.json

The kit alone writes there, from what the job left, and jobs see one entry read-only: a project can deceive nobody but
itself, as with its own cache of uv's.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import os
import re
import secrets
import stat
import tarfile
import time
import urllib.parse
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pybots_worker import layout
from pybots_worker.cache import NEW, remove
from pybots_worker.contract import GitSource, OwnSource, ProjectWork, SdistSource
from pybots_worker.phases.context import Context
from pybots_worker.runners import tools
from pybots_worker.sandbox import Mount
from pybots_worker.take import NotTakenError, take

FOLDER: Final = "own"
KEPT: Final = 4
"""Recipes a cache keeps: release and trunk on two interpreters."""
HOURS: Final = 12.0
MAX_WHEEL: Final = 64 << 20
MAX_TREE: Final = 64 << 20
TREE: Final = "tree.tar"
SUMS: Final = "sums.json"
_WHEEL: Final = re.compile(r"(?P<name>[A-Za-z0-9_.]+)-[A-Za-z0-9_.!+]+(-[A-Za-z0-9_.]+){3,4}\.whl")


@dataclass(frozen=True, kw_only=True)
class Own:
    """A build that was kept."""

    folder: Path
    wheel: str
    age: float
    """Seconds."""

    @property
    def mount(self) -> Mount:
        return Mount(source=self.folder, target=layout.OWN)

    def requirement(self, extras: tuple[str, ...]) -> str:
        """The project as a line of a requirements file."""
        name = self.wheel.partition("-")[0]
        wanted = f"[{','.join(extras)}]" if extras else ""
        return f"{name}{wanted} @ file://{layout.OWN}/{urllib.parse.quote(self.wheel)}"


def recipe(context: Context) -> str:
    """The digest of everything that the build depends on and we know of; empty when such a build is never kept."""
    work, facts = _work(context), context.machine.facts
    install = work.install
    if not install.project or not install.build_isolation or work.test.runner in tools.TOOLS:
        return ""
    said = (
        identity(work), work.interpreter.key, work.interpreter.blob.sha256, install.path, install.editable, install.as_of, sorted(work.env.items()),
        work.network, importlib.metadata.version("uv"), facts.abi, facts.compiler, facts.provided,
    )  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()


def identity(work: ProjectWork) -> tuple[str, ...]:
    """What the source is, wherever it comes from."""
    match work.source:
        case SdistSource() as sdist:
            return ("sdist", sdist.blob.sha256)
        case GitSource() as git:
            return ("git", git.url, git.commit, str(git.submodules))
        case OwnSource():
            return ("own",)


def find(context: Context, cache: Path) -> Own | None:
    """The build that this job may use instead of its own."""
    name = recipe(context)
    entry = cache.parent / FOLDER / name
    if not name or context.job.purpose not in ("routine", "retry"):
        return None
    try:
        age = time.time() - (entry / SUMS).stat().st_mtime
        sums = msgspec.json.decode((entry / SUMS).read_bytes(), type=dict[str, str])
        if 0 <= age <= HOURS * 3600 and all(_sum(entry / file) == sums[file] for file in sums):
            wheel = next(file for file in sums if file != TREE)
            return Own(folder=entry, wheel=wheel, age=age)
    except (FileNotFoundError, StopIteration, msgspec.DecodeError):
        pass
    return None


def keep(context: Context, cache: Path, since: int) -> None:
    """Keep what uv has just built of the project. `since`: no file of the unpacked tree changed after that (ctime, ns).

    Nothing is kept where it is not clear what was built. Call it when the job's processes are gone.
    """
    name = recipe(context)
    found = sorted(
        path for kind in ("path", "editable") for path in cache.glob(f"sdists-v*/{kind}/*/*/*.whl")
    )
    if not name or len(found) != 1 or not _WHEEL.fullmatch(found[0].name):
        return
    try:
        files = {found[0].name: take(cache, found[0], MAX_WHEEL)}
        if not zipfile.is_zipfile(io.BytesIO(files[found[0].name])):
            return
        # Tests may look for what building leaves in the tree: a version file, the extensions of an editable project.
        files[TREE] = _tree(context.folder.outside(layout.SOURCE), since)
    except (
        NotTakenError,
        OSError,
        RecursionError,
    ):  # such as a tree deeper than a path can be long
        return
    _enter(cache.parent / FOLDER, name, files)


def _enter(root: Path, name: str, files: dict[str, bytes]) -> None:
    """The entry appears whole, in place of an older one; the oldest make room."""
    new = root / f"{NEW}{secrets.token_hex(8)}"
    new.mkdir(parents=True)
    try:
        for file, data in files.items():
            (new / file).write_bytes(data)
        sums = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
        (new / SUMS).write_bytes(msgspec.json.encode(sums))
        for path in (new, *new.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
        remove(root / name)
        new.rename(root / name)
    finally:
        remove(new)
    entries = sorted(root.glob("[!.]*"), key=lambda path: path.stat().st_mtime)
    for old in entries[:-KEPT]:
        remove(old)


def _tree(source: Path, since: int) -> bytes:
    """What was made or changed in the tree, as an archive that is unpacked in the sandbox only. Never byte-code.

    Raises NotTakenError when it is too much.
    """
    packed, total = io.BytesIO(), 0
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in _changed(source, since):
            member = archive.gettarinfo(path, arcname=str(path.relative_to(source)))
            if member is None or not (member.isreg() or member.issym()):
                continue
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            if member.issym():
                archive.addfile(member)
                continue
            member.type, member.linkname = tarfile.REGTYPE, ""
            data = take(source, path, MAX_TREE)
            member.size = len(data)
            total += len(data)
            if total > MAX_TREE:
                raise NotTakenError(f"more than {MAX_TREE} bytes were built in the tree")
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def _changed(source: Path, since: int) -> Iterator[Path]:
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if name not in ("__pycache__", ".git")]
        for name in files:
            path = Path(folder, name)
            found = path.lstat()
            plain = stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)
            if plain and found.st_ctime_ns >= since and not name.endswith(".pyc"):
                yield path


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _work(context: Context) -> ProjectWork:
    assert isinstance(context.job.work, ProjectWork)
    return context.job.work
