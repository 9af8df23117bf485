"""Reading /proc, control groups and folders, against samples of real ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from test_sandbox_argv import MIB, make_limits

from pybots_worker.sandbox import cgroups, disk, proc
from pybots_worker.sandbox.cgroups import Usage
from pybots_worker.sandbox.meters import exceeded

STAT = (
    "{pid} (a) (b c) S {parent} {pid} {pid} 0 -1 4194304 100 0 0 0 {cpu} 5 3 2 20 0 {threads} 0 "
    "{started} 1000000 {rss} 18446744073709551615 1 1 0 0 0 0 0"
)

V1_MOUNTS = """\
30 24 0:27 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw
31 30 0:28 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
32 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
33 30 0:30 /docker/x /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
34 30 0:31 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
"""
V1_MEMBER = """\
4:memory:/box/y
3:cpu,cpuacct:/
2:pids:/docker/x
0::/
"""
V2_MOUNTS = "30 24 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def add_process(
    root: Path,
    pid: int,
    parent: int,
    *,
    namespace: str = "1",
    cpu: int = 0,
    rss: int = 1,
    threads: int = 1,
) -> None:
    folder = root / str(pid)
    (folder / "ns").mkdir(parents=True)
    (folder / "ns/pid").symlink_to(f"pid:[{namespace}]")
    (folder / "environ").write_bytes(f"A=b\0RUN={namespace}\0".encode())
    text = STAT.format(pid=pid, parent=parent, cpu=cpu, rss=rss, threads=threads, started=99)
    (folder / "stat").write_text(text)


def test_a_stat_line_with_a_hostile_name_is_read_right() -> None:
    line = STAT.format(pid=7, parent=3, cpu=10, rss=12, threads=4, started=99).encode()
    found = proc.parse_stat(line)
    assert found == proc.Stat(pid=7, parent=3, cpu_ticks=20, threads=4, started=99, rss_pages=12)


def test_a_sandboxes_processes_are_those_of_its_namespace(tmp_path: Path) -> None:
    """Whoever their parent is: an orphan's has gone."""
    add_process(tmp_path, 50, 1, namespace="2")
    add_process(tmp_path, 51, 50, namespace="2")
    add_process(tmp_path, 52, 999, namespace="2")
    add_process(tmp_path, 60, 50, namespace="22")
    assert {stat.pid for stat in proc.namespace_members(50, tmp_path)} == {50, 51, 52}
    assert proc.namespace_members(70, tmp_path) == []


def test_without_a_namespace_the_mark_in_the_environment_counts(tmp_path: Path) -> None:
    add_process(tmp_path, 50, 1, namespace="2")
    add_process(tmp_path, 51, 1, namespace="22")
    add_process(tmp_path, 52, 51, namespace="22")
    assert [stat.pid for stat in proc.marked_members(None, b"RUN=2", tmp_path)] == [50]
    assert {stat.pid for stat in proc.marked_members(51, b"RUN=2", tmp_path)} == {50, 51, 52}


def test_only_whole_tmpfs_mounts_are_the_jobs_own() -> None:
    """A part of the host's tmpfs that was mounted by the caller is not."""
    text = (
        "1 0 0:50 / /tmp rw,nosuid - tmpfs tmpfs rw,size=64k\n"
        "2 0 0:51 /part /dev/shm rw - tmpfs tmpfs rw\n"
        "3 0 8:1 / /home/pybots rw - ext4 /dev/sda rw\n"
    )
    assert proc.own_tmpfs(text) == {"/tmp": "0:50"}


def test_a_process_that_is_gone_is_none(tmp_path: Path) -> None:
    assert proc.read_stat(1, tmp_path) is None
    assert proc.proportional_memory(1, tmp_path) is None
    (tmp_path / "1").mkdir()
    (tmp_path / "1/smaps_rollup").write_text("a-b ---p 0 0 0 [rollup]\nRss: 9 kB\nPss: 7 kB\n")
    assert proc.proportional_memory(1, tmp_path) == 7168


def test_our_own_groups_are_found_in_version_1() -> None:
    """Also where the mount shows only a part of the hierarchy, and where two controllers share one mount."""
    unified, v1 = cgroups.own_groups(V1_MEMBER, V1_MOUNTS)
    assert unified == Path("/sys/fs/cgroup/unified")
    assert v1 == {
        "memory": Path("/sys/fs/cgroup/memory/box/y"),
        "cpuacct": Path("/sys/fs/cgroup/cpu,cpuacct"),
        "pids": Path("/sys/fs/cgroup/pids"),
    }


def test_our_own_group_is_found_in_version_2() -> None:
    unified, v1 = cgroups.own_groups("0::/system.slice/pybots.service\n", V2_MOUNTS)
    assert unified == Path("/sys/fs/cgroup/system.slice/pybots.service")
    assert v1 == {}


def make_v2(base: Path, *, controllers: str = "cpu memory pids", down: str = "") -> Path:
    base.mkdir(parents=True)
    (base / "cgroup.controllers").write_text(controllers)
    (base / "cgroup.subtree_control").write_text(down)
    (base / "cgroup.procs").write_text("10\n11\n")
    return base


def test_a_group_that_was_not_delegated_is_left_alone(tmp_path: Path) -> None:
    base = make_v2(tmp_path / "session.scope")
    assert cgroups.usable_v2(base) is None
    assert not (base / cgroups.SUPERVISOR).exists()


def test_a_delegated_group_moves_its_processes_into_a_leaf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = make_v2(tmp_path / "pybots.service")
    monkeypatch.setattr(cgroups, "_delegated", lambda _base: True)
    cgroups.usable_v2(base)
    assert (base / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert (base / cgroups.SUPERVISOR / "cgroup.procs").read_text() in ("10", "11")


def test_from_the_leaf_the_service_is_used(tmp_path: Path) -> None:
    base = make_v2(tmp_path / "pybots.service", down="memory pids")
    leaf = make_v2(base / cgroups.SUPERVISOR)
    assert cgroups.usable_v2(leaf) == base


def test_without_a_memory_controller_there_is_no_version_2(tmp_path: Path) -> None:
    assert cgroups.usable_v2(make_v2(tmp_path / "a", controllers="cpu pids", down="pids")) is None
    assert cgroups.usable_v2(None) is None


def test_version_1_needs_every_controller(tmp_path: Path) -> None:
    folders = dict.fromkeys(cgroups.V1_CONTROLLERS, tmp_path)
    assert cgroups.usable_v1(folders) == folders
    assert cgroups.usable_v1({"memory": tmp_path}) is None


def test_a_group_of_version_2_is_capped_and_read(tmp_path: Path) -> None:
    group = cgroups.Group({"unified": tmp_path}, make_limits())
    folder = group.folders["unified"]
    assert (folder / "memory.max").read_text() == str(512 * MIB)
    assert (folder / "pids.max").read_text() == "66"
    (folder / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (folder / "memory.stat").write_text("anon 100\nfile 5000\nshmem 20\n")
    (folder / "memory.events").write_text("low 0\nmax 8\noom 1\noom_kill 1\n")
    (folder / "pids.events").write_text("max 3\n")
    assert group.read() == Usage(2.5, 120, oom_kills=1, refused_forks=3)
    assert group.procs == [folder / "cgroup.procs"]


def test_a_group_of_version_1_is_capped_and_read(tmp_path: Path) -> None:
    parents = {name: tmp_path / name for name in cgroups.V1_CONTROLLERS}
    for parent in parents.values():
        parent.mkdir()
    group = cgroups.Group(parents, make_limits(processes=10))
    memory, pids, cpu = (group.folders[name] for name in cgroups.V1_CONTROLLERS)
    assert (memory / "memory.limit_in_bytes").read_text() == str(512 * MIB)
    assert (pids / "pids.max").read_text() == "12"
    (cpu / "cpuacct.usage").write_text("1500000000\n")
    (memory / "memory.stat").write_text("cache 9\ntotal_rss 70\ntotal_shmem 7\n")
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    (pids / "pids.events").write_text("max 0\n")
    assert group.read() == Usage(1.5, 77)


def test_sweeping_takes_only_what_the_dead_left(tmp_path: Path) -> None:
    stat = proc.read_stat(os.getpid())
    assert stat
    mine = tmp_path / f"pybots-job-{os.getpid()}-{stat.started}-0"
    reused = tmp_path / f"pybots-job-{os.getpid()}-{stat.started + 1}-0"
    foreign = tmp_path / "somebody-else"
    for folder in (mine, reused, foreign):
        folder.mkdir()
    assert cgroups.sweep({"memory": tmp_path, "pids": tmp_path}) == 1
    assert mine.exists() and foreign.exists() and not reused.exists()


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(1, MIB), None),
        (Usage(31, MIB), "cpu_timeout"),
        (Usage(31, 513 * MIB, processes=99), "memory"),
        (Usage(1, MIB, oom_kills=1, refused_forks=4), "memory"),
        (Usage(1, MIB, refused_forks=1), "processes"),
        (Usage(1, MIB, processes=65), "processes"),
        (Usage(30, 512 * MIB, processes=64), None),
    ],
)
def test_the_cap_that_was_hit_is_named(usage: Usage, expected: str | None) -> None:
    assert exceeded(usage, make_limits()) == expected


def test_folders_are_counted_without_links_and_twins(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/big").write_bytes(b"x" * MIB)
    one = disk.held([tmp_path / "a"])
    os.link(tmp_path / "a/b/big", tmp_path / "a/twin")
    (tmp_path / "a/all").symlink_to("/usr")
    assert MIB <= one < 2 * MIB
    assert disk.held([tmp_path / "a"]) - one < MIB // 2
    assert disk.held([tmp_path / "a/b/big"]) >= MIB


def test_a_scan_works_in_slices(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
    scan = disk.Scan([tmp_path])
    assert not scan.advance(0)
    assert scan.advance(1)


def test_what_a_cache_held_before_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"x" * 4 * MIB)
    strict = disk.DiskWatch([tmp_path], 2 * MIB)
    cache = disk.DiskWatch([tmp_path], 2 * MIB, caches=[tmp_path])
    for watch in (strict, cache):
        watch._next = 0.0
    assert strict.exceeded(list)
    assert not cache.exceeded(list)
