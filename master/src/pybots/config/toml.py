"""Reading one TOML file: its data, or the Problem that it is not TOML, with the line; and where its keys stand."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pybots.config.errors import Problem, shown

MAX_BYTES: Final = 1 << 20
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_TABLE = re.compile(r"^\s*\[\[?\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[A-Za-z0-9_"'-]+)*)\s*=""")


@dataclass(frozen=True)
class Document:
    """A file as it was read. `data` is None when it could not be; then `problem` says why."""

    file: str
    data: dict[str, Any] | None
    problem: Problem | None = None
    text: str = field(default="", repr=False)

    def line(self, path: Sequence[str | int]) -> int | None:
        """The line of a key, or of the nearest table above it; None when the file does not have it."""
        lines = _lines(self.text)
        for end in range(len(path), 0, -1):
            found = lines.get(tuple(str(part) for part in path[:end]))
            if found is not None:
                return found
        return None


def read(path: Path) -> Document:
    """The file's data. Never raises for what the file is or holds: that becomes a Problem."""
    file = str(path)

    def refused(message: str, mend: str, line: int | None = None) -> Document:
        return Document(file, None, Problem(file, "", message, mend, line))

    try:
        with path.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
    except OSError as error:
        return refused(f"cannot be read: {error.strerror}", "check its path and permissions")
    if len(raw) > MAX_BYTES:
        return refused("is larger than 1 MiB", "a settings file has a few kilobytes")
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return refused("is not UTF-8 text", "save it as UTF-8", line)
    try:
        return Document(file, tomllib.loads(text), text=text)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        words = _PLACE.sub("", str(error))
        return refused(f"is not TOML: {words}", _syntax_mend(text, line, words), line)
    except RecursionError:
        return refused("is nested too deeply", "flatten it")
    except ValueError:  # Python's own limit of digits
        return refused("has a number that is too long", "write a smaller one")


def _syntax_mend(text: str, number: int, words: str) -> str:
    """The line in question, or the usual slip when it is one."""
    lines = text.splitlines()
    line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    if plain := re.fullmatch(r"([\w.-]+\s*=\s*)([A-Za-z/~][^\"'\[\]{}]*)", line):
        return f"put the value in quotes: {plain[1][:80]}{shown(plain[2])}"
    if words == "Cannot overwrite a value":
        return f"this key is there already, remove one: {shown(line)}"
    return f"look at {shown(line)}" if line else ""


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Where keys and tables begin. A reading aid only: multi-line strings may fool it."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if match := _TABLE.match(line):
            table = _parts(match[1])
            found.setdefault(table, number)
        elif match := _KEY.match(line):
            found.setdefault(table + _parts(match[1]), number)
    return found


def _parts(key: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in key.split("."))
