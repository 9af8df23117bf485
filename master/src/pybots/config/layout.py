"""Where in a tree the project itself is: mostly at the top, sometimes a folder below, sometimes nothing installs it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pybots.config import strange

NOT_ITS_OWN: Final = frozenset(
    {"tests", "test", "testing", "docs", "doc", "examples", "example", "benchmarks", "third_party"}
)
"""Folders whose packages are not the project, and whose C is not compiled for its users."""
NOT_AT_TOP: Final = frozenset({*NOT_ITS_OWN, "vendor", "tools", "scripts", "utils"})
"""The same at the top of the tree; inside a package they may be anything."""


def home(folder: Path) -> str:
    """The folder that can be installed, from the top: "." or one below it; "" when there is none."""
    if installable(folder):
        return "."
    below = sorted(path for path in folder.glob("*") if path.is_dir() and not path.is_symlink())
    return next(
        (
            path.name
            for path in below[: strange.MAX_FILES]
            if path.name not in NOT_AT_TOP and strange.plain_path(path.name) and installable(path)
        ),
        "",
    )


def installable(folder: Path) -> bool:
    """Whether pip would find anything to build there. Settings of other tools alone are no project."""
    data = strange.toml(strange.text(folder, "pyproject.toml"))
    return (
        any((folder / name).is_file() for name in ("setup.py", "PKG-INFO"))
        or any(
            strange.table(data, *keys)
            for keys in (("project",), ("build-system",), ("tool", "poetry"))
        )
        or any(
            name == "metadata" or name.startswith("options")
            for name in strange.sections(strange.text(folder, "setup.cfg")).sections()
        )
    )


def tests_in(folder: Path) -> str:
    """The folder of the tests, from the top; "" when none is seen."""
    places = [folder / "tests", folder / "test"]
    for pattern in ("*/tests", "src/*/tests", "*/test", "src/*/test"):
        places += sorted(folder.glob(pattern))
    found = (path.relative_to(folder).as_posix() for path in places if strange.inside(folder, path))
    return next(
        (name for name in found if (folder / name).is_dir() and strange.plain_path(name)), ""
    )


def has_test_files(folder: Path) -> bool:
    """Whether anything is named as tests are."""
    return any(
        next(folder.glob(f"**/{name}"), None)
        for name in ("test_*.py", "*_test.py", "tests.py", "testing/*.py")
    )


def has_source(folder: Path, end: str) -> bool:
    found = (path.relative_to(folder).parts[:-1] for path in folder.glob(f"**/*.{end}"))
    return any(
        not NOT_ITS_OWN.intersection(parts) and not NOT_AT_TOP.intersection(parts[:1])
        for parts in found
    )
