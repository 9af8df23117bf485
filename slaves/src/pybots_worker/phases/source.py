"""Getting the source: an archive that is verified and unpacked here, or a commit that git fetches in the sandbox."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pybots_worker import archive, fetch, layout, sandbox
from pybots_worker.contract import Blob, GitSource, InterpreterWork, OwnSource, SdistSource
from pybots_worker.errors import FarmTrouble, failed
from pybots_worker.phases.context import Context
from pybots_worker.sandbox import Mount

GITCONFIG: Final = """\
[safe]
    directory = *
[advice]
    detachedHead = false
[init]
    defaultBranch = main
[protocol "file"]
    allow = always
"""
"""Inside everything belongs to the job's user, but a local repository does not; submodules may be local ones."""


def fetch_cpython(context: Context) -> None:
    """CPython's tree, at /pybots/cpython."""
    work = context.job.work
    assert isinstance(work, InterpreterWork)
    unpack_blob(context, work.source, layout.CPYTHON, f"CPython {work.commit[:12]}")
    if not (context.folder.outside(layout.CPYTHON) / "configure").is_file():
        raise failed("NoConfigure", f"the tree of {work.commit} has no configure script")


def fetch_project(context: Context) -> None:
    """The project's tree, at /pybots/source."""
    work = context.job.work
    assert not isinstance(work, InterpreterWork)
    match work.source:
        case SdistSource() as sdist:
            unpack_blob(context, sdist.blob, layout.SOURCE, sdist.name)
        case GitSource() as git:
            fetch_git(context, git)
        case OwnSource():
            context.folder.outside(layout.SOURCE).mkdir()
            sandbox.own(context.folder.outside(layout.SOURCE))
            context.say("the tests are the interpreter's own")


def unpack_blob(context: Context, blob: Blob, inside: str, name: str) -> None:
    """Download (or find) an archive and unpack it to `inside`."""
    target = context.folder.outside(inside)
    target.mkdir()
    with held(context, blob) as path:
        context.say(f"unpacking {name} ({blob.size} bytes)")
        try:
            archive.unpack(path, target, name=name)
        except archive.ArchiveError as error:
            raise failed("BadArchive", str(error)) from error
    sandbox.own(target)


@contextmanager
def held(context: Context, blob: Blob) -> Iterator[Path]:
    """A blob in the cache, downloaded if it is not there. Raises FarmTrouble."""

    def make(path: Path) -> None:
        context.say(f"downloading {fetch.clean(blob.url)}")
        fetch.download(blob, path, local=context.machine.settings.local, check=context.check)

    try:
        with context.machine.sources.hold(blob.sha256, make, check=context.check) as path:
            yield path
    except fetch.FetchError as error:
        raise FarmTrouble("Download", str(error)) from error


def fetch_git(context: Context, source: GitSource) -> None:
    """One commit, without its history. Servers that don't give a bare commit are asked for the branch."""
    env = {
        **context.machine.reach.env,
        "GIT_CONFIG_GLOBAL": context.give("gitconfig", GITCONFIG),
        "GIT_TERMINAL_PROMPT": "0",
    }
    mounts = (*context.machine.reach.mounts, *_local_repository(context, source.url))
    network = not source.url.startswith("file:")

    def git(*words: str, check: bool = True) -> bool:
        run = context.must if check else context.run
        outcome = run("git", "-C", layout.SOURCE, *words, env=env, mounts=mounts, network=network)
        return outcome.exit_code == 0

    context.must("git", "init", "--quiet", layout.SOURCE, env=env)
    if not git("fetch", "--quiet", "--depth=1", source.url, source.commit, check=False):
        context.say("the server does not give single commits; fetching the branch")
        git("fetch", "--quiet", source.url, source.ref or "HEAD")
    git("checkout", "--quiet", "--detach", source.commit)
    if source.submodules:
        git("submodule", "update", "--init", "--recursive", "--depth=1", "--quiet")


def _local_repository(context: Context, url: str) -> tuple[Mount, ...]:
    """A repository of this machine, for local jobs only, seen inside under its own name."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "file":
        return ()
    if not context.machine.settings.local:
        raise FarmTrouble("Download", f"{url}: files of this machine are for local jobs only")
    path = Path(urllib.parse.unquote(parts.path))
    if not path.is_dir():
        raise failed("NoSource", f"{url}: no such repository")
    return (Mount(source=path, target=str(path)),)
