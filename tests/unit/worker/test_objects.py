"""What the kit takes over of a build's compiled objects, and what not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pybots_worker import layout, objects

OBJECT, MANIFEST = b"\xcc\xac\x01\x00 an object", b"\xcc\xac\x01\x01 a manifest"
NAME = "a" * 31
LIMIT = 1 << 20


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A job's folder; what its build compiled is below `objects`."""
    (tmp_path / "work" / "objects").mkdir(parents=True)
    return tmp_path / "work"


def put(work: Path, data: bytes, folder: str = "0v", name: str = NAME) -> Path:
    path = work / "objects" / folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def taken(work: Path, *, limit: int = LIMIT, replace: bool = False) -> dict[str, bytes]:
    """All that is shared afterwards."""
    shared = objects.today(work.parent / "ccache")
    objects.take_over(work, work / "objects", shared, limit, replace=replace)
    found = (path for path in shared.rglob("*") if path.is_file())
    return {path.relative_to(shared).as_posix(): path.read_bytes() for path in found}


def test_new_entries_are_taken_over_readable_by_jobs(work: Path) -> None:
    put(work, OBJECT)
    assert taken(work) == {f"0v/{NAME}": OBJECT}
    [path] = objects.today(work.parent / "ccache").glob("*/*")
    assert path.stat().st_mode & 0o777 == 0o644 and path.parent.stat().st_mode & 0o777 == 0o755


def test_objects_never_change_and_manifests_grow(work: Path) -> None:
    put(work, OBJECT)
    put(work, MANIFEST, "1a")
    taken(work)
    put(work, OBJECT + b" of somebody else")
    put(work, MANIFEST + b" that knows more", "1a")
    assert taken(work) == {f"0v/{NAME}": OBJECT, f"1a/{NAME}": MANIFEST + b" that knows more"}
    assert taken(work, replace=True)[f"0v/{NAME}"] == OBJECT + b" of somebody else"


@pytest.mark.parametrize(
    ("folder", "name", "data"),
    [
        ("zz", NAME, OBJECT),
        ("000", NAME, OBJECT),
        ("00", "short", OBJECT),
        ("00", NAME, b"\xcc\xac"),
        ("00", NAME, b"\x7fELF, not an entry of ccache's"),
        ("00", NAME, b""),
    ],
)
def test_what_is_no_entry_is_left(work: Path, folder: str, name: str, data: bytes) -> None:
    put(work, data, folder, name)
    assert taken(work) == {}


def test_links_and_pipes_are_left(work: Path) -> None:
    secret = work.parent / "secret"
    secret.write_bytes(OBJECT)
    folder = work / "objects" / "00"
    folder.mkdir()
    (folder / NAME).symlink_to(secret)
    os.mkfifo(folder / ("b" * 31))
    (work.parent / "elsewhere").mkdir()
    (work.parent / "elsewhere" / NAME).write_bytes(OBJECT)
    (work / "objects" / "01").symlink_to(work.parent / "elsewhere")
    assert taken(work) == {}
    (work / "objects" / "00" / NAME).unlink()
    for path in (folder / ("b" * 31), work / "objects" / "01"):
        path.unlink()
    folder.rmdir()
    (work / "objects").rmdir()
    (work / "objects").symlink_to(work.parent / "elsewhere")
    assert taken(work) == {}, "nor through a link in the place of all of them"


def test_too_much_is_not_taken(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MAX_ENTRIES", 3)
    for number in range(5):
        put(work, OBJECT, f"0{number}")
    assert len(taken(work)) == 3
    monkeypatch.setattr(objects, "MAX_ENTRY", len(OBJECT) - 1)
    put(work, MANIFEST, "1a")
    assert len(taken(work)) == 3


def test_beyond_its_share_it_begins_anew(work: Path) -> None:
    put(work, OBJECT)
    assert taken(work, limit=1) == {}


def test_only_todays_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ccache" / "0").mkdir(parents=True)  # as kits before wrote it
    (tmp_path / "ccache" / "ccache.conf").touch()
    first = objects.today(tmp_path / "ccache")
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    (first / "00").mkdir()
    assert objects.today(tmp_path / "ccache") == first and (first / "00").is_dir()
    monkeypatch.setattr("time.strftime", lambda *_: "2001-01-01")
    second = objects.today(tmp_path / "ccache")
    assert second != first and not first.exists() and not list(second.iterdir())


def test_the_first_of_a_day_looks_at_none() -> None:
    places = {
        objects.environment(shared=shared)["CCACHE_REMOTE_STORAGE"] for shared in (True, False)
    }
    assert places == {
        f"file:{layout.CCACHE}|read-only file:{layout.OBJECTS}",
        f"file:{layout.OBJECTS}",
    }


def test_the_first_two_builds_of_a_day_may_begin_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has looked for the day's folder when the other makes it: what is there stays."""
    kept = objects.today(tmp_path) / "kept"
    kept.touch()
    (tmp_path / "2001-01-01").mkdir()
    answers = [False]  # what the other build saw before this one made the folder
    is_dir = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda path: answers.pop() if answers else is_dir(path))
    objects.today(tmp_path)
    monkeypatch.undo()
    assert kept.exists() and not (tmp_path / "2001-01-01").is_dir()
