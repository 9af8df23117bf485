"""When the package index was asked the same question last: within its own answers' lifetime it is not asked again.

uv keeps the index's answers, and offline it takes them as they are. What is missing is then fetched by asking again,
online. A control is about today, so it always asks.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Final

import msgspec

from pybots_worker.contract import ProjectWork
from pybots_worker.phases.context import Context
from pybots_worker.phases.own import identity

FILE: Final = "asked"
FRESH: Final = 600.0
"""Seconds. What PyPI's own answers say of their freshness (max-age)."""
PINNED: Final = 86400.0
"""For probes whose lock pins everything: an answer of today is as good as one of now."""
KEPT: Final = 20


def lately(context: Context, cache: Path) -> bool:
    """Whether uv's cache has answers to this very question that are fresh enough for this job."""
    job, work = context.job, _work(context)
    age = time.time() - _read(cache).get(_question(work), 0.0)
    if job.purpose in ("routine", "retry"):
        return 0 <= age < FRESH
    return (
        job.purpose == "probe" and bool(work.install.lock and work.test.only) and 0 <= age < PINNED
    )


def note(context: Context, cache: Path) -> None:
    """The index has just answered, and what it gave is installed."""
    known = {**_read(cache), _question(_work(context)): time.time()}
    newest = sorted(known.items(), key=lambda one: one[1])[-KEPT:]
    path = cache.parent / FILE
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.json.encode(dict(newest)))
    part.replace(path)


def _question(work: ProjectWork) -> str:
    """Interpreters are no part of it: the index answers all of them alike."""
    said = (identity(work), work.install, sorted(work.env.items()), work.test.runner)
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()


def _read(cache: Path) -> dict[str, float]:
    try:
        return msgspec.json.decode((cache.parent / FILE).read_bytes(), type=dict[str, float])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def _work(context: Context) -> ProjectWork:
    assert isinstance(context.job.work, ProjectWork)
    return context.job.work
