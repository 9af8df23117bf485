"""CPython's own documentation at a commit: does it announce what a breakage complains about? Reads git, no ledger."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Final

from pybots.core.announced import Announced, find
from pybots.farm import git
from pybots.farm.home import Farm

log = logging.getLogger(__name__)

MAX_DOCUMENTS: Final = 40
MAX_BYTES: Final = 2_000_000
_LISTS: Final = re.compile(r"^Doc/(whatsnew/(\d+\.\d+|changelog)|deprecations/[\w.-]+)\.rst$")


def announced(farm: Farm, sha: str, failure: str, *, message: str) -> Announced | None:
    """Where the documentation in the tree of a commit announces it; None when it does not, or can't be read."""
    repository = farm.config.cpython.repository
    where = git.local_path(repository) if git.is_local(repository) else farm.folder.mirror
    try:
        documents = {name: _text(where, sha, name) for name in _documents(where, sha)}
    except git.GitError as error:
        log.warning("the documentation of %s can't be read: %s", sha[:12], error)
        return None
    return find(documents, failure, commit=message)


def _documents(where: Path, sha: str) -> list[str]:
    """What's New of the branch's own version, then its lists of deprecations and removals."""
    listed = git.git(
        where, "ls-tree", "-r", "--name-only", sha, "--", "Doc/whatsnew/", "Doc/deprecations/"
    ).splitlines()
    names = [name for name in listed if _LISTS.match(name)]
    news = [name for name in names if name.startswith("Doc/whatsnew/")]
    version = git.version(where, sha)
    own = f"Doc/whatsnew/{version[0]}.{version[1]}.rst" if version else ""
    chosen = [own] if own in news else sorted(news)[-1:]
    return [*chosen, *(name for name in names if name not in news)][:MAX_DOCUMENTS]


def _text(where: Path, sha: str, name: str) -> str:
    return git.git(where, "cat-file", "blob", f"{sha}:{name}")[:MAX_BYTES]
