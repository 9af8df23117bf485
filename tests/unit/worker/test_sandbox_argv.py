"""The walls as bubblewrap's options, and what a job finds inside. Nothing is run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pybots_worker.sandbox import Limits, Mount, SandboxFacts, SandboxSpec, base_env, inside
from pybots_worker.sandbox.argv import FILE_SLACK, bwrap_options, stage_argv
from pybots_worker.sandbox.unboxed import outside, translate

MIB = 1 << 20


def make_limits(**changes: Any) -> Limits:
    values = {
        "wall_seconds": 60.0,
        "cpu_seconds": 30.0,
        "memory_bytes": 512 * MIB,
        "processes": 64,
        "disk_bytes": 100 * MIB,
        "log_bytes": MIB,
    }
    return Limits(**{**values, **changes})


def make_spec(**changes: Any) -> SandboxSpec:
    values: dict[str, Any] = {
        "argv": ("python", "-m", "pytest"),
        "cwd": "/work",
        "env": {"PATH": "/usr/bin"},
        "mounts": (),
        "network": False,
        "limits": make_limits(),
    }
    return SandboxSpec(**{**values, **changes})


def make_facts(**changes: Any) -> SandboxFacts:
    values: dict[str, Any] = {
        "kind": "bubblewrap",
        "rung": "cgroup2",
        "allowed": True,
        "root": False,
        "version": (0, 8, 0),
        "caps": {"processes": "cgroup2"},
    }
    return SandboxFacts(**{**values, **changes})


def options(
    spec: SandboxSpec, facts: SandboxFacts, root: Path, files: Mapping[str, int] | None = None
) -> str:
    found = bwrap_options(spec, facts, files=files or {}, status_fd=9, seccomp_fd=None, root=root)
    return " ".join(found)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host with merged /usr but for /lib64, and a resolv.conf that is a link."""
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "lib64").mkdir()
    (tmp_path / "etc/ssl/certs").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/resolv").touch()
    (tmp_path / "etc/resolv.conf").symlink_to(tmp_path / "run/resolv")
    (tmp_path / "etc/shadow").touch()
    return tmp_path


def test_the_system_is_read_only_and_links_stay_links(host: Path) -> None:
    said = options(make_spec(), make_facts(), host)
    assert "--ro-bind /usr /usr --symlink usr/bin /bin --ro-bind /lib64 /lib64" in said
    assert "/sbin" not in said
    assert said.index("--remount-ro /") > said.index("--tmpfs /home/pybots")


def test_only_named_files_of_etc_are_shown_with_links_resolved(host: Path) -> None:
    """resolv.conf only with the network; folders above are open, for bubblewrap alone makes them private."""
    off, on = (options(make_spec(network=n), make_facts(), host) for n in (False, True))
    assert "resolv" not in off and "shadow" not in on
    assert f"--ro-bind {host}/run/resolv /etc/resolv.conf" in on
    assert f"--perms 0755 --dir /etc/ssl --ro-bind {host}/etc/ssl/certs /etc/ssl/certs" in off
    assert "--unshare-net" in off and "--unshare-net" not in on


def test_root_keeps_just_the_rights_to_become_the_job(host: Path) -> None:
    said = options(make_spec(), make_facts(root=True), host)
    assert "--cap-drop ALL --cap-add CAP_SETUID --cap-add CAP_SETGID --cap-add CAP_SETPCAP" in said
    assert "--unshare-user" not in said


def test_anybody_else_gets_a_user_namespace_that_is_the_last_one(host: Path) -> None:
    said = options(make_spec(), make_facts(), host)
    assert "--cap-drop ALL --unshare-user --uid 64738 --gid 64738 --disable-userns" in said
    old = options(make_spec(), make_facts(version=(0, 6, 1)), host)
    assert "--disable-userns" not in old and "--size" not in old


def test_private_folders_are_bounded_by_memory_and_disk(host: Path) -> None:
    said = options(make_spec(), make_facts(), host)
    assert f"--perms 1777 --size {100 * MIB} --tmpfs /tmp" in said
    small = options(make_spec(limits=make_limits(memory_bytes=80 * MIB)), make_facts(), host)
    assert f"--perms 0777 --size {40 * MIB} --tmpfs /home/pybots" in small


def test_mounts_come_in_the_callers_order_with_open_parents(host: Path) -> None:
    mounts = (
        Mount(source=Path("/a"), target="/pybots/work", writable=True),
        Mount(source=Path("/b"), target="/pybots/work/x"),
    )
    said = options(make_spec(mounts=mounts), make_facts(), host)
    assert "--perms 0755 --dir /pybots --bind /a /pybots/work" in said
    assert said.endswith("--chdir /work --json-status-fd 9")
    assert said.index("--bind /a") < said.index("--ro-bind /b /pybots/work/x")


def test_rights_are_dropped_before_the_environment_is_made() -> None:
    """A loader variable must not reach a program that still has rights."""
    found = stage_argv(make_spec(env={"LD_PRELOAD": "/x"}), make_facts(root=True), hard={})
    assert found[0] == "prlimit"
    assert found.index("setpriv") < found.index("env") < found.index("LD_PRELOAD=/x")
    assert found[-3:] == ["python", "-m", "pytest"]
    assert {"--bounding-set=-all", "--no-new-privs", "--reuid=64738"} <= set(found)
    assert "setpriv" not in stage_argv(make_spec(), make_facts(), hard={})


def test_the_lowest_rung_caps_more_inside_and_never_above_a_hard_limit() -> None:
    high = stage_argv(make_spec(), make_facts(), hard={})
    low = stage_argv(
        make_spec(),
        make_facts(rung="rlimit", caps={"processes": "rlimit"}),
        hard={"fsize": 10 * MIB},
    )
    assert f"--fsize={100 * MIB + FILE_SLACK}:{100 * MIB + FILE_SLACK}" in high
    assert not any(word.startswith(("--nproc", "--data")) for word in high)
    assert f"--fsize={10 * MIB}:{10 * MIB}" in low
    assert {"--core=0:0", "--cpu=32:35", "--nproc=128:128", f"--data={2**30}:{2**30}"} <= set(low)


def test_an_old_kernel_counts_a_users_own_desktop_so_nproc_is_left_alone() -> None:
    facts = make_facts(rung="rlimit", caps={"processes": "watchdog"})
    assert not any("nproc" in word for word in stage_argv(make_spec(), facts, hard={}))


@pytest.mark.parametrize(
    "changes",
    [
        {"argv": ()},
        {"argv": ("A=b",)},
        {"argv": ("a\0b",)},
        {"env": {"A=B": "c"}},
        {"env": {"-u": "c"}},
        {"env": {"A": "\0"}},
    ],
)
def test_a_spec_that_would_be_misread_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        make_spec(**changes)


@pytest.mark.parametrize("target", ["/", "work", "/a/../b"])
def test_a_mount_must_have_an_absolute_plain_target(target: str) -> None:
    with pytest.raises(ValueError):
        Mount(source=Path("/a"), target=target)


def test_a_limit_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="processes must be above zero"):
        make_limits(processes=0)


def test_the_base_environment_is_whole_and_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    env = base_env({"CC": "gcc"}, path=("/usr/lib/ccache",))
    assert env["PATH"].startswith("/usr/lib/ccache:/usr/local/bin:")
    assert (env["HOME"], env["LANG"], env["CC"]) == ("/home/pybots", "C.UTF-8", "gcc")
    assert "SECRET" not in env


def test_names_are_looked_up_outside_only_with_the_network() -> None:
    assert inside.made_etc("h", network=False)["/etc/nsswitch.conf"].endswith("hosts: files\n")
    assert inside.made_etc("h", network=True)["/etc/nsswitch.conf"].endswith("hosts: files dns\n")
    assert "pybots:x:64738:64738" in inside.made_etc("h", network=False)["/etc/passwd"]


def test_own_changes_links_themselves_and_follows_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").touch()
    (tmp_path / "a/out").symlink_to("/etc")
    changed: list[str] = []

    def chown(path: str | Path, uid: int, gid: int, *, follow_symlinks: bool) -> None:
        assert (uid, gid, follow_symlinks) == (64738, 64738, False)
        changed.append(str(Path(path).relative_to(tmp_path)))

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", chown)
    inside.own(tmp_path / "a")
    assert sorted(changed) == ["a", "a/b", "a/b/file", "a/out"]
    changed.clear()
    inside.own(tmp_path / "a/out")
    assert changed == ["a/out"]


def test_without_a_sandbox_inside_paths_are_translated_whole() -> None:
    targets = {"/work": Path("/host/w"), "/work/py": Path("/host/py")}
    assert translate("/work/py/bin:/work:/workshop:/my/work", targets) == (
        "/host/py/bin:/host/w:/workshop:/my/work"
    )
    spec = make_spec(
        argv=("/work/run", "--home=/home/pybots"),
        mounts=(Mount(source=Path("/host/w"), target="/work"),),
    )
    found = outside(spec, Path("/h"), ("MARK", "1"))
    assert (found.argv, found.cwd) == (("/host/w/run", "--home=/h"), "/host/w")
    assert found.env["MARK"] == "1"
