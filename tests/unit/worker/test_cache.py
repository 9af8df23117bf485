"""The worker's caches: complete or not there, bounded, and never a hiding place for an old build."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pybots_worker.cache import Shelf, UvCaches, remove, shares


def nothing() -> None:
    pass


def made(size: int = 1000) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(b"x" * size)

    return make


def hold(shelf: Shelf, name: str, size: int = 1000) -> None:
    with shelf.hold(name, made(size), check=nothing) as path:
        assert path.read_bytes() == b"x" * size


def never(_path: Path) -> None:
    raise AssertionError("made again")


def test_an_entry_is_made_once(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 1 << 30)
    hold(shelf, "a")
    with shelf.hold("a", never, check=nothing) as path:
        assert path.exists()


def test_an_entry_whose_making_failed_is_not_there(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 1 << 30)

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), shelf.hold("a", fail, check=nothing):
        pass
    assert not list(tmp_path.glob("[!.]*")) and not list(tmp_path.glob(".new*"))
    hold(shelf, "a")


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 20_000)
    for name, age in (("a", 300), ("b", 200), ("c", 100)):
        hold(shelf, name, 4096)
        os.utime(tmp_path / name / "size", (1_000_000_000 - age,) * 2)
    hold(shelf, "a", 4096)
    hold(shelf, "d", 12_000)
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["a", "d"]


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 5000)
    with shelf.hold("a", made(4096), check=nothing) as path:
        hold(shelf, "b", 4096)
        assert path.exists()


def test_leftovers_are_swept(tmp_path: Path) -> None:
    (tmp_path / ".new-1234/data").mkdir(parents=True)
    (tmp_path / ".old-1234/data").mkdir(parents=True)
    Shelf(tmp_path, 1 << 30).sweep()
    assert not list(tmp_path.iterdir())


def test_a_finished_tree_is_adopted(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf", 1 << 30)
    for _ in range(2):
        (tmp_path / "tree").mkdir(exist_ok=True)
        shelf.adopt("a", tmp_path / "tree")
    with shelf.hold("a", never, check=nothing) as path:
        assert path.is_dir()


def uv_cache(data: Path) -> None:
    for kind in ("path", "editable", "pypi"):
        (data / "sdists-v9" / kind / "wheel").mkdir(parents=True, exist_ok=True)
    for bucket in ("wheels-v5", "interpreter-v4", "builds-v0"):
        (data / bucket).mkdir(exist_ok=True)


def kept(data: Path) -> list[str]:
    return sorted(path.name for path in (*data.glob("sdists-v9/*"), *data.glob("[!s]*-v*")))


def lease(caches: UvCaches, key: str, *, keep: bool = False) -> list[str]:
    """What is left in the project's cache for a run on `key`; the run then fills it."""
    with caches.lease("p", key, keep=keep) as data:
        found = kept(data)
        uv_cache(data)
    return found


def test_what_uv_built_of_the_project_itself_is_forgotten(tmp_path: Path) -> None:
    caches = UvCaches(tmp_path, 1 << 30)
    lease(caches, "k")
    assert lease(caches, "k") == ["interpreter-v4", "pypi", "wheels-v5"]


def test_wheels_built_on_another_interpreter_are_forgotten(tmp_path: Path) -> None:
    """And what uv knew of that interpreter: it has the same path, and in an archive the same time."""
    caches = UvCaches(tmp_path, 1 << 30)
    lease(caches, "k")
    assert lease(caches, "other") == ["wheels-v5"]


def test_a_probe_keeps_them_and_nobody_else_gets_them(tmp_path: Path) -> None:
    caches = UvCaches(tmp_path, 1 << 30)
    lease(caches, "k")
    assert lease(caches, "other", keep=True) == ["pypi", "wheels-v5"]
    assert lease(caches, "k", keep=True) == ["pypi", "wheels-v5"]
    assert lease(caches, "k") == ["wheels-v5"]


def test_a_link_a_job_left_in_its_cache_leads_nowhere(tmp_path: Path) -> None:
    caches = UvCaches(tmp_path / "uv", 1 << 30)
    (tmp_path / "precious/git").mkdir(parents=True)
    with caches.lease("p", "k", keep=False) as data:
        (data / "sdists-v9").symlink_to(tmp_path / "precious")
    with caches.lease("p", "other", keep=False) as data:
        assert not (data / "sdists-v9").is_symlink()
    assert (tmp_path / "precious/git").exists()


def test_two_slots_have_two_caches(tmp_path: Path) -> None:
    caches = UvCaches(tmp_path, 1 << 30)
    with caches.lease("p", "k", keep=False) as one, caches.lease("p", "k", keep=False) as two:
        assert one != two
    with caches.lease("p", "k", keep=False) as again:
        assert again == one


def test_old_caches_of_uvs_make_room(tmp_path: Path) -> None:
    caches = UvCaches(tmp_path, 120_000)  # folders weigh nothing or 4 KiB, by file system
    for project in ("a", "b"):
        with caches.lease(project, "k", keep=False) as data:
            (data / "x").write_bytes(b"x" * 80_000)
        os.utime(tmp_path / f"{project}.0/lock", (ord(project),) * 2)
    caches.shrink()
    assert [path.name for path in tmp_path.iterdir()] == ["b.0"]


def test_a_cache_in_use_does_not_drive_out_the_others(tmp_path: Path) -> None:
    caches = UvCaches(tmp_path, 1 << 20)
    with caches.lease("a", "k", keep=False) as data:
        (data / "x").write_bytes(b"x" * 8000)
    with caches.lease("b", "k", keep=False):
        caches.shrink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.0", "b.0"]


def test_several_slots_may_shrink_and_lease_at_once(tmp_path: Path) -> None:
    caches = UvCaches(tmp_path, 0)

    def work(slot: int) -> None:
        for number in range(25):
            with caches.lease(f"p{(slot + number) % 3}", "k", keep=False) as data:
                (data / "x").write_bytes(b"x" * 8000)
                assert data.is_dir()
            caches.shrink()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, slot) for slot in range(4)]:
            done.result(60)
    caches.sweep()
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_removed_and_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    remove(tmp_path / "link")
    assert (tmp_path / "kept").is_dir() and not (tmp_path / "link").is_symlink()
    remove(tmp_path / "never-there")


def test_the_shares_are_the_whole() -> None:
    share = shares(1000)
    assert share.interpreters + share.sources + share.ccache + share.uv == 1000 << 20


def test_folders_nested_beyond_all_reason_are_removed(tmp_path: Path) -> None:
    """A job makes them with mkdir and chdir; neither recursion nor a path reaches the last one."""
    root = tmp_path / "job"
    root.mkdir()
    here = os.open(root, os.O_RDONLY)
    for _ in range(1100):  # 1000 calls is the recursion limit, 4096 bytes the longest path
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.symlink(tmp_path, "link", dir_fd=here)
    os.close(here)
    remove(root)
    assert not root.exists() and tmp_path.exists()
