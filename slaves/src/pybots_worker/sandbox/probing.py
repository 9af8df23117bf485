"""What this machine can enforce: tries it, and names what is in the way together with its mend."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from . import cgroups
from .argv import OLDEST
from .inside import PATH, base_env
from .model import Limits, Problem, Rung, SandboxFacts, SandboxSpec
from .running import run
from .seccomp import filter_program

TRIAL = Limits(
    wall_seconds=60,
    cpu_seconds=30,
    memory_bytes=128 << 20,
    processes=32,
    disk_bytes=1 << 20,
    log_bytes=1 << 16,
)
"""Generous in time: a machine that is slow or busy has a sandbox all the same."""
OWN_NPROC = (5, 14)
"""Since this kernel RLIMIT_NPROC counts inside a user namespace; before, a user's own desktop would use it up."""

CONTAINER_RIGHTS = "SYS_ADMIN,NET_ADMIN"
"""What a container must be given (`Containerfile`): to make namespaces, and to bring a job's own loopback up."""
BOOTED = Path("/run/systemd/system")
"""There while systemd runs the machine: sd_booted(3)."""

Reader = Callable[[str], str]


def probe(*, allow_unsandboxed: bool = False, rung: Rung | None = None) -> SandboxFacts:
    """Find the best this machine can do, by running a trivial command with it (about 20 ms).

    Also clears away control groups that killed predecessors left. `rung` forces one (for tests and `doctor`); if
    the machine hasn't got it, that is a problem and nothing is allowed. Without bubblewrap nothing is allowed
    either, unless `allow_unsandboxed` says so: that is the machine's owner's decision and nobody else's.
    """
    found_rung, groups, problems = ladder(rung)
    cgroups.sweep(groups)
    version = bwrap_version()
    facts = SandboxFacts(
        kind="bubblewrap",
        rung=found_rung,
        allowed=True,
        root=os.geteuid() == 0,
        version=version or (),
        caps=caps_of(found_rung, groups, root=os.geteuid() == 0, release=os.uname().release),
        groups=groups,
        seccomp=filter_program() is not None,
        problems=tuple(problems),
    )
    trouble = _trial(facts, version)
    if trouble and facts.seccomp and not _trial(replace(facts, seccomp=False), version):
        facts, trouble = _without_seccomp(facts, trouble), None
    if trouble:
        facts = _unboxed(facts, trouble, allowed=allow_unsandboxed)
    if rung not in (None, found_rung):
        facts = replace(facts, allowed=False)
    return facts


def ladder(wanted: Rung | None) -> tuple[Rung, Mapping[str, Path], list[Problem]]:
    """The best rung at hand, its folders, and why it isn't a better one."""
    membership, mountinfo = _read("/proc/self/cgroup"), _read("/proc/self/mountinfo")
    unified, v1 = cgroups.own_groups(membership, mountinfo)
    if wanted in (None, "cgroup2"):
        base = cgroups.usable_v2(unified) or _top(mountinfo)
        if base:
            return "cgroup2", {"unified": base}, []
    if wanted in (None, "cgroup1") and (folders := cgroups.usable_v1(v1)):
        return "cgroup1", folders, []
    why = [] if wanted == "rlimit" else [no_groups(unified, v1, _read, systemd=BOOTED.is_dir())]
    return "rlimit", {}, why


def _top(mountinfo: str) -> Path | None:
    """Root outside of any service: a group of our own below the hierarchy's root, where systemd hands memory down."""
    for hierarchy in cgroups.parse_mountinfo(mountinfo):
        if hierarchy.version == 2 and os.geteuid() == 0:
            return cgroups.usable_top(hierarchy.mounted)
    return None


def no_groups(
    unified: Path | None, v1: Mapping[str, Path], read: Reader, *, systemd: bool
) -> Problem:
    """Why the caps are held by the lowest rung. `systemd`: it is what started this machine, or this container."""
    if unified and "memory" not in v1:
        top = next(
            (p for p in (unified, *unified.parents) if not (p.parent / "cgroup.procs").exists()),
            unified,
        )
        if "memory" not in read(f"{top}/cgroup.controllers").split():
            return Problem(
                what="the kernel's memory control group is off; memory is capped by a watchdog",
                mend="boot with cgroup_enable=memory (Raspberry Pi: in /boot/firmware/cmdline.txt)",
            )
    return Problem(
        what="no control group is delegated to us; memory, processes and CPU time are capped by a watchdog",
        mend="run as a systemd service with Delegate=yes (`pybots-worker service install`)"
        if systemd
        else "no systemd runs here (a container?): for better caps, run the worker on the machine itself as its service",
    )


def caps_of(rung: Rung, groups: Mapping[str, Path], *, root: bool, release: str) -> dict[str, str]:
    """Who enforces which limit."""
    version = tuple(int(number) for number in re.findall(r"\d+", release)[:2])
    if groups:
        memory = processes = cpu = str(rung)
    else:
        memory, cpu = "watchdog", "watchdog"
        processes = "rlimit" if root or version >= OWN_NPROC else "watchdog"
    return {
        "wall": "clock",
        "cpu": cpu,
        "memory": memory,
        "processes": processes,
        "disk": "watchdog",
        "log": "reader",
    }


def bwrap_version() -> tuple[int, ...] | None:
    """bubblewrap's version, or None when it isn't there."""
    try:
        answer = subprocess.run(
            ["bwrap", "--version"],
            env={"PATH": PATH},
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return tuple(int(number) for number in re.findall(r"\d+", answer.stdout)[:3])


def _trial(facts: SandboxFacts, version: tuple[int, ...] | None) -> Problem | None:
    """Run `true` in the very sandbox that jobs get; None when it works."""
    if version is None:
        return Problem(what="bubblewrap is not installed", mend="install the package bubblewrap")
    if version < OLDEST:
        return Problem(
            what=f"bubblewrap {'.'.join(map(str, version))} is too old",
            mend=f"install bubblewrap {'.'.join(map(str, OLDEST))} or later",
        )
    spec = SandboxSpec(
        argv=("true",), cwd="/", env=base_env(), mounts=(), network=False, limits=TRIAL
    )
    outcome = run(spec, facts=facts, sink=lambda _stream, _data: None)
    if outcome.ended == "exit" and outcome.exit_code == 0:
        return None
    return diagnose(outcome.detail, _read)


def diagnose(said: str, read: Reader) -> Problem:
    """Turn bubblewrap's complaint into a cause with a mend. `read` gives a file's text, empty when it isn't there."""
    if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").strip() == "1":
        return Problem(
            what="AppArmor forbids unprivileged user namespaces (Ubuntu since 23.10)",
            mend="give /usr/bin/bwrap an AppArmor profile that allows `userns`, or set "
            "kernel.apparmor_restrict_unprivileged_userns=0 with sysctl",
        )
    if read("/proc/sys/kernel/unprivileged_userns_clone").strip() == "0":
        return Problem(
            what="unprivileged user namespaces are disabled",
            mend="set kernel.unprivileged_userns_clone=1 with sysctl",
        )
    if read("/proc/sys/user/max_user_namespaces").strip() == "0":
        return Problem(
            what="user namespaces are disabled",
            mend="set user.max_user_namespaces to 10000 or so with sysctl",
        )
    if "/dev/null" in said:
        # Seen: Twisted's own suite, run as root outside of a sandbox, leaves it at 0555.
        return Problem(
            what=f"/dev/null cannot be used: {said}", mend="as root: chmod 666 /dev/null"
        )
    # Seen in a container that has SYS_ADMIN alone: "loopback: Failed RTM_NEWADDR: No child processes".
    if any(words in said for words in ("Operation not permitted", "Permission denied", "loopback")):
        return Problem(
            what=f"this machine forbids making namespaces: {said}",
            mend=f"if this is a container, start it with --cap-add {CONTAINER_RIGHTS}, and with seccomp and AppArmor "
            "profiles that allow them",
        )
    return Problem(
        what=f"bubblewrap does not work here: {said}",
        mend="run the same command by hand and report it",
    )


def _without_seccomp(facts: SandboxFacts, trouble: Problem) -> SandboxFacts:
    lacks = Problem(
        what=f"no seccomp filter can be loaded ({trouble.what})",
        mend="use a kernel with CONFIG_SECCOMP_FILTER",
    )
    return replace(facts, seccomp=False, problems=(*facts.problems, lacks))


def _unboxed(facts: SandboxFacts, trouble: Problem, *, allowed: bool) -> SandboxFacts:
    return replace(
        facts, kind="none", allowed=allowed, seccomp=False, problems=(trouble, *facts.problems)
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
