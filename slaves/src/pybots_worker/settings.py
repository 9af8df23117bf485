"""A worker's settings: `worker.toml` in its folder, closed and checked; everything has a default but the name.

name = "attic"                    # as the farm knows this worker
master = "127.0.0.1:9989"         # where its Buildbot master listens
password_file = "password"        # relative to this folder; readable by the worker only
slots = 1                         # how many builds may run here at once
local = false                     # jobs may name files of this machine (the farm's own worker, `pybots try`)
cores = 0                         # for make -j; 0: all of this machine's, shared by the slots
cache_mb = 10240                  # for interpreters, sources, ccache and uv together
provides = ["headers:ffi"]        # facts that only the owner knows
allow_unsandboxed = false         # run jobs without walls when bubblewrap does not work here
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

FILE: Final = "worker.toml"

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]


class SettingsError(ValueError):
    """worker.toml cannot be used; the text names the file, the key and what was expected."""


class WorkshopSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the owner decided. `cache_mb` is in MiB, split among the caches by `cache.shares`."""

    name: Name = "worker"
    master: Annotated[str, Meta(pattern=r"^[^\s:]+:\d{1,5}$|^$")] = "127.0.0.1:9989"
    password_file: str = "password"
    tls: bool = False
    slots: Annotated[int, Meta(ge=1, le=64)] = 1
    local: bool = False
    cores: Annotated[int, Meta(ge=0, le=1024)] = 0
    cache_mb: Annotated[int, Meta(ge=256, le=10_000_000)] = 10240
    provides: tuple[str, ...] = ()
    allow_unsandboxed: bool = False


def load(root: Path) -> WorkshopSettings:
    """The settings of the worker in `root`; all defaults when there is no file. Raises SettingsError."""
    path = root / FILE
    try:
        text = path.read_text()
    except FileNotFoundError:
        return WorkshopSettings()
    try:
        return msgspec.convert(tomllib.loads(text), WorkshopSettings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: {error}") from error


def write(root: Path, settings: WorkshopSettings) -> None:
    """Write worker.toml, values that differ from the defaults only."""
    defaults = msgspec.to_builtins(WorkshopSettings())
    lines = [
        f"{key} = {_toml(value)}"
        for key, value in msgspec.to_builtins(settings).items()
        if value != defaults[key] or key == "name"
    ]
    root.mkdir(parents=True, exist_ok=True)
    (root / FILE).write_text("\n".join(lines) + "\n")


def _toml(value: object) -> str:
    """A string, number, truth value or list of strings: JSON's writing of these is TOML's."""
    return msgspec.json.encode(value).decode()
