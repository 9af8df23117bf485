"""Project files for the miniature projects, so that a farm can run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomlkit

from pybots.miniature.world import MiniProject, World


def write_project_files(
    world: World, folder: Path, *, notify: str = "", **changes: Any
) -> list[str]:
    """A `<name>.toml` for every project of the world, its trunk as the source. Returns the names.

    `changes` are further top-level keys of each file, for example `timeout_minutes=1`."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for project in world.projects():
        text = tomlkit.dumps(_file(project, notify, changes))
        (folder / f"{project.name}.toml").write_text(text)
        names.append(project.name)
    return names


def _file(project: MiniProject, notify: str, changes: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {
        "title": project.name.capitalize(),
        "note": project.about,
        "network": "none",
        "timeout_minutes": 2,
        **changes,
    }
    if notify:
        data["notify"] = [notify]
    data["source"] = {"trunk": {"git": str(project.git)}}
    # The backend lies in the tree, so nothing needs to be fetched for an isolated build.
    data["install"] = {"requirements": []}
    data["test"] = {"runner": project.runner, "args": list(project.args)}
    return data
