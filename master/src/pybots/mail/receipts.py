"""The weekly receipt of a worker: what ran there, for how long, what it found. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pybots.core.normal import one_line
from pybots.mail.lines import WIDTH, body, counted, cut, number, wrap
from pybots.mail.message import MAX_SUBJECT

SHOWN = 30


@dataclass(frozen=True, kw_only=True)
class Done:
    """Runs of one project (or of CPython itself) on the worker. `found`: breakages that began with one of them."""

    what: str
    runs: int
    seconds: float
    found: int = 0


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A worker's week; `lost`: runs that came to nothing there and were done again elsewhere."""

    worker: str
    day: str
    done: tuple[Done, ...]
    lost: int = 0


def text(receipt: Receipt, url: str) -> tuple[str, str]:
    """Subject and body."""
    runs = sum(one.runs for one in receipt.done)
    subject = (
        f"[Pybots] your worker {receipt.worker}: {number(runs, 'run')} in the week to {receipt.day}"
    )
    return one_line(subject, MAX_SUBJECT), body(_lines(receipt, url))


def _lines(receipt: Receipt, url: str) -> Iterator[str]:
    hours = sum(one.seconds for one in receipt.done) / 3600
    found = sum(one.found for one in receipt.done)
    opening = (
        f"In the week to {receipt.day} your worker {receipt.worker} worked for {hours:.1f} hours."
    )
    if found:
        opening += f" It was the first to see {number(found, 'breakage')}."
    if receipt.lost:
        opening += f" {number(receipt.lost, 'run')} came to nothing there, and went to another."
    yield from wrap(f"{opening} Thank you.")
    yield ""
    lines = [
        cut(
            f"  {one.what:24} {one.runs:5} runs {one.seconds / 3600:7.1f} h"
            + (f"  {number(one.found, 'breakage')} found" if one.found else ""),
            WIDTH,
        )
        for one in receipt.done
    ]
    yield from counted(lines, SHOWN)
    yield from ("", f"See:       {url.rstrip('/')}/worker/{receipt.worker}", "", "--")
    yield from wrap(
        "You asked for this letter in the worker's own settings: `receipt = false` in worker.toml ends it."
    )
