"""Archives: what escapes is refused whole, what is packed twice is the same twice."""

from __future__ import annotations

import errno
import importlib.util
import io
import os
import py_compile
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard

from pybots_worker import archive
from pybots_worker.archive import ArchiveError


def nothing() -> None:
    pass


def tree(root: Path) -> Path:
    (root / "bin").mkdir(parents=True)
    (root / "bin/python3.16").write_text("#!")
    (root / "bin/python3.16").chmod(0o755)
    (root / "bin/python3").symlink_to("python3.16")
    (root / "lib").mkdir()
    (root / "lib/é.py").write_text("x = 1\n")
    return root


def listing(root: Path) -> dict[str, tuple[bool, str]]:
    return {
        path.relative_to(root).as_posix(): (
            os.access(path, os.X_OK),
            str(path.readlink())
            if path.is_symlink()
            else path.read_text()
            if path.is_file()
            else "",
        )
        for path in root.rglob("*")
    }


def test_a_tree_comes_back_as_it_was(tmp_path: Path) -> None:
    packed, back = tmp_path / "p", tmp_path / "back"
    archive.pack(tree(tmp_path / "tree"), packed, check=nothing)
    back.mkdir()
    archive.unpack(packed, back, strip=False)
    assert listing(back) == listing(tmp_path / "tree")


def test_equal_trees_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        made = tree(tmp_path / name)
        os.utime(made / "lib/é.py", (ord(name), ord(name)))
        archive.pack(made, tmp_path / f"{name}.tar", check=nothing)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_byte_code_stays_valid_beside_its_source(tmp_path: Path) -> None:
    """Else every import on every worker would compile again, and could not write the result."""
    source = tree(tmp_path / "tree") / "lib/module.py"
    source.write_text("x = 1\n")
    py_compile.compile(str(source), doraise=True)
    archive.pack(tmp_path / "tree", tmp_path / "p", check=nothing)
    (tmp_path / "back").mkdir()
    archive.unpack(tmp_path / "p", tmp_path / "back", strip=False)
    there = tmp_path / "back/lib/module.py"
    pyc = Path(importlib.util.cache_from_source(str(there))).read_bytes()
    assert int.from_bytes(pyc[8:12], "little") == int(there.stat().st_mtime)


def test_byte_code_checked_by_hash_is_left_alone() -> None:
    pyc = b"MAGI" + b"\x01\0\0\0" + b"12345678" + b"code"
    assert archive.timeless(pyc) == pyc
    assert archive.timeless(b"short") == b"short"


def test_a_pipe_in_a_tree_is_left_out(tmp_path: Path) -> None:
    os.mkfifo(tree(tmp_path / "tree") / "lib/pipe")
    archive.pack(tmp_path / "tree", tmp_path / "p", check=nothing)
    (tmp_path / "back").mkdir()
    archive.unpack(tmp_path / "p", tmp_path / "back")
    assert not (tmp_path / "back/lib/pipe").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz", "zst", "zip"])
def test_every_kind_of_archive_is_told_by_its_content(tmp_path: Path, mode: str) -> None:
    path, target = tmp_path / "anything", tmp_path / "out"
    if mode == "zip":
        with zipfile.ZipFile(path, "w") as made:
            made.writestr("p-1.0/a/b.txt", "x")
    else:
        with tarfile.open(path, "w" if mode == "zst" else mode) as tar:  # type: ignore[call-overload]
            info = tarfile.TarInfo("p-1.0/a/b.txt")
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    if mode == "zst":
        path.write_bytes(zstandard.compress(path.read_bytes()))
    target.mkdir()
    archive.unpack(path, target)
    assert (target / "a/b.txt").read_text() == "x"


def packed(path: Path, *members: tuple[str, bytes, str]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            tar.addfile(info, io.BytesIO(b""))
    return path


FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(
    "members",
    [
        [("/etc/x", FILE, "")],
        [("a/../../x", FILE, "")],
        [("..", tarfile.DIRTYPE, "")],
        [("l", LINK, "/etc")],
        [("a/l", LINK, "../../x")],
        [("l", LINK, "."), ("l/x", FILE, "")],
        [("here", LINK, "."), ("up", LINK, "here/..")],
        [("here", LINK, "."), ("x", LINK, "here/../escaped"), ("x", FILE, "")],
        [("here", LINK, "."), ("again", HARD, "here"), ("again/x", FILE, "")],
        [("l", HARD, "/etc/passwd")],
        [("l", HARD, "../x")],
        [("d", tarfile.BLKTYPE, "")],
        [("d", tarfile.FIFOTYPE, "")],
    ],
    ids=lambda members: " ".join(f"{name}>{link}" for name, _, link in members),
)
def test_a_member_that_leads_out_refuses_the_archive(
    tmp_path: Path, members: list[tuple[str, bytes, str]]
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ArchiveError):
        archive.unpack(packed(tmp_path / "p.tar", *members), tmp_path / "out")
    assert not (tmp_path / "escaped").exists()


def test_a_link_within_the_tree_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    archive.unpack(
        packed(tmp_path / "p.tar", ("a", FILE, ""), ("b/c", LINK, "../a")), tmp_path / "out"
    )
    assert (tmp_path / "out/b/c").resolve() == tmp_path / "out/a"


def test_rights_are_made_harmless(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "p.tar", "w") as tar:
        info = tarfile.TarInfo("a")
        info.mode = 0o6777
        tar.addfile(info, io.BytesIO(b""))
    (tmp_path / "out").mkdir()
    archive.unpack(tmp_path / "p.tar", tmp_path / "out")
    assert (tmp_path / "out/a").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("length", [0, 3, 100, 400])
def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path, length: int) -> None:
    archive.pack(tree(tmp_path / "tree"), tmp_path / "p", check=nothing)
    whole = (tmp_path / "p").read_bytes()
    (tmp_path / "p").write_bytes(whole[: min(length, len(whole) // 2)])
    (tmp_path / "out").mkdir()
    with pytest.raises(ArchiveError):
        archive.unpack(tmp_path / "p", tmp_path / "out")


def test_too_many_members_and_too_many_bytes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path / "p.tar", ("a", FILE, ""), ("b", FILE, ""))
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(archive, "MAX_MEMBERS", 1)
    with pytest.raises(ArchiveError, match="more than 1"):
        archive.unpack(path, tmp_path / "out")


MODES: dict[str, dict[str, dict[str, object]]] = {
    "a hard link to nothing": {"p/a": {"type": tarfile.LNKTYPE, "linkname": "p/none"}},
    "a file where a folder is": {"p/a/b": {}, "p/a": {}},
    "a folder where a file is": {"p/a": {}, "p/a/b": {}},
    "a name too long": {"p/" + "a" * 300: {}},
    "a time beyond all calendars": {"p/a": {"pax_headers": {"mtime": "1e300"}}},
}


@pytest.mark.parametrize("what", MODES)
def test_nonsense_in_an_archive_is_the_archives_fault_and_not_the_machines(
    tmp_path: Path, what: str
) -> None:
    path, target = tmp_path / "p.tar", tmp_path / "out"
    target.mkdir()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, changes in MODES[what].items():
            info = tarfile.TarInfo(name)
            for key, value in changes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO())
    with pytest.raises(ArchiveError):
        archive.unpack(path, target)


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_zip_is_refused_whatever_its_compression(tmp_path: Path, how: int) -> None:
    path, target = tmp_path / "p.zip", tmp_path / "out"
    target.mkdir()
    with zipfile.ZipFile(path, "w", how) as made:
        made.writestr("p/a", bytes(range(256)) * 100)
    data = bytearray(path.read_bytes())
    data[45:60] = bytes(15)
    path.write_bytes(data)
    with pytest.raises(ArchiveError):
        archive.unpack(path, target)


def test_a_full_disk_is_not_the_archives_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.pack(tree(tmp_path / "tree"), tmp_path / "p", check=nothing)
    (tmp_path / "out").mkdir()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "makefile", full)
    with pytest.raises(OSError, match="No space"):
        archive.unpack(tmp_path / "p", tmp_path / "out")
