"""What a job finds inside: its fixed paths, its user, its environment, its made-up /etc."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

HOME = "/home/pybots"
TMP = "/tmp"
SHM = "/dev/shm"
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
USER = "pybots"
JOB_ID = 64738
"""The job's uid and gid, inside always, outside when the worker is root. Far from the ranges that Debian, Fedora and
systemd hand out (their dynamic users end at 65519 but start at 61184; nothing is ever allocated here by name)."""

SHOWN_ETC = (
    "alternatives",
    "ca-certificates.conf",
    "crypto-policies",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "os-release",
    "pki/ca-trust/extracted",
    "pki/tls/certs",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
)
"""Of the host's /etc only this is shown, read-only: what linking, TLS, clocks and `getservbyname` need."""


def job_ids() -> tuple[int, int]:
    """The (uid, gid) a job really has on the host: a user of its own under root, else the worker's."""
    if os.geteuid() == 0:
        return JOB_ID, JOB_ID
    return os.geteuid(), os.getegid()


def own(path: Path) -> None:
    """Give `path` and everything below it to the job's user; links are changed themselves, never followed.

    Call it on folders that no job is using. Does nothing unless we are root: the job then runs as ourselves.
    """
    if os.geteuid() != 0:
        return
    uid, gid = job_ids()
    os.chown(path, uid, gid, follow_symlinks=False)
    todo = [] if path.is_symlink() or not path.is_dir() else [path]
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                os.chown(entry.path, uid, gid, follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    todo.append(Path(entry.path))


def base_env(
    extra: Mapping[str, str] | None = None, *, path: tuple[str, ...] = ()
) -> dict[str, str]:
    """A whole environment to start from: nothing of ours leaks in. `path` goes before the system's folders."""
    return {
        "PATH": ":".join((*path, PATH)),
        "HOME": HOME,
        "TMPDIR": TMP,
        "LANG": "C.UTF-8",
        "USER": USER,
        "LOGNAME": USER,
        "SHELL": "/bin/sh",
        "TERM": "dumb",
        **(extra or {}),
    }


def made_etc(hostname: str, *, network: bool) -> dict[str, str]:
    """The files of /etc that are made up: target -> text. The host's users and names are nobody's business."""
    nobody = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    return {
        "/etc/passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\n"
        f"{USER}:x:{JOB_ID}:{JOB_ID}:Pybots job:{HOME}:/bin/sh\n{nobody}",
        "/etc/group": f"root:x:0:\ntty:x:5:\n{USER}:x:{JOB_ID}:\nnogroup:x:65534:\n",
        "/etc/hostname": f"{hostname}\n",
        "/etc/hosts": f"127.0.0.1 localhost {hostname}\n::1 localhost ip6-localhost ip6-loopback\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nservices: files\nprotocols: files\n"
        f"hosts: files{' dns' if network else ''}\n",
    }
