"""A look at a project that is not registered yet: its newest sdist, or its repository's head, in a folder that is thrown away.

Nothing of it is executed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from pypi_simple import (
    NoSuchProjectError,
    PyPISimple,
    UnsupportedContentTypeError,
    UnsupportedRepoVersionError,
)

from pybots.core.model import IndexSource
from pybots.farm import git, sources
from pybots.laptop.workbench import LaptopError
from pybots_worker import archive


@contextmanager
def peek(index: str, address: str) -> Iterator[Path]:
    """The source tree of the git repository at `address`, else of the newest sdist of `index`. Raises LaptopError."""
    with tempfile.TemporaryDirectory(prefix="pybots-new-") as folder:
        tree = Path(folder, "tree")
        try:
            if address:
                git.git(Path(folder), "clone", "--quiet", "--depth=1", "--", address, str(tree))
            else:
                tree.mkdir()
                _sdist(index, Path(folder), tree)
        except NoSuchProjectError:
            raise LaptopError(f"the package index has no {index!r}") from None
        except (
            git.GitError, requests.RequestException, sources.SourceError, archive.ArchiveError, OSError,
            UnsupportedContentTypeError, UnsupportedRepoVersionError,
        ) as error:  # fmt: skip
            raise LaptopError(f"{address or index} cannot be looked at: {error}") from error
        yield tree


def _sdist(index: str, folder: Path, tree: Path) -> None:
    with requests.Session() as session, PyPISimple(session=session) as client:
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or sources.system_certificates()
        packages = client.get_project_page(index, timeout=sources.TIMEOUT).packages
        package = sources.newest(packages, IndexSource(name=index))
        packed = folder / "sdist"
        size = 0
        with (
            session.get(package.url, stream=True, timeout=sources.TIMEOUT) as answer,
            packed.open("wb") as file,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_content(1 << 16):
                size += file.write(chunk)
                if size > sources.MAX_SDIST_BYTES:
                    raise sources.SourceError(f"{package.filename} is too big")
    archive.unpack(packed, tree, name=package.filename)
