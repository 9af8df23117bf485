"""Where things lie: on the host in the job's folder, inside the sandbox at fixed paths.

jobs/<run>-<attempt>/
  job.json            what was asked
  begun               when, as seconds since the epoch
  phases/<phase>.json what each phase came to
  found/<phase>.json  what it found out for the report
  work/               = /pybots inside, the job user's own: everything below was written by strangers
  given/              = /opt/pybots/job inside, read-only: what the kit tells its scripts
  prefix/             = /opt/pybots/python while an interpreter is built, and while CPython's own suite runs
  report.json, report.json.digest
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pybots_worker.contract import BUILD_ROOT, PREFIX

KIT: Final = "/opt/pybots/kit"
"""The scripts of `inside/`, read-only."""
GIVEN: Final = "/opt/pybots/job"
"""The kit's files for this job, read-only. The kit never writes into a folder where a job's code has run: that code
may have put a link in the way."""
UV: Final = "/opt/pybots/bin/uv"
UV_CACHE: Final = "/opt/pybots/uv-cache"
OWN: Final = "/opt/pybots/own"
"""A build of the project that was kept, read-only."""
CCACHE: Final = "/opt/pybots/ccache"
"""What builds before compiled, read-only."""
CCACHE_DIR: Final = f"{BUILD_ROOT}/ccache"
OBJECTS: Final = f"{BUILD_ROOT}/objects"
"""What this build compiles, for the kit to take over (`objects.py`)."""
CPYTHON: Final = f"{BUILD_ROOT}/cpython"
SOURCE: Final = f"{BUILD_ROOT}/source"
VENV: Final = f"{BUILD_ROOT}/venv"
RESULTS: Final = f"{BUILD_ROOT}/results"
PYTHON: Final = f"{PREFIX}/bin/python3"
INSIDE: Final = Path(__file__).parent / "inside"


@dataclass(frozen=True)
class JobFolder:
    """One attempt's folder on the host."""

    root: Path

    @property
    def name(self) -> str:
        """`<run>-<attempt>`."""
        return self.root.name

    @property
    def job(self) -> Path:
        return self.root / "job.json"

    @property
    def begun(self) -> Path:
        return self.root / "begun"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def given(self) -> Path:
        return self.root / "given"

    @property
    def prefix(self) -> Path:
        return self.root / "prefix"

    @property
    def report(self) -> Path:
        return self.root / "report.json"

    @property
    def digest(self) -> Path:
        """`{"sha256": …, "size": …}` of the report as it was uploaded."""
        return self.root / "report.json.digest"

    def phase(self, name: str) -> Path:
        return self.root / "phases" / f"{name}.json"

    def found(self, name: str) -> Path:
        return self.root / "found" / f"{name}.json"

    def outside(self, inside: str) -> Path:
        """The host's name of a path below /pybots. Strangers may have put links there: see `take`."""
        return self.work / Path(inside).relative_to(BUILD_ROOT)
