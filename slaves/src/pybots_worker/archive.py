"""Archives: unpacked so that nothing escapes, packed so that equal trees give equal bytes.

An archive is hostile: a member may be named `/etc/x` or `../x`, be a link that leaves the tree, a device, or unpack
to far more than it weighs. Any of these refuses the whole archive; nothing is silently left out.
"""

from __future__ import annotations

import copy
import errno
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import zstandard

MAX_BYTES: Final = 8 << 30
MAX_MEMBERS: Final = 500_000
EPOCH: Final = 1_000_000_000
"""The modification time of everything packed: any fixed moment after 1980 (zip's first year)."""
COPY: Final = 1 << 20
LEVEL: Final = 3
"""zstd's own default: 250 MB of interpreter in about a second; 19 would save a third and take minutes."""
MACHINES: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EMFILE}
)
"""Troubles of this machine's disk. Any other while unpacking is the archive's own doing: a file where a folder is, a
name that is too long, a damaged stream."""


class ArchiveError(Exception):
    """The archive is broken or tries to escape; the text names the member."""


def unpack(path: Path, target: Path, *, name: str = "", strip: bool = True) -> None:
    """Unpack a tar (plain, gz, bz2, xz, zst) or a zip, told apart by content, into the empty folder `target`.

    With `strip`, a single top folder is taken off, as sdists have it. Raises ArchiveError, or OSError for trouble
    of this machine.
    """
    name = name or path.name
    try:
        with path.open("rb") as file:
            magic = file.read(6)
        if magic.startswith(b"PK"):
            _unzip(path, target)
        else:
            _untar(path, target, zstd=magic.startswith(b"\x28\xb5\x2f\xfd"))
    except (tarfile.TarError, zipfile.BadZipFile, zstandard.ZstdError, zlib.error) as error:
        raise ArchiveError(f"{name}: {error}") from error
    except (EOFError, NotImplementedError, RuntimeError, ValueError, lzma.LZMAError) as error:
        # What the decompressors say of a truncated, encrypted or nonsensical archive.
        raise ArchiveError(f"{name}: {error or type(error).__name__}") from error
    except (ArithmeticError, LookupError) as error:
        # A time beyond all calendars, a hard link to a member that is not there.
        raise ArchiveError(f"{name}: {type(error).__name__}: {error}") from error
    except OSError as error:
        if error.errno in MACHINES:
            raise
        raise ArchiveError(f"{name}: {error.strerror or error}") from error
    if strip:
        _strip(target)


def _untar(path: Path, target: Path, *, zstd: bool) -> None:
    count = size = 0
    judge = _Judge()
    with path.open("rb") as file, _opened(file, zstd) as tar:
        # Members are judged by _Judge; the attribute exists since 3.11.4 and quietens newer versions.
        tar.extraction_filter = lambda member, _path: member
        for member in tar:
            count, size = count + 1, size + member.size
            _bounded(count, size)
            if safe := judge.safe(member):
                tar.extract(safe, target)
            tar.members = []  # type: ignore[attr-defined]  # else every member is kept until the end
    _check_links(target, judge.links)


def _check_links(target: Path, links: Iterable[str]) -> None:
    """Follow every link once all are there: two that look harmless may climb out together."""
    root = target.resolve()
    for name in links:
        if not (target / name).resolve().is_relative_to(root):
            raise ArchiveError(f"{name!r} links out of the tree")


@contextmanager
def _opened(file: BinaryIO, zstd: bool) -> Iterator[tarfile.TarFile]:
    if not zstd:
        with tarfile.open(fileobj=file, mode="r:*", errorlevel=2) as tar:
            yield tar
        return
    with (
        zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream,
        tarfile.open(fileobj=stream, mode="r|", bufsize=COPY, errorlevel=2) as tar,
    ):
        yield tar


class _Judge:
    """Decides about the members of one archive, which is unpacked into an empty folder: what is a link there was
    made by an earlier member."""

    def __init__(self) -> None:
        self.links: set[str] = set()

    def safe(self, member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        """The member as it may be unpacked; None for the top folder itself. Raises ArchiveError."""
        parts = _parts(member.name)
        if not parts:
            return None
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            raise ArchiveError(f"{member.name!r} is neither a file, a folder nor a link")
        self._not_through_a_link(parts)
        if member.issym():
            _inside(member.name, [*parts[:-1], *member.linkname.split("/")], member.linkname)
            self.links.add("/".join(parts))
        elif member.islnk():
            self._not_through_a_link(_parts(member.linkname))
        safe = copy.copy(member)  # TarInfo.replace() came with 3.11.4
        safe.mode = 0o755 if member.isdir() else member.mode & 0o755 | 0o600
        safe.uid = safe.gid = 0
        safe.uname = safe.gname = ""
        return safe

    def _not_through_a_link(self, parts: list[str]) -> None:
        """Neither below a link nor over one: opening the name would follow it."""
        for end in range(1, len(parts) + 1) if self.links else ():
            if "/".join(parts[:end]) in self.links:
                raise ArchiveError(f"{'/'.join(parts)!r} would be written through a link")


def _parts(name: str) -> list[str]:
    """A member's path in pieces. Raises ArchiveError when it is absolute or climbs."""
    if name.startswith("/") or "\0" in name:
        raise ArchiveError(f"{name[:200]!r} leaves the tree")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveError(f"{name[:200]!r} leaves the tree")
    return parts


def _inside(name: str, parts: Iterable[str], link: str) -> None:
    """Refuse a symbolic link that points out of the tree (its own folder in front of `parts`)."""
    if link.startswith("/"):
        raise ArchiveError(f"{name!r} links to {link[:200]!r}, out of the tree")
    depth = 0
    for part in parts:
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            raise ArchiveError(f"{name!r} links to {link[:200]!r}, out of the tree")


def _unzip(path: Path, target: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        count = size = 0
        for info in archive.infolist():
            count, size = count + 1, size + info.file_size
            _bounded(count, size)
            parts = _parts(info.filename)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise ArchiveError(f"{info.filename!r} is a link")
            if parts:
                _unzip_one(archive, info, target.joinpath(*parts))


def _unzip_one(archive: zipfile.ZipFile, info: zipfile.ZipInfo, to: Path) -> None:
    if info.is_dir():
        to.mkdir(parents=True, exist_ok=True)
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, to.open("wb") as file:
        left = info.file_size
        while chunk := source.read(COPY):
            left -= len(chunk)
            if left < 0:
                raise ArchiveError(f"{info.filename!r} is larger than it says")
            file.write(chunk)
    to.chmod(0o755 if (info.external_attr >> 16) & 0o100 else 0o644)


def _bounded(count: int, size: int) -> None:
    if count > MAX_MEMBERS:
        raise ArchiveError(f"more than {MAX_MEMBERS} members")
    if size > MAX_BYTES:
        raise ArchiveError(f"unpacks to more than {MAX_BYTES >> 30} GiB")


def _strip(target: Path) -> None:
    """Take a single top folder off. `pax_global_header`, as a file beside it, is no part of the tree."""
    entries = list(target.iterdir())
    if len(entries) != 1 or entries[0].is_symlink() or not entries[0].is_dir():
        return
    top = entries[0].rename(target / ".pybots-top")
    for entry in top.iterdir():
        entry.rename(target / entry.name)
    top.rmdir()


def pack(tree: Path, target: Path, *, check: Callable[[], None]) -> None:
    """`tree` as a deterministic tar.zst in the file `target`: sorted, no owners, no times. Never follows a link."""
    compressor = zstandard.ZstdCompressor(level=LEVEL, threads=-1)
    with (
        target.open("xb") as file,
        compressor.stream_writer(file, closefd=False) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in _walk(tree):
            check()
            _add(tar, path, path.relative_to(tree).as_posix())


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    info = tarfile.TarInfo(name)
    found = path.lstat()
    info.mtime = EPOCH
    info.mode = 0o755 if found.st_mode & 0o111 or path.is_dir() else 0o644
    if path.is_symlink():
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
        tar.addfile(info)
    elif path.is_dir():
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif path.is_file():
        data = path.read_bytes()
        if name.endswith(".pyc"):
            data = timeless(data)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


def timeless(pyc: bytes) -> bytes:
    """Byte-code whose source now has the time EPOCH: else it would be stale, and compiled again at every import.

    The header is magic, flags, mtime, size of the source (PEP 552); with flags the source's hash counts instead.
    """
    if len(pyc) < 16 or pyc[4:8] != b"\0\0\0\0":
        return pyc
    return pyc[:8] + EPOCH.to_bytes(4, "little") + pyc[12:]
