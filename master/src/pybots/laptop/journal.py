"""What a session has found out so far, on disk, so that it goes on where it was killed.

    <folder>/sessions/<id>/journal.jsonl    one JSON object a line, each synced before anybody hears of it
    <folder>/sessions/<id>/<name>.report    whole reports (the two ends')

A line that a kill cut off is dropped when the journal is opened.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pybots_worker import contract


@dataclass(kw_only=True)
class Journal:
    """One session's folder. `rows` are all that was written, in order."""

    folder: Path
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str, **values: Any) -> dict[str, Any]:
        """Write a row; it is on the disk when this returns."""
        row = {"row": kind, **values}
        with self._path.open("ab") as file:
            file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace"))
            file.write(b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.rows.append(row)
        return row

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        """The rows of one kind, in order."""
        return (row for row in self.rows if row["row"] == kind)

    def keep_report(self, name: str, report: contract.Report) -> None:
        """Keep a whole report; there as a whole or not at all."""
        part = self.folder / f".{name}.part"
        with part.open("wb") as file:
            file.write(contract.encode(report))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / f"{name}.report")

    def report(self, name: str) -> contract.Report | None:
        """A report kept earlier."""
        try:
            return contract.decode_report((self.folder / f"{name}.report").read_bytes())
        except (FileNotFoundError, contract.ContractError):
            return None

    @property
    def _path(self) -> Path:
        return self.folder / "journal.jsonl"


def open_journal(root: Path, session: Mapping[str, Any], *, fresh: bool = False) -> Journal:
    """The journal of the session that these facts name; with `fresh` an empty one, the old one beside it."""
    name = hashlib.sha256(json.dumps(session, sort_keys=True).encode()).hexdigest()[:16]
    folder = root / "sessions" / name
    if fresh and folder.exists():
        folder.rename(_beside(folder))
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder=folder)
    journal.rows = _read(journal._path)
    if not journal.rows:
        journal.add("session", **session)
    return journal


def _beside(folder: Path) -> Path:
    number = 1
    while (found := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    return found


def _read(path: Path) -> list[dict[str, Any]]:
    """The whole lines; a last one that was cut off is cut off the file too."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    rows, kept = [], 0
    for line in data.splitlines(keepends=True):
        try:
            row = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            row = None
        if not isinstance(row, dict) or "row" not in row:
            break
        rows.append(row)
        kept += len(line)
    if kept < len(data):
        with path.open("rb+") as file:
            file.truncate(kept)
    return rows
