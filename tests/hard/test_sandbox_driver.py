"""Real sandboxes for the hard tests: a driver process per run, as root or as an ordinary user, on a named rung.

The driver is a plain process like the worker's own, so that it can be another user and can be killed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).parents[2] / "slaves" / "src"
NOBODY = 65534

DRIVER = """
import json, os, sys, threading
from dataclasses import asdict
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from pybots_worker.sandbox import *
asked = json.load(sys.stdin)
facts = probe(rung=asked["rung"], allow_unsandboxed=asked.get("unboxed", False))
if asked.get("unboxed"):
    import dataclasses
    facts = dataclasses.replace(facts, kind="none", seccomp=False)
if asked.get("unfiltered"):
    import dataclasses
    facts = dataclasses.replace(facts, seccomp=False)
if "spec" not in asked:
    print(json.dumps({"allowed": facts.allowed, "summary": facts.summary(), "caps": dict(facts.caps),
                      "groups": [str(p) for p in facts.groups.values()]}))
    raise SystemExit
spec = asked["spec"]
spec["mounts"] = tuple(Mount(source=Path(s), target=t, writable=w) for s, t, w in spec["mounts"])
spec["limits"] = Limits(**spec["limits"])
spec["argv"] = tuple(spec["argv"])
seen = {"stdout": b"", "stderr": b"", "header": b""}
counts = dict.fromkeys(seen, 0)
def sink(stream, data):
    counts[stream] += len(data)
    if len(seen[stream]) < 100_000:
        seen[stream] += data
    if asked.get("broken_sink"):
        raise RuntimeError("the sink broke")
    if asked.get("announce") and stream == "stdout":
        os.write(2, b"up")
cancel = threading.Event()
if "cancel" in asked:
    threading.Timer(asked["cancel"], cancel.set).start()
outcome = run(SandboxSpec(**spec), facts=facts, sink=sink, cancel=cancel)
print(json.dumps({**asdict(outcome), "counts": counts, "summary": facts.summary(),
                  **{k: v.decode("utf-8", "replace") for k, v in seen.items()}}))
"""


def offered() -> list[str]:
    """The users and rungs worth trying here; the ids of the tests name them."""
    who = ["root", "user"] if os.geteuid() == 0 else ["user"]
    found = [f"{user}-rlimit" for user in who]
    if Path("/sys/fs/cgroup/memory/memory.stat").exists() and os.geteuid() == 0:
        found.insert(0, "root-cgroup1")
    controllers = Path("/sys/fs/cgroup/cgroup.controllers")
    if controllers.exists() and "memory" in controllers.read_text():
        found = [*(f"{user}-cgroup2" for user in who), *found]
    return found


LIMITS: dict[str, float] = {
    "wall_seconds": 10,
    "cpu_seconds": 10,
    "memory_bytes": 256 << 20,
    "processes": 100,
    "disk_bytes": 64 << 20,
    "log_bytes": 1 << 20,
}


@dataclass
class Box:
    """One variant's folders on the host, and the way to run things in its sandbox."""

    variant: str
    base: Path
    mounts: list[tuple[str, str, bool]] = field(default_factory=list)

    @property
    def rung(self) -> str:
        return self.variant.split("-")[1]

    @property
    def root(self) -> bool:
        return self.variant.startswith("root")

    @property
    def work(self) -> Path:
        """Mounted writable at /work."""
        return self.base / "work"

    def ask(self, argv: list[str], **changes: Any) -> dict[str, Any]:
        """What the driver is told, for `argv`; `changes` go to the limits, the spec or the driver."""
        limits = {name: changes.pop(name, value) for name, value in LIMITS.items()}
        spec = {
            "argv": argv,
            "cwd": changes.pop("cwd", "/work"),
            "env": changes.pop("env", {"PATH": "/usr/bin:/bin", "HOME": "/home/pybots"}),
            "mounts": self.mounts,
            "network": changes.pop("network", False),
            "limits": limits,
        }
        return {"rung": self.rung, "spec": spec, **changes}

    def python(self, code: str, *words: str, **changes: Any) -> dict[str, Any]:
        """Run Python code inside, with the system's interpreter."""
        return self.run(["/usr/bin/python3", "-I", "-S", "-c", code, *words], **changes)

    def sh(self, code: str, **changes: Any) -> dict[str, Any]:
        return self.run(["sh", "-c", code], **changes)

    def run(self, argv: list[str], **changes: Any) -> dict[str, Any]:
        done = drive(self.root, self.ask(argv, **changes))
        assert self.rung in done["summary"]
        return done

    def start(self, argv: list[str], **changes: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            driver_argv(self.root),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin
        process.stdin.write(json.dumps(self.ask(argv, announce=True, **changes)))
        process.stdin.close()
        return process


AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
REACHABLE = "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"


@cache
def ordinary_python() -> str | None:
    """An interpreter that an ordinary user can reach; root's own may lie in root's home."""
    for python in (sys.executable, "/usr/bin/python3"):
        done = subprocess.run([*AS_NOBODY, python, "-c", REACHABLE], capture_output=True, cwd="/")
        if done.returncode == 0:
            return python
    return None


def driver_argv(root: bool) -> list[str]:
    python, prefix = sys.executable, []
    if not root and os.geteuid() == 0:
        found = ordinary_python()
        needs("a Python that an ordinary user can reach", found is not None)
        python, prefix = found or "", AS_NOBODY
    return [*prefix, python, "-B", "-c", DRIVER, str(SOURCES)]


def drive(root: bool, asked: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        driver_argv(root), input=json.dumps(asked), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@cache
def facts(variant: str) -> dict[str, Any]:
    who, rung = variant.split("-")
    return drive(who == "root", {"rung": rung})


def needs(what: str, there: bool) -> None:
    """In CI a missing thing is a failure, elsewhere a skip with a name."""
    if not there:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{what} is missing")


@pytest.fixture(params=offered())
def box(request: pytest.FixtureRequest) -> Iterator[Box]:
    """A sandbox per user and rung; the test's id says which one it proved."""
    variant: str = request.param
    needs("bubblewrap", shutil.which("bwrap") is not None)
    if not facts(variant)["allowed"]:
        pytest.skip(f"this machine does not offer {variant}")
    base = Path(tempfile.mkdtemp(prefix="pybots-box-"))
    found = Box(variant, base)
    found.work.mkdir()
    (base / "shown").mkdir()
    (base / "shown" / "file").write_text("shown")
    (base / "secret").write_text("secret")
    found.mounts = [(str(found.work), "/work", True), (str(base / "shown"), "/opt/a/shown", False)]
    if os.geteuid() == 0:
        uid = 64738 if found.root else NOBODY
        os.chown(found.work, uid, uid)
        if not found.root:
            os.chown(base, uid, uid)
    yield found
    shutil.rmtree(base)


def alive(marker: str) -> list[int]:
    """Host processes with this word on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("rung", ["cgroup2", "cgroup1", "rlimit"])
def test_every_rung_is_tried_somewhere(rung: str) -> None:
    """A rung that this machine hasn't got is proved by nobody here, and that is said."""
    needs("root", os.geteuid() == 0)
    if not any(variant.endswith(rung) for variant in offered()):
        pytest.skip(f"this machine has no {rung}: nothing was proved about it")


def test_the_rungs_here_say_who_holds_which_cap(box: Box) -> None:
    """Every limit has a holder, and on the upper rungs memory is the kernel's business."""
    caps = facts(box.variant)["caps"]
    assert set(caps) == {"wall", "cpu", "memory", "processes", "disk", "log"}
    assert caps["memory"] == ("watchdog" if box.rung == "rlimit" else box.rung)
