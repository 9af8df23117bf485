"""Looking through an interpreter that a worker uploaded, before it is published: nothing is unpacked here.

The workers' kit refuses the same when it unpacks. Refused here, a hostile archive costs one attempt of its own worker
and not a run of every project on everybody else's.
"""

from __future__ import annotations

import tarfile
from collections.abc import Container, Iterable
from pathlib import PurePosixPath
from typing import BinaryIO, Final

import zstandard

MAX_BYTES: Final = 8 << 30
MAX_MEMBERS: Final = 500_000
MAX_HEADER: Final = 1 << 20
"""Long names and attributes stand in a member's extra header, which is read as a whole."""
PYTHON: Final = PurePosixPath("bin/python3")

_EXTRA: Final = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class BadArtifact(Exception):
    """The archive is broken, not an interpreter, or tries to escape; the text names the member."""


def check(file: BinaryIO) -> None:
    """Read a tar.zst through. Raises BadArtifact when no worker could unpack it safely."""
    try:
        with (
            zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream,
            tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20, tarinfo=_Member) as tar,
        ):
            _check(_kept_small(tar))
    except (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError) as error:
        raise BadArtifact(f"not a tar.zst: {error or type(error).__name__}") from error


class _Member(tarfile.TarInfo):
    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """tarfile's own hook, called before what follows a header is read."""
        if self.type in _EXTRA and self.size > MAX_HEADER:
            raise BadArtifact(f"a header of {self.size} bytes")
        found: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc] # typeshed leaves hooks out
        return found


def _kept_small(tar: tarfile.TarFile) -> Iterable[tarfile.TarInfo]:
    for member in tar:
        yield member
        tar.members = []  # type: ignore[attr-defined] # else every member is kept until the end


def _check(members: Iterable[tarfile.TarInfo]) -> None:
    size = 0
    found: set[PurePosixPath] = set()
    links: dict[PurePosixPath, PurePosixPath] = {}
    for number, member in enumerate(members, 1):
        size += member.size
        if number > MAX_MEMBERS or size > MAX_BYTES:
            raise BadArtifact(f"more than {MAX_MEMBERS} members or {MAX_BYTES >> 30} GiB")
        name = _inside(member.name)
        if member.issym():
            links[name] = _target(name, member.linkname)
        elif member.islnk():
            found.add(_inside(member.linkname))
        elif not (member.isreg() or member.isdir()):
            raise BadArtifact(f"{member.name[:200]!r} is neither a file, a folder nor a link")
        found.add(name)
    for path in (*found, *links.values()):
        _not_behind_a_link(path, links)
    if PYTHON not in found:
        raise BadArtifact(f"it has no {PYTHON}")


def _inside(name: str) -> PurePosixPath:
    """A member's path. Raises BadArtifact when it is absolute or climbs."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise BadArtifact(f"{name[:200]!r} leaves the tree")
    return path


def _target(name: PurePosixPath, link: str) -> PurePosixPath:
    """What a symbolic link stands for: it may climb as far as the top, at its beginning only."""
    parts, folder = list(PurePosixPath(link).parts), list(name.parent.parts)
    while parts and folder and parts[0] == "..":
        parts.pop(0)
        folder.pop()
    if ".." in parts or link.startswith("/"):
        raise BadArtifact(f"{str(name)[:200]!r} links to {link[:200]!r}, out of the tree")
    return PurePosixPath(*folder, *parts)


def _not_behind_a_link(path: PurePosixPath, links: Container[PurePosixPath]) -> None:
    """Two links that look harmless could climb out together."""
    for above in path.parents:
        if above in links:
            raise BadArtifact(f"{str(path)[:200]!r} lies behind the link {str(above)[:200]!r}")
