"""Interpreters for probes: found by content key in the worker kit's cache, else built, and kept there.

A probe's interpreter is compiled without optimisation, has no pip and no byte-code (DESIGN §5); it is never published.
Byte-code is never carried from one interpreter to another: a prefix belongs to one key and is mounted read-only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from pybots.core.interpreters import interpreter_key
from pybots.core.model import Flavour
from pybots.farm import git
from pybots.farm.jobs import prepare_source
from pybots.laptop.workbench import LaptopError, Workbench, silent
from pybots_worker import contract
from pybots_worker.cache import Shelf
from pybots_worker.sandbox import Sink

BUILD: Final[tuple[contract.Phase, ...]] = ("source", "configure", "compile", "install")
NEVER: Final = "file:///nowhere"
"""Where an interpreter that was built here would be downloaded from: it is in the cache under its key."""


class BuildFailed(LaptopError):
    """The commit does not build: a skip for a search, the end for anybody else."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """An interpreter that is there. `phases` are the seconds of each phase of its build, empty when it was in the cache;
    `cpu` the seconds that its processes worked."""

    ref: contract.InterpreterRef
    phases: Mapping[str, float] = field(default_factory=dict)
    cpu: Mapping[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return sum(self.phases.values())


@dataclass(kw_only=True)
class Interpreters:
    """The interpreters of one flavour and recipe."""

    bench: Workbench
    flavour: Flavour
    recipe: contract.Recipe
    builds: int = 0
    """How many were built, and did not come from the cache."""
    _keys: dict[str, str] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def key(self, sha: str) -> str:
        """The interpreter's key: commits with equal keys share it."""
        if sha not in self._keys:
            self._keys[sha] = interpreter_key(
                content_key=git.content_key(self.bench.repository, sha),
                flavour=self.flavour.name, recipe=self.recipe, abi=self.bench.abi, trust="farm",
            )  # fmt: skip
        return self._keys[sha]

    def has(self, sha: str) -> bool:
        """Whether it is in the cache."""
        return (self._shelf.root / self.key(sha) / "size").exists()

    @property
    def _shelf(self) -> Shelf:
        return self.bench.workshop.machine.interpreters

    @contextmanager
    def held(self, built: Built) -> Iterator[Path]:
        """Its folder, kept from removal inside the block. Raises LaptopError when it has gone meanwhile."""

        def gone(_path: Path) -> None:
            raise LaptopError(
                f"the interpreter of {built.ref.commit[:12]} is not in the cache any more"
            )

        with self._shelf.hold(built.ref.key, gone, check=lambda: None) as prefix:
            yield prefix

    def get(self, sha: str, sink: Sink = silent) -> Built:
        """The interpreter of a commit, built unless it is there. Raises BuildFailed."""
        key = self.key(sha)
        ref = contract.InterpreterRef(
            key=key, commit=sha, branch="main", flavour=self.flavour.name,
            blob=contract.Blob(url=NEVER, sha256=key, size=0),
        )  # fmt: skip
        if self.has(sha):
            return Built(ref=ref)
        if key in self._failed:
            raise BuildFailed(self._failed[key])
        try:
            phases, cpu = self._build(sha, key, sink)
        except BuildFailed as error:
            self._failed[key] = str(error)
            raise
        return Built(ref=ref, phases=phases, cpu=cpu)

    def _build(self, sha: str, key: str, sink: Sink) -> tuple[dict[str, float], dict[str, float]]:
        began = time.monotonic()
        content = git.content_key(self.bench.repository, sha)
        tree = prepare_source(self.bench.farm, sha, content)
        phases = {"archive": time.monotonic() - began}
        work = contract.InterpreterWork(
            key=key,
            commit=sha,
            branch="main",
            flavour=self.flavour.name,
            source=self.bench.blob(tree.sha256),
            recipe=self.recipe,
            artifact=contract.Upload(url=NEVER, token="local", max_bytes=1),
        )
        with self.bench.working(self.bench.job(work)) as folder:
            report = self.bench.run(folder, BUILD, sink)
            phases |= {result.phase: result.wall_seconds for result in report.phases}
            last = report.phases[-1]
            if last.phase != "install" or not last.ok:
                raise _failure(sha, last)
            began = time.monotonic()
            self._shelf.adopt(key, folder.prefix)
        phases["keep"] = time.monotonic() - began
        with self._lock:
            self.builds += 1
        return phases, {result.phase: result.cpu_seconds or 0.0 for result in report.phases}


def _failure(sha: str, phase: contract.PhaseResult) -> LaptopError:
    said = phase.failure.message.splitlines()[0] if phase.failure and phase.failure.message else ""
    text = f"{sha[:12]} does not build: {phase.phase}: {phase.ended.replace('_', ' ')}: {said}"
    if phase.ended in ("farm_error", "sandbox_error", "cancelled", "disk", "memory"):
        return LaptopError(text)
    return BuildFailed(text)


def recipe_text(recipe: contract.Recipe) -> str:
    """A recipe as one line of JSON, for a journal's key."""
    return msgspec.json.encode(recipe, order="deterministic").decode()
