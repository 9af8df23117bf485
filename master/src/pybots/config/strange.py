"""Reading a stranger's source tree: any file may be broken, huge, a link to elsewhere, or of another shape than its name says.

What cannot be read is empty. Nothing is executed and nothing raises."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

MAX_BYTES: Final = 1 << 20
"""Of a file's beginning: settings are smaller."""
MAX_REQUIREMENT: Final = 500
"""Characters. Longer ones are no requirements, and the parser of markers recurses."""
MAX_FILES: Final = 200


def text(folder: Path, name: str) -> str:
    """The beginning of a regular file of the tree; links are followed inside the tree only."""
    path = folder / name
    if inside(folder, path) and path.is_file():
        try:
            with path.open("rb") as file:
                return file.read(MAX_BYTES).decode("utf-8", "replace")
        except OSError:
            pass
    return ""


def inside(folder: Path, path: Path) -> bool:
    """Whether a path is there and no link out of the tree."""
    try:
        return path.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # not there, a link to itself, a name with NUL
        return False


def toml(words: str) -> dict[str, Any]:
    """The data of a TOML text. ValueError is also what a number of 5,000 digits gives."""
    try:
        return tomllib.loads(words)
    except (ValueError, RecursionError):
        return {}


def sections(words: str) -> configparser.ConfigParser:
    """The sections of an INI text, none when it is broken."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(words)
    except configparser.Error:
        return configparser.ConfigParser()
    return parser


def table(data: Any, *keys: str) -> dict[str, Any]:
    """The table at the keys, empty when there is none."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def strings(value: Any) -> list[str]:
    """The texts of a list."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def is_requirement(line: str) -> bool:
    return bool(distributions([line]))


def distributions(lines: Iterable[str]) -> set[str]:
    """The normalized names of the distributions that requirements name; what is none is left out."""
    found = set()
    for line in lines:
        try:
            if len(line) <= MAX_REQUIREMENT:
                found.add(str(canonicalize_name(Requirement(line).name)))
        except (InvalidRequirement, RecursionError):
            continue
    return found


def plain_path(name: str) -> bool:
    """Whether it stays inside the tree and can be written into a project's file."""
    return bool(re.fullmatch(r"[\w][\w./+-]*", name)) and ".." not in name.split("/")


def files(folder: Path, pattern: str) -> Iterator[Path]:
    """Some of the tree's regular files, in order."""
    found = (path for path in sorted(folder.glob(pattern)) if not path.is_symlink())
    for _, path in zip(range(MAX_FILES), found, strict=False):
        if path.is_file():
            yield path
