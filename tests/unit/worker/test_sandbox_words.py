"""What is said: how a run ended, what this machine lacks, and what the filter answers."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest
from test_sandbox_argv import make_facts, make_limits, make_spec

from pybots_worker.sandbox import Problem, probe, run
from pybots_worker.sandbox.probing import caps_of, diagnose, no_groups
from pybots_worker.sandbox.seccomp import ARCHES, CLONE, CLONE3, REFUSED, X32, filter_program
from pybots_worker.sandbox.watch import Finish, conclude, describe, signal_name, size


@pytest.mark.parametrize(
    ("code", "told", "boxed", "expected"),
    [
        (0, True, True, ("exit", 0, None)),
        (3, True, True, ("exit", 3, None)),
        (128, True, True, ("exit", 128, None)),
        (255, True, True, ("exit", 255, None)),
        (139, True, True, ("signal", None, 11)),
        (128 + 24, True, True, ("cpu_timeout", None, None)),
        (128 + 25, True, True, ("disk", None, None)),
        (1, False, True, ("sandbox_error", None, None)),
        (-9, False, True, ("sandbox_error", None, None)),
        (-9, False, False, ("signal", None, 9)),
        (1, False, False, ("exit", 1, None)),
    ],
)
def test_an_ending_is_concluded_from_what_was_seen(
    code: int, told: bool, boxed: bool, expected: tuple[str, int | None, int | None]
) -> None:
    """A status that bubblewrap did not confirm is not the job's."""
    assert conclude(None, Finish(code, told, boxed, "")) == expected


def test_a_cap_outweighs_the_status() -> None:
    assert conclude("memory", Finish(137, True, True, "")) == ("memory", None, None)


def test_a_cap_says_its_size_and_its_holder() -> None:
    said = describe("memory", make_limits(), {"memory": "cgroup1"})
    assert said == "used more than 512 MiB of memory (cap held by cgroup1)"
    assert describe("wall_timeout", make_limits(), {"wall": "clock"}).startswith(
        "took more than 60 s"
    )


def test_a_sandbox_error_repeats_bubblewraps_words() -> None:
    said = describe("sandbox_error", make_limits(), {}, Finish(1, False, True, "bwrap: no such"))
    assert said == "the sandbox could not be set up: bwrap: no such"
    assert "SIGKILL" in describe("sandbox_error", make_limits(), {}, Finish(-9, False, True, ""))


@pytest.mark.parametrize(
    ("number", "name"), [(11, "SIGSEGV"), (34, "SIGRTMIN"), (37, "SIGRTMIN+3"), (99, "signal 99")]
)
def test_signals_have_names(number: int, name: str) -> None:
    assert signal_name(number) == name


def test_sizes_are_readable() -> None:
    assert [size(n) for n in (5, 1536, 1000 << 20, 3 << 30)] == [
        "5 bytes",
        "1.5 KiB",
        "1000 MiB",
        "3 GiB",
    ]


@pytest.mark.parametrize(
    ("path", "text", "word"),
    [
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", "AppArmor"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0\n", "unprivileged_userns_clone=1"),
        ("/proc/sys/user/max_user_namespaces", "0\n", "max_user_namespaces"),
        ("/nothing", "", "container"),
    ],
)
def test_a_known_obstacle_is_named_with_its_mend(path: str, text: str, word: str) -> None:
    found = diagnose("bwrap: Operation not permitted", lambda asked: text if asked == path else "")
    assert word in found.what + found.mend


def test_a_broken_null_device_is_named() -> None:
    """Another program's doing, and it stops everything that is not root."""
    found = diagnose("[Errno 13] Permission denied: '/dev/null'", lambda _path: "")
    assert "chmod 666" in found.mend


def test_an_unknown_obstacle_keeps_its_words() -> None:
    assert "odd thing" in diagnose("odd thing", lambda _path: "").what


def test_memory_groups_that_are_off_are_named() -> None:
    """As on a Raspberry Pi; an undelegated session is another matter."""
    own = Path("/nowhere/cgroup/a")
    assert "Raspberry" in no_groups(own, {}, lambda _path: "cpu pids", systemd=True).mend
    assert "Delegate=yes" in no_groups(own, {}, lambda _path: "memory pids", systemd=True).mend


def test_a_service_is_not_asked_for_where_no_systemd_runs() -> None:
    own = Path("/sys/fs/cgroup/user.slice")
    for unified in (own, None):
        mend = no_groups(unified, {}, lambda _path: "memory pids", systemd=False).mend
        assert "service install" not in mend and "container" in mend


def test_who_holds_a_cap_depends_on_rung_and_kernel() -> None:
    groups = {"unified": Path("/g")}
    assert caps_of("cgroup2", groups, root=False, release="6.1")["memory"] == "cgroup2"
    assert caps_of("rlimit", {}, root=False, release="6.1.0-13")["processes"] == "rlimit"
    assert caps_of("rlimit", {}, root=False, release="5.10.0")["processes"] == "watchdog"


def test_without_a_sandbox_nothing_runs() -> None:
    facts = make_facts(
        kind="none",
        allowed=False,
        problems=(Problem(what="bubblewrap is not installed", mend="install it"),),
    )
    found = run(make_spec(), facts=facts, sink=lambda _stream, _data: None)
    assert found.ended == "sandbox_error"
    assert "bubblewrap is not installed" in found.detail


def test_a_missing_bubblewrap_is_a_problem_and_only_the_owner_may_overrule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = "pybots_worker.sandbox.probing"
    monkeypatch.setattr(f"{module}.bwrap_version", lambda: None)
    monkeypatch.setattr(f"{module}.ladder", lambda _rung: ("rlimit", {}, []))
    refused, allowed = probe(), probe(allow_unsandboxed=True)
    assert (refused.kind, refused.usable) == ("none", False)
    assert refused.problems[0].mend == "install the package bubblewrap"
    assert (allowed.kind, allowed.usable) == ("none", True)
    assert "no sandbox" in allowed.summary()


def answer(program: bytes, arch: int, number: int, argument: int = 0) -> int:
    """Run the filter, as the kernel would, on one system call."""
    steps = list(struct.iter_unpack("=HBBI", program))
    data = struct.pack("=iIQQQQQQQ", number, arch, 0, argument, 0, 0, 0, 0, 0)
    value, position = 0, 0
    while True:
        code, yes, no, constant = steps[position]
        position += 1
        if code == 0x06:
            return int(constant)
        if code == 0x20:
            (value,) = struct.unpack_from("=I", data, constant)
            continue
        hit = {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[code]
        position += yes if hit else no


@pytest.mark.parametrize("machine", sorted(ARCHES))
def test_the_filter_refuses_what_it_should_and_nothing_else(machine: str) -> None:
    program = filter_program(machine)
    assert program
    arch = ARCHES[machine]
    allow, eperm, enosys = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
    assert all(answer(program, arch, number) == eperm for number in REFUSED[machine].values())
    assert answer(program, arch, CLONE[machine], 0x10000000) == eperm
    assert answer(program, arch, CLONE[machine], 0x11) == allow
    assert answer(program, arch, 435) == enosys
    assert answer(program, 0x40000003, 1) == enosys
    ordinary = set(range(400)) - set(REFUSED[machine].values())
    assert all(answer(program, arch, number) == allow for number in ordinary)
    if machine == "x86_64":
        assert answer(program, arch, X32 + 56, 0x10000000) == enosys


HEADERS = {
    "x86_64": ("x86_64-linux-gnu/asm/unistd_64.h",),
    "aarch64": ("asm-generic/unistd.h", "aarch64-linux-gnu/asm-generic/unistd.h"),
}
"""The kernel's own numbers as Debian has them for each architecture; arm64's are the generic ones, to be had anywhere."""


@pytest.mark.parametrize("machine", sorted(ARCHES))
def test_the_numbers_are_the_kernels(machine: str) -> None:
    places = [Path("/usr/include", name) for name in HEADERS[machine]]
    header = next((place for place in places if place.is_file()), None)
    if header is None:
        pytest.skip(f"the kernel's headers for {machine} are not here")
    named = {**REFUSED[machine], "clone": CLONE[machine], "clone3": CLONE3}
    found = dict(re.findall(r"#define __NR_(\w+) (\d+)", header.read_text()))
    assert {name: int(found[name]) for name in named} == named


@pytest.mark.parametrize(
    ("filtered", "said"),
    [(True, "bubblewrap 0.8.0 with a seccomp"), (False, "bubblewrap 0.8.0 without a seccomp")],
)
def test_the_summary_says_whether_there_is_a_filter(filtered: bool, said: str) -> None:
    assert make_facts(seccomp=filtered).summary().startswith(f"{said} filter; cgroup2; ")
    assert make_facts(kind="none").summary().startswith("no sandbox; ")


def test_an_unknown_machine_has_no_filter() -> None:
    assert filter_program("riscv64") is None
