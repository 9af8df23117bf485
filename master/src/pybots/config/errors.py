"""Mistakes in configuration: each with file, key and mend, and all of them at once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

Level = Literal["error", "warning"]
MAX_SHOWN: Final = 80
"""Characters of a wrong value that are shown."""


@dataclass(frozen=True)
class Problem:
    """One mistake. `key` is a path like `mail.smtp.port` ("" for the file as a whole), `mend` says what to do.

    `line` counts from 1; None where it is not known. A warning never stops a farm."""

    file: str
    key: str
    message: str
    mend: str = ""
    line: int | None = None
    level: Level = "error"

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        subject = ": ".join(part for part in (place, self.key) if part)
        kind = "warning: " if self.level == "warning" else ""
        said = f"{kind}{self.message}" + (f" ({self.mend})" if self.mend else "")
        return f"{subject}: {said}" if subject else said


class ConfigErrors(Exception):
    """The configuration cannot be used. `problems` has every mistake found, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def refuse(problems: Iterable[Problem]) -> None:
    """Raise ConfigErrors when there is an error among the problems; warnings alone pass."""
    found = tuple(problems)
    if any(problem.level == "error" for problem in found):
        raise ConfigErrors(found)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """One file's problems from top to bottom, the ones without a line first."""
    return sorted(problems, key=lambda problem: problem.line or 0)


def shown(value: Any) -> str:
    """A value as the file's author wrote it, more or less, on one line and never long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        text = repr(value)
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
