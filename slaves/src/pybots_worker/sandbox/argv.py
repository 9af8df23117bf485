"""The bubblewrap command line of one run. Pure: what the host looks like is read from a `root` a test can fake."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .inside import HOME, JOB_ID, SHM, SHOWN_ETC, TMP
from .model import Limits, SandboxFacts, SandboxSpec

OLDEST = (0, 6, 0)
"""--perms and --clearenv came with 0.5; 0.6 is the oldest in a distribution that has Python 3.11 (Ubuntu 22.04)."""
SIZES = (0, 7, 0)
NO_USERNS = (0, 8, 0)

SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
FILE_SLACK = 16 << 20
"""One file may grow a little beyond the disk cap, so that the watchdog sees the cap exceeded and can name it."""


def bwrap_options(
    spec: SandboxSpec,
    facts: SandboxFacts,
    *,
    files: Mapping[str, int],
    status_fd: int,
    seccomp_fd: int | None,
    root: Path = Path("/"),
) -> list[str]:
    """Everything up to the command itself. `files` maps made-up files to descriptors holding their text.

    To be passed with --args, out of sight: a job can read its sandbox's command line, and sources name the host's
    folders and users.
    """
    argv = ["--new-session", "--die-with-parent", "--hostname", spec.hostname]
    argv += namespaces(facts, network=spec.network)
    argv += system(root)
    argv += ["--proc", "/proc", "--dev", "/dev", "--dir", "/etc", "--dir", "/run", "--dir", "/var"]
    argv += ["--symlink", "/run", "/var/run", "--symlink", TMP, "/var/tmp"]
    argv += memory_folders(spec.limits, facts)
    argv += etc(root, network=spec.network)
    for target, fd in files.items():
        argv += ["--perms", "0644", "--ro-bind-data", str(fd), target]
    for mount in spec.mounts:
        argv += parents(mount.target)
        argv += ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.target]
    # Both are memory without a size of their own; the devices below stay writable on a read-only /dev.
    argv += ["--remount-ro", "/dev", "--remount-ro", "/"]
    argv += ["--chdir", spec.cwd, "--json-status-fd", str(status_fd)]
    if seccomp_fd is not None:
        argv += ["--seccomp", str(seccomp_fd)]
    return argv


def parents(target: str) -> list[str]:
    """The folders above a mount, made open to all: bubblewrap alone makes them 0700, and root's at that."""
    argv: list[str] = []
    for folder in reversed(Path(target).parents[:-1]):
        argv += ["--perms", "0755", "--dir", str(folder)]
    return argv


def namespaces(facts: SandboxFacts, *, network: bool) -> list[str]:
    """Which namespaces and which rights.

    Root sets the mounts up as root (their sources may lie under a 0700 home), keeps just the rights needed to
    become the job's user, and `stage` then drops those. Anybody else needs a user namespace.
    """
    argv = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if not network:
        argv.append("--unshare-net")
    argv += ["--cap-drop", "ALL"]
    if facts.root:
        for cap in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            argv += ["--cap-add", cap]
        return argv
    argv += ["--unshare-user", "--uid", str(JOB_ID), "--gid", str(JOB_ID)]
    if facts.version >= NO_USERNS:
        argv.append("--disable-userns")
    return argv


def system(root: Path) -> list[str]:
    """The host's programs and libraries, read-only, whether /usr is merged or not."""
    argv = ["--ro-bind", "/usr", "/usr"]
    for name in SYSTEM:
        path = root / name
        if path.is_symlink():
            argv += ["--symlink", str(path.readlink()), f"/{name}"]
        elif path.is_dir():
            argv += ["--ro-bind", f"/{name}", f"/{name}"]
    return argv


def memory_folders(limits: Limits, facts: SandboxFacts) -> list[str]:
    """The job's private folders in memory. They count as its memory; their size is bounded as well where it can be."""
    argv: list[str] = []
    size = max(min(limits.memory_bytes // 2, limits.disk_bytes), 1 << 20)
    # Open to all inside, because under root they belong to root and the job is somebody else.
    for target, mode in ((TMP, "1777"), (SHM, "1777"), (HOME, "0777")):
        argv += ["--perms", mode]
        if facts.version >= SIZES:
            argv += ["--size", str(size)]
        argv += ["--tmpfs", target]
    return argv


def etc(root: Path, *, network: bool) -> list[str]:
    """What is shown of the host's /etc. Links are resolved, for what they point to is not there inside."""
    argv: list[str] = []
    for name in (*SHOWN_ETC, *(("resolv.conf",) if network else ())):
        path = root / "etc" / name
        if path.exists():
            argv += [*parents(f"/etc/{name}"), "--ro-bind", str(path.resolve()), f"/etc/{name}"]
    return argv


def stage_argv(spec: SandboxSpec, facts: SandboxFacts, *, hard: Mapping[str, int]) -> list[str]:
    """The last steps inside: cap every process, drop root, build the environment, become the command.

    In this order, for a variable like LD_PRELOAD must not reach a program that still has rights. `hard` holds
    hard limits already in force, which must not be exceeded (only root could, and there is no need).
    """
    argv = ["prlimit"]
    for name, wanted in rlimits(spec.limits, facts).items():
        soft, top = (min(value, hard.get(name, value)) for value in wanted)
        argv.append(f"--{name}={soft}:{top}")
    argv.append("--")
    if facts.kind == "none":
        argv += ["setpriv", "--pdeathsig", "KILL", "--no-new-privs", "--"]
    if facts.root:
        argv += ["setpriv", f"--reuid={JOB_ID}", f"--regid={JOB_ID}", "--clear-groups"]
        argv += ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"]
    argv += ["env", "-i", *(f"{name}={value}" for name, value in spec.env.items())]
    return [*argv, *spec.argv]


def rlimits(limits: Limits, facts: SandboxFacts) -> dict[str, tuple[int, int]]:
    """Per-process limits (soft, hard). On the best rungs a second line of defence, on the lowest half of the first."""
    cpu = int(limits.cpu_seconds) + 2
    file_size = limits.disk_bytes + FILE_SLACK
    found = {"core": (0, 0), "cpu": (cpu, cpu + 3), "fsize": (file_size, file_size)}
    if facts.rung == "rlimit":
        # The watchdog names the cap; these only stop what is quicker than the watchdog. Under root they are
        # counted over every job on the machine, hence the room.
        room = 4 if facts.root else 2
        found["data"] = (2 * limits.memory_bytes,) * 2
        if facts.caps.get("processes") != "watchdog":
            found["nproc"] = (room * limits.processes,) * 2
    return found
