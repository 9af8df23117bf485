"""A worker's settings: `worker.toml` in its folder, closed and checked; everything has a default but the name.

`pybots-worker join` writes it; what its owner changes later stays as it is written. It holds the worker's credential,
so it is readable by its owner only. slaves/README.md explains every key.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import tomlkit
from msgspec import Meta, Struct

from pybots_worker.contract import Network
from pybots_worker.hours import HoursError, read_hours
from pybots_worker.welcome import Kind

FILE: Final = "worker.toml"

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
Megabytes = Annotated[int, Meta(ge=0, le=100_000_000)]


class SettingsError(ValueError):
    """worker.toml cannot be used; the text names the file, the key and what was expected."""


class WorkshopSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the owner decided. Sizes are in MiB, 0: no cap of ours. `cache_mb` is split by `cache.shares`."""

    name: Name = "worker"
    farm: Annotated[str, Meta(pattern=r"^https?://[^\s@?#]+/$|^$")] = ""
    credential: str = ""
    ca: str = ""
    ca_for_web: bool = False
    master: Annotated[str, Meta(pattern=r"^[^\s]+:\d{1,5}$|^$")] = "127.0.0.1:9989"
    password_file: str = "password"
    tls: bool = False
    slots: Annotated[int, Meta(ge=1, le=64)] = 1
    local: bool = False
    projects: tuple[Name, ...] = ()
    kinds: tuple[Kind, ...] = ()
    network: Network = "always"
    hours: tuple[str, ...] = ()
    max_load: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    cores: Annotated[int, Meta(ge=0, le=1024)] = 0
    memory_mb: Megabytes = 0
    disk_mb: Megabytes = 0
    bandwidth_kb: Annotated[int, Meta(ge=0, le=100_000_000)] = 0
    cache_mb: Annotated[int, Meta(ge=256, le=10_000_000)] = 10240
    provides: tuple[str, ...] = ()
    receipt: bool = False
    allow_unsandboxed: bool = False

    def __repr__(self) -> str:
        return f"WorkshopSettings({self.name!r})"  # never the credential


def load(root: Path) -> WorkshopSettings:
    """The settings of the worker in `root`; all defaults when there is no file. Raises SettingsError."""
    path = root / FILE
    try:
        text = path.read_text()
    except FileNotFoundError:
        return WorkshopSettings()
    try:
        found = msgspec.convert(tomllib.loads(text), WorkshopSettings)
        read_hours(found.hours)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, HoursError) as error:
        raise SettingsError(f"{path}: {error}") from error
    return found


def write(root: Path, settings: WorkshopSettings) -> None:
    """Write worker.toml, values that differ from the defaults only; what stood there is gone."""
    defaults = msgspec.to_builtins(WorkshopSettings())
    document = tomlkit.document()
    for key, value in msgspec.to_builtins(settings).items():
        if value != defaults[key] or key == "name":
            document[key] = value
    _put(root, document)


def change(root: Path, values: Mapping[str, Any]) -> WorkshopSettings:
    """Set these keys, and leave everything else as its owner wrote it. Raises SettingsError for unfit values."""
    path = root / FILE
    document = tomlkit.parse(path.read_text()) if path.exists() else tomlkit.document()
    for key, value in values.items():
        document[key] = tomlkit.string(value, multiline=True) if _is_long(value) else value
    try:
        made = msgspec.convert(document.unwrap(), WorkshopSettings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {error}") from error
    _put(root, document)
    return made


def _is_long(value: object) -> bool:
    return isinstance(value, str) and "\n" in value


def _put(root: Path, document: tomlkit.TOMLDocument) -> None:
    """Whole or not at all, and for its owner's eyes only."""
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=root, prefix=".worker-", delete=False) as file:
        file.write(tomlkit.dumps(document))
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(root / FILE)  # made with mode 0600
