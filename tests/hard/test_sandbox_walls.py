"""What a job cannot see, touch or become. Each test runs for each user and rung this machine offers."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from test_sandbox_driver import NOBODY, Box, box  # noqa: F401  (a fixture)

CAN_WRITE = """
import sys
for path in sys.argv[1:]:
    try:
        open(path, "w").close()
    except OSError as error:
        print(path, "refused")
    else:
        print(path, "written")
"""

CONNECT = """
import socket, sys
def attempt(family, address):
    try:
        with socket.socket(family) as s:
            s.settimeout(1)
            s.connect(address)
        return "reached"
    except OSError as error:
        return "refused"
print(attempt(socket.AF_INET, ("127.0.0.1", int(sys.argv[1]))), attempt(socket.AF_UNIX, "\\0" + sys.argv[2]))
"""


def test_the_host_is_hidden(box: Box) -> None:  # noqa: F811
    """No home, no foreign files, no foreign processes, no kernel files; the host's /tmp is not ours."""
    done = box.sh(
        f"ls -A /root /home /tmp {box.base} /etc/shadow /sys /run; echo /proc/[0-9]*; cat /proc/1/cmdline"
    )
    assert "pybots" in done["stdout"]
    assert "secret" not in done["stdout"]
    assert str(box.work) not in done["stdout"]  # the mounts' sources are the host's business
    for path in ("/root", str(box.base), "/etc/shadow", "/sys"):
        assert f"'{path}': No such file" in done["stderr"]
    pids = [word for word in done["stdout"].split() if word.startswith("/proc/")]
    assert len(pids) < 5


def test_only_writable_mounts_and_private_folders_can_be_written(box: Box) -> None:  # noqa: F811
    """And what is written there belongs to the job's own user, never to root."""
    closed = [
        "/x",
        "/usr/x",
        "/etc/x",
        "/etc/passwd",
        "/dev/x",
        "/opt/x",
        "/opt/a/shown/file",
        "/run/x",
        "/proc/sys/kernel/hostname",
    ]
    opened = ["/work/x", "/tmp/x", "/dev/shm/x", "/home/pybots/x", "/dev/null"]
    done = box.python(CAN_WRITE, *closed, *opened)
    assert done["stdout"].splitlines() == [
        *(f"{p} refused" for p in closed),
        *(f"{p} written" for p in opened),
    ]
    owner = (box.work / "x").stat().st_uid
    assert owner == (64738 if box.root else NOBODY if os.geteuid() == 0 else os.geteuid())


@pytest.mark.parametrize("network", [False, True], ids=["off", "on"])
def test_the_network_is_there_only_when_asked_for(box: Box, network: bool) -> None:  # noqa: F811
    """Off, neither a listener of the host's nor one of its abstract sockets can be reached."""
    name = f"pybots-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket() as listener:
        abstract.bind("\0" + name)
        abstract.listen()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        done = box.python(CONNECT, str(listener.getsockname()[1]), name, network=network)
    assert done["stdout"].split() == ["reached" if network else "refused"] * 2


def test_loopback_works_while_the_network_is_off(box: Box) -> None:  # noqa: F811
    """Suites that test their own server need it."""
    done = box.python(
        "import socket; s = socket.create_server(('localhost', 0)); socket.create_connection(s.getsockname()); print('ok')"
    )
    assert done["stdout"] == "ok\n", done["stderr"]


def test_the_environment_is_exactly_what_was_asked(box: Box) -> None:  # noqa: F811
    """Nothing of the worker's leaks in, and a hostile loader variable reaches only the job itself."""
    env = {"PATH": "/usr/bin", "A": "b=c d", "LD_PRELOAD": "/work/evil.so"}
    done = box.run(["env", "-0"], env=env)
    assert sorted(done["stdout"].rstrip("\0").split("\0")) == sorted(
        f"{k}={v}" for k, v in env.items()
    )
    # One complaint, the command's own: prlimit and setpriv, which have rights, were not handed the library.
    assert done["stderr"].count("evil.so") == 1


def test_rights_cannot_be_gained(box: Box) -> None:  # noqa: F811
    """No capabilities, a setuid program stays without effect, no new user namespace, no keyring."""
    tool = box.base / "shown" / "tool"
    tool.write_bytes(Path("/usr/bin/id").read_bytes())
    tool.chmod(stat.S_ISUID | stat.S_ISGID | 0o755)
    done = box.sh(
        "/opt/a/shown/tool -u; grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status;"
        "unshare --user true; echo unshare $?; chown root /work; echo chown $?; chmod 0555 /dev/null; echo chmod $?; kill -9 1; echo still here"
    )
    lines = done["stdout"].splitlines()
    assert lines[0] == "64738"
    assert all(line.split()[1] == "0" * 16 for line in lines if line.startswith("Cap"))
    assert {
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "unshare 1",
        "chown 1",
        "chmod 1",
        "still here",
    } <= set(lines)


def test_threads_and_processes_work_beside_the_filter(box: Box) -> None:  # noqa: F811
    """The seccomp filter must not cost a suite its ordinary tools."""
    done = box.python(
        "import threading, subprocess, os\n"
        "t = threading.Thread(target=print, args=('thread',), kwargs={'flush': True}); t.start(); t.join()\n"
        "subprocess.run(['echo', 'child'])\n"
        "pid = os.fork()\n"
        "if pid: os.waitpid(pid, 0); print('fork')"
    )
    assert done["stdout"].split() == ["thread", "child", "fork"], done["stderr"]


def test_a_link_is_not_mounted_writable(box: Box) -> None:  # noqa: F811
    """An earlier job could have left it to have a foreign folder opened."""
    (box.work / "link").symlink_to("/usr")
    box.mounts.append((str(box.work / "link"), "/trap", True))
    done = box.sh("touch /trap/x")
    assert done["ended"] == "sandbox_error"
    assert "symbolic link" in done["detail"]
