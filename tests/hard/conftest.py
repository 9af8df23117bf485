"""What the hard tests share."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.hard.kit_world import Kit

from pybots.miniature.hostile import Bounds
from pybots.miniature.world import World
from pybots_worker.sandbox import probe


@dataclass(frozen=True)
class Mini:
    """A miniature world, a workshop, and the world's CPython as the workshop packed it."""

    world: World
    kit: Kit
    python: Path


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Mini:
    """Made once: the tests only add jobs."""
    lacks = [name for name in ("gcc", "git", "make") if shutil.which(name) is None]
    if lacks or not probe().usable:
        reason = f"needs bubblewrap and {', '.join(lacks) or 'a working sandbox'}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    root = tmp_path_factory.mktemp("kit")
    world = World.create(root / "world", bounds=Bounds(hang_seconds=600, noise_bytes=1 << 30))
    kit = Kit(root / "kit")
    return Mini(world, kit, kit.built(world.cpython, world.head()))
