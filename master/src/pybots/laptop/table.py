"""The registry's table in Markdown: what ran on a CPython under test, and on the control beside it. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pybots.laptop.suites import Result, one_line

BEGIN: Final = "<!-- table: pybots project table -->"
END: Final = "<!-- table end -->"
SHOWN: Final = 5
"""Failures that are named; the others are counted."""

Key = tuple[str, str]
"""Project and source."""

HEAD: Final = (
    "project", "runner", "version", "tests", "passed", "failed", "skipped",
    "control: tests", "passed", "failed", "skipped", "seconds", "cores", "install: cold s", "warm s", "ratio",
)  # fmt: skip


def render(
    python: Iterable[Result], control: Iterable[Result], files: Mapping[str, str] | None = None
) -> str:
    """The section between the markers: when and on what, the table, the failures by name, the share of installing warm.

    `files` are the projects' files as text, which may explain failures: `# Known red …`.
    """
    tested = {(one.project, one.source): one for one in python}
    beside = {(one.project, one.source): one for one in control}
    keys = sorted({*tested, *beside})
    if not keys:
        return "Nothing has been run yet.\n"
    rows = [_row(key, tested.get(key), beside.get(key)) for key in keys]
    text = [
        *_preface([*tested.values()], [*beside.values()]),
        "",
        _line(HEAD),
        _line(["---"] * len(HEAD)),
    ]
    text += [_line(row) for row in rows]
    text += ["", _install(tested.values())]
    bad = [line for key in keys for line in _explained(key, tested, beside, files or {})]
    return "\n".join([*text, *(["", "What did not pass:", "", *bad] if bad else [])]) + "\n"


def put_in(page: str, section: str) -> str:
    """The page with the section between its markers replaced. Raises ValueError when it has none."""
    found = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not found.search(page):
        raise ValueError(f"has no section between {BEGIN} and {END}")
    return found.sub(lambda _: f"{BEGIN}\n{section}{END}", page, count=1)


def _preface(tested: Sequence[Result], beside: Sequence[Result]) -> list[str]:
    every = [*tested, *beside]
    days = sorted({time.strftime("%Y-%m-%d", time.gmtime(one.when)) for one in every})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    machine = ", ".join(sorted({f"{one.system}, {one.cores} cores" for one in every}))
    return [
        f"Run on {when} (UTC), {machine}. Under test: CPython {_pythons(tested)}; control: the system's own "
        f"CPython {_pythons(beside)}.",
        "`seconds` are those of the tests, with the retries of what failed; `cores` is their CPU time over that. Passed "
        "includes what is expected to fail, and the flaky ones, which failed first and passed when run again. `cold` is installing "
        "with nothing kept, `warm` the same installation once more, as in a run's second attempt.",
    ]


def _pythons(results: Iterable[Result]) -> str:
    return ", ".join(sorted({one.python for one in results if one.python})) or "–"


def _row(key: Key, tested: Result | None, beside: Result | None) -> list[str]:
    either = tested or beside
    assert either is not None
    name = key[0] if key[1] == "release" else f"{key[0]} ({key[1]})"
    version = either.revision
    if tested and beside and tested.revision != beside.revision:
        version += f" (control: {beside.revision})"
    timed = tested or beside
    cores = f"{timed.cpu / timed.seconds:.1f}" if timed and timed.seconds else "–"
    return [
        name, either.runner, version, *_counts(tested), *_counts(beside),
        f"{timed.seconds:,.0f}" if timed and timed.seconds else "–", cores, *_times(tested),
    ]  # fmt: skip


def _counts(result: Result | None) -> list[str]:
    if result is None:
        return ["–"] * 4
    if result.trouble:
        return ["0", "–", f"**{result.trouble.partition(':')[0]}**", "–"]
    flaky = f" ({result.flaky} flaky)" if result.flaky else ""
    failed = f"**{result.failed:,}**" if result.failed else "0"
    passed = f"{result.passed + result.xfailed:,}{flaky}"
    return [f"{result.tests:,}", passed, failed, f"{result.skipped:,}"]


def _times(result: Result | None) -> list[str]:
    if result is None or (share := _share(result)) is None:
        return ["–"] * 3
    return [f"{result.cold:.1f}", f"{result.warm:.1f}", f"{share:.2f}"]


def _share(result: Result) -> float | None:
    """Warm over cold; None: not timed, or it is CPython itself, of which nothing is installed."""
    if result.source == "own" or not result.cold or result.warm is None:
        return None
    return result.warm / result.cold


def _install(results: Iterable[Result]) -> str:
    shares = [share for one in results if (share := _share(one)) is not None]
    if not shares:
        return "Installing was not timed."
    mean = sum(shares) / len(shares)
    return f"Installing with warm caches took {mean:.2f} of the time with cold ones, on average over {len(shares)} projects."


def _explained(
    key: Key, tested: Mapping[Key, Result], beside: Mapping[Key, Result], files: Mapping[str, str]
) -> Iterable[str]:
    """What failed, and what the project's file says of it; what it does not explain is open."""
    lines = list(_failures(key, tested, beside))
    yield from lines
    if lines:
        known = known_red(files.get(key[0], ""))
        yield (
            f"  - [its file]({key[0]}.toml): {known}"
            if known
            else "  - **open**: not explained in its file"
        )


def known_red(text: str) -> str:
    """The comment of a project file that explains failures, up to the first line that is none, as one line.

    >>> known_red("a = 1\\n# Known red: one\\n# of two.\\n\\n# More.")
    'Known red: one of two.'
    """
    found = re.search(r"^# Known red.*(?:\n# .*)*", text, re.MULTILINE)
    return one_line(re.sub(r"^# ", "", found[0], flags=re.MULTILINE)) if found else ""


def _failures(
    key: Key, tested: Mapping[Key, Result], beside: Mapping[Key, Result]
) -> Iterable[str]:
    one, other = tested.get(key), beside.get(key)
    if one is not None:
        both = set(other.failures) if other else set()
        yield from _told(key, one, f"CPython {one.python}", both)
    if other is not None:
        yield from _told(key, other, f"control {other.python}", set(one.failures) if one else set())


def _told(key: Key, result: Result, where: str, both: set[str]) -> Iterable[str]:
    if result.trouble:
        yield f"- {key[0]} on {where}: {_code(result.trouble)}"
    elif result.failures:
        names = ", ".join(
            _code(name) + (" (on both)" if name in both else "") for name in result.failures[:SHOWN]
        )
        more = len(result.failures) - SHOWN
        yield f"- {key[0]} on {where}: {names}" + (f" and {more} more" if more > 0 else "")


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _code(text: str) -> str:
    """A stranger's words as code in a page."""
    return "`" + one_line(text).replace("`", "'")[:160] + "`"
