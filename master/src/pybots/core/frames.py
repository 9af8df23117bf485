"""Where a failure happened: the frames of tracebacks and crash dumps, in normal form. Pure.

Understood: Python's own tracebacks (unittest, trial, django, pytest --tb=native), pytest's long and short styles, and
faulthandler's dumps after a crash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Final

from pybots.core.normal import printable, shape

STDLIB: Final = "stdlib"
SOURCE: Final = "source"
"""The owner of frames that are neither the standard library's nor an installed package's: the tree under test."""
MAX_FRAMES: Final = 3
MAX_STDLIB: Final = 2

_NATIVE = re.compile(r'^\s*File "([^"\n]+)", line \d+(?:, in (.+)| in (.+))?$')
_PYTEST = re.compile(r"^(\S+\.(?:py|pyx)):\d+:(?: in (\S+)| ?(\S*))$")
_DEF = re.compile(r"^[ >]\s*(?:async )?def (\w+)\(")
_MARKED = re.compile(r"^>\s+(\S.*)$")
_PYTHON_LIB = re.compile(r"^.*/lib/python3(?:\.\d+t?)?/")
_TEST = re.compile(r"(?:^|/)tests?/|(?:^|/)(?:test_[^/]*|[^/]*_tests?|tests?|conftest)\.py$")
"""Paths of tests and of what helps them, as frames have them."""
_TREE = re.compile(
    r"^.*?/pybots/(?:source|src|build|work|project|venv|cpython)/(?:[\w.+-]+-\d[\w.+-]*/)?"
)


@dataclass(frozen=True)
class Frame:
    """One call. `path` is relative to its owner; `text` is the source line when the traceback shows it."""

    owner: str
    path: str
    function: str
    text: str = ""


def frames(detail: str) -> list[Frame]:
    """All frames of the *last* traceback in the text, innermost first."""
    lines = printable(detail).splitlines()
    native = _native(lines)
    return native or _pytest(lines)


def top(found: list[Frame], *, callers: bool = True) -> list[Frame]:
    """The frames that tell one failure from another: the innermost of one owner, and the library calls inside it.

    Owners further out are left out, so that a dependency failing in its own frames is one failure, whoever called it. Without
    `callers`, so are the tests that called the code which failed: many projects' tests are part of their package.
    Paths and source lines come back in normal form.
    """
    library = _leading(found, STDLIB)
    rest = found[len(library) :]
    owned = _leading(rest, rest[0].owner) if rest else []
    if not callers:
        owned = list(takewhile(lambda frame: not _TEST.search(frame.path), owned)) or owned
    return [_normal(frame) for frame in library[:MAX_STDLIB] + owned[:MAX_FRAMES]]


def _normal(frame: Frame) -> Frame:
    return replace(frame, path=shape(frame.path), text=shape(frame.text, lines=1))


def _leading(found: list[Frame], owner: str) -> list[Frame]:
    count = next((n for n, frame in enumerate(found) if frame.owner != owner), len(found))
    return found[:count]


def _native(lines: list[str]) -> list[Frame]:
    found: list[Frame] = []
    newest_first = False
    for number, line in enumerate(lines):
        if "(most recent call" in line:  # another traceback begins: chained, or another thread
            if newest_first and found:
                break  # faulthandler lists the crashed thread first or says "Current thread"
            newest_first, found = "call first" in line, []
            continue
        match = _NATIVE.match(line)
        if match:
            text = _text_after(lines, number)
            found.append(frame_of(match[1], match[2] or match[3] or "", text))
    return found if newest_first else found[::-1]


def _text_after(lines: list[str], number: int) -> str:
    following = lines[number + 1].strip() if number + 1 < len(lines) else ""
    return "" if _NATIVE.match(following) or following.startswith(("^", "~")) else following


def _pytest(lines: list[str]) -> list[Frame]:
    found: list[Frame] = []
    function = text = ""
    for number, line in enumerate(lines):
        if marked := _MARKED.match(line):
            text = marked[1]
        elif defined := _DEF.match(line):
            function = defined[1]
        if match := _PYTEST.match(line):
            if match[2]:  # short style: the source follows
                function, text = match[2], _text_after(lines, number)
            found.append(frame_of(match[1], function, text))
            function = text = ""
    return found[::-1]


def frame_of(path: str, function: str, text: str = "") -> Frame:
    """A frame with its owner: the standard library, an installed package, or the tree under test."""
    path = path.replace("\\", "/")
    if "/site-packages/" in path:
        relative = path.rpartition("/site-packages/")[2]
        return Frame(relative.split("/")[0].removesuffix(".py"), relative, function, text)
    if path.startswith("<frozen ") or _PYTHON_LIB.match(path):
        return Frame(STDLIB, _PYTHON_LIB.sub("", path), function, text)
    return Frame(SOURCE, _TREE.sub("", path), function, text)
