"""An arm64 machine, emulated: Debian's own kernel and packages, on them this working copy, and tests of the worker kit.

    .venv/bin/python tests/arm64/emulated.py FOLDER [pytest's arguments]

As root on Debian, with the packages mmdebstrap, qemu-system-arm and e2fsprogs, 4 GB in FOLDER, and a way to Debian's and
Python's packages. The first call makes FOLDER/root and keeps it (some minutes). Without arguments, `doctor` and the tests
below. Ends with the number of commands that failed. By hand only: `.ci/run` leaves it out, since it takes hours.

Time in there goes by instructions executed, not by this machine's clock: an emulator is twenty times slower than a
machine, and no test's bound on time must fail for that.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).resolve().parents[2]
SOURCES: Final = Path("/etc/apt/sources.list.d/debian.sources")
NEEDED: Final = ("mmdebstrap", "qemu-system-aarch64", "mke2fs")
TESTS: Final = (
    "tests/hard/test_sandbox_calls.py", "tests/hard/test_sandbox_walls.py", "tests/hard/test_sandbox_caps.py",
    "tests/hard/test_sandbox_ends.py", "tests/hard/test_kit_jobs.py", "tests/hard/test_kit_intruders.py",
    "tests/hard/test_kit_hostile.py", "tests/hard/test_kit_hostile_builds.py",
)  # fmt: skip
ESSENTIAL: Final = (
    "base-files", "base-passwd", "bash", "bzip2", "coreutils", "dash", "debianutils", "diffutils", "findutils", "grep",
    "gzip", "hostname", "libc-bin", "login", "mawk", "mount", "ncurses-base", "passwd", "perl-base", "procps", "sed",
    "tar", "util-linux", "xz-utils",
)  # fmt: skip
PACKAGES: Final = (
    *ESSENTIAL, "linux-image-cloud-arm64", "busybox-static", "iproute2", "bubblewrap", "ccache", "git", "gcc", "g++",
    "make", "pkg-config", "python3", "python3-venv", "python3-dev", "libbz2-dev", "libffi-dev", "liblzma-dev",
    "libreadline-dev", "libsqlite3-dev", "libssl-dev", "uuid-dev", "zlib1g-dev",
)  # fmt: skip
WHEELS: Final = [f"manylinux_2_{minor}_aarch64" for minor in (17, 24, 28, 31, 34)]
SETTLED: Final = {
    "bin/sh": "dash", "bin/awk": "mawk", "bin/cc": "gcc", "bin/c++": "g++",
    **{f"lib/ccache/{name}": "../../bin/ccache" for name in ("cc", "c++", "gcc", "g++")},
}  # fmt: skip
"""Links below /usr that the packages' own scripts would make: they are unpacked only, since nothing here runs arm64."""
MODULES: Final = (
    "virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk",
)  # fmt: skip
"""What the kernel needs to find its disk, each after what it needs itself."""
FIRST: Final = """#!/bin/busybox sh
PATH=/bin; mount() { busybox mount "$@"; }
mount -t devtmpfs dev /dev
for name in LIST; do busybox insmod /$name.ko; done
until [ -b /dev/vda ]; do busybox sleep 0.1; done
mount -t ext4 /dev/vda /new && exec busybox switch_root /new /opt/init
"""
INIT: Final = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts; mount -t tmpfs shm /dev/shm; mount -t tmpfs run /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup; echo +memory +pids +cpu >/sys/fs/cgroup/cgroup.subtree_control
ln -s /proc/self/fd /dev/fd; ip link set lo up; cd /opt/pybots; uname -a; failed=0
for part in /opt/parts/*; do sh $part </dev/null || failed=$((failed + 1)); done
echo "SAID$failed"; sync; echo o >/proc/sysrq-trigger; sleep 100
"""
SAID: Final = "commands that failed: "


def main(arguments: list[str]) -> int:
    lacks = [name for name in NEEDED if shutil.which(name) is None]
    if not arguments or arguments[0].startswith("-") or lacks or os.geteuid():
        missing = f"\nmissing: {', '.join(lacks)}" if lacks else ""
        print(f"{__doc__}{missing}", file=sys.stderr)
        return 2
    folder = Path(arguments[0]).resolve()
    root, disk, first = folder / "root", folder / "disk.img", folder / "first.cpio"
    folder.mkdir(parents=True, exist_ok=True)
    if not root.is_dir():
        install(folder / "new")
        (folder / "new").rename(root)
    put_house(root)
    put_parts(root / "opt", arguments[1:] or list(TESTS))
    first.write_bytes(first_files(root))
    disk.unlink(missing_ok=True)
    run("truncate", "-s", "12G", disk)
    run("mke2fs", "-q", "-t", "ext4", "-d", root, disk)
    try:
        return boot(next((root / "boot").glob("vmlinuz-*")), first, disk)
    finally:
        disk.unlink()


def run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True)


def install(root: Path) -> None:
    """This machine's Debian for arm64, and the house's libraries by its lock file, for the Python that Debian has."""
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    if root.exists():
        shutil.rmtree(root)
    run(
        "mmdebstrap", "--mode=root", "--variant=extract", "--architectures=arm64", f"--include={','.join(PACKAGES)}",
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", '--aptopt=APT::Install-Recommends "false"',
        suite, root, SOURCES,
    )  # fmt: skip
    for name, target in SETTLED.items():
        (root / "usr" / name).unlink(missing_ok=True)
        (root / "usr" / name).symlink_to(target)
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / f"etc/{name}")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (root / "usr/lib/python3/dist-packages/pybots.pth").write_text("/opt/house\n/opt/site\n")
    platforms = [f"--platform={name}" for name in WHEELS]
    lock = f"{TOP}/tests/requirements.lock"
    pip(root / "opt/site", "--only-binary=:all:", *platforms, "--require-hashes", "-r", lock)


def pip(target: Path, *words: str) -> None:
    """Into a folder. pip itself runs on this machine's Debian's Python, the very one that the other machine has."""
    run(
        sys.executable, "-m", "pip", "--python", "/usr/bin/python3", "-q", "install", "--no-deps",
        f"--target={target}", *words,
    )  # fmt: skip


def put_house(root: Path) -> None:
    """The files of this working copy, committed or not, and the three packages made of them."""
    house, made = root / "opt/pybots", root / "opt/house"
    for folder in (house, made):
        shutil.rmtree(folder, ignore_errors=True)
    listed = ["git", "-C", str(TOP), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (TOP / name).is_file():
            (house / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, house / name)
    pip(made, *(f"{house}/{name}" for name in ("status-theme", "slaves", "master")))


def put_parts(opt: Path, arguments: list[str]) -> None:
    """What the machine does when it is up."""
    shutil.rmtree(opt / "parts", ignore_errors=True)
    (opt / "parts").mkdir()
    pytest = "python3 -m pytest -v --color=no --tb=short -p no:cacheprovider -p no:schemathesis -p no:anyio"
    parts = (
        "python3 -m pybots_worker.cli doctor --root /root/worker",
        f"{pytest} {shlex.join(arguments)}",
    )
    for number, part in enumerate(parts):
        (opt / "parts" / str(number)).write_text(part + "\n")
    (opt / "init").write_text(INIT.replace("SAID", SAID))
    (opt / "init").chmod(0o755)


def first_files(root: Path) -> bytes:
    """The first file system: a shell, and the kernel's modules for the disk."""
    files = {"bin/busybox": (root / "usr/bin/busybox").read_bytes()}
    for name in MODULES:
        [path] = (root / "usr/lib/modules").rglob(f"{name}.ko")
        files[f"{name}.ko"] = path.read_bytes()
    files["init"] = FIRST.replace("LIST", " ".join(MODULES)).encode()
    folders = b"".join(entry(name, b"", stat.S_IFDIR) for name in ("bin", "dev", "new"))
    entries = b"".join(entry(name, data) for name, data in files.items())
    return folders + entries + entry("TRAILER!!!", b"")


def entry(name: str, data: bytes, kind: int = stat.S_IFREG) -> bytes:
    """One file as `cpio -H newc` writes it: thirteen numbers of eight digits, the name, the data, each filled up to 4."""
    numbers = (0, kind | 0o755, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name.encode() + b"\0"
    return b"".join(part + b"\0" * (-len(part) % 4) for part in (head, data))


def boot(kernel: Path, first: Path, disk: Path) -> int:
    """Run the machine until it switches itself off; returns how many commands failed, or 9 when it never said."""
    command = [
        "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57", "-accel", "tcg,thread=single", "-icount", "shift=0",
        "-smp", "1", "-m", "3072", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
        "-kernel", str(kernel), "-initrd", str(first), "-append", "console=ttyAMA0 quiet",
        "-drive", f"if=virtio,format=raw,cache=unsafe,file={disk}", "-device", "virtio-rng-pci",
    ]  # fmt: skip
    failed = 9
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as machine:
        assert machine.stdout
        try:
            for line in machine.stdout:
                print(line.rstrip(), flush=True)
                if line.startswith(SAID):
                    failed = int(line.removeprefix(SAID))
        finally:
            machine.terminate()
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
