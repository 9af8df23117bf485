"""Why a build or an installation failed, from the end of its log: the one line that says it, and the package. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from pybots.core.normal import printable

How = Literal["compiler", "exception", "resolver", "make", ""]

_COMPILER = re.compile(r"(?:^|[\s\]])([^\s:]+\.\w+)(?::\d+){1,2}: (?:fatal )?error: (.+)$")
_OTHER_COMPILERS = re.compile(
    r"(undefined (?:reference to|symbol:?) .+|cannot find -l\S+|error\[E\d+\]: .+)"
)
_EXCEPTION = re.compile(
    r"^(?:E\s+|\s*)([A-Za-z_][\w.]*(?:Error|Exception|Exit|Failed|Failure|NotFound)): (.+)$"
)
_RESOLVER = re.compile(
    r"^\s*(?:[╰├]─▶ |error: |cause: |× )?(Because .+|No solution found.*|No such file or directory.*|.+ was not found in .+)$"
)
_MAKE = re.compile(r"^(?:make(?:\[\d+\])?: \*\*\*|configure: error:) (.+)$")
_TOOL = re.compile(r"^(?!make\b)[\w./+-]+: \S.*$")
"""`install: cannot stat 'Misc/python.man': No such file or directory`"""
_PACKAGE = re.compile(
    r"Failed to (?:download and )?(?:build|prepare|install|fetch):? `?([A-Za-z0-9][\w.-]*(?: ?==? ?[\w.!+-]+)?)"
)
_UNRESOLVED = re.compile(
    r"Because (?:there (?:is|are) no versions? of |only |all versions of "
    r"|the current Python version \([^)]*\) does not satisfy \S+ and )?([A-Za-z0-9][\w.-]*)"
)
_NO_PACKAGES: Final = frozenset({"you", "your", "the", "there", "we", "a"})
"""A project that contradicts itself names no other package."""
_OUTER: Final = frozenset(
    {"CalledProcessError", "CompileError", "LinkError", "SubprocessError", "BackendUnavailable"}
)
"""Exceptions that only say that something else failed."""
MAX_LINE: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Cause:
    """`how` it was found out; `text` is the line; `package` what could not be built or resolved, when the log says so."""

    how: How
    text: str
    package: str = ""
    local: bool = False
    """Whether the package is a folder of the job's: the project under test itself."""

    def __str__(self) -> str:
        if self.package and self.how != "resolver":
            return f"{self.package} does not build: {self.text}"
        return self.text


def cause(log: str) -> Cause | None:
    """The cause in the end of a log, or None when no line says one."""
    lines = [line[:MAX_LINE].rstrip() for line in printable(log).splitlines()]
    found = _compiler(lines) or _exception(lines) or _resolver(lines) or _make(lines)
    if found is None:
        return None
    package, local = _package(lines)
    return Cause(how=found[0], text=found[1], package=package, local=local)


def _compiler(lines: list[str]) -> tuple[How, str] | None:
    for line in lines:
        if match := _COMPILER.search(line):
            return "compiler", f"{match[1].rsplit('/', 1)[-1]}: {match[2]}"
        if match := _OTHER_COMPILERS.search(line):
            return "compiler", match[1]
    return None


def _exception(lines: list[str]) -> tuple[How, str] | None:
    found = [match for line in lines if (match := _EXCEPTION.match(line))]
    telling = [match for match in found if match[1].rsplit(".", 1)[-1] not in _OUTER]
    if not found:
        return None
    last = (telling or found)[-1]
    return "exception", f"{last[1].rsplit('.', 1)[-1]}: {last[2]}"


def _resolver(lines: list[str]) -> tuple[How, str] | None:
    for line in reversed(lines):
        if match := _RESOLVER.search(line):
            return "resolver", match[1]
    return None


def _make(lines: list[str]) -> tuple[How, str] | None:
    """What make says; rather what the tool that failed said right before it."""
    for before, line in zip(["", *lines], lines, strict=False):
        if match := _MAKE.match(line):
            return "make", before if _TOOL.match(before) else match[1]
    return None


def _package(lines: list[str]) -> tuple[str, bool]:
    for line in lines:
        if match := _PACKAGE.search(line):
            return match[1].replace(" ", ""), " @ file:" in line
    for line in lines:
        if (match := _UNRESOLVED.search(line)) and match[1] not in _NO_PACKAGES:
            return match[1], False
    return "", False
