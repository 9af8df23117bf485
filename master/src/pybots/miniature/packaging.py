"""From a project's definition to its files, its releases and a package index."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Final

from pybots.miniature.projects import Definition

_BACKEND: Final = Path(__file__).parent / "backend.py"
_SOURCES: Final = Path(__file__).parent / "sources"


def sources(definition: Definition) -> dict[str, str]:
    """All files of a project, path: text."""
    pyproject = f"""\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "{definition.name}"
version = "1.0"
description = "{definition.about}"
dependencies = {json.dumps(definition.dependencies)}

[tool.miniature]
extension = "{definition.extension}"
optional = {str(definition.optional).lower()}
"""
    return {
        "pyproject.toml": pyproject,
        "backend.py": _BACKEND.read_text() + definition.backend,
        "README.md": f"# {definition.name}\n\n{definition.about}\n",
        "tests/__init__.py": "",
        f"src/{definition.package}/__init__.py": "",
        **read_files(_SOURCES / definition.name),
        **definition.files,
    }


def read_files(folder: Path) -> dict[str, str]:
    """The data files under `folder`, path: text; {} when there is no such folder.

    Here, Python files carry `.in`, and dot files `dot.`, so that no tool takes them for this project's own.
    """
    files = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix().replace("dot.", ".")
        files[name.removesuffix(".in") if name.endswith(".py.in") else name] = file.read_text()
    return files


def released(path: Path) -> str:
    """The version that the work tree at `path` says it has."""
    found = re.search(r'^version = "(.*)"$', (path / "pyproject.toml").read_text(), re.MULTILINE)
    if not found:
        raise ValueError(f"{path}/pyproject.toml names no version")
    return found[1]


def write_sdist(path: Path, folder: Path, *, truncated: bool = False) -> Path:
    """Pack a work tree as its release; equal trees give equal archives. `truncated` breaks the archive."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{path.name.replace('-', '_')}-{released(path)}"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, f"{stem}/PKG-INFO", _pkg_info(path))
        for file in sorted(path.rglob("*")):
            inside = file.relative_to(path)
            if file.is_file() and inside.parts[0] != ".git" and "__pycache__" not in inside.parts:
                _add(tar, f"{stem}/{inside.as_posix()}", file.read_bytes())
    packed = gzip.compress(buffer.getvalue(), mtime=0)
    target = folder / f"{stem}.tar.gz"
    target.write_bytes(packed[: len(packed) // 2] if truncated else packed)
    return target


def _pkg_info(path: Path) -> bytes:
    return f"Metadata-Version: 2.1\nName: {path.name}\nVersion: {released(path)}\n".encode()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


def simple_index(sdists: Path, folder: Path) -> Path:
    """A static index of the archives in `sdists`: `simple/NAME/` with index.html and index.json, and `files/`."""
    files = folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    releases: dict[str, list[Path]] = {}
    for sdist in sorted(sdists.glob("*.tar.gz")):
        shutil.copyfile(sdist, files / sdist.name)
        name = sdist.name.rpartition("-")[0].replace("_", "-")
        releases.setdefault(name, []).append(sdist)
    for name, archives in releases.items():
        _write_project(folder / "simple" / name, name, archives)
    listing = "".join(f'<a href="{name}/">{name}</a>\n' for name in releases)
    (folder / "simple" / "index.html").write_text(f"<!DOCTYPE html>\n{listing}")
    meta = {"meta": {"api-version": "1.1"}, "projects": [{"name": name} for name in releases]}
    (folder / "simple" / "index.json").write_text(json.dumps(meta, indent=1))
    return folder


def _write_project(folder: Path, name: str, archives: list[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    links, files, versions = "", [], []
    for archive in archives:
        data = archive.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        url = f"../../files/{archive.name}"
        links += f'<a href="{url}#sha256={digest}">{archive.name}</a>\n'
        files.append(
            {"filename": archive.name, "url": url, "hashes": {"sha256": digest}, "size": len(data)}
        )
        versions.append(archive.name.rpartition("-")[2].removesuffix(".tar.gz"))
    page = {"meta": {"api-version": "1.1"}, "name": name, "versions": versions, "files": files}
    (folder / "index.html").write_text(f"<!DOCTYPE html>\n{links}")
    (folder / "index.json").write_text(json.dumps(page, indent=1))
