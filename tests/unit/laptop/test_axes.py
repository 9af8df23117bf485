"""From what a person names to the succession of changes: dependency deltas, releases, lock files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybots.laptop.axes import _between, delta, read_lock
from pybots.laptop.workbench import LaptopError
from pybots_worker import contract


def lock(**pins: str) -> tuple[contract.Locked, ...]:
    return tuple(contract.Locked(name=name, version=version) for name, version in pins.items())


def test_a_delta_goes_from_one_lock_to_the_other_package_by_package() -> None:
    steps = delta(lock(Attrs="1", six="1", gone="2"), lock(attrs="2", six="1", new="3"))
    assert [change.id for change, _ in steps] == ["before", "attrs==2", "without gone", "new==3"]
    assert steps[0][1] == lock(attrs="1", gone="2", six="1")
    assert steps[-1][1] == lock(attrs="2", new="3", six="1")
    assert len({change.key for change, _ in steps}) == 4


def test_equal_locks_are_no_delta() -> None:
    with pytest.raises(LaptopError, match="the same"):
        delta(lock(a_b="1"), lock(**{"A.b": "1"}))


def test_releases_between_two_versions() -> None:
    known = ["1.0", "1.10", "1.9", "2.0rc1", "2.0", "0.9", "2.1"]
    assert _between(known, "1.0", "2.0") == ["1.0", "1.9", "1.10", "2.0"]
    assert _between(known, "1.9", "2.0rc1") == ["1.9", "1.10", "2.0rc1"]
    for good, bad, why in (("2.0", "1.0", "older"), ("1.0", "3.0", "3.0"), ("x", "1.0", "version")):
        with pytest.raises(LaptopError, match=why):
            _between(known, good, bad)


def test_a_lock_file_is_read_and_what_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lock.txt"
    path.write_text("# comment\nsix==1.15.0  # why\n\nattrs == 20.3.0\n")
    assert [(pin.name, pin.version) for pin in read_lock(path)] == [
        ("six", "1.15.0"),
        ("attrs", "20.3.0"),
    ]
    path.write_text("six>=1\n")
    with pytest.raises(LaptopError, match=r"lock\.txt:1"):
        read_lock(path)
    with pytest.raises(LaptopError, match="neither a date"):
        read_lock(tmp_path / "nothing")
