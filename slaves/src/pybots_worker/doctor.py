"""`pybots-worker doctor`: what this machine can do, what it lacks, and the step that mends it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import uv

from pybots_worker import farmlink, services
from pybots_worker.facts import Facts, measure
from pybots_worker.sandbox import SandboxFacts, probe
from pybots_worker.settings import SettingsError, WorkshopSettings, load

State = Literal["ok", "warning", "error"]
GIB: Final = 1 << 30
LEAST_DISK: Final = 5 * GIB
LEAST_MEMORY: Final = 2 * GIB
MOST_SKEW: Final = 60.0
"""Seconds between two clocks that hurt nobody: files from the future, tokens, the order of events."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at. `mend` says what to do unless it is ok."""

    name: str
    state: State
    what: str
    mend: str = ""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Everything found. The machine can work when nothing is an error."""

    findings: tuple[Finding, ...]
    facts: Facts

    @property
    def ok(self) -> bool:
        return all(finding.state != "error" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """For programs: {"ok", "facts", "findings"}."""
        return {
            "ok": self.ok,
            "facts": vars(self.facts) | {"provided": list(self.facts.provided)},
            "findings": [vars(finding) for finding in self.findings],
        }


def diagnose(root: Path, way: farmlink.Way | None = None) -> Diagnosis:
    """Look at everything a worker in `root` needs. Changes nothing.

    `way`: the farm to compare clocks with; None: the one it has joined, if any."""
    settings, trouble = _settings(root)
    if way is None and settings.farm:
        way = way_of(settings)
    facts = measure(settings.provides)
    box = probe(allow_unsandboxed=settings.allow_unsandboxed)
    findings = [
        *trouble,
        *_sandbox(box),
        _program("git", "git", "error"),
        _program("make", "make", "error"),
        _compiler(facts),
        _ccache(facts),
        *_headers(facts),
        _services(facts),
        _uv(),
        _disk(root),
        _memory(facts),
        *([_clock(way)] if way else []),
    ]
    return Diagnosis(findings=tuple(findings), facts=facts)


def _settings(root: Path) -> tuple[WorkshopSettings, list[Finding]]:
    try:
        return load(root), []
    except SettingsError as error:
        mend = "correct the file; see slaves/README.md for its keys"
        return WorkshopSettings(), [
            Finding(name="settings", state="error", what=str(error), mend=mend)
        ]


def _sandbox(box: SandboxFacts) -> Iterable[Finding]:
    state: State = "ok" if box.usable and box.kind == "bubblewrap" else "error"
    if box.usable and box.kind == "none":
        state = "warning"
    mend = next((problem.mend for problem in box.problems), "") if state != "ok" else ""
    yield Finding(name="sandbox", state=state, what=box.summary(), mend=mend)
    for problem in box.problems if state == "ok" else ():
        yield Finding(name="caps", state="warning", what=problem.what, mend=problem.mend)


def _program(name: str, package: str, missing: State) -> Finding:
    path = shutil.which(name)
    if path:
        return Finding(name=name, state="ok", what=path)
    return Finding(name=name, state=missing, what="missing", mend=_apt(package))


def _compiler(facts: Facts) -> Finding:
    if facts.compiler:
        return Finding(name="compiler", state="ok", what=facts.compiler)
    mend = _apt("build-essential")
    return Finding(name="compiler", state="error", what="gcc is missing", mend=mend)


def _ccache(facts: Facts) -> Finding:
    if "ccache" in facts.provided:
        return Finding(name="ccache", state="ok", what="neighbouring commits build in seconds")
    what = "missing: every commit is compiled from nothing"
    return Finding(name="ccache", state="warning", what=what, mend=_apt("ccache"))


PACKAGES: Final = {
    "headers:bz2": "libbz2-dev",
    "headers:ffi": "libffi-dev",
    "headers:lzma": "liblzma-dev",
    "headers:readline": "libreadline-dev",
    "headers:sqlite": "libsqlite3-dev",
    "headers:ssl": "libssl-dev",
    "headers:uuid": "uuid-dev",
    "headers:zlib": "zlib1g-dev",
}
"""Without these CPython builds, but lacks modules that many projects need."""


def _headers(facts: Facts) -> Iterable[Finding]:
    missing = [name for name in PACKAGES if name not in facts.provided]
    if missing:
        what = f"missing: {', '.join(name.partition(':')[2] for name in missing)}"
        mend = _apt(*(PACKAGES[name] for name in missing))
        yield Finding(name="headers", state="warning", what=what, mend=mend)
    else:
        yield Finding(name="headers", state="ok", what="all of the standard library can be built")


def _services(facts: Facts) -> Finding:
    """None of them is missed by CPython or by most projects."""
    there = [name for name in services.PROGRAMS if f"service:{name}" in facts.provided]
    if there:
        return Finding(
            name="services", state="ok", what=f"jobs can have their own {', '.join(there)}"
        )
    return Finding(name="services", state="ok", what="no database servers for jobs that want one")


def _uv() -> Finding:
    try:
        return Finding(name="uv", state="ok", what=str(uv.find_uv_bin()))
    except FileNotFoundError:
        mend = "install the kit again: uv is one of its requirements"
        return Finding(name="uv", state="error", what="missing", mend=mend)


def _disk(root: Path) -> Finding:
    there = next(path for path in (root, *root.resolve().parents) if path.exists())
    free = shutil.disk_usage(there).free
    what = f"{free / GIB:.1f} GiB free in {there}"
    if free >= LEAST_DISK:
        return Finding(name="disk", state="ok", what=what)
    return Finding(name="disk", state="error", what=what, mend="make room: 5 GiB at least")


def _memory(facts: Facts) -> Finding:
    what = f"{facts.memory_bytes / GIB:.1f} GiB, {facts.cores} processors"
    if facts.memory_bytes >= LEAST_MEMORY:
        return Finding(name="memory", state="ok", what=what)
    mend = "2 GiB are needed to build CPython"
    return Finding(name="memory", state="warning", what=what, mend=mend)


def way_of(settings: WorkshopSettings) -> farmlink.Way:
    """How the farm that this worker has joined is reached."""
    return farmlink.Way(url=settings.farm, ca=settings.ca, strict=settings.ca_for_web)


def _clock(way: farmlink.Way) -> Finding:
    """Compared with the farm's, which is told in whole seconds."""
    try:
        theirs = farmlink.clock(way)
    except (farmlink.LinkError, farmlink.Turned) as error:
        mend = "is the farm up, and does this machine reach it?"
        return Finding(name="farm", state="warning", what=str(error), mend=mend)
    if theirs is None:
        return Finding(name="clock", state="ok", what="the farm does not tell the time")
    skew = time.time() - theirs - 0.5
    what = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the farm's"
    if abs(skew) <= MOST_SKEW:
        return Finding(name="clock", state="ok", what=what)
    mend = "switch time synchronisation on: sudo timedatectl set-ntp true"
    return Finding(name="clock", state="warning", what=what, mend=mend)


def _apt(*packages: str) -> str:
    """The command that mends it, on Debian and its like; elsewhere the packages' names there are a hint."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt install {' '.join(packages)}"


def show(diagnosis: Diagnosis, write: Callable[[str], object]) -> None:
    """For people: one line a finding, with its mend below."""
    marks = {"ok": "✓", "warning": "~", "error": "✗"}
    for finding in diagnosis.findings:
        write(f"{marks[finding.state]} {finding.name:10} {finding.what}")
        if finding.mend:
            write(f"  {'':10} → {finding.mend}")
    facts = diagnosis.facts
    write(f"  {'platform':10} {facts.platform}, {facts.abi}")
    write(f"  {'provides':10} {' '.join(facts.provided)}")
