"""axe-core, the accessibility checker, from npm: fetched once into `node_modules` beside this file, by its lock."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
SOURCE: Final = HERE / "node_modules" / "axe-core" / "axe.min.js"
NPM_SECONDS: Final = 180
SERIOUS: Final = ("serious", "critical")
RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


class NoAxe(Exception):
    """axe-core is not there and can't be fetched; the text says why."""


def fetch() -> str:
    """Its source. Raises NoAxe."""
    wanted = json.loads((HERE / "package.json").read_text())["devDependencies"]["axe-core"]
    if _there() != wanted:
        _install()
    if _there() != wanted:
        raise NoAxe(f"npm did not bring axe-core {wanted}")
    return SOURCE.read_text("utf-8")


def _there() -> str:
    try:
        return str(json.loads((SOURCE.parent / "package.json").read_text())["version"])
    except (OSError, ValueError, KeyError):
        return ""


def _install() -> None:
    npm = os.environ.get("PYBOTS_NPM", "npm")
    if shutil.which(npm) is None:
        raise NoAxe("no npm: install it, or name one in PYBOTS_NPM")
    try:
        made = subprocess.run(
            [npm, "ci"], cwd=HERE, capture_output=True, text=True, timeout=NPM_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise NoAxe(f"npm ci took longer than {NPM_SECONDS} s") from late
    if made.returncode:
        raise NoAxe(f"npm ci failed: {made.stderr[-800:]}")


def complaints(page: Any, source: str) -> list[str]:
    """What is serious or critical on the page as it stands, one line each with the element concerned."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(source)
    found = page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", list(RULES)
    )
    return [
        f"{one['impact']}: {one['id']}: {node['html'][:200]} ({'; '.join(node['target'])})"
        for one in found["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"][:5]
    ]
