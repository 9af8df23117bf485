"""Making a farm's folder: settings, secrets, ledger. Each step leaves alone what is there already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from pybots.farm import tokens
from pybots.farm.home import Folder
from pybots.ledger import migrate


def make_folder(root: Path) -> Folder:
    """The farm's folders, secrets and an up-to-date ledger."""
    folder = Folder(root.resolve())
    folder.root.mkdir(mode=0o755, parents=True, exist_ok=True)
    for path in (folder.store, folder.logs, folder.projects, folder.worker, folder.master):
        path.mkdir(exist_ok=True)
    folder.secrets.mkdir(mode=0o700, exist_ok=True)
    tokens.make_key(folder.secrets)
    migrate.upgrade(folder.ledger)
    folder.ledger.chmod(0o600)  # it holds the workers' credentials
    return folder


def write_settings(path: Path, changes: Mapping[str, Any]) -> None:
    """Set the dotted keys in farm.toml, keeping everything else a person wrote there.

    `changes` maps `table.key` to a plain value; None removes the key. Written whole or not at all."""
    before = (
        path.read_text()
        if path.exists()
        else "# A Pybots farm. `pybots check` explains every mistake.\n"
    )
    document = tomlkit.parse(before)
    for dotted, value in changes.items():
        *tables, key = dotted.split(".")
        place: Any = document
        for name in tables:
            if name not in place:
                place[name] = tomlkit.table()
            place = place[name]
        if value is None:
            place.pop(key, None)
        else:
            place[key] = value
    after = tomlkit.dumps(document)
    if after != before or not path.exists():
        partial = path.with_suffix(".toml.partial")
        partial.write_text(after)
        partial.replace(path)
