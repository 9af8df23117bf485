"""What an investigation proved, in a letter: the change, who made it, the evidence, how sure it is. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pybots.core.evidence import Line
from pybots.core.normal import one_line
from pybots.mail.lines import WIDTH, counted, cut, number, quoted, wrap
from pybots.mail.story import Finding, Story

SHOWN_FILES: Final = 8
SHOWN_EVIDENCE: Final = 14
QUOTED: Final = 6
WHOSE: Final = {
    "cpython": "CPython's commit",
    "project": "the project's own commit",
    "dependency": "the dependency",
}


def of(story: Story) -> Finding | None:
    """The finding that a letter of this thread tells; None while there is none."""
    if story.topic in ("fixed", "withdrawn", "pointer"):
        return None
    return next((row.finding for row in story.rows if row.finding is not None), None)


def opening(found: Finding, what: str, branch: str, did: str = "broke") -> str:
    """The first sentence. `did`: what the change did, "broke" or "mended"."""
    whose = WHOSE.get(found.axis, found.axis)
    where = f" of {branch}" if found.axis == "cpython" else ""
    by = f" by {one_line(found.author, 60)}" if found.author else ""
    title = f' "{one_line(found.title, 100)}"' if found.title else ""
    announced = " It is an announced change." if found.announced else ""
    return (
        f"{whose[:1].upper()}{whose[1:]}{where} {short(found.id)}{title}{by} is what {did} {what}:"
        f" proved by experiment, confidence {percent(found.confidence)}.{announced}"
    )


def lines(story: Story) -> Iterator[str]:
    """The change, where it is announced, and the evidence; nothing while there is no finding."""
    found = of(story)
    if found is None:
        return
    yield from _change(found)
    if found.announced:
        yield from _announced(found)
    yield "The evidence:"
    yield ""
    yield "  passed  failed  what was run"
    rows = [_evidence(line) for line in found.evidence]
    yield from counted(rows[-SHOWN_EVIDENCE:], SHOWN_EVIDENCE)
    yield ""
    yield from wrap(f"{found.reason[:1].upper()}{found.reason[1:]}.")
    yield ""


def _change(found: Finding) -> Iterator[str]:
    yield f"  {cut(found.id, WIDTH - 2)}"
    if found.author:
        yield f"  {cut(one_line(found.author, 200), WIDTH - 2)}"
    if found.title:
        yield f"  {cut(one_line(found.title, 200), WIDTH - 2)}"
    for name in found.files[:SHOWN_FILES]:
        yield f"      {cut(one_line(name, 300), WIDTH - 6)}"
    left = len(found.files) - SHOWN_FILES + found.files_left_out
    if left > 0:
        yield f"      … and {number(left, 'more file')}"
    yield ""


def _announced(found: Finding) -> Iterator[str]:
    assert found.announced is not None
    where = f"{one_line(found.announced.file, 60)}:{found.announced.line}"
    yield from wrap(f"It is an announced change. CPython's own documentation says, in {where}:")
    yield ""
    yield from quoted(found.announced.quote, QUOTED)
    yield ""


def _evidence(line: Line) -> str:
    counts = f"  {line.passed or '–':>6}  {line.failed or '–':>6}  "
    skipped = f" ({line.skipped} could not be tested)" if line.skipped else ""
    return cut(f"{counts}{one_line(line.what, 200)}", WIDTH - len(skipped)) + skipped


def short(id: str) -> str:
    """A sha's first dozen; a version or pin as it is."""
    return id[:12] if len(id) == 40 else one_line(id, 60)


def percent(confidence: float) -> str:
    """Rounded down: nothing that was measured is certain."""
    return f"{min(int(confidence * 1000) / 10, 99.9):g} %"
