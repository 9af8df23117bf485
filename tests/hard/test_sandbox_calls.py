"""The doors that the seccomp filter shuts, each tried by its number; and the numbers are those of this machine's headers."""

from __future__ import annotations

import errno
import json
import platform
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from test_sandbox_driver import Box, box, needs  # noqa: F401  (a fixture)

from pybots_worker.sandbox.seccomp import ARCHES, CLONE_NEWUSER, REFUSED

TRY = """
import ctypes, json, sys
call = ctypes.CDLL(None, use_errno=True).syscall
found = {}
for name, words in json.loads(sys.argv[1]).items():
    ctypes.set_errno(0)
    call(*(ctypes.c_long(word) for word in words))
    found[name] = ctypes.get_errno()
print(json.dumps(found))
"""
SENSELESS: dict[str, tuple[int, ...]] = {
    "unshare": (1,),
    "setns": (-1, 0),
    "add_key": (0, 0, 0, 0, 0),
    "request_key": (0, 0, 0, 0),
    "keyctl": (-1,),
    "bpf": (-1, 0, 0),
    "perf_event_open": (0, 0, -1, -1, 0),
    "userfaultfd": (9,),
    "io_uring_setup": (0, 0),
    "clone": (CLONE_NEWUSER | 0x200, 0, 0, 0, 0),
    "clone3": (0, 0),
}
"""Arguments with which the kernel itself cannot do what is asked, and says so in another word than the filter's."""


def numbers() -> dict[str, int]:
    """Every call's number, from the C library's headers here."""
    done = subprocess.run(
        ["gcc", "-E", "-dM", "-include", "sys/syscall.h", "-xc", "/dev/null"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name: int(at) for name, at in re.findall(r"#define __NR_(\w+) (\d+)\n", done.stdout)}


def test_every_refused_call_is_refused_by_the_filter(box: Box) -> None:  # noqa: F811
    """Beside it the same sandbox without the filter, where the kernel answers; it refuses some of them to anybody."""
    needs("gcc", shutil.which("gcc") is not None)
    needs("a filter for this machine", platform.machine() in ARCHES)
    assert set(REFUSED[platform.machine()]) | {"clone", "clone3"} == set(SENSELESS)
    at = numbers()
    calls = json.dumps({name: (at[name], *words) for name, words in SENSELESS.items()})
    shut = json.loads(box.python(TRY, calls)["stdout"])
    assert shut == {**dict.fromkeys(SENSELESS, errno.EPERM), "clone3": errno.ENOSYS}
    opened = json.loads(box.python(TRY, calls, unfiltered=True)["stdout"])
    ours = {name for name in SENSELESS if opened[name] != shut[name]}
    assert ours >= {"unshare", "setns", "clone", "clone3"}, opened


# exit(7) by each 32-bit architecture's own call, then an instruction that there is not.
NARROW = {
    "x86_64": (3, "b801000000 bb07000000 cd80 0f0b"),
    "aarch64": (40, "0170a0e3 0700a0e3 000000ef f000f0e7"),
}


def narrow_program(path: Path, kind: int, code: bytes) -> Path:
    """A whole 32-bit program: ELF header, one segment, code."""
    base, start = 0x10000, 52 + 32
    size = start + len(code)
    flags = 0x05000000 if kind == 40 else 0
    header = b"\x7fELF\1\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIIIIIHHHHHH", 2, kind, 1, base + start, 52, 0, flags, 52, 32, 1, 0, 0, 0
    )
    segment = struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 5, 0x1000)
    path.write_bytes(header + segment + code)
    path.chmod(0o755)
    return path


def test_32_bit_programs_have_no_calls(box: Box) -> None:  # noqa: F811
    """Their calls have other numbers, by which one would go round the filter."""
    needs("a filter for this machine", platform.machine() in NARROW)
    kind, code = NARROW[platform.machine()]
    program = narrow_program(box.base / "shown" / "narrow", kind, bytes.fromhex(code))
    try:
        done = subprocess.run([program])
    except OSError:
        pytest.skip("this kernel runs no 32-bit programs")
    assert done.returncode == 7
    found = box.run(["/opt/a/shown/narrow"], unfiltered=True)
    assert (found["ended"], found["exit_code"]) == ("exit", 7), found
    found = box.run(["/opt/a/shown/narrow"])
    assert (found["ended"], found["exit_code"]) == ("signal", None), found
