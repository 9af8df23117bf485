"""A small seccomp filter: doors of the kernel that no test suite needs, and through which sandboxes are left.

A classic BPF program, written by hand because it is thirty instructions. What is refused answers EPERM, so
programs take it for missing rights; clone3 answers ENOSYS, because its flags cannot be seen from a filter and
the C library then falls back to clone, whose flags can.
"""

from __future__ import annotations

import errno
import struct

from pybots_worker.machine import machine

CLONE_NEWUSER = 0x1000_0000
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, ERRNO = 0x7FFF_0000, 0x0005_0000
NUMBER, ARCH, FIRST_ARGUMENT = 0, 4, 16
X32 = 0x4000_0000

ARCHES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
CLONE = {"x86_64": 56, "aarch64": 220}
CLONE3 = 435  # the same number everywhere, as for all calls since 2019
REFUSED = {
    "x86_64": {
        "unshare": 272, "setns": 308, "add_key": 248, "request_key": 249, "keyctl": 250,
        "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "io_uring_setup": 425,
    },
    "aarch64": {
        "unshare": 97, "setns": 268, "add_key": 217, "request_key": 218, "keyctl": 219,
        "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "io_uring_setup": 425,
    },
}  # fmt: skip


def filter_program(wanted: str | None = None) -> bytes | None:
    """The program for `bwrap --seccomp`, or None on a machine whose call numbers we have not checked."""
    name = wanted or machine()
    if name not in ARCHES:
        return None
    refuse = [(JUMP_EQUAL, number, "eperm") for number in REFUSED[name].values()]
    if name == "x86_64":
        refuse.insert(0, (JUMP_AT_LEAST, X32, "enosys"))  # the x32 numbers would go round the list
    steps = [
        *refuse,
        (JUMP_EQUAL, CLONE3, "enosys"),
    ]
    return _assemble(ARCHES[name], steps, CLONE[name])


def _assemble(arch: int, steps: list[tuple[int, int, str]], clone: int) -> bytes:
    """Lay the steps out; jumps only go forward, to one of the three returns at the end."""
    tail = [
        (JUMP_EQUAL, 0, 2, clone),  # not clone: allow
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (JUMP_ANY_BIT, 1, 0, CLONE_NEWUSER),  # a user namespace: eperm
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, ERRNO | errno.EPERM),
        (RETURN, 0, 0, ERRNO | errno.ENOSYS),
    ]
    count = 3 + len(steps)
    returns = {"eperm": count + 4, "enosys": count + 5}
    # Another architecture's calls (32-bit ones on a 64-bit kernel) have other numbers: none of them.
    program = [
        (LOAD, 0, 0, ARCH),
        (JUMP_EQUAL, 0, returns["enosys"] - 2, arch),
        (LOAD, 0, 0, NUMBER),
    ]
    for position, (operation, value, name) in enumerate(steps, start=3):
        program.append((operation, returns[name] - position - 1, 0, value))
    return b"".join(
        struct.pack("=HBBI", code, yes, no, value) for code, yes, no, value in program + tail
    )
