"""A decision in one line, for pages, mail and tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pybots.core.causes import cause
from pybots.core.model import Counts
from pybots.core.normal import one_line
from pybots.core.outcomes import INSTALL, TESTS, Bad, extension_name, is_extension, is_test
from pybots.core.signatures import exception_of

MAX_SUMMARY: Final = 300


def error_line(bad: Bad, limit: int = 120) -> str:
    """The error in the program's own words: `TypeError: unhashable type`."""
    if bad.kind in ("install", "interpreter") and (why := cause(bad.failure.detail)):
        return one_line(str(why), limit)
    kind, message = bad.failure.type.rsplit(".", 1)[-1], bad.failure.message
    if bad.kind == "collection":  # what the loader wraps is the error, not the wrapping
        kind, message = exception_of(bad.failure)
    message = message.strip().split("\n", 1)[0]
    joined = message if not kind or message.startswith(kind) else f"{kind}: {message}"
    return one_line(joined or bad.outcome.replace("_", " "), limit)


def names_words(found: Sequence[Bad]) -> str:
    """What is bad, in few words: `tests/test_a.py::test_b`, `3 tests`, `the installation` …"""
    tests = [bad for bad in found if is_test(bad.id)]
    extensions = [extension_name(bad.id) for bad in found if is_extension(bad.id)]
    parts = []
    if any(bad.id == INSTALL for bad in found):
        parts.append("the installation")
    if any(bad.id == TESTS for bad in found):
        parts.append("the suite as a whole")
    if extensions:
        parts.append(f"extension module {', '.join(extensions[:3])}")
    if len(tests) == 1:
        parts.append(one_line(tests[0].id))
    elif tests:
        parts.append(f"{len(tests):,} tests")
    return " and ".join(parts)


def red_words(found: Sequence[Bad]) -> str:
    """Names and the first error."""
    return one_line(f"{names_words(found)}: {error_line(found[0])}", MAX_SUMMARY) if found else ""


def new_words(new: Sequence[Bad], still: Sequence[Bad]) -> str:
    were = "was" if len(still) == 1 else "were"
    more = f" ({len(still):,} more {were} bad before)" if still else ""
    return f"new: {red_words(new)}{more}"


def still_words(still: Sequence[Bad]) -> str:
    return f"still: {red_words(still)}"


def baseline_words(still: Sequence[Bad]) -> str:
    return f"baseline: {red_words(still)}"


def fixed_words(fixed: Sequence[str]) -> str:
    if list(fixed) == [INSTALL]:
        return "fixed: it installs again"
    tests = [name for name in fixed if is_test(name)]
    if len(tests) == len(fixed) == 1:
        return f"fixed: {one_line(tests[0])} passes again"
    if tests:
        return f"fixed: {len(tests):,} test{'s' if len(tests) > 1 else ''} pass again"
    if all(is_extension(name) for name in fixed):
        return f"fixed: extension module {extension_name(fixed[0])} is back"
    return "fixed: the suite runs to its end again"


def blocked_words(summary: str, why: Sequence[str]) -> str:
    """A red run whose control is red too, or whose dependency is. `why`: names of dependencies, or `environment`."""
    blamed = ", ".join(one_line(name, 60) for name in why[:3]) or "environment"
    said = summary.partition(": ")[2] if summary.startswith(("new: ", "still: ")) else summary
    return one_line(f"blocked: {blamed}: {said}", MAX_SUMMARY)


def unblocked_words(summary: str) -> str:
    """A blocked run of which it has turned out that nothing else is to blame."""
    said = summary.partition(": ")[2].partition(": ")[2] if summary.startswith("blocked: ") else ""
    return f"still: {said}" if said else summary


def chance_words(names: Sequence[str], rest: str) -> str:
    """A run whose failures passed when the very same was run once more. `rest`: what it said before, of what is left."""
    what = one_line(names[0]) if len(names) == 1 else f"{len(names):,} tests"
    said = f"flaky: {what} failed, and passed when all was run once more"
    return one_line(f"{said}; {rest}" if rest else said, MAX_SUMMARY)


def passed_words(counts: Counts) -> str:
    parts = [f"{counts.passed:,} passed"]
    parts += [f"{counts.skipped:,} skipped"] if counts.skipped else []
    parts += [f"{counts.flaky:,} only when retried"] if counts.flaky else []
    return ", ".join(parts)


def breakage_title(found: Sequence[Bad]) -> str:
    """A breakage in one line: the error, and for things that have none, what is missing."""
    first = found[0]
    if first.kind in ("hollow", "install", "interpreter", "crash", "timeout", "memory"):
        return one_line(f"{names_words(found) or 'the interpreter'}: {error_line(first)}", 200)
    return error_line(first, 200)
