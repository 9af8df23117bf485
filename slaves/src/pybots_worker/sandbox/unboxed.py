"""Running without a sandbox, for the owner who said so: the caps hold, the walls do not.

There are no mounts here, so the fixed inside paths are translated to what would have been mounted there, in the
command, its folder and its environment. What a program has compiled in is not translated.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from .inside import HOME
from .model import SandboxSpec


def translate(text: str, targets: Mapping[str, Path]) -> str:
    """Replace whole inside paths by their sources, the longest first.

    >>> translate("PATH=/a/b/bin:/a/bc", {"/a/b": Path("/x")})
    'PATH=/x/bin:/a/bc'
    """
    if not targets:
        return text
    names = "|".join(re.escape(target) for target in sorted(targets, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])({names})(?![\w.-])", lambda found: str(targets[found[1]]), text)


def new_marker() -> tuple[str, str]:
    """A variable by which the processes of one run are known."""
    return "PYBOTS_RUN", secrets.token_hex(8)


def outside(spec: SandboxSpec, home: Path, marker: tuple[str, str]) -> SandboxSpec:
    """The same job in the host's own paths, with `home` as its private folder."""
    targets = {mount.target.rstrip("/"): mount.source for mount in spec.mounts}
    targets.setdefault(HOME, home)
    return replace(
        spec,
        argv=tuple(translate(word, targets) for word in spec.argv),
        cwd=translate(spec.cwd, targets),
        env={
            **{name: translate(value, targets) for name, value in spec.env.items()},
            marker[0]: marker[1],
        },
        mounts=tuple(replace(mount, target=str(mount.source)) for mount in spec.mounts),
    )
