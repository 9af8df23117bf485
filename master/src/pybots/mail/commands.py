"""The one command that shows a breakage on anybody's machine. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from pybots.mail.lines import WIDTH
from pybots.mail.story import Row


def command_lines(row: Row, repository: str) -> list[str]:
    """Where it is longer than a line, a backslash continues it."""
    if not row.project:
        words = [shlex.quote(word) for word in row.configure]
        steps = ["./configure", *words, "&& make"]
        if row.phase == "install":
            steps.append('&& make install DESTDIR="$PWD/installed"')
        return _continued(f"git checkout {row.sha} &&", steps)
    options = [f"--source {row.source}"] if row.source else []
    options += [
        f"--cpython {shlex.quote(repository)}",
        f"--commit {row.sha}",
        f"--flavour {row.flavour}",
    ]
    return _continued(f"./pybots try {row.project}", options)


def _continued(first: str, parts: Sequence[str]) -> list[str]:
    lines = [f"  {first}"]
    for part in parts:
        if len(lines[-1]) + len(part) + 3 > WIDTH:
            lines[-1] += " \\"
            lines.append("      " + part)
        else:
            lines[-1] += " " + part
    return lines
