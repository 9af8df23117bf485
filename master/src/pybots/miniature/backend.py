"""A build backend (PEP 517 and 660) without needs, copied into each miniature project: no network, no setuptools.

It packs `src/` into a wheel. With `extension` in `[tool.miniature]` it also compiles one C file with the compiler that
sysconfig names; `optional` says that a compiler error is no error, as some real projects do (and so lose it silently).
"""

from __future__ import annotations

import base64
import hashlib
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

_Config = dict[str, Any] | None


def build_wheel(directory: str, config: _Config = None, metadata: str | None = None) -> str:
    """Write the wheel into `directory`; returns its name."""
    files = {
        path.relative_to("src").as_posix(): path.read_bytes() for path in Path("src").rglob("*.py")
    }
    return _wheel(directory, files | _extension())


def build_editable(directory: str, config: _Config = None, metadata: str | None = None) -> str:
    """A wheel that only leads to `src/`."""
    name = _settings()["project"]["name"].replace("-", "_")
    return _wheel(directory, {f"{name}.pth": str(Path("src").resolve()).encode()} | _extension())


def build_sdist(directory: str, config: _Config = None) -> str:
    """Write the source archive into `directory`; returns its name."""
    name = f"{_stem()}.tar.gz"
    with tarfile.open(Path(directory) / name, "w:gz") as archive:
        archive.add(".", _stem(), filter=lambda info: None if "/.git" in info.name else info)
    return name


def _settings() -> dict[str, Any]:
    return tomllib.loads(Path("pyproject.toml").read_text())


def _stem() -> str:
    project = _settings()["project"]
    return f"{project['name'].replace('-', '_')}-{project['version']}"


def _extension() -> dict[str, bytes]:
    """The compiled extension, as {path in the wheel: content}; nothing when there is none or it could be left out."""
    own = _settings().get("tool", {}).get("miniature", {})
    source = own.get("extension", "")
    if not source:
        return {}
    target = Path(source).with_suffix(str(sysconfig.get_config_var("EXT_SUFFIX")))
    command = [
        *shlex.split(sysconfig.get_config_var("LDSHARED")), "-fPIC", f"-I{sysconfig.get_path('include')}",
        source, "-o", str(target),
    ]  # fmt: skip
    sys.stdout.write(shlex.join(command) + "\n")
    sys.stdout.flush()
    if subprocess.run(command, check=False).returncode == 0:
        return {target.relative_to("src").as_posix(): target.read_bytes()}
    if own.get("optional", False):
        return {}
    raise SystemExit(f"error: {source} could not be compiled")


def _wheel(directory: str, files: dict[str, bytes]) -> str:
    project = _settings()["project"]
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    native = any(not name.endswith((".py", ".pth")) for name in files)
    tag = f"py3-none-{platform if native else 'any'}"
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    metadata += "".join(f"Requires-Dist: {need}\n" for need in project.get("dependencies", ()))
    info = f"{_stem()}.dist-info"
    files = files | {
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: miniature\nRoot-Is-Purelib: {str(not native).lower()}\nTag: {tag}\n".encode(),
    }
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items())
    with zipfile.ZipFile(Path(directory) / f"{_stem()}-{tag}.whl", "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)
        wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return f"{_stem()}-{tag}.whl"


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
