"""A project's own build, kept for the very same installation, and never for another one."""

from __future__ import annotations

import os
import tarfile
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.worker import kit_builders as make

from pybots_worker.contract import Install, Locked
from pybots_worker.engine import Workshop
from pybots_worker.phases import asked, own
from pybots_worker.phases.context import Context
from pybots_worker.settings import WorkshopSettings

WHEEL = "frond-1.0-cp316-cp316-linux_x86_64.whl"


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "w", WorkshopSettings(name="attic", local=True), environ={})


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    path = tmp_path / "uv/project.0/data"
    path.mkdir(parents=True)
    return path


def make_context(workshop: Workshop, purpose: Any = "routine", **changes: Any) -> Context:
    work = make.make_project_work(**changes)
    job = msgspec.structs.replace(make.make_job(work), purpose=purpose)
    return Context(
        job=job,
        phase="install",
        folder=workshop.begin(job),
        machine=workshop.machine,
        sink=lambda _stream, _data: None,
        cancel=threading.Event(),
    )


def built(context: Context, cache: Path, name: str = WHEEL, kind: str = "path") -> None:
    """What a job leaves: a wheel in uv's cache, a new file in the tree, and byte-code."""
    source = context.folder.work / "source"
    source.mkdir(exist_ok=True)
    (source / "old.py").touch()
    mark = context.folder.given / "mark"
    time.sleep(0.02)  # the file system's clock is that coarse
    mark.touch()
    (source / "_fern.so").write_bytes(b"machine code")
    (source / "__pycache__").mkdir(exist_ok=True)
    (source / "__pycache__/old.pyc").touch()
    folder = cache / f"sdists-v9/{kind}/one/two"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr("frond/__init__.py", "")
    own.keep(context, cache, mark.stat().st_ctime_ns)


def test_the_very_same_job_gets_the_build_that_was_kept(workshop: Workshop, cache: Path) -> None:
    context = make_context(workshop)
    assert own.find(context, cache) is None
    built(context, cache)
    found = own.find(context, cache)
    assert found is not None and found.wheel == WHEEL
    assert found.requirement(("x",)) == f"frond[x] @ file:///opt/pybots/own/{WHEEL}"
    with tarfile.open(found.folder / own.TREE) as archive:
        assert archive.getnames() == ["_fern.so"], "what was made there, and no byte-code"


@pytest.mark.parametrize("purpose", ["control", "probe"])
def test_whose_question_is_the_build_gets_a_new_one(
    workshop: Workshop, cache: Path, purpose: str
) -> None:
    built(make_context(workshop), cache)
    assert own.find(make_context(workshop, purpose), cache) is None
    assert own.find(make_context(workshop, "retry"), cache)


def test_another_recipe_is_another_build(workshop: Workshop) -> None:
    """Another interpreter, source, setting or variable; not another requirement, which is no part of the wheel."""
    work = make.make_project_work()
    plain = own.recipe(make_context(workshop))
    other = msgspec.structs.replace(work.interpreter, key="f" * 64)
    for change in (
        {"interpreter": other},
        {"interpreter": msgspec.structs.replace(work.interpreter, blob=make.make_blob(size=9, sha256="e" * 64))},
        {"env": {"CFLAGS": "-O0"}},
        {"install": Install(editable=True)},
        {"install": Install(as_of="2025-01-01")},
    ):  # fmt: skip
        assert own.recipe(make_context(workshop, **change)) not in ("", plain)
    same = {"install": Install(requirements=("x",), lock=(Locked(name="y", version="1"),))}
    assert own.recipe(make_context(workshop, **{"install": Install()})) == own.recipe(
        make_context(workshop, **same)
    )
    for never in (Install(project=False), Install(build_isolation=False)):
        assert own.recipe(make_context(workshop, install=never)) == ""


def test_an_old_or_damaged_build_is_not_used(workshop: Workshop, cache: Path) -> None:
    context = make_context(workshop)
    built(context, cache)
    found = own.find(context, cache)
    assert found is not None
    then = time.time() - own.HOURS * 3600 - 60
    os.utime(found.folder / own.SUMS, (then, then))
    assert own.find(context, cache) is None
    os.utime(found.folder / own.SUMS)
    (found.folder / WHEEL).write_bytes(b"another")
    assert own.find(context, cache) is None


def test_what_is_not_clearly_the_projects_wheel_is_not_kept(
    workshop: Workshop, cache: Path, tmp_path: Path
) -> None:
    context = make_context(workshop)
    built(context, cache, "evil;rm.whl")
    (cache / "sdists-v9/path/one/two/evil;rm.whl").unlink()
    (tmp_path / WHEEL).write_bytes(b"secret")
    folder = cache / "sdists-v9/editable/one/two"
    folder.mkdir(parents=True)
    (folder / WHEEL).symlink_to(tmp_path / WHEEL)
    own.keep(context, cache, 0)
    assert own.find(context, cache) is None, "a link out of the cache"
    (folder / WHEEL).unlink()
    (folder / WHEEL).write_bytes(b"no archive")
    own.keep(context, cache, 0)
    assert own.find(context, cache) is None
    (folder / WHEEL).unlink()
    built(context, cache, kind="editable")
    built(context, cache, "other-1.0-py3-none-any.whl")
    found = own.find(context, cache)
    assert found is not None and found.wheel == WHEEL, "of two nobody knows which is its own"


def test_a_cache_keeps_a_few_builds(workshop: Workshop, cache: Path) -> None:
    for number in range(own.KEPT + 2):
        built(make_context(workshop, env={"N": str(number)}), cache)
    assert len(list((cache.parent / own.FOLDER).iterdir())) == own.KEPT
    assert own.find(make_context(workshop, env={"N": str(number)}), cache)


def test_the_index_is_not_asked_the_same_twice_in_ten_minutes(
    workshop: Workshop, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(workshop)
    assert not asked.lately(context, cache)
    asked.note(context, cache)
    assert asked.lately(context, cache)
    assert not asked.lately(make_context(workshop, "control"), cache), "its question is today"
    assert not asked.lately(make_context(workshop, "probe"), cache)
    assert not asked.lately(make_context(workshop, install=Install(extras=("x",))), cache)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + asked.FRESH + 1)
    assert not asked.lately(context, cache)


def test_a_probe_of_named_tests_with_a_lock_asks_once_a_day(
    workshop: Workshop, cache: Path
) -> None:
    pinned = Install(lock=(Locked(name="y", version="1"),))
    probe = make_context(workshop, "probe", install=pinned, test=make.make_test(only=("a",)))
    asked.note(probe, cache)
    assert asked.lately(probe, cache)
