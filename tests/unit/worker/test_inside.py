"""Small promises of the kit that are quick to check."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pybots_worker.layout import INSIDE


@pytest.mark.parametrize("path", sorted(INSIDE.glob("*.py")), ids=lambda path: path.name)
def test_a_script_is_readable_by_old_pythons(path: Path) -> None:
    """The oldest grammar that `compile` still knows; tests/hard runs them on what there is."""
    ast.parse(path.read_text(), feature_version=(3, 6))
