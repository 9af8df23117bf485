"""Every file in bad/ goes through the real loading function; its leading comment is the whole of what must be said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pybots.config.errors import ConfigErrors
from pybots.config.farm import load_farm
from pybots.config.projects import load_project

BAD = Path(__file__).parent / "bad"


def expected(path: Path) -> list[str]:
    lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    head = next(i for i, line in enumerate(lines) if not line.startswith("# "))
    return [line[2:] for line in lines[:head]]


@pytest.mark.parametrize("path", sorted(BAD.glob("*.toml")), ids=lambda path: path.stem)
def test_a_bad_file_is_refused_in_its_own_words(path: Path, tmp_path: Path) -> None:
    """One line per mistake: line, key, message and mend. To accept new words, edit the file's first lines."""
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    load = load_farm if path.name.startswith("farm-") else load_project
    with pytest.raises(ConfigErrors) as refused:
        load(copy)
    said = [str(problem).replace(f"{tmp_path}/", "") for problem in refused.value.problems]
    assert said == [f"{path.name}{line}" for line in expected(path)]
    assert all(problem.file == str(copy) for problem in refused.value.problems)
    assert all(problem.message and problem.mend for problem in refused.value.problems)
