"""Starting one run and ending it for certain: descriptors, control group, process, and their clean-up."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .argv import bwrap_options, stage_argv
from .cgroups import Group
from .inside import PATH, made_etc, own
from .model import SandboxFacts, SandboxSpec
from .proc import Stat, marked_members
from .seccomp import filter_program
from .unboxed import new_marker, outside

PIPE_BYTES = 1 << 20
PATIENCE = 10.0
JOIN = 'while [ "$1" != -- ]; do echo $$ >"$1" || exit 125; shift; done; shift; exec "$@"'
"""Joins control groups before anything else is born; a caller's own fork hook would not be safe beside threads."""


class SandboxTrouble(Exception):
    """A run could not be started; the reason is in words."""


class Child:
    """A started run. Descriptors: `out`, `err`, `status` (bubblewrap's JSON lines), `exited` (readable at the end)."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        status: int,
        group: Group | None,
        marker: bytes,
    ) -> None:
        assert process.stdout and process.stderr
        self.process = process
        self.out, self.err = process.stdout.fileno(), process.stderr.fileno()
        self.status = status
        self.group = group
        self.marker = marker
        self.exited = os.pidfd_open(process.pid)
        for fd in (self.out, self.err):
            with suppress(OSError):  # a bigger pipe is only quicker; users have a quota of them
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.first_pid: int | None = None
        self.exit_reported = False
        self._first_fd: int | None = None
        self._text = b""

    def learn(self, data: bytes) -> None:
        """Take in what bubblewrap says: the first process's pid at the start, the exit status at the end."""
        self._text += data
        *lines, self._text = self._text.split(b"\n")
        for line in filter(None, lines):
            said = json.loads(line)
            if "child-pid" in said:
                self.first_pid = int(said["child-pid"])
                with suppress(ProcessLookupError):
                    self._first_fd = os.pidfd_open(self.first_pid)
            self.exit_reported |= "exit-code" in said

    def kill(self) -> None:
        """Kill the whole tree. Without a pid namespace that is a best effort."""
        if self._first_fd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first_fd, signal.SIGKILL)
        if self.group:
            self.group.kill()
        if self.process.returncode is None:
            # Not Popen.kill: that may reap, and `reap` wants what the tree used.
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.exited, signal.SIGKILL)

    def wait_gone(self) -> bool:
        """Wait until nothing of the tree is left; the kernel ends a namespace's first process last."""
        if self._first_fd is not None:
            return bool(select.select([self._first_fd], [], [], PATIENCE)[0])
        end = time.monotonic() + PATIENCE
        while left := self._forgotten():
            for stat in left:
                with suppress(ProcessLookupError):
                    os.kill(stat.pid, signal.SIGKILL)
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def _forgotten(self) -> list[Stat]:
        """Without a sandbox: what bears the run's mark and is more than a zombie."""
        if not self.marker:
            return []
        return [stat for stat in marked_members(None, self.marker) if stat.rss_pages]

    def reap(self) -> tuple[int, resource.struct_rusage]:
        """Wait for the outermost process: (return code as `subprocess` has it, what the tree used)."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return self.process.returncode, usage

    def close(self) -> None:
        """Kill what still lives and let go of everything; safe at any time."""
        if self.process.returncode is None:
            self.kill()
            self.reap()
            self.wait_gone()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
        for fd in (self.status, self.exited, self._first_fd):
            if fd is not None:
                os.close(fd)
        if self.group:
            self.group.close()


@contextmanager
def launched(spec: SandboxSpec, facts: SandboxFacts) -> Iterator[Child]:
    """Start the run; whatever happens inside the block, nothing of it is left afterwards.

    Raises SandboxTrouble when it cannot be started.
    """
    with ExitStack() as home, ExitStack() as fds:
        try:
            child = (
                _boxed(spec, facts, fds)
                if facts.kind == "bubblewrap"
                else _bare(spec, facts, home, fds)
            )
        except OSError as error:
            raise SandboxTrouble(f"the sandbox could not be set up: {error}") from error
        try:
            fds.close()  # the child has its own copies, and their end must be seen when it ends
            yield child
        finally:
            child.close()


def _boxed(spec: SandboxSpec, facts: SandboxFacts, fds: ExitStack) -> Child:
    check_sources(spec)
    status, said = _pipe(fds)
    texts = made_etc(spec.hostname, network=spec.network)
    files = {target: _memory_file(fds, text.encode()) for target, text in texts.items()}
    program = filter_program() if facts.seccomp else None
    seccomp_fd = _memory_file(fds, program) if program else None
    options = bwrap_options(spec, facts, files=files, status_fd=said, seccomp_fd=seccomp_fd)
    options_fd = _memory_file(fds, "".join(f"{option}\0" for option in options).encode())
    argv = ["bwrap", "--args", str(options_fd), "--"]
    argv += stage_argv(spec, facts, hard=hard_limits())
    shared = [said, options_fd, *files.values(), *([seccomp_fd] if seccomp_fd is not None else [])]
    return _start(argv, "/", shared, status, _group(spec, facts))


def _bare(spec: SandboxSpec, facts: SandboxFacts, home: ExitStack, fds: ExitStack) -> Child:
    name, value = marker = new_marker()
    spec = outside(spec, _private_home(home), marker)
    status, said = _pipe(fds)
    argv = stage_argv(spec, facts, hard=hard_limits())
    group = _group(spec, facts)
    return _start(argv, spec.cwd, [said], status, group, f"{name}={value}".encode())


def _group(spec: SandboxSpec, facts: SandboxFacts) -> Group | None:
    return Group(facts.groups, spec.limits) if facts.groups else None


def _start(
    argv: list[str], cwd: str, fds: list[int], status: int, group: Group | None, marker: bytes = b""
) -> Child:
    """Start the command in its group; `fds` go to it, `status` stays with us."""
    if group:
        argv = ["/bin/sh", "-c", JOIN, "sh", *map(str, group.procs), "--", *argv]
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=fds,
            cwd=cwd,
            env={"PATH": PATH},  # bubblewrap's own; the job's is built inside
            umask=0o022,
            start_new_session=True,
        )
    except OSError:
        if group:
            group.close()
        raise
    return Child(process, os.dup(status), group, marker)


def check_sources(spec: SandboxSpec) -> None:
    """Refuse a writable mount whose source is a link: an earlier job may have put it there to lead us astray."""
    for mount in spec.mounts:
        if mount.writable and mount.source.is_symlink():
            raise OSError(f"{mount.source} is a symbolic link and is not mounted writable")
        if not mount.source.exists():
            raise FileNotFoundError(
                f"{mount.source}, to be mounted at {mount.target}, does not exist"
            )


def hard_limits() -> Mapping[str, int]:
    """The hard limits already on us, by prlimit's names; unlimited ones are left out."""
    known = {
        "core": resource.RLIMIT_CORE,
        "cpu": resource.RLIMIT_CPU,
        "data": resource.RLIMIT_DATA,
        "fsize": resource.RLIMIT_FSIZE,
        "nproc": resource.RLIMIT_NPROC,
    }
    found = {name: resource.getrlimit(number)[1] for name, number in known.items()}
    return {name: value for name, value in found.items() if value != resource.RLIM_INFINITY}


def _pipe(stack: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for fd in ends:
        stack.callback(os.close, fd)
    return ends


def _memory_file(stack: ExitStack, content: bytes) -> int:
    fd = os.memfd_create("pybots")
    stack.callback(os.close, fd)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _private_home(stack: ExitStack) -> Path:
    home = Path(tempfile.mkdtemp(prefix="pybots-home-"))
    stack.callback(shutil.rmtree, home, ignore_errors=True)
    own(home)
    return home
